/* test_vae.c - autoencoders against diffusers, module by module
 *
 * Golden data: tests/golden/vaes/CASE, written by make_vaes.py, which says what is in it. Every
 * case directory is run. Tolerances are relative to each module's own RMS; the worst seen is
 * printed.
 */
#include "base/file.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/tape.h"
#include "models/families.h"
#include "models/file/safetensors_write.h"
#include "tests/ss_tmp.h"
#include "tests/unet_case.h"

#include <dirent.h>

#define VAES "tests/golden/vaes"
enum { SAMPLES = 64, MAX_MODULES = 512 };
static const double tolerance = 1e-5, gradient_tolerance = 1e-4;

/* ---- cases ---- */

typedef struct {
    const char *name;
    ss_safetensors *file;
    ss_ctx *c;
    ss_model *m;
} vae;

static void open_vae(const char *name, ss_ctx_options opt, vae *v)
{
    char path[512];
    ss_err e = {0};

    opt.device = test_device();
    v->name = name;
    snprintf(path, sizeof path, VAES "/%s/golden.safetensors", name);
    if (ss_safetensors_open(path, &v->file, &e) != SS_OK || ss_ctx_new(&opt, &v->c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    snprintf(path, sizeof path, VAES "/%s", name);
    if (ss_model_open(path, NULL, &v->m, &e) != SS_OK || ss_model_bind(v->m, v->c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(ss_model_about(v->m)->role, SS_VAE);
}

static void close_vae(vae *v)
{
    ss_safetensors_close(v->file);
    ss_model_close(v->m);
    assert_int_equal(ss_ctx_usage(v->c).live_bytes, 0);
    ss_ctx_free(v->c);
}

static void each_case(void (*fn)(const char *name))
{
    struct dirent **list;
    int n = scandir(VAES, &list, NULL, alphasort), ran = 0;

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.') {
            fn(list[i]->d_name);
            ran++;
        }
        free(list[i]);
    }
    free(list);
    assert_true(ran >= 10);
}

/* A tensor of the golden file, channels last: [N,C,H,W] or [N,F,C,H,W]. */
static float *pictures(const vae *v, const char *name, ss_shape *shape)
{
    const ss_stored_tensor *t;
    float *x = golden(v->file, name, &t);

    assert_non_null(x);
    const int64_t *d = t->dim;
    *shape = t->rank == 5 ? ss_shape_of(d[0], d[1], d[3], d[4], d[2])
                          : ss_shape_of(d[0], d[2], d[3], d[1]);
    return to_channels_last(x, t);
}

static ss_tensor *upload(const vae *v, const char *name)
{
    ss_shape shape;
    float *host = pictures(v, name, &shape);
    ss_tensor *x = ss_upload(v->c, shape, host);

    ss_free(host);
    return x;
}

static float *download(const vae *v, const ss_tensor *x)
{
    const int64_t n = ss_shape_numel(ss_shape_get(x));
    float *host = ss_alloc((size_t)n, sizeof *host);
    ss_err e = {0};

    if (ss_ctx_finish(v->c, &e) != SS_OK)
        fail_msg("%s: %s", v->name, e.msg);
    assert_non_null(host);
    assert_int_equal(ss_download(v->c, x, host, NULL), SS_OK);
    return host;
}

/* Runs half of the network on what the golden file has. */
static ss_tensor *run(const vae *v, bool decode)
{
    ss_tensor *x = upload(v, decode ? "z" : "x");
    ss_tensor *y = decode ? ss_model_decode(v->c, v->m, x) : ss_model_encode(v->c, v->m, x);

    ss_release(x);
    return y;
}

/* ---- against diffusers ---- */

/* Compares y [n] with 64 values of it and their norm in the golden file; returns the larger of both
 * relative errors. */
static double distance(const vae *v, const char *kind, const char *norms, const char *path,
                       const float *y, int64_t n)
{
    char name[300];
    const ss_stored_tensor *t;
    double diff = 0, sum = 0;

    snprintf(name, sizeof name, "%s:%s", kind, path);
    float *want = golden(v->file, name, &t);
    if (!want)
        fail_msg("%s: diffusers has no %s", v->name, name);
    snprintf(name, sizeof name, "%s:%s", norms, path);
    float *norm = golden(v->file, name, NULL);
    assert_non_null(norm);
    if ((int64_t)norm[1] != n)
        fail_msg("%s: %s has %lld values, golden %g", v->name, path, (long long)n, norm[1]);
    const int64_t k = n > SAMPLES ? SAMPLES : n;
    assert_int_equal(t->dim[0], k);
    for (int64_t i = 0; i < k; i++) {
        const double d = (double)y[n > SAMPLES ? i * n / SAMPLES : i] - want[i];

        diff += d * d;
    }
    for (int64_t i = 0; i < n; i++)
        sum += (double)y[i] * y[i];
    const double rms = norm[0] / sqrt((double)n);
    const double error = sqrt(diff / (double)k) / rms;
    const double norm_error = fabs(sqrt(sum) - norm[0]) / norm[0];
    ss_free(want);
    ss_free(norm);
    return !(error <= norm_error) ? error : norm_error;
}

typedef struct {
    const vae *v;
    double worst;
    char path[256];
    int64_t samples; /* dim 0 of everything that is seen */
    bool seen[MAX_MODULES];
    int attentions, logits;
} watcher;

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)p;
    return !m->inner || m->inner == SS_INNER_LOGITS;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self;
    return strcmp(m->kind, "Attention") == 0;
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    watcher *w = self;
    const int64_t n = ss_shape_numel(ss_shape_get(x));

    assert_int_equal(ss_dim(x, 0), w->samples);
    if (p != SS_PORT_OUTPUT)
        return;
    float *y = ss_alloc((size_t)n, sizeof *y);
    assert_non_null(y);
    assert_int_equal(ss_download(c, x, y, NULL), SS_OK);
    const double error = distance(w->v, "module", "norm", m->path, y, n);
    ss_free(y);
    if (!(error <= w->worst)) {
        w->worst = error;
        snprintf(w->path, sizeof w->path, "%s", m->path);
    }
    assert_true(m->id < MAX_MODULES);
    w->seen[m->id] = true;
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    watcher *w = self;

    (void)c, (void)m;
    assert_int_equal(n, w->samples);
    assert_int_equal(heads, 1);
    for (int i = 0; i < n; i++)
        assert_true(s[i].entropy >= s[i].entropy_min && s[i].entropy_min >= -1e-6 &&
                    s[i].entropy <= log((double)keys) + 1e-5 &&
                    s[i].sink >= 1 / (double)keys - 1e-6);
    w->attentions++;
}

