/* test_motion.c - networks with motion blocks (models/net/motion_config.h): against PyTorch,
 * untrained, refused
 *
 * Golden data: tests/golden/motion/CASE, written in float64 by motion_net.py, which says what is in
 * it. Answers, each module's output and every parameter's gradient are held against it by relative
 * L2 error; a gradient below 1e-7 of the network's whole (a key's bias moves all logits alike) only
 * has to be as small.
 */
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "kernels/step.h"
#include "kernels/tape.h"
#include "models/inventory.h"
#include "models/structure.h"
#include "tests/motion_case.h"

#include <dirent.h>

static const double answer_tolerance = 1e-5, gradient_tolerance = 1e-4;

static void each_case(void (*fn)(const char *name, const char *dir))
{
    struct dirent **list;
    const int n = scandir(MOTION, &list, NULL, alphasort);
    char dir[300];
    int ran = 0;

    for (int i = 0; i < n; i++) {
        snprintf(dir, sizeof dir, MOTION "/%s", list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            fn(list[i]->d_name, dir);
            ran++;
        }
        free(list[i]);
    }
    free(list);
    assert_int_equal(ran, 10);
}

/* ---- module by module ---- */

typedef struct {
    const sample *s;
    double worst;
    const char *where;
    int seen;
} watcher;

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self;
    return p == SS_PORT_OUTPUT && !m->inner && *m->path;
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    watcher *w = self;
    const int64_t n = ss_shape_numel(ss_shape_get(x));
    const ss_stored_tensor *t;
    float picked[64], *y = ss_alloc((size_t)n, sizeof *y);
    char name[300];

    (void)p;
    snprintf(name, sizeof name, "module:%s", m->path);
    float *want = golden(w->s->file, name, &t);
    if (!want)
        fail_msg("PyTorch has no module %s", m->path);
    snprintf(name, sizeof name, "norm:%s", m->path);
    float *norm = golden(w->s->file, name, NULL);
    assert_int_equal(ss_download(c, x, y, NULL), SS_OK);
    if (norm[1] != (float)n)
        fail_msg("%s: %lld values, PyTorch has %.0f", m->path, (long long)n, norm[1]);
    for (int64_t i = 0; i < t->dim[0]; i++)
        picked[i] = n < 64 ? y[i] : y[i * n / 64];
    const double error =
        fmax(relative_error(picked, want, t->dim[0]), fabs(length_of(y, n) - norm[0]) / norm[0]);
    if (!(error <= w->worst)) {
        w->worst = error;
        w->where = m->path;
    }
    w->seen++;
    ss_free(want);
    ss_free(norm);
    ss_free(y);
}

static int golden_modules(const ss_safetensors *f)
{
    int n = 0;

    for (size_t i = 0; i < ss_safetensors_count(f); i++)
        n += strncmp(ss_safetensors_at(f, i)->name, "module:", 7) == 0;
    return n;
}

static void check_modules(const char *name, const char *dir)
{
    sample s;
    watcher w = {.s = &s, .where = ""};
    const ss_hooks hooks = {.self = &w, .wants = wants, .see = see};
    ss_setup setup = {.hooks = &hooks};
    ss_ctx *c = motion_context(2);
    ss_model *m = motion_model(dir, c);
    ss_err e = {0};

    load_sample(dir, &s);
    setup.modules = ss_model_modules(m, &setup.n_modules);
    assert_int_equal(ss_ctx_setup(c, &setup, &e), SS_OK);
    float *y = motion_answer(c, m, &s);
    const double error = relative_error(y, s.out, ss_shape_numel(s.out_shape));
    printf("%-16s answer %.1e, %3d modules, worst %.1e (%s)\n", name, error, w.seen, w.worst,
           w.where);
    assert_true(error <= answer_tolerance && w.worst <= answer_tolerance);
    assert_int_equal(w.seen, golden_modules(s.file));
    ss_free(y);
    ss_model_close(m);
    ss_ctx_free(c);
    release_sample(&s);
}

static void test_modules_match_pytorch(void **state)
{
    (void)state;
    each_case(check_modules);
}

/* ---- gradients ---- */

