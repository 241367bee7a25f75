/* test_freeze.c - frozen parameters, and networks that begin with the weights of a smaller one */
#include "base/file.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/tape.h"
#include "models/file/safetensors.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"
#include "train/trainer_checkpoint.h"

#include <math.h>

#define NETWORK(channels)                                                                   \
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": " channels "," \
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"       \
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"                        \
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8,"   \
    " \"norm_num_groups\": 4, \"num_class_embeds\": 4}"

static const char training[] = "{\"steps\": 6, \"batch\": 4, \"seed\": 1, \"model\": " NETWORK(
    "1") ","
         " \"data\": {\"kind\": \"shapes\", \"null_class\": 3},"
         " \"optimizer\": {\"lr\": 5e-3, \"ema_decay\": 0.9},"
         " \"penalty\": {\"coefficient\": 1e-3},"
         " \"statistics\": {\"every\": 3}, \"checkpoints\": {\"every\": 3}}";
static const char *const freeze[] = {"*", "!up_blocks.1", "!mid_block.resnets.0.conv2.bias"};
static json_t *network;

static int make_model(void **state)
{
    network = json_loads(NETWORK("1"), 0, NULL);
    if (!network || make_tmp(state) != 0)
        return -1;
    write_file(in_tmp("train.json"), training, sizeof training - 1);
    return 0;
}

static int free_model(void **state)
{
    json_decref(network);
    return remove_tmp(state);
}

static ss_trainer_options options(bool frozen)
{
    ss_trainer_options o = ss_trainer_defaults();

    o.config = network;
    o.config_name = "the network";
    o.data.null_class = 3;
    o.optimizer.lr = 5e-3;
    o.lambda = 1e-3;
    o.batch = 4;
    o.threads = 1;
    o.device = test_device();
    o.freeze = frozen ? freeze : NULL;
    o.n_freeze = frozen ? (int)N_OF(freeze) : 0;
    return o;
}