static void see_stats(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s,
                      int n)
{
    watcher *w = self;

    (void)c, (void)m, (void)p;
    assert_int_equal(n, w->samples);
    for (int i = 0; i < n; i++)
        assert_true(s[i].min <= s[i].max && s[i].nonfinite == 0);
    w->logits++;
}

/* Every module of the golden was seen, and no other: those that never run in diffusers have no
 * output there. The network itself is not entered. */
static void check_paths(const watcher *w)
{
    int n, seen = 0, golden_modules = 0;
    const ss_module *const *modules = ss_model_modules(w->v->m, &n);

    for (size_t i = 0; i < ss_safetensors_count(w->v->file); i++)
        golden_modules += strncmp(ss_safetensors_at(w->v->file, i)->name, "module:", 7) == 0;
    for (int i = 0; i < n; i++) {
        char name[300];

        assert_true(modules[i]->parent < i);
        snprintf(name, sizeof name, "module:%s", modules[i]->path);
        seen += w->seen[i];
        if (!modules[i]->inner && !w->seen[i] && ss_safetensors_find(w->v->file, name))
            fail_msg("%s: module %s never ran", w->v->name, modules[i]->path);
    }
    assert_int_equal(seen, golden_modules);
}

static void check_answer(const vae *v, const char *name, const float *y, ss_shape shape,
                         double *worst)
{
    ss_shape golden_shape;
    float *want = pictures(v, name, &golden_shape);

    assert_true(ss_shape_equal(shape, golden_shape));
    *worst = fmax(*worst, relative_l2(y, want, ss_shape_numel(shape)));
    ss_free(want);
}

