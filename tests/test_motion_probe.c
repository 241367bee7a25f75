/* test_motion_probe.c - networks with motion blocks on the way from `probe` to its tables: frames,
 * extended positions, reference frames, and attention over frames
 */
#include "analyze/one/frame_attention.h"
#include "base/log.h"
#include "models/file/safetensors_write.h"
#include "probe/probe.h"
#include "runfile/run_reader.h"
#include "tests/motion_case.h"
#include "tests/ss_tmp.h"

#include <math.h>

static ss_probe_options options(const char *model, const char *output)
{
    static const char *const inputs[] = {"noise:white", "checker:2"};
    ss_probe_options opt = ss_probe_defaults();

    opt.network.model = model;
    opt.network.height = 4;
    opt.network.width = 6;
    opt.device = test_device();
    opt.output = output;
    opt.command = "sigmascope probe";
    opt.timesteps = "10,900";
    opt.inputs = inputs;
    opt.n_inputs = 2;
    opt.samples = 2;
    opt.threads = 1;
    opt.replace = true;
    return opt;
}

static ss_run *probed(const ss_probe_options *opt)
{
    ss_probe_summary sum;
    ss_run *r;
    ss_err e = {0};

    if (ss_probe_run(opt, &sum, &e) != SS_OK || ss_run_open(opt->output, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static int setup(void **state)
{
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    return make_tmp(state);
}

/* Layers whose keys are frames are known as such, others are not; masses are shares. */
static void test_masses_in_the_run(void **state)
{
    char output[512];
    const float *frames, *mass, *on;
    ss_err e = {0};
    int temporal = 0;

    (void)state;
    snprintf(output, sizeof output, "%s", in_tmp("rotary.h5"));
    ss_probe_options opt = options(MOTION "/rotary", output);
    opt.network.frames = 7;
    ss_run *r = probed(&opt);

    assert_true(r->n_frames == 7 && r->trained_frames == 4);
    assert_string_equal(r->reference_frames, "");
    assert_int_equal(ss_run_attention_frames(r, &frames, &e), SS_OK);
    assert_int_equal(ss_run_frame_mass(r, false, &mass, &e), SS_OK);
    assert_int_equal(ss_run_frame_mass(r, true, &on, &e), SS_OK);
    for (int l = 0; l < r->n_layers; l++) {
        const bool motion = strstr(r->layers[l], ".motion.");
        const size_t at = ss_run_attention_at(r, l, 0, 1, 1, 1) * 7;
        double sum = 0, of_keys = 0;

        assert_true(frames[l] == (motion ? 7 : 0));
        for (size_t f = 0; f < 7; f++) {
            sum += mass[at + f];
            of_keys += on[at + f];
        }
        assert_true(motion ? fabs(sum - 1) < 1e-5 && fabs(of_keys - 1) < 1e-5 : isnan(sum));
        temporal += motion;
    }
    assert_int_equal(temporal, 8); /* after each residual block */
    ss_run_close(r);
}

static const char *cell(const ss_table *t, const char *name, int row)
{
    static char text[80];

    for (size_t k = 0; k < json_array_size(t->columns); k++) {
        const json_t *c = json_array_get(t->columns, k);
        const json_t *v = json_array_get(json_array_get(t->rows, (size_t)row), k);

        if (strcmp(json_string_value(json_object_get(c, "name")), name) != 0)
            continue;
        char *dump = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        snprintf(text, sizeof text, "%s", dump);
        free(dump);
        return text;
    }
    return NULL;
}

/* The table has what the run has, beyond the trained frames as well. */
static void test_table(void **state)
{
    ss_run *r;
    ss_frame_attention a;
    ss_table t;
    ss_err e = {0};
    static const char *const glob[] = {"mid_block.*"};

    (void)state;
    assert_int_equal(ss_run_open(in_tmp("rotary.h5"), &r, &e), SS_OK);
    assert_int_equal(ss_frame_attention_find(r, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_int_equal(a.n, 8); /* of one head each */
    for (int i = 0; i < a.n; i++) {
        const ss_frame_head *h = &a.heads[i];
        double sum = 0, reach = 0, beyond = 0;

        for (int f = 0; f < 7; f++) {
            const double m = a.mass[(size_t)(i * 7 + f)];

            sum += m;
            reach += f * m;
            beyond += f >= 4 ? m : 0;
        }
        assert_true(fabs(sum - 1) < 1e-5 && fabs(reach - h->reach) < 1e-9);
        assert_true(h->own == a.mass[i * 7] && h->next == a.mass[i * 7 + 1]);
        assert_true(fabs(beyond - h->beyond) < 1e-9 && beyond > 0);
        assert_true(fabs(h->even - 48 / 21.) < 1e-12 && isnan(h->references));
    }
    double even = 0;
    for (int d = 0; d < 7; d++)
        even += d * ss_even_mass(7, d);
    assert_true(fabs(even - 48 / 21.) < 1e-12 && ss_even_mass(7, 7) == 0);
    assert_int_equal(ss_frame_attention_table(r, &a, 3, &t, &e), SS_OK);
    assert_int_equal(json_array_size(t.rows), 3);
    assert_string_equal(cell(&t, "frames", 0), "7");
    assert_non_null(cell(&t, "beyond", 0));
    assert_null(cell(&t, "references", 0));
    assert_non_null(strstr(t.note, "the 3 of 8 heads"));
    ss_table_release(&t);
    ss_frame_attention_release(&a);
    assert_int_equal(ss_frame_attention_find(r, glob, 1, 1, &a, &e), SS_OK);
    assert_int_equal(a.n, 2);
    ss_frame_attention_release(&a);
    ss_run_close(r);
}

/* --extend changes what the network answers, and is in the plan. */
static void test_extended(void **state)
{
    char output[512];
    const float *plain, *extended;
    ss_run *a, *b;
    ss_err e = {0};

    (void)state;
    assert_int_equal(ss_run_open(in_tmp("rotary.h5"), &a, &e), SS_OK);
    snprintf(output, sizeof output, "%s", in_tmp("ntk.h5"));
    ss_probe_options opt = options(MOTION "/rotary", output);
    opt.network.frames = 7;
    opt.network.extend = "ntk";
    b = probed(&opt);
    assert_non_null(strstr(b->plan, "\"extend\""));
    assert_null(strstr(a->plan, "\"extend\":\"ntk\""));
    assert_int_equal(ss_run_stat(a, "rms", &plain, &e), SS_OK);
    assert_int_equal(ss_run_stat(b, "rms", &extended, &e), SS_OK);
    const size_t at = ss_run_at(a, 0, ss_run_port(a, "output"), 0, 0, 0);
    assert_true(plain[at] != extended[at]);
    ss_run_close(a);
    ss_run_close(b);

    ss_probe_summary sum;
    opt.network.extend = "half";
    assert_int_equal(ss_probe_run(&opt, &sum, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "--extend: 'half' is no extension of positions"));
    opt.network.model = UNETS "/attn";
    opt.network.extend = "ntk";
    opt.network.frames = 0;
    assert_int_equal(ss_probe_run(&opt, &sum, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "--extend: the network has no attention over frames"));
}

/* Reference frames: none, or those that the mask marks. */
static void test_references(void **state)
{
    enum { C = 4, F = 3, AREA = 4 * 6 };
    char output[512], file[512], concat[560];
    static float x[C * F * AREA];
    ss_frame_attention a;
    ss_table t;
    ss_err e = {0};

    (void)state;
    snprintf(output, sizeof output, "%s", in_tmp("reference.h5"));
    ss_probe_options opt = options(MOTION "/both-reference", output);
    opt.network.frames = F;
    ss_run *r = probed(&opt);
    assert_string_equal(r->reference_frames, "");
    ss_run_close(r);

    for (int i = 0; i < C * F * AREA; i++)
        x[i] = i / AREA >= (C - 1) * F && i / AREA % F != 1 ? 1 : 0; /* the mask of 0 and 2 */
    snprintf(file, sizeof file, "%s", in_tmp("concat.safetensors"));
    const ss_st_item item = {
        .name = "x", .dtype = SS_F32, .rank = 5, .dim = {1, C, F, 4, 6}, .values = x};
    assert_int_equal(ss_safetensors_write(file, &item, 1, NULL, 0, &e), SS_OK);
    snprintf(concat, sizeof concat, "%s#x", file);
    opt.concat = concat;
    r = probed(&opt);
    assert_string_equal(r->reference_frames, "0,2");
    assert_int_equal(ss_frame_attention_find(r, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_int_equal(a.n_references, 2);
    for (int i = 0; i < a.n; i++)
        assert_true(a.heads[i].references > 0 && a.heads[i].references < 1);
    assert_int_equal(ss_frame_attention_table(r, &a, 3, &t, &e), SS_OK);
    assert_non_null(cell(&t, "references", 0));
    assert_null(cell(&t, "beyond", 0));
    ss_table_release(&t);
    ss_frame_attention_release(&a);
    ss_run_close(r);
}

/* A run of a network of pictures has none of it. */
static void test_pictures(void **state)
{
    char output[512];
    const float *x;
    ss_frame_attention a;
    ss_err e = {0};

    (void)state;
    snprintf(output, sizeof output, "%s", in_tmp("pictures.h5"));
    const ss_probe_options opt = options(UNETS "/attn", output);
    ss_run *r = probed(&opt);
    assert_true(r->n_layers > 0 && r->n_frames == 0 && r->trained_frames == 0);
    assert_int_equal(ss_run_frame_mass(r, false, &x, &e), SS_OK);
    assert_null(x);
    assert_int_equal(ss_frame_attention_find(r, NULL, 0, SS_ALL, &a, &e), SS_OK);
    assert_int_equal(a.n, 0);
    ss_frame_attention_release(&a);
    ss_run_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masses_in_the_run), cmocka_unit_test(test_table),
        cmocka_unit_test(test_extended),          cmocka_unit_test(test_references),
        cmocka_unit_test(test_pictures),
    };

    return cmocka_run_group_tests(tests, setup, remove_tmp);
}
