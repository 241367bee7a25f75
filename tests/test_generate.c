/* test_generate.c - sampling from the bundled models, from options to a folder of pictures */
#include "base/file.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/rng.h"
#include "kernels/context.h"
#include "models/sampling/sampler_config.h"
#include "models/sampling/schedule_config.h"
#include "probe/gallery.h"
#include "probe/generate.h"
#include "probe/interrupt.h"
#include "runfile/run_reader.h"
#include "tests/ss_tmp.h"

#define LATE "demo/fashion-mnist/step-06000"
#define EARLY "demo/fashion-mnist/step-00250"

enum { PIXELS = 32 * 32, SAMPLES = 3 };

static const int classes[] = {0, 5, 9};
static ss_ctx *ctx;

static int set_up(void **state)
{
    ss_ctx_options o = {.device = test_device(), .threads = 1};

    return make_tmp(state) != 0 || ss_ctx_new(&o, &ctx, NULL) != SS_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    ss_ctx_free(ctx);
    return remove_tmp(state);
}

static const ss_sampler_kind ddim = SS_SAMPLER_DDIM, ddpm = SS_SAMPLER_DDPM, heun = SS_SAMPLER_HEUN;

static ss_trajectory_options few_steps(void)
{
    ss_trajectory_options o = ss_generate_defaults().each;

    o.network.model = LATE;
    o.sampler = &ddim;
    o.steps = 4;
    o.samples = SAMPLES;
    o.condition.classes = classes;
    o.condition.n_classes = SAMPLES;
    return o;
}