static void check_case(const char *name)
{
    vae v;
    double worst = 0;
    float *quiet[2], *watched[2];

    open_vae(name, (ss_ctx_options){.threads = 2}, &v);
    watcher w = {.v = &v};
    const ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, see_stats};
    ss_setup setup = {.hooks = &hooks};
    setup.modules = ss_model_modules(v.m, &setup.n_modules);
    for (int decode = 0; decode < 2; decode++) {
        ss_tensor *y = run(&v, decode);

        quiet[decode] = download(&v, y);
        check_answer(&v, decode ? "out" : "latents", quiet[decode], ss_shape_get(y), &worst);
        ss_release(y);
    }
    assert_int_equal(ss_ctx_setup(v.c, &setup, NULL), SS_OK);
    for (int decode = 0; decode < 2; decode++) {
        ss_tensor *x = upload(&v, decode ? "z" : "x");

        w.samples = ss_dim(x, 0);
        ss_release(x);
        ss_tensor *y = run(&v, decode);
        watched[decode] = download(&v, y);
        /* Watching changed nothing, bit for bit. */
        assert_memory_equal(quiet[decode], watched[decode],
                            (size_t)ss_shape_numel(ss_shape_get(y)) * sizeof **quiet);
        ss_release(y);
        ss_free(quiet[decode]);
        ss_free(watched[decode]);
    }
    print_message("%-20s out %.1e, worst module %.1e (%s), %d attentions\n", name, worst, w.worst,
                  w.path, w.attentions);
    assert_true(worst <= tolerance);
    assert_true(w.worst <= tolerance);
    assert_int_equal(w.attentions, w.logits);
    check_paths(&w);
    close_vae(&v);
}

static void test_matches_diffusers(void **state)
{
    (void)state;
    each_case(check_case);
}

static void check_shapes(const char *name)
{
    vae v;
    ss_shape golden_shape;
    ss_err e = {0};

    open_vae(name, (ss_ctx_options){.threads = 1, .shapes_only = true}, &v);
    for (int decode = 0; decode < 2; decode++) {
        ss_tensor *y = run(&v, decode);

        if (ss_ctx_check(v.c, &e) != SS_OK)
            fail_msg("%s: %s", name, e.msg);
        ss_free(pictures(&v, decode ? "out" : "latents", &golden_shape));
        assert_true(ss_shape_equal(ss_shape_get(y), golden_shape));
        ss_release(y);
    }
    assert_true(ss_ctx_usage(v.c).flops > 0);
    close_vae(&v);
}

static void test_infers_shapes(void **state)
{
    (void)state;
    each_case(check_shapes);
}

/* ---- videos ---- */

static ss_tensor *reshaped(const vae *v, const char *name, ss_shape shape)
{
    ss_tensor *x = upload(v, name);

    ss_set(&x, ss_reshape(v->c, x, shape));
    return x;
}