static ss_trainer *trainer(const ss_trainer_options *o)
{
    ss_trainer *t;
    ss_err e = {0};

    if (ss_trainer_new(o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return t;
}

static ss_trainer_did train(ss_trainer *t, int n)
{
    ss_trainer_did did;
    ss_err e = {0};

    for (int i = 0; i < n; i++) {
        if (ss_trainer_step(t, &did, &e) != SS_OK)
            fail_msg("%s", e.msg);
        assert_false(did.skipped);
    }
    return did;
}

/* The weights of a trainer, each a list of values; free_values ends it. */
static float **values_of(ss_trainer *t, int *n)
{
    ss_weight *const *w = ss_model_weights(ss_trainer_model(t), n);
    float **all = ss_calloc((size_t)*n, sizeof *all);

    for (int i = 0; i < *n; i++) {
        all[i] = ss_alloc((size_t)ss_shape_numel(w[i]->shape), sizeof **all);
        assert_int_equal(ss_download(ss_trainer_context(t), w[i]->tensor, all[i], NULL), SS_OK);
    }
    return all;
}

static void free_values(float **all, int n)
{
    for (int i = 0; i < n; i++)
        ss_free(all[i]);
    ss_free(all);
}

static bool is_trained(const char *name)
{
    return strncmp(name, "up_blocks.1.", 12) == 0 ||
           strcmp(name, "mid_block.resnets.0.conv2.bias") == 0;
}

/* One step changes what is trained as it does where nothing is frozen, penalty included, and leaves
 * the rest; less is computed, and what is frozen has no gradient. */
static void test_one_step(void **state)
{
    (void)state;
    const ss_trainer_options some = options(true), every = options(false);
    ss_trainer *a = trainer(&some), *b = trainer(&every);
    int n, trained = 0;
    float **begin = values_of(a, &n);

    ss_ctx_usage_reset(ss_trainer_context(a));
    ss_ctx_usage_reset(ss_trainer_context(b));
    const ss_trainer_did x = train(a, 1), y = train(b, 1);
    const double less = ss_ctx_usage(ss_trainer_context(a)).flops,
                 more = ss_ctx_usage(ss_trainer_context(b)).flops;

    assert_true(x.loss == y.loss && x.penalty == y.penalty && x.penalty > 0);
    assert_true(x.norm < y.norm && is_trained(x.stalest));
    if (!(less < 0.75 * more))
        fail_msg("%g operations with most frozen, %g without", less, more);
    float **p = values_of(a, &n), **q = values_of(b, &n);
    ss_weight *const *w = ss_model_weights(ss_trainer_model(a), &n);
    const ss_update *u = ss_trainer_updates(a), *v = ss_trainer_updates(b);
    for (int i = 0; i < n; i++) {
        const size_t bytes = (size_t)ss_shape_numel(w[i]->shape) * sizeof(float);
        const bool is = is_trained(w[i]->name);

        trained += is;
        if (memcmp(p[i], is ? q[i] : begin[i], bytes) != 0)
            fail_msg("%s: %s", w[i]->name, is ? "another step" : "changed");
        assert_true(is ? memcmp(&u[i], &v[i], sizeof *u) == 0
                       : isnan(u[i].update_rms) && isnan(u[i].staleness) && isnan(u[i].weight_rms));
        assert_true(!ss_tensor_gradient(w[i]->tensor));
    }
    assert_int_equal(trained, 25);
    free_values(begin, n);
    free_values(p, n);
    free_values(q, n);
    ss_trainer_free(a);
    ss_trainer_free(b);
}

/* A checkpoint keeps the state of what is trained alone, and goes on to the same bits. */
static void test_checkpoint(void **state)
{
    (void)state;
    ss_trainer_options o = options(true);
    char half[300], path[400];
    ss_safetensors *f;
    int n, trained = 0;
    ss_err e = {0};

    snprintf(half, sizeof half, "%s", in_tmp("half"));
    o.optimizer.ema_decay = 0.9;
    ss_trainer *a = trainer(&o), *b = trainer(&o);
    train(a, 2);
    assert_int_equal(ss_trainer_save(a, half, false, &e), SS_OK);
    assert_int_equal(ss_trainer_save(a, in_tmp("average"), true, &e), SS_OK);
    snprintf(path, sizeof path, "%s/optimizer.safetensors", half);
    assert_int_equal(ss_safetensors_open(path, &f, &e), SS_OK);
    ss_weight *const *w = ss_model_weights(ss_trainer_model(a), &n);
    for (int i = 0; i < n; i++) {
        char name[300];

        snprintf(name, sizeof name, "v.%s", w[i]->name);
        assert_true((ss_safetensors_find(f, name) != NULL) == is_trained(w[i]->name));
        trained += is_trained(w[i]->name);
    }
    assert_int_equal(ss_safetensors_count(f), 3 * trained);
    ss_safetensors_close(f);
    train(a, 2);
    if (ss_trainer_load(b, half, &e) != SS_OK)
        fail_msg("%s", e.msg);
    train(b, 2);
    float **p = values_of(a, &n), **q = values_of(b, &n);
    for (int i = 0; i < n; i++)
        assert_memory_equal(p[i], q[i], (size_t)ss_shape_numel(w[i]->shape) * sizeof(float));
    free_values(p, n);
    free_values(q, n);
    ss_trainer_free(a);
    ss_trainer_free(b);

    /* the average of what is frozen is itself */
    ss_model *m;
    assert_int_equal(ss_model_open(in_tmp("average"), NULL, &m, &e), SS_OK);
    w = ss_model_weights(m, &n);
    a = trainer(&o);
    p = values_of(a, &n);
    for (int i = 0; i < n; i++)
        assert_true((memcmp(p[i], ss_weight_data(w[i], &e), w[i]->bytes) != 0) ==
                    is_trained(w[i]->name));
    free_values(p, n);
    ss_model_close(m);
    ss_trainer_free(a);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *globs[2], *text;
    } cases[] = {
        {{"up_blocks.1", "motion*"}, "freeze: no parameter matches 'motion*'; `sigmascope inspect"},
        {{"*", "!nothing"}, "freeze: no parameter matches '!nothing'"},
        {{"conv_in", "*"}, "freeze: all 145 parameters of the network are frozen"},
        {{"conv_in", "up_blocks.[01"}, "freeze: "},
    };
    ss_trainer *t;
    ss_err e;

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_trainer_options o = options(false);

        o.freeze = cases[i].globs;
        o.n_freeze = 2;
        assert_int_equal(ss_trainer_new(&o, &t, &e), SS_USAGE);
        if (!strstr(e.msg, cases[i].text))
            fail_msg("'%s' should hold '%s'", e.msg, cases[i].text);
    }
}