/* All pictures [SAMPLES][32][32] of a run. */
static void sample(const ss_trajectory_options *o, float *out)
{
    ss_trajectory *t;
    ss_err e = {0};

    if (ss_trajectory_open(o, &t, &e) != SS_OK ||
        ss_trajectory_run(t, ctx, NULL, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int i = 0; i < SAMPLES; i++)
        memcpy(out + i * PIXELS, ss_trajectory_picture(t, i), PIXELS * sizeof *out);
    ss_trajectory_close(t);
}

static void test_same_every_time(void **state)
{
    (void)state;
    static float a[SAMPLES * PIXELS], b[SAMPLES * PIXELS];
    ss_trajectory_options o = few_steps();

    for (int k = 0; k < 2; k++) { /* with noise on the way, and without */
        o.sampler = k ? &ddpm : &ddim;
        sample(&o, a);
        sample(&o, b);
        assert_memory_equal(a, b, sizeof a);
        o.batch = 1;
        sample(&o, b);
        assert_close("batches of 1", b, a, SAMPLES * PIXELS, 2e-5, 0); /* worst seen: 2e-6 */
        o.batch = 0;
    }
    o.seed = 1;
    sample(&o, b);
    assert_true(relative_l2(a, b, PIXELS) > 0.1);
}

/* Guidance by the condition itself changes nothing, by another one a lot; 1 is no guidance; 0 is
 * the negative condition. */
static void test_guidance(void **state)
{
    (void)state;
    static float plain[SAMPLES * PIXELS], guided[SAMPLES * PIXELS];
    const int one = 3, other = 7;
    ss_trajectory_options o = few_steps();

    o.condition.classes = &one;
    o.condition.n_classes = 1;
    sample(&o, plain);
    o.guidance = 3;
    sample(&o, guided);
    assert_true(relative_l2(guided, plain, SAMPLES * PIXELS) > 0.05);
    o.condition.negative_class = one;
    sample(&o, guided);
    assert_close("by itself", guided, plain, SAMPLES * PIXELS, 2e-5, 0); /* worst seen: 3e-6 */
    o.guidance = 0;
    o.condition.classes = &other;
    sample(&o, guided);
    assert_close("g = 0", guided, plain, SAMPLES * PIXELS, 2e-5, 0);
    o.guidance = 1;
    o.condition.classes = &one;
    o.condition.negative_class = -1;
    sample(&o, guided);
    assert_memory_equal(guided, plain, sizeof plain);
}

static void test_changes_change_samples(void **state)
{
    (void)state;
    static float plain[SAMPLES * PIXELS], changed[SAMPLES * PIXELS];
    static const char *const clamp[] = {"clamp:20@up_blocks.0"};
    ss_trajectory_options o = few_steps();

    sample(&o, plain);
    o.network.changes.precision = "e4m3-ieee-sat";
    sample(&o, changed);
    assert_true(relative_l2(changed, plain, SAMPLES * PIXELS) > 0.01);
    o.network.changes.precision = NULL;
    o.network.changes.interventions = clamp;
    o.network.changes.n_interventions = 1;
    sample(&o, changed);
    assert_true(relative_l2(changed, plain, SAMPLES * PIXELS) > 0.05);
}

/* The first state is the seed's, whatever the model and the number of samples. */
static void test_models_start_from_the_same_noise(void **state)
{
    (void)state;
    ss_trajectory_options o = few_steps();
    float first[2][PIXELS];

    for (int k = 0; k < 2; k++) {
        ss_trajectory *t;
        ss_run *r = NULL;
        ss_err e = {0};

        o.network.model = k ? EARLY : LATE;
        o.samples = SAMPLES - k;
        o.run = in_tmp(k ? "early.h5" : "late.h5");
        if (ss_trajectory_open(&o, &t, &e) != SS_OK ||
            ss_trajectory_run(t, ctx, NULL, NULL, &e) != SS_OK ||
            ss_run_open(o.run, &r, &e) != SS_OK ||
            ss_run_picture(r, "/inputs/x", 0, 0, 1, first[k], &e) != SS_OK)
            fail_msg("%s", e.msg);
        ss_run_close(r);
        ss_trajectory_close(t);
    }
    assert_memory_equal(first[0], first[1], sizeof first[0]);
    float noise[PIXELS];
    ss_rng_normals(ss_rng_stream(0, "noise", 1, 0), 0, noise, PIXELS);
    assert_memory_equal(first[0], noise, sizeof noise); /* ddim's start is 1 */
}

/* A run file along the trajectory: its noise levels are the sampler's steps, both halves of the
 * guided batch are in it, and watching changes no bit. */
static void test_run_file(void **state)
{
    (void)state;
    static float plain[SAMPLES * PIXELS], watched[SAMPLES * PIXELS];
    ss_trajectory_options o = few_steps();
    ss_sampler_options so;
    ss_schedule *schedule;
    ss_sampler *s;
    ss_run *r;
    const float *absmax;
    ss_err e = {0};

    o.guidance = 2;
    o.sampler = &heun;
    o.batch = 2;
    sample(&o, plain);
    o.run = in_tmp("run.h5");
    sample(&o, watched);
    assert_memory_equal(plain, watched, sizeof plain);

    assert_int_equal(ss_run_open(o.run, &r, &e), SS_OK);
    assert_true(r->complete);
    assert_int_equal(r->n_inputs, 2);
    assert_string_equal(r->inputs[0], "conditional");
    assert_string_equal(r->inputs[1], "unconditional");
    assert_int_equal(r->n_samples, SAMPLES);
    assert_int_equal(r->n_sigmas, o.steps);
    assert_int_equal(
        ss_sampler_options_load(LATE "/scheduler/scheduler_config.json", &heun, &so, &e), SS_OK);
    assert_int_equal(ss_schedule_load(LATE "/scheduler/scheduler_config.json", &schedule, &e),
                     SS_OK);
    assert_int_equal(ss_sampler_new(&so, schedule, o.steps, &s, &e), SS_OK);
    for (int i = 0; i < ss_sampler_count(s); i++) {
        const ss_sampler_point *p = ss_sampler_at(s, i);

        if (p->step < 0)
            continue;
        assert_true(r->sigmas[p->step] == p->sigma);
        assert_true(r->timesteps[p->step] == p->timestep);
    }
    assert_int_equal(ss_run_stat(r, "absmax", &absmax, &e), SS_OK);
    for (int k = 0; k < SAMPLES; k++) { /* every sample of every half and step was seen */
        for (int i = 0; i < 2 * o.steps; i++)
            assert_true(absmax[ss_run_at(r, 1, ss_run_port(r, "output"), i % 2, i / 2, k)] > 0);
    }
    /* both halves see the same, and answer differently */
    float x[2][PIXELS], clean[2][PIXELS];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ss_run_picture(r, "/inputs/x", i, 2, 1, x[i], &e), SS_OK);
        assert_int_equal(ss_run_picture(r, "/outputs/denoised", i, 2, 1, clean[i], &e), SS_OK);
    }
    assert_memory_equal(x[0], x[1], sizeof x[0]);
    assert_true(relative_l2(clean[0], clean[1], PIXELS) > 1e-3);
    ss_run_close(r);
    ss_sampler_free(s);
    ss_schedule_free(schedule);
}