/* Pictures are encoded and decoded to the same bits when they are frames of a video. */
static void test_frames_are_pictures(void **state)
{
    static const char *const cases[] = {"attention-levels", "sd", "statistics"};

    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        for (int decode = 0; decode < 2; decode++) {
            vae v;

            open_vae(cases[i], (ss_ctx_options){.threads = 2}, &v);
            ss_tensor *y = run(&v, decode), *x = upload(&v, decode ? "z" : "x");
            const ss_shape s = ss_shape_get(x);
            ss_tensor *video = reshaped(&v, decode ? "z" : "x",
                                        ss_shape_of(1, s.dim[0], s.dim[1], s.dim[2], s.dim[3]));
            ss_tensor *frames =
                decode ? ss_model_decode(v.c, v.m, video) : ss_model_encode(v.c, v.m, video);
            float *a = download(&v, y), *b = download(&v, frames);

            assert_int_equal(ss_shape_get(frames).rank, 5);
            assert_int_equal(ss_dim(frames, 1), s.dim[0]);
            assert_memory_equal(a, b, (size_t)ss_shape_numel(ss_shape_get(y)) * sizeof *a);
            ss_free(a);
            ss_free(b);
            ss_release(x);
            ss_release(y);
            ss_release(video);
            ss_release(frames);
            close_vae(&v);
        }
    }
}

/* The decoder of videos takes pictures for videos of one frame, and does not see a video's frames
 * apart. */
static void test_videos_of_one_frame(void **state)
{
    vae v;

    (void)state;
    open_vae("svd", (ss_ctx_options){.threads = 2}, &v);
    ss_tensor *z = upload(&v, "z");
    const ss_shape s = ss_shape_get(z);
    const int64_t n = s.dim[0] * s.dim[1];
    ss_tensor *one = reshaped(&v, "z", ss_shape_of(n, 1, s.dim[2], s.dim[3], s.dim[4]));
    ss_tensor *four = reshaped(&v, "z", ss_shape_of(n, s.dim[2], s.dim[3], s.dim[4]));
    ss_tensor *y = ss_model_decode(v.c, v.m, z), *a = ss_model_decode(v.c, v.m, one),
              *b = ss_model_decode(v.c, v.m, four);
    float *video = download(&v, y), *frames = download(&v, a), *pictures_ = download(&v, b);
    const int64_t count = ss_shape_numel(ss_shape_get(y));

    assert_int_equal(ss_shape_get(b).rank, 4);
    assert_memory_equal(frames, pictures_, (size_t)count * sizeof *frames);
    assert_true(relative_l2(frames, video, count) > 1e-2);
    ss_free(video);
    ss_free(frames);
    ss_free(pictures_);
    ss_release(z);
    ss_release(one);
    ss_release(four);
    ss_release(y);
    ss_release(a);
    ss_release(b);
    close_vae(&v);
}

/* ---- gradients ---- */

/* Adds mean((y - target)^2) to the tape, and returns it. Takes y. */
static double seed_loss(const vae *v, ss_tensor *y, const char *target)
{
    ss_tensor *difference = upload(v, target);
    const int64_t n = ss_shape_numel(ss_shape_get(y));
    double sum = 0;

    ss_set(&difference, ss_affine(v->c, difference, -1, 0));
    ss_set(&difference, ss_add(v->c, y, difference, 1));
    ss_tape_seed(v->c, difference, difference, 2 / (float)n);
    float *host = download(v, difference);
    for (int64_t i = 0; i < n; i++)
        sum += (double)host[i] * host[i];
    ss_free(host);
    ss_release(difference);
    ss_release(y);
    return sum / (double)n;
}

static double norm_of(const vae *v, const char *name)
{
    char key[300];

    snprintf(key, sizeof key, "gradient-norm:%s", name);
    float *norm = golden(v->file, key, NULL);
    const double x = norm ? norm[0] : NAN;

    ss_free(norm);
    return x;
}

/* The gradient of every parameter; one that cannot change the answer, as the bias of a key, has a
 * golden gradient of 1e-17 or so, and ours has to be small, too. */