#define TRAIN "train $D/train.json --quiet --threads 1 "

/* Whole runs: statistics, resumed to the same bytes, branches that freeze more or less. */
static void test_runs(void **state)
{
    (void)state;
    const float *x;
    ss_run *r;
    ss_err e;

    expect(TRAIN "-o $D/frozen --set freeze=!conv_in", 0, NULL); /* an exception of nothing */
    expect(TRAIN "-o $D/whole", 0, NULL);
    expect("inspect $D/frozen/step-000006 $D/whole/step-000006", 0, "0 of");
    expect(TRAIN
           "-o $D/f --set 'freeze=[\"*\",\"!up_blocks.1\"]' --set statistics.tensorboard=true",
           0, NULL);
    assert_int_equal(ss_run_open_any(in_tmp("f/statistics.h5"), &r, &e), SS_OK);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(ss_run_updates(r, k ? "staleness" : "update_rms", &x, &e), SS_OK);
        for (int64_t i = 0; i < r->n_parameters; i++)
            for (int j = 0; j < r->n_sigmas; j++)
                assert_true(isnan(x[i * r->n_sigmas + j]) ==
                            !strstr(r->parameters[i], "up_blocks.1."));
    }
    assert_non_null(strstr(r->plan, "\"freeze\":[\"*\",\"!up_blocks.1\"]"));
    ss_run_close(r);
    expect("analyze $D/f/statistics.h5", 0, "up_blocks.1.");
    expect(TRAIN "-o $D/f --resume --steps 9", 2, "freeze is [\"*\",\"!up_blocks.1\"] there");
    expect(TRAIN "-o $D/b --steps 9 --set init.from=whole/step-000006 --set init.state=true "
                 "--set 'freeze=[\"*\",\"!up_blocks.1\"]'",
           0, NULL);
    expect("inspect $D/whole/step-000006 $D/b/step-000009 --top 0", 0, "24 of 145");
    expect(TRAIN "-o $D/c --steps 9 --set init.from=f/step-000006 --set init.state=true", 1,
           "a training that froze this parameter");
}

/* A network with more than the folder: what is new is as initialised, or zero in conv_in. */
static void test_from_smaller(void **state)
{
    (void)state;
    static const char loud[] = "train $D/train.json --threads 1 --progress never ";
    char args[900];

    expect(TRAIN "-o $D/small", 0, NULL);
    snprintf(args, sizeof args,
             "%s -o $D/scaled --steps 1 --set remedies.residual_scale=learned --set optimizer.lr=0"
             " --set init.from=small/step-000006",
             loud);
    expect(args, 0, "of the network's parameters (");
    assert_non_null(strstr(output, "), which begin as initialised"));
    assert_non_null(strstr(output, "from down_blocks.0.resnets.0.residual_scale to "));
    /* scales of 1 change nothing: the larger network answers as the smaller one */
    expect("probe $D/small/step-000006 -o $D/small.h5 --class 1 --quiet --sigmas 1,10", 0, NULL);
    expect("probe $D/scaled/step-000001 -o $D/scaled.h5 --class 1 --quiet --sigmas 1,10", 0, NULL);
    ss_run *x, *y;
    const float *p, *q;
    ss_err e;
    assert_int_equal(ss_run_open_any(in_tmp("small.h5"), &x, &e), SS_OK);
    assert_int_equal(ss_run_open_any(in_tmp("scaled.h5"), &y, &e), SS_OK);
    for (int i = 0; i < x->n_modules; i++)
        assert_string_equal(x->modules[i], y->modules[i]);
    assert_int_equal(ss_run_stat(x, "rms", &p, &e), SS_OK);
    assert_int_equal(ss_run_stat(y, "rms", &q, &e), SS_OK);
    assert_memory_equal(p, q, (size_t)(x->n_modules * x->n_ports * x->n_sigmas * x->n_samples) * 4);
    ss_run_close(x);
    ss_run_close(y);
    expect(TRAIN "-o $D/x --set init.from=scaled/step-000001", 1,
           "parameters that the network in training has not, the first is "
           "down_blocks.0.resnets.0.residual_scale");
}

