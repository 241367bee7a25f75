/* test_autoencoder.c - the training of autoencoders: the loss and every gradient against PyTorch,
 * what is refused, and that a small one learns
 *
 * Golden data: tests/golden/autoencoders/CASE.safetensors, written by make_autoencoder.py.
 */
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/ops.h"
#include "kernels/tape.h"
#include "models/file/safetensors.h"
#include "tests/ss_tmp.h"
#include "train/autoencoder.h"
#include "train/trainer_checkpoint.h"

#include <math.h>

static float *golden(const char *name, const char *tensor, ss_shape *shape)
{
    char path[600];
    ss_array a = {0};
    ss_err e = {0};

    snprintf(path, sizeof path, "tests/golden/autoencoders/%s.safetensors#%s", name, tensor);
    if (ss_safetensors_load_f32(path, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    if (shape) {
        shape->rank = a.rank;
        memcpy(shape->dim, a.dim, sizeof shape->dim);
    }
    return a.values;
}

/* The RMS error of 64 values of a gradient, and the error of its norm, both in units of its own. */
static double distance(const char *name, const char *parameter, const float *got, int64_t n)
{
    char key[400];
    double error = 0, sum = 0;

    snprintf(key, sizeof key, "gradient:%s", parameter);
    float *want = golden(name, key, NULL);
    snprintf(key, sizeof key, "gradient-norm:%s", parameter);
    float *norm = golden(name, key, NULL);
    const double rms = norm[0] / sqrt((double)n);
    const int64_t kept = n < 64 ? n : 64;

    assert_true(norm[1] == (float)n);
    for (int64_t i = 0; i < n; i++)
        sum += (double)got[i] * got[i];
    for (int64_t k = 0; k < kept; k++)
        error = hypot(error, ((double)got[n > 64 ? k * n / 64 : k] - want[k]) / rms);
    error = fmax(error / sqrt((double)kept), fabs(sqrt(sum) - norm[0]) / norm[0]);
    ss_free(want);
    ss_free(norm);
    return error;
}

/* Compares the gradients of all weights; one that cannot change the answer is small. */
static void check_gradients(const char *name, ss_ctx *c, ss_weight *const *w, int count)
{
    double worst = 0, whole = 0;
    const char *where = "";

    for (int i = 0; i < count; i++) {
        char key[400];

        snprintf(key, sizeof key, "gradient-norm:%s", w[i]->name);
        if (!ss_tensor_gradient(w[i]->tensor))
            continue;
        float *norm = golden(name, key, NULL);
        whole = hypot(whole, norm[0]);
        ss_free(norm);
    }
    for (int i = 0; i < count; i++) {
        const ss_tensor *g = ss_tensor_gradient(w[i]->tensor);
        const int64_t n = ss_shape_numel(w[i]->shape);
        float *got = ss_alloc((size_t)n, sizeof *got);
        double own = 0;

        if (g) {
            assert_int_equal(ss_download(c, g, got, NULL), SS_OK);
            for (int64_t k = 0; k < n; k++)
                own = hypot(own, got[k]);
            const double error = own < 1e-6 * whole ? 0 : distance(name, w[i]->name, got, n);

            where = error > worst ? w[i]->name : where;
            worst = fmax(worst, error);
        }
        ss_free(got);
    }
    print_message("%-4s worst gradient %.1e (%s)\n", name, worst, where);
    /* PyTorch's own in fp32: 6e-5. Of svd it is one number, mix_factor's, in which large terms
     * cancel: 1.2e-4 where there is no AVX-512. */
    assert_true(worst <= 2e-4);
}

static void check_case(const char *name, int with)
{
    char path[300];
    ss_ctx *c;
    ss_model *m;
    ss_err e = {0};
    ss_shape shape;
    int count, had = 0;

    snprintf(path, sizeof path, "tests/golden/vaes/%s", name);
    if (ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 2}, &c, &e) != SS_OK ||
        ss_model_open(path, NULL, &m, &e) != SS_OK || ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_weight *const *w = ss_model_weights(m, &count);
    for (int i = 0; i < count; i++)
        ss_tensor_want_gradient(w[i]->tensor, true);
    float *x = golden(name, "x", &shape), *noise = golden(name, "noise", NULL);
    float *weights = golden(name, "weights", NULL), *want = golden(name, "loss", NULL);
    const ss_objective o = {.prediction = SS_OBJECTIVE_AUTOENCODER,
                            .l1_weight = weights[0],
                            .kl_weight = weights[1],
                            .frame_weight = weights[2]};
    ss_autoencoder_batch b = {.objective = &o, .n = (int)shape.dim[0], .x = x, .noise = noise};
    double losses[8];

    assert_true(ss_sample_size_of(shape.rank - 1, shape.dim + 1, &b.size));
    assert_int_equal(ss_tape_begin(c, NULL, &e), SS_OK);
    const double loss = ss_autoencoder_run(c, m, &b, 1, losses);
    if (ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    print_message("%-4s loss %.9g, golden %.9g\n", name, loss, want[0]);
    assert_true(fabs(loss - want[0]) <= 1e-5 * want[0]);
    assert_true(fabs((losses[0] + losses[1]) / 2 - loss) < 1e-12);
    check_gradients(name, c, w, count);
    for (int i = 0; i < count; i++)
        had += ss_tensor_gradient(w[i]->tensor) != NULL;
    assert_int_equal(had, with);
    ss_free(x);
    ss_free(noise);
    ss_free(weights);
    ss_free(want);
    ss_model_close(m);
    ss_ctx_free(c);
}

static void test_matches_pytorch(void **state)
{
    (void)state;
    check_case("sd", 156);
    check_case("svd", 178);
}

/* The slope of the loss of pictures, by differences. */
static void test_picture_loss(void **state)
{
    (void)state;
    enum { F = 3, N = F * 2 * 2 };
    static const ss_sample_size size = {F, 2, 2, 1};
    const ss_objective o = {.l1_weight = 0.3, .frame_weight = 2, .kl_weight = 5};
    float x[N], y[N], dy[N], ignored[N];

    for (int i = 0; i < N; i++) {
        x[i] = (float)sin(3 * i);
        y[i] = (float)cos(5 * i);
    }
    const double loss = ss_autoencoder_picture_loss(&o, size, x, y, 7, dy);
    for (int i = 0; i < N; i++) {
        const float was = y[i], up = was + 0x1p-10f, down = was - 0x1p-10f;

        y[i] = up;
        const double more = ss_autoencoder_picture_loss(&o, size, x, y, 1, ignored);
        y[i] = down;
        const double less = ss_autoencoder_picture_loss(&o, size, x, y, 1, ignored);
        y[i] = was;
        assert_true(fabs(7 * (more - less) / 0x1p-9 - dy[i]) < 1e-5);
    }
    /* what is the same in every frame does not flicker */
    for (int i = 0; i < N; i++)
        y[i] = x[i] + 0.5f;
    assert_true(fabs(ss_autoencoder_picture_loss(&o, size, x, y, 1, dy) - 0.25 - 0.3 * 0.5) < 1e-6);
    assert_true(loss > 0.4);
}

/* ---- in training ---- */

static const char config[] =
    "{\"_class_name\": \"AutoencoderKL\", \"sample_size\": 8, \"in_channels\": 1,"
    " \"out_channels\": 1, \"latent_channels\": 2, \"layers_per_block\": 1,"
    " \"block_out_channels\": [8, 16], \"norm_num_groups\": 4,"
    " \"down_block_types\": [\"DownEncoderBlock2D\", \"DownEncoderBlock2D\"],"
    " \"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\"]}";

static ss_trainer_options options(const json_t *network)
{
    ss_trainer_options o = ss_trainer_defaults();

    o.config = network;
    o.config_name = "the network";
    o.init.seed = 1;
    o.data.kind = SS_DATA_SHAPES;
    o.objective.prediction = SS_OBJECTIVE_AUTOENCODER;
    o.optimizer.lr = 5e-3;
    o.batch = 8;
    o.threads = 2;
    o.device = test_device();
    return o;
}

static void refused(const ss_trainer_options *o, const char *want)
{
    ss_trainer *t;
    ss_err e = {0};

    assert_int_not_equal(ss_trainer_new(o, &t, &e), SS_OK);
    if (!strstr(e.msg, want))
        fail_msg("'%s', not '...%s...'", e.msg, want);
}

static double train(ss_trainer *t, int n)
{
    double last = NAN;
    ss_err e = {0};

    for (int i = 0; i < n; i++) {
        ss_trainer_did did;

        if (ss_trainer_step(t, &did, &e) != SS_OK)
            fail_msg("%s", e.msg);
        assert_false(did.skipped);
        last = did.loss;
    }
    return last;
}

static void test_learns(void **state)
{
    (void)state;
    json_t *network = json_loads(config, 0, NULL);
    ss_trainer_options o = options(network);
    ss_trainer *t;
    ss_err e = {0};

    if (ss_trainer_new(&o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const double first = train(t, 1), last = train(t, 60);

    print_message("loss %.3f at step 1, %.3f at step 61\n", first, last);
    assert_true(last < 0.3 * first);
    assert_true(ss_trainer_levels(t)[0].sigma == 0);
    assert_int_equal(ss_trainer_look(t, NULL, true, &e), SS_OK); /* shapes alone */
    assert_int_equal(ss_trainer_look(t, NULL, false, &e), SS_OK);
    ss_trainer_free(t);
    json_decref(network);
}

/* With a frozen encoder only the decoder changes. */
static void test_decoder_alone(void **state)
{
    (void)state;
    static const char *const freeze[] = {"encoder.*", "quant_conv.*"};
    json_t *network = json_loads(config, 0, NULL);
    ss_trainer_options o = options(network);
    ss_trainer *t;
    ss_err e = {0};
    int n;

    o.freeze = freeze;
    o.n_freeze = 2;
    o.data.frames = 2; /* videos, frame by frame */
    o.data.stills = true;
    o.objective.frame_weight = 1;
    if (ss_trainer_new(&o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const double first = train(t, 1), last = train(t, 40);
    ss_weight *const *w = ss_model_weights(ss_trainer_model(t), &n);

    assert_true(last < 0.7 * first);
    for (int i = 0; i < n; i++) {
        const bool decodes = strncmp(w[i]->name, "decoder.", 8) == 0 ||
                             strncmp(w[i]->name, "post_quant_conv.", 16) == 0;

        assert_true(isnan(ss_trainer_updates(t)[i].update_rms) == !decodes);
    }
    ss_trainer_free(t);
    json_decref(network);
}

/* ---- the decoder of videos ---- */

/* An autoencoder of pictures whose decoder can become one of videos, and that one. */
static json_t *wide(bool videos)
{
    json_t *j = json_loads(config, 0, NULL);

    json_object_set_new(j, "block_out_channels", json_pack("[i, i]", 32, 32));
    json_object_set_new(j, "layers_per_block", json_integer(2));
    if (videos) {
        json_object_set_new(j, "_class_name", json_string("AutoencoderKLTemporalDecoder"));
        json_object_del(j, "up_block_types");
        json_object_del(j, "norm_num_groups");
    } else {
        json_object_set_new(j, "norm_num_groups", json_integer(32));
        json_object_set_new(j, "use_post_quant_conv", json_false());
    }
    return j;
}

/* Videos that two networks make of the same latents [1][3][4][4][2]; the caller frees. */
static float *decoded(ss_trainer *t)
{
    enum { N = 3 * 4 * 4 * 2, OUT = 3 * 8 * 8 };
    float z[N], *y = ss_alloc(OUT, sizeof *y);
    ss_ctx *c = ss_trainer_context(t);
    ss_err e = {0};

    for (int i = 0; i < N; i++)
        z[i] = (float)sin(7 * i);
    ss_tensor *in = ss_upload(c, ss_shape_of(1, 3, 4, 4, 2), z);
    ss_tensor *out = ss_model_decode(c, ss_trainer_model(t), in);

    if (ss_download(c, out, y, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(in);
    ss_release(out);
    return y;
}

/* A decoder of videos begins as that of pictures, and only its time layers are trained. */
static void test_temporal_decoder(void **state)
{
    (void)state;
    static const char *const zero[] = {"*.temporal_res_block.conv2"};
    static const char *const identity[] = {"decoder.time_conv_out"};
    static const char *const freeze[] = {"encoder.*", "quant_conv.*", "*.spatial_res_block.*"};
    json_t *pictures = wide(false), *videos = wide(true);
    ss_trainer_options o = options(pictures);
    ss_trainer *t;
    ss_err e = {0};

    if (ss_trainer_new(&o, &t, &e) != SS_OK ||
        ss_trainer_save(t, in_tmp("pictures"), false, &e) != SS_OK)
        fail_msg("%s", e.msg);
    float *before = decoded(t);
    ss_trainer_free(t);

    o = options(videos);
    o.from = in_tmp("pictures");
    o.init.seed = 2; /* what is not in the folder differs */
    o.init.zero = zero;
    o.init.n_zero = 1;
    o.init.identity = identity;
    o.init.n_identity = 1;
    o.freeze = freeze;
    o.n_freeze = 3;
    o.data.frames = 3;
    o.data.stills = true;
    o.batch = 2;
    o.objective.frame_weight = 1;
    if (ss_trainer_new(&o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    float *after = decoded(t);
    double worst = 0, most = 0;
    for (int i = 0; i < 3 * 8 * 8; i++) {
        worst = fmax(worst, fabs((double)after[i] - before[i]));
        most = fmax(most, fabs(before[i]));
    }
    print_message("as pictures: %.1e of %.2f\n", worst, most);
    assert_true(most > 0.01 && worst < 1e-5 * most);
    const double first = train(t, 1), last = train(t, 12);
    assert_true(last < first);
    ss_free(after);
    after = decoded(t);
    assert_true(memcmp(after, before, 3 * 8 * 8 * sizeof *after) != 0);
    ss_free(before);
    ss_free(after);
    ss_trainer_free(t);

    json_object_set_new(pictures, "use_post_quant_conv", json_true());
    ss_trainer_options other = options(pictures);
    if (ss_trainer_new(&other, &t, &e) != SS_OK ||
        ss_trainer_save(t, in_tmp("other"), false, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_trainer_free(t);
    o.from = in_tmp("other");
    refused(&o, "that the network in training has not, the first is post_quant_conv.weight");
    o.from = in_tmp("pictures");
    static const char *const narrow[] = {"encoder.conv_in"};
    o.init.identity = narrow;
    refused(&o, "encoder.conv_in: only a convolution or Linear of as many outputs as inputs");
    json_decref(pictures);
    json_decref(videos);
}

static void test_what_does_not_go_together(void **state)
{
    (void)state;
    json_t *network = json_loads(config, 0, NULL);
    ss_trainer_options o = options(network);

    o.objective.prediction = SS_OBJECTIVE_EPSILON;
    refused(&o, "AutoencoderKL is an autoencoder, which objective.prediction \"autoencoder\"");
    o.objective.prediction = SS_OBJECTIVE_AUTOENCODER;
    o.objective.blind = true;
    refused(&o, "no noise is added");
    o.objective.blind = false;
    o.objective.kl_weight = -1;
    refused(&o, "weighs -1");
    o.objective.kl_weight = 0;
    json_object_set_new(network, "sample_size", json_integer(7));
    refused(&o, "pictures of 7 x 7 cannot be encoded to latents of 1/2 of their sides");
    json_decref(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_pytorch),  cmocka_unit_test(test_picture_loss),
        cmocka_unit_test(test_learns),           cmocka_unit_test(test_decoder_alone),
        cmocka_unit_test(test_temporal_decoder), cmocka_unit_test(test_what_does_not_go_together),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