static void check_gradients(const char *name)
{
    vae v;
    double whole = 0, worst = 0;
    char where[128] = "";
    int count, with = 0, golden_count = 0;
    ss_err e = {0};

    open_vae(name, (ss_ctx_options){.threads = 2}, &v);
    ss_weight *const *w = ss_model_weights(v.m, &count);
    for (int i = 0; i < count; i++)
        ss_tensor_want_gradient(w[i]->tensor, true);
    assert_int_equal(ss_tape_begin(v.c, NULL, &e), SS_OK);
    const double loss =
        seed_loss(&v, run(&v, false), "target") + seed_loss(&v, run(&v, true), "picture");
    if (ss_tape_backward(v.c, &e) != SS_OK)
        fail_msg("%s: %s", name, e.msg);
    float *want = golden(v.file, "loss", NULL);
    assert_true(fabs(loss - *want) <= 1e-5 * *want);
    ss_free(want);
    for (int i = 0; i < count; i++) {
        const double norm = norm_of(&v, w[i]->name);

        whole = hypot(whole, isnan(norm) ? 0 : norm);
    }
    for (size_t i = 0; i < ss_safetensors_count(v.file); i++)
        golden_count += strncmp(ss_safetensors_at(v.file, i)->name, "gradient:", 9) == 0;
    for (int i = 0; i < count; i++) {
        const ss_tensor *g = ss_tensor_gradient(w[i]->tensor);
        const double norm = norm_of(&v, w[i]->name);

        if (isnan(norm)) {
            assert_null(g);
            continue;
        }
        float *got = download(&v, g);
        const int64_t n = ss_shape_numel(w[i]->shape);
        double own = 0;

        with++;
        for (int64_t k = 0; k < n; k++)
            own += (double)got[k] * got[k];
        if (norm < 1e-7 * whole) {
            assert_true(sqrt(own) < 1e-6 * whole);
        } else {
            const double error = distance(&v, "gradient", "gradient-norm", w[i]->name, got, n);

            if (!(error <= worst)) {
                worst = error;
                snprintf(where, sizeof where, "%s", w[i]->name);
            }
        }
        ss_free(got);
    }
    print_message("%-20s %3d gradients, worst %.1e (%s)\n", name, with, worst, where);
    assert_int_equal(with, golden_count);
    assert_true(worst <= gradient_tolerance);
    close_vae(&v);
}

static void test_gradients(void **state)
{
    (void)state;
    check_gradients("sd");
    check_gradients("svd");
}

/* ---- what is refused ---- */

static void test_wrong_shapes(void **state)
{
    vae v;
    ss_err e = {0};

    (void)state;
    open_vae("sd", (ss_ctx_options){.threads = 1}, &v);
    ss_tensor *x = upload(&v, "x"), *z = upload(&v, "z");
    assert_null(ss_model_decode(v.c, v.m, x));
    assert_int_equal(ss_ctx_check(v.c, &e), SS_SHAPE);
    assert_string_equal(e.msg,
                        "latents are [2,12,8,3], the network wants [N,H,W,4] or [N,F,H,W,4]");
    ss_ctx_clear(v.c);
    assert_null(ss_model_encode(v.c, v.m, z));
    assert_int_equal(ss_ctx_check(v.c, &e), SS_SHAPE);
    assert_string_equal(e.msg,
                        "pictures are [2,6,4,4], the network wants [N,H,W,3] or [N,F,H,W,3]");
    ss_ctx_clear(v.c);
    ss_release(x);
    ss_release(z);
    close_vae(&v);
}

static void test_info(void **state)
{
    vae v;

    (void)state;
    open_vae("odd-size", (ss_ctx_options){.threads = 1}, &v);
    const ss_network_info *i = &ss_model_about(v.m)->net;
    assert_int_equal(i->in_channels, 4);
    assert_int_equal(i->out_channels, 2);
    assert_int_equal(i->latent_channels, 4);
    assert_int_equal(i->latent_factor, 4);
    assert_int_equal(i->sample_h, 15);
    assert_int_equal(i->sample_w, 22);
    close_vae(&v);
}