static void interrupt_at_2(void *self, int evaluation)
{
    (void)self;
    if (evaluation == 2)
        ss_interrupt(0);
}

static void test_interrupt(void **state)
{
    (void)state;
    ss_trajectory_options o = few_steps();
    ss_trajectory *t;
    ss_run *r;
    ss_err e = {0};

    o.run = in_tmp("cut.h5");
    ss_interrupt_reset();
    assert_int_equal(ss_trajectory_open(&o, &t, &e), SS_OK);
    assert_int_equal(ss_trajectory_run(t, ctx, interrupt_at_2, NULL, &e), SS_INTERRUPTED);
    ss_trajectory_close(t);
    ss_interrupt_reset();
    assert_int_equal(ss_run_open(o.run, &r, &e), SS_OK);
    assert_false(r->complete);
    assert_int_equal(r->n_done, 2);
    ss_run_close(r);
}

/* ---- the folder ---- */

static json_t *generate(ss_generate_options *o)
{
    ss_generate_summary sum = {0};
    char path[512];
    ss_err e = {0};

    if (ss_generate_run(o, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(sum.n_broken, 0);
    ss_table_release(&sum.table);
    snprintf(path, sizeof path, "%s/generate.json", o->output);
    json_t *j = json_load_file(path, 0, NULL);
    assert_non_null(j);
    return j;
}

static void test_folder(void **state)
{
    (void)state;
    const char *models[] = {EARLY "/", LATE};
    char dir[512], path[600];
    ss_generate_options o = ss_generate_defaults();
    ss_image sheet, picture;
    const char *name;
    size_t n;

    snprintf(dir, sizeof dir, "%s", in_tmp("samples"));
    o.models = models;
    o.n_models = 2;
    o.output = dir;
    o.classes = "all";
    o.each.threads = 1;
    o.each.steps = 2;
    json_t *j = generate(&o);
    assert_string_equal(json_string_value(json_object_get(j, "format")), "sigmascope-generate");
    assert_string_equal(json_string_value(json_object_get(j, "sampler")), "ddpm"); /* the file's */
    assert_string_equal(json_string_value(json_object_get(j, "precision")), "fp32");
    assert_non_null(strstr(json_string_value(json_object_get(j, "device")), "cpu: "));
    assert_int_equal(json_integer_value(json_object_get(j, "samples")), 10);
    const json_t *conditions = json_object_get(j, "conditions");
    assert_string_equal(json_string_value(json_array_get(conditions, 7)), "class 7");
    const json_t *late = json_array_get(json_object_get(j, "models"), 1);
    assert_string_equal(json_string_value(json_object_get(late, "folder")), "02-step-06000");
    assert_int_equal(json_array_size(json_object_get(late, "absmax")), 10);
    assert_int_equal(json_unpack(json_object_get(late, "pictures"), "[s%]", &name, &n), 0);
    assert_string_equal(name, "02-step-06000/0000.png");
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(ss_image_read_png(path, &picture, NULL), SS_OK);
    assert_true(picture.h == 32 && picture.w == 32 && picture.c == 1);
    snprintf(path, sizeof path, "%s/sheet.png", dir);
    assert_int_equal(ss_image_read_png(path, &sheet, NULL), SS_OK);
    assert_true(sheet.h == 2 + 2 * 98 && sheet.w == 2 + 10 * 98 && sheet.c == 3);
    /* row 1, column 0, three times as large */
    for (int y = 0; y < 96; y++) {
        for (int x = 0; x < 96; x++)
            assert_int_equal(sheet.data[3 * ((2 + 98 + y) * sheet.w + 2 + x)],
                             picture.data[y / 3 * 32 + x / 3]);
    }
    ss_image_release(&sheet);
    ss_image_release(&picture);
    assert_int_equal(count_files(dir), 4);
    json_decref(j);

    ss_generate_summary sum = {0};
    ss_err e = {0};
    assert_int_equal(ss_generate_run(&o, &sum, &e), SS_IO); /* it is there */
    assert_non_null(strstr(e.msg, "exists; --force replaces it"));
    ss_table_release(&sum.table);
    o.replace = true;
    o.n_models = 1;
    json_decref(generate(&o));
    assert_int_equal(count_files(dir), 3); /* nothing of the old one is left */
}

static void test_drawing(void **state)
{
    (void)state;
    const float gray[] = {-1, 0, 1, 5, NAN, -INFINITY}, rgb[] = {-1, 0, 1, NAN, 0, 0};
    const float latent[] = {0, 10, 1, 30, 2, 20}; /* [1][3][2] */
    const float two[] = {-1, -1, -1, 1, -1, -1, 0, 0, 0, -1, 1, -1};
    static const float wide[2 * 8193];
    ss_err e = {0};
    ss_image im;
    double absmax;

    assert_int_equal(ss_gallery_draw(gray, (ss_sample_size){0, 2, 2, 1}, -1, 1, &im, NULL), SS_OK);
    assert_int_equal(im.c, 1);
    assert_memory_equal(im.data, ((uint8_t[]){0, 128, 255, 255}), 4);
    ss_image_release(&im);
    assert_int_equal(ss_gallery_draw(gray, (ss_sample_size){0, 2, 3, 1}, -1, 1, &im, NULL), SS_OK);
    assert_int_equal(im.c, 3);
    assert_memory_equal(im.data + 9, ((uint8_t[]){255, 255, 255, 255, 0, 255, 255, 0, 255}), 9);
    ss_image_release(&im);
    assert_int_equal(ss_gallery_measure(gray, 6, &absmax), 2);
    assert_true(absmax == 5);
    assert_int_equal(ss_gallery_draw(rgb, (ss_sample_size){0, 1, 2, 3}, -1, 1, &im, NULL), SS_OK);
    assert_memory_equal(im.data, ((uint8_t[]){0, 128, 255, 255, 0, 255}), 6);
    ss_image_release(&im);
    assert_int_equal(ss_gallery_draw(latent, (ss_sample_size){0, 1, 3, 2}, -1, 1, &im, NULL),
                     SS_OK);
    assert_true(im.w == 6 && im.c == 1);
    assert_memory_equal(im.data, ((uint8_t[]){0, 128, 255, 0, 255, 128}), 6);
    ss_image_release(&im);
    /* frames from left to right: two of 1 x 2 in RGB, three of 1 x 1 with two channels */
    assert_int_equal(ss_gallery_draw(two, (ss_sample_size){2, 1, 2, 3}, -1, 1, &im, NULL), SS_OK);
    assert_true(im.h == 1 && im.w == 4);
    assert_memory_equal(im.data, ((uint8_t[]){0, 0, 0, 255, 0, 0, 128, 128, 128, 0, 255, 0}), 12);
    ss_image_release(&im);
    assert_int_equal(ss_gallery_draw(latent, (ss_sample_size){3, 1, 1, 2}, -1, 1, &im, NULL),
                     SS_OK);
    assert_memory_equal(im.data, ((uint8_t[]){0, 0, 128, 255, 255, 128}), 6);
    ss_image_release(&im);
    assert_int_equal(ss_gallery_draw(wide, (ss_sample_size){2, 1, 8193, 1}, -1, 1, &im, &e),
                     SS_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "2 frames of 1 x 8193 pixels side by side are wider"));
}

/* Every allocation that fails is an error, not a crash, and leaves nothing behind. */
static void test_out_of_memory(void **state)
{
    (void)state;
    const char *models[] = {EARLY};
    ss_generate_options o = ss_generate_defaults();
    ss_generate_summary sum = {0};
    unsigned long calls;
    char dir[512];

    snprintf(dir, sizeof dir, "%s", in_tmp("oom"));
    o.models = models;
    o.n_models = 1;
    o.output = dir;
    o.each.threads = 1;
    o.replace = true;
    o.each.steps = 1;
    o.each.samples = 1;
    o.each.condition.classes = classes;
    o.each.condition.n_classes = 1;
    calls = ss_mem_calls();
    json_decref(generate(&o));
    calls = ss_mem_calls() - calls;
    for (unsigned long k = 1; k < calls; k += 1 + calls / 60) {
        ss_err e = {0};
        const int before = count_files(tmp_dir);

        ss_mem_fail_at(k);
        const ss_code rc = ss_generate_run(&o, &sum, &e);
        ss_mem_fail_at(0);
        assert_true(rc == SS_OK || e.code == rc);
        assert_int_equal(count_files(tmp_dir), before);
        ss_table_release(&sum.table);
        sum = (ss_generate_summary){0};
    }
}

static void expect_error(const ss_trajectory_options *o, ss_code code, const char *text)
{
    ss_trajectory *t;
    ss_err e = {0};

    assert_int_equal(ss_trajectory_open(o, &t, &e), code);
    if (!strstr(e.msg, text))
        fail_msg("'%s' lacks '%s'", e.msg, text);
}

static void test_errors(void **state)
{
    (void)state;
    ss_trajectory_options o = few_steps();
    const int wrong = 11;

    o.steps = 1001;
    expect_error(&o, SS_USAGE, "1001 sampling steps; the schedule has 1000");
    o = few_steps();
    o.network.model = in_tmp("nowhere");
    expect_error(&o, SS_IO, "nowhere");
    o = few_steps();
    o.condition.classes = &wrong;
    o.condition.n_classes = 1;
    expect_error(&o, SS_USAGE, "class 11 does not exist");
    o = few_steps();
    o.sampler = &ddpm;
    o.eta = 0.5;
    expect_error(&o, SS_USAGE, "--eta belongs to ddim, the sampler is ddpm");
    o = few_steps();
    o.network.changes.precision = "fp17";
    expect_error(&o, SS_USAGE, "'fp17' is not a number format");
}

/* Small networks of other kinds, with random weights (tests/golden/make_unets.py). */

#define UNETS "tests/golden/unets/"

static ss_trajectory *run_other(const ss_trajectory_options *o)
{
    ss_trajectory *t;
    ss_err e = {0};

    if (ss_trajectory_open(o, &t, &e) != SS_OK ||
        ss_trajectory_run(t, ctx, NULL, NULL, &e) != SS_OK)
        fail_msg("%s: %s", o->network.model, e.msg);
    return t;
}

static ss_trajectory_options other(const char *model)
{
    ss_trajectory_options o = ss_generate_defaults().each;

    o.network.model = model;
    o.steps = 3;
    o.samples = 2;
    return o;
}

static void test_score_network(void **state)
{
    (void)state;
    ss_trajectory_options o = other(UNETS "ncsnpp");
    ss_trajectory *t = run_other(&o);

    assert_int_equal(ss_trajectory_sampler(t), SS_SAMPLER_HEUN);
    assert_int_equal(ss_trajectory_evaluations(t), 5);
    ss_trajectory_close(t);
    o.sampler = &ddim;
    expect_error(&o, SS_USAGE, "use euler or heun");
}

static void test_text_network(void **state)
{
    (void)state;
    ss_trajectory_options o = other(UNETS "sd15");

    o.condition.prompt_embeds = UNETS "sd15/golden.safetensors#encoder_hidden_states";
    ss_trajectory *t = run_other(&o);
    assert_int_equal(ss_trajectory_size(t).channels, 4);
    float plain = ss_trajectory_picture(t, 1)[7];
    ss_trajectory_close(t);

    o.guidance = 5;
    expect_error(&o, SS_USAGE, "give --negative-embeds FILE#NAME");
    o.condition.negative_embeds = o.condition.prompt_embeds;
    t = run_other(&o);
    assert_true(fabsf(ss_trajectory_picture(t, 1)[7] - plain) < 1e-4f * (1 + fabsf(plain)));
    ss_trajectory_close(t);
    o.condition.negative_embeds = UNETS "if-1/golden.safetensors#encoder_hidden_states";
    expect_error(&o, SS_USAGE, "the negative text states are [5,24], the positive ones [5,12]");
    o.condition.negative_embeds = o.condition.prompt_embeds;
    o.samples = 3;
    expect_error(&o, SS_USAGE, "has 2 rows for 3 samples");
}

/* Samples that are no pictures are written whole too, channels first. */
static void test_latents(void **state)
{
    (void)state;
    const char *models[] = {UNETS "sd15"};
    ss_generate_options o = ss_generate_defaults();
    char dir[512], name[600];
    ss_array a;
    ss_err e = {0};

    snprintf(dir, sizeof dir, "%s", in_tmp("latents"));
    o.models = models;
    o.n_models = 1;
    o.output = dir;
    o.each.threads = 1;
    o.each = other(models[0]);
    o.each.condition.prompt_embeds = UNETS "sd15/golden.safetensors#encoder_hidden_states";
    json_decref(generate(&o));
    snprintf(name, sizeof name, "%s/01-sd15/latents.safetensors#latents", dir);
    if (ss_safetensors_load_f32(name, &a, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_true(a.rank == 4 && a.dim[0] == 2 && a.dim[1] == 4 && a.dim[2] == 8 && a.dim[3] == 8);
    ss_trajectory *t = run_other(&o.each);
    for (int i = 0; i < 2; i++) {
        for (int c = 0; c < 4; c++) {
            for (int p = 0; p < 64; p++)
                assert_true(a.values[(i * 4 + c) * 64 + p] ==
                            ss_trajectory_picture(t, i)[p * 4 + c]);
        }
    }
    ss_trajectory_close(t);
    ss_array_release(&a);
}

/* Twice as many outputs as inputs: a variance, which ddpm may use. */
static void test_network_with_variance(void **state)
{
    (void)state;
    ss_trajectory_options o = other(UNETS "if-1");

    o.condition.prompt_embeds = UNETS "if-1/golden.safetensors#encoder_hidden_states";
    ss_trajectory *t = run_other(&o);
    assert_int_equal(ss_trajectory_size(t).channels, 3);
    ss_trajectory_close(t);
    o.network.model = UNETS "class-timestep";
    o.condition.prompt_embeds = NULL;
    o.condition.classes = classes;
    o.condition.n_classes = 1;
    o.guidance = 2;
    expect_error(&o, SS_USAGE, "this model has no null class of its own: give --negative-class K");
    o.network.model = UNETS "plain";
    expect_error(&o, SS_USAGE, "--class: this model takes no class");
    o.condition.n_classes = 0;
    expect_error(&o, SS_USAGE, "nothing conditions this model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_every_time),
        cmocka_unit_test(test_guidance),
        cmocka_unit_test(test_changes_change_samples),
        cmocka_unit_test(test_models_start_from_the_same_noise),
        cmocka_unit_test(test_run_file),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_drawing),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_score_network),
        cmocka_unit_test(test_text_network),
        cmocka_unit_test(test_latents),
        cmocka_unit_test(test_network_with_variance),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