static void backward(ss_ctx *c, ss_model *m, const sample *s, bool recompute)
{
    const int64_t n = ss_shape_numel(s->out_shape);
    ss_shape shape;
    float *target = golden_video(s->file, "target", &shape);
    ss_err e = {0};
    int count;

    ss_weight *const *w = ss_model_weights(m, &count);
    for (int i = 0; i < count; i++)
        ss_tensor_want_gradient(w[i]->tensor, true);
    for (int64_t i = 0; i < n; i++)
        target[i] *= -1;
    ss_tensor *x = ss_upload(c, s->x_shape, s->x), *minus = ss_upload(c, shape, target);
    assert_int_equal(ss_tape_begin(c, &(ss_tape_options){.recompute = recompute}, &e), SS_OK);
    ss_tensor *answer = ss_model_forward(c, m, x, s->t, &s->cond);
    ss_tensor *difference = ss_add(c, answer, minus, 1);
    ss_tape_seed(c, difference, difference, 2 / (float)n);
    if (ss_tape_backward(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_release(answer);
    ss_release(minus);
    ss_release(difference);
    ss_release(x);
    ss_free(target);
}

static float *gradient_of(ss_ctx *c, const ss_weight *w)
{
    float *g = ss_alloc((size_t)ss_shape_numel(w->shape), sizeof *g);

    assert_int_equal(ss_download(c, ss_tensor_gradient(w->tensor), g, NULL), SS_OK);
    return g;
}

static float *golden_gradient(const sample *s, const ss_weight *w)
{
    char name[300];

    snprintf(name, sizeof name, "grad:%s", w->name);
    float *g = golden(s->file, name, NULL);
    if (!g)
        fail_msg("PyTorch has no parameter %s", w->name);
    return g;
}

static void check_gradients(const char *name, const char *dir)
{
    sample s;
    ss_ctx *c = motion_context(2);
    ss_model *m = motion_model(dir, c);
    double whole = 0, worst = 0;
    const char *where = "";
    int count;

    load_sample(dir, &s);
    backward(c, m, &s, false);
    ss_weight *const *w = ss_model_weights(m, &count);
    for (int i = 0; i < count; i++) {
        float *want = golden_gradient(&s, w[i]);

        whole = hypot(whole, length_of(want, ss_shape_numel(w[i]->shape)));
        ss_free(want);
    }
    for (int i = 0; i < count; i++) {
        const int64_t n = ss_shape_numel(w[i]->shape);
        float *want = golden_gradient(&s, w[i]), *got = gradient_of(c, w[i]);

        if (length_of(want, n) < 1e-7 * whole) {
            assert_true(length_of(got, n) < 1e-7 * whole);
        } else if (!(relative_error(got, want, n) <= worst)) {
            worst = relative_error(got, want, n);
            where = w[i]->name;
        }
        ss_free(want);
        ss_free(got);
    }
    printf("%-16s %3d gradients, worst %.1e (%s)\n", name, count, worst, where);
    assert_true(worst <= gradient_tolerance);
    ss_model_close(m);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_ctx_free(c);
    release_sample(&s);
}

static void test_gradients_match_pytorch(void **state)
{
    (void)state;
    each_case(check_gradients);
}

/* The same answer on four threads, and the same gradients when blocks are computed again. */
static void test_bits(void **state)
{
    static const char dir[] = MOTION "/both-reference";
    sample s;
    ss_ctx *one = motion_context(1), *four = motion_context(4);
    ss_model *a = motion_model(dir, one), *b = motion_model(dir, four);
    int count;

    (void)state;
    load_sample(dir, &s);
    float *x = motion_answer(one, a, &s), *y = motion_answer(four, b, &s);
    assert_memory_equal(x, y, (size_t)ss_shape_numel(s.out_shape) * sizeof *x);
    ss_free(x);
    ss_free(y);
    backward(one, a, &s, false);
    backward(four, b, &s, true);
    ss_weight *const *v = ss_model_weights(a, &count), *const *w = ss_model_weights(b, &count);
    for (int i = 0; i < count; i++) {
        x = gradient_of(one, v[i]);
        y = gradient_of(four, w[i]);
        assert_true(relative_error(x, y, ss_shape_numel(v[i]->shape)) < 1e-5);
        ss_free(x);
        ss_free(y);
    }
    ss_model_close(a);
    ss_model_close(b);
    ss_ctx_free(one);
    ss_ctx_free(four);
    release_sample(&s);
}

/* ---- positions beyond the trained frames ---- */

static void extended(const char *dir, const char *kind, double tolerance)
{
    sample s;
    ss_shape shape;
    ss_extension x;
    char name[40];
    ss_ctx *c = motion_context(1);
    ss_model *m = motion_model(dir, c);
    ss_err e = {0};

    load_sample(dir, &s);
    float *plain = motion_answer(c, m, &s);
    snprintf(name, sizeof name, "%s:4", kind);
    assert_int_equal(ss_extension_parse(name, &x, &e), SS_OK);
    if (ss_model_extend(m, &x, &e) != SS_OK)
        fail_msg("%s", e.msg);
    float *y = motion_answer(c, m, &s);
    snprintf(name, sizeof name, "extended:%s", kind);
    float *want = golden_video(s.file, name, &shape);
    const int64_t n = ss_shape_numel(shape);
    printf("%-16s %s: %.1e, without it %.1e\n", dir + sizeof MOTION, kind,
           relative_error(y, want, n), relative_error(plain, want, n));
    assert_true(relative_error(y, want, n) <= tolerance);
    assert_true(relative_error(plain, want, n) > 1e-3);

    x.trained = (int)s.x_shape.dim[1]; /* no more frames than that: nothing to extend */
    if (ss_model_extend(m, &x, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_free(y);
    y = motion_answer(c, m, &s);
    assert_memory_equal(y, plain, (size_t)n * sizeof *y);
    ss_free(plain);
    ss_free(y);
    ss_free(want);
    ss_model_close(m);
    ss_ctx_free(c);
    release_sample(&s);
}

static void test_extensions_match_pytorch(void **state)
{
    (void)state;
    extended(MOTION "/rotary", "linear", 1e-5);
    extended(MOTION "/rotary", "ntk", 1e-5);
    extended(MOTION "/rotary", "yarn", 1e-5);
    extended(MOTION "/absolute", "linear", 1e-5);
}

static void refuse_extension(const char *dir, const char *text, const char *says)
{
    ss_ctx *c = motion_context(1);
    ss_model *m = motion_model(dir, c);
    ss_extension x;
    ss_err e = {0};

    if (ss_extension_parse(text, &x, &e) == SS_OK)
        assert_int_equal(ss_model_extend(m, &x, &e), SS_USAGE);
    if (!strstr(e.msg, says))
        fail_msg("%s: '%s' lacks '%s'", text, e.msg, says);
    ss_model_close(m);
    ss_ctx_free(c);
}

static void test_extensions_refused(void **state)
{
    (void)state;
    refuse_extension(MOTION "/rotary", "yarnish", "'yarnish' is no extension of positions");
    refuse_extension(MOTION "/rotary", "ntk:0", "'ntk:0' is no extension of positions");
    refuse_extension(MOTION "/rotary", "ntk:8x", "'ntk:8x' is no extension");
    refuse_extension(MOTION "/rotary", "none", "'none' is no extension");
    refuse_extension(MOTION "/absolute", "ntk", "absolute positions of frames, which can be");
    refuse_extension(MOTION "/absolute", "linear:9", "absolute positions of 8 frames, so that");
    refuse_extension(MOTION "/none-tokens", "linear", "no attention over frames whose positions");
    refuse_extension(MOTION "/conv", "linear", "no attention over frames whose positions");
    refuse_extension(UNETS "/attn", "linear", "no attention over frames whose positions");
}

/* ---- the configuration ---- */

static void test_refused(void **state)
{
    static const char *const cases[][2] = {
        {"3", "net.json: \"motion\" is 3; expected an object"},
        {"{\"frames\": 0}", "net.json: motion: \"frames\" is 0; expected 1 to 4096"},
        {"{\"layers\": []}", "\"layers\" is []; expected a list of 1 to 4 of"},
        {"{\"layers\": \"conv\"}", "\"layers\" is \"conv\"; expected a list"},
        {"{\"layers\": [\"conv\", \"pool\"]}", "\"layers\" is [\"conv\",\"pool\"]; expected"},
        {"{\"after\": \"level\"}", "\"after\" is \"level\"; "},
        {"{\"norm\": 1}", "\"norm\" is 1; expected false, true or \"joint\""},
        {"{\"kernel\": 4}", "\"kernel\" is 4; expected an odd number"},
        {"{\"position\": \"rope\"}", "\"position\" is \"rope\"; "},
        {"{\"frames\": 9, \"max_frames\": 8, \"layers\": [\"attention\"]}",
         "\"frames\" is 9; absolute positions have a table of 8 frames"},
        {"{\"layers\": [\"attention\"], \"heads\": 3}",
         "channels at down_blocks.0.motion.0.layers.0"
         " do not divide into 3 heads"},
        {"{\"layers\": [\"attention\"], \"heads\": 4, \"position\": \"rotary\"}",
         "rotary positions need heads of even width; those of down_blocks.0.motion.0.layers.0 "
         "have 1"},
        {"{\"remedies\": {\"clamp\": 0}}", "net.json: motion: remedies: \"clamp\" is 0; expected"},
        {"{\"remedies\": {\"magnitude_preserving\": true}}", "motion blocks do not have magnitude"},
        {"{\"depth\": 2}", "motion: \"depth\" is 2; known: frames, layers, after"},
    };
    const ss_init init = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ss_model *m;
        ss_err e = {0};

        if (create_with(MOTION "/conv", "motion", cases[i][0], &init, &m, &e) == SS_OK)
            fail_msg("%s was taken", cases[i][0]);
        if (!strstr(e.msg, cases[i][1]))
            fail_msg("%s: '%s' lacks '%s'", cases[i][0], e.msg, cases[i][1]);
    }
}

/* A video of more frames than the table of absolute positions has is an error that says what to do.
 */
static void test_too_many_frames(void **state)
{
    static const char motion[] = "{\"layers\": [\"attention\"], \"frames\": 2, \"max_frames\": 2}";
    static const float x[3 * 4 * 4 * 3];
    const ss_init init = {.seed = 3};
    ss_ctx *c = motion_context(1);
    ss_model *m;
    ss_err e = {0};

    (void)state;
    assert_int_equal(create_with(MOTION "/absolute", "motion", motion, &init, &m, &e), SS_OK);
    assert_int_equal(ss_model_bind(m, c, &e), SS_OK);
    ss_tensor *in = ss_upload(c, ss_shape_of(1, 3, 4, 4, 3), x);
    assert_null(ss_model_forward(c, m, in, (float[]){5}, NULL));
    assert_int_equal(ss_ctx_check(c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "a video of 3 frames, and absolute positions of 2; --extend"));
    ss_ctx_clear(c);
    ss_release(in);
    ss_model_close(m);
    ss_ctx_free(c);
}

/* An untrained network with motion blocks answers frame by frame as the one of pictures, bit for
 * bit: their branches begin at zero. And the names of what is added are those of motion. */
static void test_untrained(void **state)
{
    static const char *const motions[] = {
        "{}", "{\"norm\": true, \"after\": \"resnet\", \"layers\": [\"conv\", \"attention\"]}",
        "{\"layers\": [\"attention\"], \"position\": \"rotary\", \"heads\": 1, \"tokens\": 2}"};
    const ss_init init = {.seed = 11};
    sample s;
    ss_ctx *c = motion_context(2);
    ss_model *pictures, *m;
    ss_err e = {0};
    int n, of_pictures;

    (void)state;
    load_sample(MOTION "/absolute", &s);
    const ss_shape v = s.x_shape;
    assert_int_equal(create_with(MOTION "/absolute", "motion", NULL, &init, &pictures, &e), SS_OK);
    assert_int_equal(ss_model_bind(pictures, c, &e), SS_OK);
    ss_model_weights(pictures, &of_pictures);
    sample one = s;
    one.x_shape = one.out_shape = ss_shape_of(v.dim[0] * v.dim[1], v.dim[2], v.dim[3], v.dim[4]);
    one.t = ss_alloc((size_t)one.x_shape.dim[0], sizeof(float));
    for (int64_t i = 0; i < one.x_shape.dim[0]; i++)
        one.t[i] = s.t[i / v.dim[1]];
    float *want = motion_answer(c, pictures, &one);
    for (size_t i = 0; i < sizeof motions / sizeof *motions; i++) {
        int added = 0;

        assert_int_equal(create_with(MOTION "/absolute", "motion", motions[i], &init, &m, &e),
                         SS_OK);
        assert_int_equal(ss_model_bind(m, c, &e), SS_OK);
        float *y = motion_answer(c, m, &s);
        assert_memory_equal(y, want, (size_t)ss_shape_numel(v) * sizeof *y);
        ss_weight *const *w = ss_model_weights(m, &n);
        for (int k = 0; k < n; k++)
            added += ss_is_motion_weight(w[k]->name);
        assert_true(added > 0 && added == n - of_pictures);
        ss_free(y);
        ss_model_close(m);
    }
    ss_free(want);
    ss_free(one.t);
    ss_model_close(pictures);
    ss_ctx_free(c);
    release_sample(&s);
}

/* VIDEO-16's blocks: one for each residual block, 292,768 parameters. */
static void test_placed(void **state)
{
    static const struct {
        const char *motion;
        int blocks;
        int64_t parameters;
    } cases[] = {
        {"{}", 11, 292768},
        {"{\"after\": \"resnet\"}", 11, 292768},
        {"{\"after\": \"attention\"}", 4, 4 * 49280},
        {"{\"norm\": true}", 11, 292768 + 2 * (3 * 16 + 3 * 32 + 5 * 64)},
    };
    static const char config[] =
        "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 16, \"in_channels\": 1,"
        " \"out_channels\": 1, \"block_out_channels\": [16, 32, 64], \"layers_per_block\": 1,"
        " \"attention_head_dim\": 16, \"norm_num_groups\": 8,"
        " \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\", \"AttnDownBlock2D\"],"
        " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\", \"UpBlock2D\"]}";
    const ss_init init = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *j = json_loads(config, 0, NULL);
        ss_model *m;
        ss_err e = {0};
        int64_t parameters = 0;
        int n, blocks = 0;

        json_object_set_new(j, "motion", json_loads(cases[i].motion, 0, NULL));
        if (ss_model_create(j, "net.json", &init, &m, &e) != SS_OK)
            fail_msg("%s", e.msg);
        const ss_module *const *modules = ss_model_modules(m, &n);
        for (int k = 0; k < n; k++)
            blocks += strcmp(modules[k]->kind, "MotionBlock") == 0 && modules[k]->block;
        ss_weight *const *w = ss_model_weights(m, &n);
        for (int k = 0; k < n; k++)
            parameters += ss_is_motion_weight(w[k]->name) ? ss_shape_numel(w[k]->shape) : 0;
        assert_int_equal(blocks, cases[i].blocks);
        assert_int_equal(parameters, cases[i].parameters);
        ss_model_close(m);
        json_decref(j);
    }
}

static void test_told(void **state)
{
    static const char *const texts[][2] = {
        {"conv", "3 frames, conv after each block, a norm of each frame"},
        {"conv-joint-5", "8 frames, conv after each resnet, a norm of all frames, kernel 5"},
        {"both-reference", "8 frames, conv and attention after each block, a norm of each frame, "
                           "rotary positions, reference frames, the rest frozen"},
        {"none-tokens", "8 frames, attention after each block, a norm of all frames, no positions, "
                        "blocks of 2x2 positions"},
        {"absolute", "8 frames, attention after each attention, a norm of each frame, absolute "
                     "positions up to 8"},
        {"remedies", "8 frames, attention and conv after each block, no norm, rotary positions, "
                     "remedies clamp 1.25, residual_scale learned, cosine_attention 3"},
    };
    ss_ctx *c = motion_context(1);

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char dir[200], text[400], cut[10];
        ss_table t = {0};
        ss_err e = {0};

        snprintf(dir, sizeof dir, MOTION "/%s", texts[i][0]);
        ss_model *m = motion_model(dir, c);
        assert_string_equal(ss_motion_text(ss_model_about(m)->net.motion, text, sizeof text),
                            texts[i][1]);
        ss_motion_text(ss_model_about(m)->net.motion, cut, sizeof cut);
        assert_true(strlen(cut) == 9 && strncmp(cut, text, 9) == 0);
        assert_int_equal(ss_inventory_about(m, &t, &e), SS_OK);
        json_t *rows = ss_table_json(&t);
        char *json = json_dumps(rows, 0);
        assert_non_null(strstr(json, texts[i][1]));
        assert_true(!strstr(json, "reference frames") ||
                    strstr(json, "--concat [N,4,F,H,W], after the picture's 3 channels: 3 of "
                                 "reference frames, and a mask, 1 where there is one"));
        free(json);
        json_decref(rows);
        ss_table_release(&t);
        ss_model_close(m);
    }
    ss_ctx_free(c);
}

/* The list of what lets activations grow, of motion blocks: rows that it has, and that it has not.
 */
static void check_rows(const char *name, const char *const *wanted, const char *const *absent)
{
    char dir[200], line[4000];
    ss_ctx *c = motion_context(1);
    ss_structure *s;
    ss_err e = {0};

    snprintf(dir, sizeof dir, MOTION "/%s", name);
    ss_model *m = motion_model(dir, c);
    assert_int_equal(ss_structure_new(m, NULL, &s, &e), SS_OK);
    for (int k = 0; wanted[k] || absent[k]; k++) {
        bool found = false;

        for (int i = 0; i < s->n; i++) {
            const ss_structure_row *r = &s->rows[i];

            snprintf(line, sizeof line, "%s | %s = %s | %s", r->kind, r->key, r->value, r->modules);
            found = found || (wanted[k] && strstr(line, wanted[k]));
            if (absent[k] && strstr(line, absent[k]))
                fail_msg("%s: %s", name, line);
        }
        if (wanted[k] && !found)
            fail_msg("%s: no row '%s'", name, wanted[k]);
    }
    ss_structure_free(s);
    ss_model_close(m);
    ss_ctx_free(c);
}

static void test_structure(void **state)
{
    (void)state;
    check_rows("rotary",
               (const char *const[]){"attention without norm | motion.norm = absent | "
                                     "down_blocks.0.motion.0.layers.0, "
                                     "down_blocks.0.motion.0.layers.0.to_q",
                                     "no norm of q and k | remedies.cosine_attention = absent | "
                                     "down_blocks.0.motion.0.layers.0, ",
                                     "sum without scale | remedies.residual_scale = absent | "
                                     "down_blocks.0.motion.0.layers.0",
                                     NULL},
               (const char *const[]){"attn_norm_num_groups", NULL, NULL, NULL});
    check_rows("conv-one-frame",
               (const char *const[]){"convolution without norm | motion.norm = absent | "
                                     "down_blocks.0.motion.0.layers.0.conv2d",
                                     NULL},
               (const char *const[]){NULL, NULL});
    check_rows("conv", (const char *const[]){"sum without scale", NULL, NULL},
               (const char *const[]){"motion.norm", "conv2d", NULL});
    check_rows("remedies",
               (const char *const[]){"attention without norm | motion.norm = absent | "
                                     "down_blocks.0.motion.0.layers.0, ",
                                     NULL, NULL, NULL},
               (const char *const[]){"x + branch of a motion", "motion.remedies.cosine",
                                     "| remedies.cosine_attention = absent | "
                                     "down_blocks.0.motion",
                                     NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modules_match_pytorch),
        cmocka_unit_test(test_gradients_match_pytorch),
        cmocka_unit_test(test_bits),
        cmocka_unit_test(test_extensions_match_pytorch),
        cmocka_unit_test(test_extensions_refused),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many_frames),
        cmocka_unit_test(test_untrained),
        cmocka_unit_test(test_placed),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_structure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