/* Options that are not supported, or do not fit: each by its name. */
static void test_refused(void **state)
{
    static const struct {
        const char *class_name, *option, *want;
    } cases[] = {
        {"AutoencoderKL", "\"norm_type\": \"spatial\"",
         "\"norm_type\" is \"spatial\"; AutoencoderKL"},
        {"AutoencoderKL", "\"act_fn\": \"sigmoid\"", "\"act_fn\" is \"sigmoid\"; supported: silu"},
        {"AutoencoderKL", "\"down_block_types\": [\"DownBlock2D\"]",
         "block 0 is not supported; DownEncoderBlock2D and AttnDownEncoderBlock2D are"},
        {"AutoencoderKL", "\"up_block_types\": []", "\"up_block_types\" is []; expected 1 names"},
        {"AutoencoderKL", "\"block_out_channels\": [32, 64]", "expected 2 names"},
        {"AutoencoderKL", "\"block_out_channels\": 32", "\"block_out_channels\" is 32; expected a"},
        {"AutoencoderKL", "\"layers_per_block\": 64",
         "\"layers_per_block\" is 64; expected 1 to 63"},
        {"AutoencoderKL", "\"latent_channels\": 0", "\"latent_channels\" is 0; expected 1 to"},
        {"AutoencoderKL", "\"scaling_factor\": 0", "\"scaling_factor\" is 0; expected 1e-06"},
        {"AutoencoderKL", "\"latents_mean\": [0, 0, 0, 0]",
         "\"latents_std\" is missing; latents_mean"},
        {"AutoencoderKL", "\"latents_mean\": [0, 0], \"latents_std\": [1, 1, 1, 1]",
         "\"latents_mean\" is [0,0]; expected 4 numbers"},
        {"AutoencoderKL", "\"latents_mean\": [0, 0, 0, 0], \"latents_std\": [1, 1, 0, 1]",
         "\"latents_std\" is [1,1,0,1]; expected numbers above 0"},
        {"AutoencoderKL",
         "\"latents_mean\": [0, 0, 0, 0], \"latents_std\": [1, 1, 1, 1], \"shift_factor\": 1",
         "\"shift_factor\" is 1; not together"},
        {"AutoencoderKLTemporalDecoder", "\"shift_factor\": 0.1",
         "AutoencoderKLTemporalDecoder has no such option"},
        {"AutoencoderKLTemporalDecoder", "\"up_block_types\": [\"UpDecoderBlock2D\"]",
         "AutoencoderKLTemporalDecoder has no such option"},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++) {
        char text[400];
        const ss_family *family;
        void *config = NULL;
        ss_json j;
        ss_err e = {0};

        snprintf(text, sizeof text, "{\"_class_name\": \"%s\", %s}", cases[i].class_name,
                 cases[i].option);
        assert_int_equal(ss_json_parse(&j, "config.json", text, strlen(text), &e), SS_OK);
        if (ss_family_read(&j, &family, &config, &e) == SS_OK)
            fail_msg("%s was taken", text);
        assert_null(config);
        if (!strstr(e.msg, cases[i].want))
            fail_msg("%s gives '%s', not '...%s...'", text, e.msg, cases[i].want);
        ss_json_release(&j);
    }
}

/* A network that was never trained: frames alone and together have a half each. */
static void test_untrained(void **state)
{
    ss_json j;
    ss_model *m;
    ss_ctx *c;
    ss_err e = {0};
    int n, mixed = 0;

    (void)state;
    assert_int_equal(ss_json_load(&j, VAES "/svd-levels/config.json", &e), SS_OK);
    if (ss_model_create(j.root, "svd", &(ss_init){.seed = 1}, &m, &e) != SS_OK ||
        ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 2}, &c, &e) != SS_OK ||
        ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_weight *const *w = ss_model_weights(m, &n);
    for (int i = 0; i < n; i++) {
        if (!strstr(w[i]->name, "mix_factor"))
            continue;
        assert_float_equal(*(const float *)w[i]->data, 0, 0);
        mixed++;
    }
    assert_int_equal(mixed, 5);
    ss_tensor *z = ss_full(c, ss_shape_of(2, 3, 4, 5, 4), 1), *y = ss_model_decode(c, m, z);
    assert_int_equal(ss_ctx_finish(c, &e), SS_OK);
    assert_true(ss_shape_equal(ss_shape_get(y), ss_shape_of(2, 3, 8, 10, 3)));
    ss_release(z);
    ss_release(y);
    ss_model_close(m);
    ss_ctx_free(c);
    ss_json_release(&j);
}

