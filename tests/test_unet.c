/* test_unet.c - UNets against diffusers, module by module
 *
 * Golden data: tests/golden/unets/CASE, written by make_unets.py, which says what is in it.
 * Every case directory is run. Tolerances are relative to each module's own RMS; the worst
 * seen is printed.
 */
#include "base/file.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "kernels/hooks.h"
#include "models/model.h"
#include "models/net/embeddings.h"
#include "tests/ss_tmp.h"
#include "tests/unet_case.h"

#include <jansson.h>

enum { SAMPLES = 64, MAX_MODULES = 2048 };
static const double tolerance = 1e-5;

/* Runs fn on every case. */
static void each_case(void (*fn)(const char *name, const char *dir))
{
    struct dirent **list;
    int n = scandir(UNETS, &list, NULL, alphasort), ran = 0;

    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char dir[512];

        snprintf(dir, sizeof dir, UNETS "/%s", list[i]->d_name);
        if (list[i]->d_name[0] != '.') {
            fn(list[i]->d_name, dir);
            ran++;
        }
        free(list[i]);
    }
    free(list);
    assert_true(ran >= 48);
}

/* ---- models and contexts ---- */

static ss_ctx *new_context(bool shapes_only)
{
    ss_ctx *c;
    ss_err e = {0};

    if (ss_ctx_new(
            &(ss_ctx_options){.device = test_device(), .threads = 2, .shapes_only = shapes_only},
            &c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return c;
}

static ss_model *open_bound(const char *dir, ss_ctx *c)
{
    ss_model *m;
    ss_err e = {0};

    if (ss_model_open(dir, NULL, &m, &e) != SS_OK || ss_model_bind(m, c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return m;
}

static float *forward(ss_ctx *c, const ss_model *m, const sample *s)
{
    ss_tensor *x = ss_upload(c, s->x_shape, s->x);
    ss_tensor *y = ss_model_forward(c, m, x, s->t, &s->cond);
    float *host = ss_alloc((size_t)ss_shape_numel(s->out_shape), sizeof *host);
    ss_err e = {0};

    if (ss_ctx_finish(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_non_null(host);
    assert_true(ss_shape_equal(ss_shape_get(y), s->out_shape));
    assert_int_equal(ss_download(c, y, host, NULL), SS_OK);
    ss_release(x);
    ss_release(y);
    return host;
}

/* ---- against diffusers ---- */

typedef struct {
    const ss_safetensors *file;
    const char *name;
    double worst_module, worst_norm;
    char worst_path[256];
    bool seen[MAX_MODULES];
    int ports[SS_N_PORTS];
    int attentions;
} watcher;

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)p;
    return !m->inner; /* PyTorch returns none of these */
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self;
    return strcmp(m->kind, "Attention") == 0 || strcmp(m->kind, "AttentionPooling") == 0;
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    (void)c, (void)m;
    for (int i = 0; i < n * heads; i++)
        assert_true(s[i].entropy >= -1e-6 && s[i].entropy <= log((double)keys) + 1e-5);
    ((watcher *)self)->attentions++;
}

/* The output at the sampled places, and its norm, against the golden's. Sinusoids of frames are
 * added twice, and the second output has a name of its own. */
static void compare_module(watcher *w, const ss_module *m, const float *y, int64_t n)
{
    const bool second = w->seen[m->id] && (strcmp(m->kind, "SinusoidalPositionalEmbedding") == 0 ||
                                           strcmp(m->kind, "AlphaBlender") == 0);
    char name[300];
    const ss_stored_tensor *t;
    double diff = 0, sum = 0;

    snprintf(name, sizeof name, "module:%s%s", m->path, second ? ".second" : "");
    float *want = golden(w->file, name, &t);
    if (!want)
        fail_msg("%s: diffusers has no module %s", w->name, m->path);
    snprintf(name, sizeof name, "norm:%s%s", m->path, second ? ".second" : "");
    float *norm = golden(w->file, name, NULL);
    assert_non_null(norm);
    if ((int64_t)norm[1] != n)
        fail_msg("%s: %s has %lld values, golden %g", w->name, m->path, (long long)n, norm[1]);

    const int64_t k = n > SAMPLES ? SAMPLES : n;
    assert_int_equal(t->dim[0], k);
    for (int64_t i = 0; i < k; i++) {
        double d = (double)y[n > SAMPLES ? i * n / SAMPLES : i] - want[i];
        diff += d * d;
    }
    for (int64_t i = 0; i < n; i++)
        sum += (double)y[i] * y[i];
    const double rms = norm[0] / sqrt((double)n);
    const double error = sqrt(diff / (double)k) / rms;
    const double norm_error = fabs(sqrt(sum) - norm[0]) / norm[0];
    if (!(error <= w->worst_module)) {
        w->worst_module = error;
        snprintf(w->worst_path, sizeof w->worst_path, "%s", m->path);
    }
    if (!(norm_error <= w->worst_norm))
        w->worst_norm = norm_error;
    ss_free(want);
    ss_free(norm);
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    watcher *w = self;
    const int64_t n = ss_shape_numel(ss_shape_get(x));

    w->ports[p]++;
    assert_non_null(ss_tensor_stats(c, x, true));
    if (p != SS_PORT_OUTPUT || !*m->path)
        return;
    float *y = ss_alloc((size_t)n, sizeof *y);
    assert_non_null(y);
    assert_int_equal(ss_download(c, x, y, NULL), SS_OK);
    assert_true(m->id < MAX_MODULES);
    compare_module(w, m, y, n);
    ss_free(y);
    w->seen[m->id] = true;
}

static void setup_hooks(ss_ctx *c, const ss_model *m, const ss_hooks *hooks)
{
    ss_err e = {0};
    ss_setup setup = {.hooks = hooks};

    setup.modules = ss_model_modules(m, &setup.n_modules);
    if (ss_ctx_setup(c, &setup, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* Every module of the golden is there and was seen, and no other: what does not run here, as an
 * embedding of a condition that is not given, did not run there. */
static void check_paths(const watcher *w, const ss_model *m)
{
    int n, golden_modules = 0, n_seen = 0;
    const ss_module *const *modules = ss_model_modules(m, &n);

    for (size_t i = 0; i < ss_safetensors_count(w->file); i++) {
        const char *stored = ss_safetensors_at(w->file, i)->name, *end = strrchr(stored, '.');

        golden_modules +=
            strncmp(stored, "module:", 7) == 0 && !(end && strcmp(end, ".second") == 0);
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(modules[i]->id, i);
        assert_true(modules[i]->parent < i);
        char name[300];

        snprintf(name, sizeof name, "module:%s", modules[i]->path);
        if (modules[i]->inner || !*modules[i]->path)
            continue;
        n_seen += w->seen[i];
        if (!w->seen[i] && ss_safetensors_find(w->file, name))
            fail_msg("%s: module %s never ran", w->name, modules[i]->path);
    }
    assert_int_equal(n_seen, golden_modules);
}

static void check_case(const char *name, const char *dir)
{
    sample s;
    ss_ctx *c = new_context(false);
    ss_model *m = open_bound(dir, c);

    load_sample(dir, &s);
    const int64_t n = ss_shape_numel(s.out_shape);
    float *quiet = forward(c, m, &s);
    watcher w = {.file = s.file, .name = name};
    const ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
    setup_hooks(c, m, &hooks);
    float *watched = forward(c, m, &s);

    const double error = relative_l2(quiet, s.out, n);
    print_message("%-26s out %.1e, worst module %.1e (%s), norm %.1e\n", name, error,
                  w.worst_module, w.worst_path, w.worst_norm);
    assert_true(error <= tolerance);
    assert_true(w.worst_module <= tolerance);
    assert_true(w.worst_norm <= tolerance);
    check_paths(&w, m);
    /* Watching changed nothing, bit for bit. */
    assert_memory_equal(quiet, watched, (size_t)n * sizeof *quiet);

    ss_free(quiet);
    ss_free(watched);
    release_sample(&s);
    ss_model_close(m);
    assert_int_equal(ss_ctx_usage(c).live_bytes, 0);
    ss_ctx_free(c);
}

static void test_matches_diffusers(void **state)
{
    (void)state;
    each_case(check_case);
}

static void check_shapes(const char *name, const char *dir)
{
    sample s;
    ss_ctx *c = new_context(true);
    ss_model *m = open_bound(dir, c);
    ss_err e = {0};

    load_sample(dir, &s);
    ss_tensor *x = ss_upload(c, s.x_shape, s.x);
    ss_tensor *y = ss_model_forward(c, m, x, s.t, &s.cond);
    if (ss_ctx_check(c, &e) != SS_OK)
        fail_msg("%s: %s", name, e.msg);
    assert_true(ss_shape_equal(ss_shape_get(y), s.out_shape));
    assert_true(ss_ctx_usage(c).flops > 0);
    ss_release(x);
    ss_release(y);
    release_sample(&s);
    ss_model_close(m);
    ss_ctx_free(c);
}

static void test_infers_shapes(void **state)
{
    (void)state;
    each_case(check_shapes);
}

/* ---- hook points beside inputs and outputs ---- */

static void test_ports(void **state)
{
    (void)state;
    sample s;
    ss_ctx *c = new_context(false);
    ss_model *m = open_bound(UNETS "/sdxl", c);

    load_sample(UNETS "/sdxl", &s);
    watcher w = {.file = s.file, .name = "sdxl"};
    const ss_hooks hooks = {&w, wants, wants_attention, see, see_attention, NULL};
    setup_hooks(c, m, &hooks);
    ss_free(forward(c, m, &s));
    /* two levels of one layer; 2 blocks in the middle, 2 in level 1 going down, 2 times 2 going
     * up; each has 2 attentions and 3 additions */
    assert_int_equal(w.ports[SS_PORT_SKIP], 4);
    assert_int_equal(w.ports[SS_PORT_RESIDUAL], 3 * 8);
    assert_int_equal(w.attentions, 2 * 8);
    release_sample(&s);
    ss_model_close(m);
    ss_ctx_free(c);
}

/* An intervention at a norm that is fused with what follows it has its effect. */
static void test_interventions_at_fused_norms(void **state)
{
    (void)state;
    static const char *const cases[] = {UNETS "/plain", UNETS "/if-1"};

    for (size_t k = 0; k < N_OF(cases); k++) {
        sample s;
        ss_ctx *c = new_context(false);
        ss_model *m = open_bound(cases[k], c);
        ss_err e = {0};
        ss_intervention iv[2];
        ss_setup setup = {.interventions = iv, .n_interventions = 2};

        load_sample(cases[k], &s);
        setup.modules = ss_model_modules(m, &setup.n_modules);
        float *free_run = forward(c, m, &s);
        /* doubled and halved again: all but the last bits must be the same */
        assert_int_equal(ss_intervention_parse("scale:2@*.norm2", &iv[0], &e), SS_OK);
        assert_int_equal(ss_intervention_parse("scale:0.5@*.norm2", &iv[1], &e), SS_OK);
        assert_int_equal(ss_ctx_setup(c, &setup, &e), SS_OK);
        float *same = forward(c, m, &s);
        const int64_t n = ss_shape_numel(s.out_shape);
        assert_true(relative_l2(same, free_run, n) < 1e-5);

        setup.n_interventions = 1;
        assert_int_equal(ss_ctx_setup(c, &setup, &e), SS_OK);
        float *changed = forward(c, m, &s);
        assert_true(relative_l2(changed, free_run, n) > 1e-3);

        ss_free(free_run);
        ss_free(same);
        ss_free(changed);
        release_sample(&s);
        ss_model_close(m);
        ss_ctx_free(c);
    }
}

/* ---- what is refused ---- */

static void copy_text(const char *from, const char *to)
{
    ss_map map;

    assert_int_equal(ss_map_open(from, &map, NULL), SS_OK);
    write_file(to, map.data, map.size);
    ss_map_close(&map);
}

/* Rewrites a checkpoint of F16 tensors: drop or rename `name` (to NULL: drop), or, with shape
 * given, store it flattened under another shape of equal size. */
static void rewrite(const char *from, const char *to, const char *name, const char *new_name,
                    const char *shape)
{
    ss_safetensors *f;
    json_t *header = json_object();
    size_t at = 0;

    assert_int_equal(ss_safetensors_open(from, &f, NULL), SS_OK);
    char *data = ss_alloc(ss_safetensors_count(f), 1 << 16);
    assert_non_null(data);
    for (size_t i = 0; i < ss_safetensors_count(f); i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i);
        const bool hit = strcmp(t->name, name) == 0;
        char dims[128];

        if (hit && !new_name)
            continue;
        assert_true(t->bytes <= 1 << 16);
        memcpy(data + at, t->data, t->bytes);
        ss_stored_shape_text(t, dims, sizeof dims);
        json_object_set_new(header, hit ? new_name : t->name,
                            json_pack("{s:s, s:o, s:[I,I]}", "dtype", t->type, "shape",
                                      json_loads(hit && shape ? shape : dims, 0, NULL),
                                      "data_offsets", (json_int_t)at, (json_int_t)(at + t->bytes)));
        at += t->bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    const uint64_t n = strlen(text);
    FILE *o = fopen(to, "wb");
    assert_non_null(o);
    fwrite(&n, 8, 1, o); /* the tests run on little-endian machines */
    fwrite(text, 1, n, o);
    fwrite(data, 1, at, o);
    assert_int_equal(fclose(o), 0);
    free(text);
    json_decref(header);
    ss_free(data);
    ss_safetensors_close(f);
}

static void test_strict_loading(void **state)
{
    (void)state;
    static const struct {
        const char *name, *new_name, *shape;
        const char *want[2];
    } cases[] = {
        {"conv_in.weight",
         "conv_in.weight",
         "[4,27]",
         {": conv_in.weight is [4,27], config wants [4,3,3,3]", NULL}},
        {"conv_out.bias",
         NULL,
         NULL,
         {": 1 tensor is missing that the config wants: conv_out.bias", NULL}},
        {"mid_block.resnets.0.norm1.bias",
         "mid_block.resnets.9.norm1.bias",
         NULL,
         {"1 tensor is missing that the config wants: mid_block.resnets.0.norm1.bias",
          ": 1 tensor is not in the config: mid_block.resnets.9.norm1.bias"}},
    };
    const char *file = UNETS "/plain/diffusion_pytorch_model.safetensors";
    ss_model *m;

    copy_text(UNETS "/plain/config.json", in_tmp("config.json"));
    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_err e = {0};

        rewrite(file, in_tmp("diffusion_pytorch_model.safetensors"), cases[i].name,
                cases[i].new_name, cases[i].shape);
        assert_int_equal(ss_model_open(tmp_dir, NULL, &m, &e), SS_SHAPE);
        for (int k = 0; k < 2 && cases[i].want[k]; k++) {
            if (!strstr(e.msg, cases[i].want[k]))
                fail_msg("'%s' does not say '%s'", e.msg, cases[i].want[k]);
        }
    }
}

/* Checkpoints from before the projections of attention blocks were renamed. */
static void test_deprecated_names(void **state)
{
    (void)state;
    static const char *const renamed[][2] = {
        {"to_q.weight", "query.weight"},         {"to_q.bias", "query.bias"},
        {"to_k.weight", "key.weight"},           {"to_k.bias", "key.bias"},
        {"to_v.weight", "value.weight"},         {"to_v.bias", "value.bias"},
        {"to_out.0.weight", "proj_attn.weight"}, {"to_out.0.bias", "proj_attn.bias"},
    };
    const char *file = UNETS "/plain/diffusion_pytorch_model.safetensors";
    const char *out = "diffusion_pytorch_model.safetensors";
    ss_ctx *c = new_context(false);
    sample s;

    copy_text(UNETS "/plain/config.json", in_tmp("config.json"));
    copy_text(file, in_tmp(out));
    for (size_t i = 0; i < N_OF(renamed); i++) {
        char from[128], to[128];

        snprintf(from, sizeof from, "mid_block.attentions.0.%s", renamed[i][0]);
        snprintf(to, sizeof to, "mid_block.attentions.0.%s", renamed[i][1]);
        rewrite(in_tmp(out), in_tmp("next"), from, to, NULL);
        assert_int_equal(rename(in_tmp("next"), in_tmp(out)), 0);
    }
    ss_model *m = open_bound(tmp_dir, c);
    load_sample(UNETS "/plain", &s);
    float *y = forward(c, m, &s);
    assert_true(relative_l2(y, s.out, ss_shape_numel(s.out_shape)) <= tolerance);
    ss_free(y);
    release_sample(&s);
    ss_model_close(m);
    ss_ctx_free(c);
}

/* Each missing condition is an error that names the option to give. */
static void test_missing_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *dir, *option;
    } cases[] = {
        {UNETS "/sd15", "--prompt-embeds FILE#NAME"},
        {UNETS "/tables", "--class K"},
        {UNETS "/if-2", "--class"},
        {UNETS "/sdxl", "--text-embeds FILE#NAME"},
        {UNETS "/video-svd", "--time-ids FILE#NAME, [N,3]"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_ctx *c = new_context(false);
        ss_model *m = open_bound(cases[i].dir, c);
        ss_err e = {0};
        sample s;

        load_sample(cases[i].dir, &s);
        ss_condition some = s.cond;
        if (i == 0)
            some.encoder_hidden_states = NULL;
        some.class_labels = NULL;
        some.text_embeds = NULL;
        if (!s.cond.text_embeds)
            some.time_ids = NULL;
        ss_tensor *x = ss_upload(c, s.x_shape, s.x);
        assert_null(ss_model_forward(c, m, x, s.t, &some));
        assert_int_equal(ss_ctx_check(c, &e), SS_USAGE);
        if (!strstr(e.msg, cases[i].option))
            fail_msg("'%s' does not name %s", e.msg, cases[i].option);
        ss_release(x);
        release_sample(&s);
        ss_model_close(m);
        ss_ctx_free(c);
    }
}

/* Embeddings of the guidance scale as diffusers' pipelines give them to a distilled network. */
static void test_guidance_embedding(void **state)
{
    (void)state;
    sample s;
    float row[9];

    load_sample(UNETS "/lcm", &s);
    float *scale = golden(s.file, "guidance", NULL);
    assert_int_equal(s.cond.timestep_cond_width, 9);
    for (int i = 0; i < 2; i++) {
        ss_guidance_embedding(scale[i], 9, row);
        assert_close("told", row, s.cond.timestep_cond + 9 * i, 9, 1e-6, 0); /* worst seen: 6e-8 */
    }
    ss_free(scale);
    release_sample(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guidance_embedding),
        cmocka_unit_test(test_matches_diffusers),
        cmocka_unit_test(test_infers_shapes),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_interventions_at_fused_norms),
        cmocka_unit_test(test_strict_loading),
        cmocka_unit_test(test_deprecated_names),
        cmocka_unit_test(test_missing_conditions),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