/* Writes 6 pictures of 4 x 4 as MNIST's files have them. */
static const char *write_pictures(void)
{
    static char path[300];
    unsigned char file[16 + 6 * 16] = {0, 0, 8, 3, [7] = 6, [11] = 4, [15] = 4};

    for (int i = 0; i < 6 * 16; i++)
        file[16 + i] = (unsigned char)(i * 37);
    snprintf(path, sizeof path, "%s", in_tmp("items"));
    write_file(path, (const char *)file, sizeof file);
    return path;
}

/* The answer to n samples of one noise level, the caller's. */
static float *answer(ss_trainer *t, int64_t n, ss_shape shape, const float *x)
{
    ss_ctx *c = ss_trainer_context(t);
    const float timesteps[8] = {500, 500, 500, 500, 500, 500, 500, 500}, labels[8] = {0};
    const ss_condition condition = {.class_labels = labels};
    ss_tensor *in = ss_upload(c, shape, x);
    ss_tensor *y = ss_model_forward(c, ss_trainer_model(t), in, timesteps, &condition);
    ss_err e = {0};

    assert_true(n <= 8);
    if (!y) {
        ss_ctx_check(c, &e);
        fail_msg("%s", e.msg);
    }
    float *out = ss_alloc((size_t)ss_shape_numel(ss_shape_get(y)), sizeof *out);
    assert_int_equal(ss_download(c, y, out, &e), SS_OK);
    assert_int_equal(ss_ctx_finish(c, &e), SS_OK);
    ss_release(y);
    ss_release(in);
    return out;
}

static void set_motion(json_t *config, const char *motion)
{
    json_object_set_new(config, "motion", json_loads(motion, 0, NULL));
}

/* A network of videos that begins with that of pictures answers each frame as that does, and with
 * motion.freeze trains its motion blocks alone. */
static void test_from_pictures(void **state)
{
    (void)state;
    enum { F = 4, EACH = 8 * 8 };
    static const char *const motions[] = {
        "{\"frames\": 4, \"layers\": [\"conv\", \"attention\"], \"freeze\": true}",
        "{\"frames\": 4, \"reference\": true}"};
    ss_trainer_options o = options(false);
    float x[2 * F * EACH], wide[2 * F * EACH * 3];
    char folder[300];
    int n, moved = 0;
    ss_err e = {0};

    snprintf(folder, sizeof folder, "%s", in_tmp("pictures"));
    for (int i = 0; i < 2 * F * EACH; i++) {
        x[i] = (float)sin(i * 0.37 + 1e-4 * i * i);
        wide[3 * i] = x[i];
        wide[3 * i + 1] = 3;
        wide[3 * i + 2] = 1;
    }
    ss_trainer *pictures = trainer(&o);
    train(pictures, 3);
    assert_int_equal(ss_trainer_save(pictures, folder, false, &e), SS_OK);
    float *want = answer(pictures, 2 * F, ss_shape_of(2 * F, 8, 8, 1), x);
    for (int k = 0; k < 2; k++) {
        json_t *config = json_deep_copy(network);

        set_motion(config, motions[k]);
        o = options(false);
        o.config = config;
        o.from = folder;
        o.data.kind = SS_DATA_MOVING;
        o.data.path = write_pictures();
        ss_trainer *t = trainer(&o);
        float *y = answer(t, 2, ss_shape_of(2, F, 8, 8, k ? 3 : 1), k ? wide : x);
        for (int i = 0; i < 2 * F * EACH; i++)
            assert_true(fabs((double)y[i] - want[i]) <= (k ? 1e-5 : 0));
        if (k == 0) {
            float **before = values_of(t, &n), **after;

            train(t, 2);
            after = values_of(t, &n);
            ss_weight *const *w = ss_model_weights(ss_trainer_model(t), &n);
            for (int i = 0; i < n; i++) {
                const bool same = memcmp(before[i], after[i],
                                         (size_t)ss_shape_numel(w[i]->shape) * sizeof(float)) == 0;

                assert_true(same || ss_is_motion_weight(w[i]->name));
                moved += !same;
            }
            assert_true(moved > 10);
            free_values(before, n);
            free_values(after, n);
        }
        ss_free(y);
        ss_trainer_free(t);
        json_decref(config);
    }
    ss_free(want);
    ss_trainer_free(pictures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_step),     cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_errors),       cmocka_unit_test(test_runs),
        cmocka_unit_test(test_from_smaller), cmocka_unit_test(test_from_pictures),
    };
    return cmocka_run_group_tests(tests, make_model, free_model);
}