/* ---- names of before diffusers 0.18 ---- */

enum { MAX_TENSORS = 512 };

/* Returns name with the projections of attentions as they were called; the caller frees. */
static char *old_name(const char *name)
{
    static const char *const renamed[][2] = {{".to_q.", ".query."},
                                             {".to_k.", ".key."},
                                             {".to_v.", ".value."},
                                             {".to_out.0.", ".proj_attn."}};
    char *out = ss_alloc(strlen(name) + 16, 1);

    assert_non_null(out);
    strcpy(out, name);
    for (size_t i = 0; i < N_OF(renamed); i++) {
        const char *at = strstr(name, renamed[i][0]);

        if (at)
            sprintf(out, "%.*s%s%s", (int)(at - name), name, renamed[i][1],
                    at + strlen(renamed[i][0]));
    }
    return out;
}

static void test_old_names(void **state)
{
    static ss_st_item items[MAX_TENSORS];
    ss_safetensors *f;
    ss_err e = {0};
    char *config;
    size_t bytes;
    vae v;

    (void)state;
    assert_int_equal(ss_safetensors_open(VAES "/sd/diffusion_pytorch_model.safetensors", &f, &e),
                     SS_OK);
    const size_t n = ss_safetensors_count(f);
    assert_true(n <= MAX_TENSORS);
    for (size_t i = 0; i < n; i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i);
        const size_t count = t->bytes / ss_dtype_size(t->dtype);
        float *values = ss_alloc(count, sizeof *values);

        assert_non_null(values);
        ss_values_to_f32(t->dtype, t->data, count, values);
        items[i] = (ss_st_item){
            .name = old_name(t->name), .dtype = SS_F32, .rank = t->rank, .values = values};
        memcpy(items[i].dim, t->dim, sizeof t->dim);
    }
    assert_int_equal(
        ss_safetensors_write(in_tmp("diffusion_pytorch_model.safetensors"), items, n, NULL, 0, &e),
        SS_OK);
    assert_int_equal(ss_file_read(VAES "/sd/config.json", 1 << 20, &config, &bytes, &e), SS_OK);
    write_file(in_tmp("config.json"), config, bytes);

    open_vae("sd", (ss_ctx_options){.threads = 2}, &v);
    ss_tensor *y = run(&v, true);
    float *want = download(&v, y);
    ss_model_close(v.m);
    if (ss_model_open(tmp_dir, NULL, &v.m, &e) != SS_OK || ss_model_bind(v.m, v.c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_tensor *again = run(&v, true);
    float *got = download(&v, again);
    assert_memory_equal(got, want, (size_t)ss_shape_numel(ss_shape_get(y)) * sizeof *got);
    ss_free(want);
    ss_free(got);
    ss_release(y);
    ss_release(again);
    close_vae(&v);
    for (size_t i = 0; i < n; i++) {
        ss_free((void *)(uintptr_t)items[i].name);
        ss_free((void *)(uintptr_t)items[i].values);
    }
    ss_free(config);
    ss_safetensors_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_diffusers),
        cmocka_unit_test(test_infers_shapes),
        cmocka_unit_test(test_frames_are_pictures),
        cmocka_unit_test(test_videos_of_one_frame),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_wrong_shapes),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_untrained),
        cmocka_unit_test(test_old_names),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
