/* test_video.c - videos, [N][F][H][W][C], on the whole way from inputs to the report
 *
 * The network is one of tests/tiny_video.h.
 */
#include "analyze/one/blobs.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/rng.h"
#include "fft/spectrum.h"
#include "kernels/context.h"
#include "models/inventory.h"
#include "probe/bundle.h"
#include "probe/generate.h"
#include "probe/probe.h"
#include "reports/report.h"
#include "runfile/run_reader.h"
#include "tests/ss_tmp.h"
#include "tests/tiny_video.h"

#include <math.h>

enum { F = 3, SIDE = 8, AREA = SIDE * SIDE, SAMPLES = 2 };

static ss_run *open_run(const char *name)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static ss_probe_options options(const char *model, const char *output)
{
    static const char *const inputs[] = {"checker:2", "noise:white", "lowpass:2:noise:pink"};
    static const char *const dumps[] = {"*"};
    ss_probe_options opt = ss_probe_defaults();

    opt.network.model = model;
    opt.device = test_device();
    opt.output = output;
    opt.command = "sigmascope probe";
    opt.timesteps = "10,900";
    opt.inputs = inputs;
    opt.n_inputs = 3;
    opt.samples = SAMPLES;
    opt.dumps = dumps;
    opt.n_dumps = 1;
    opt.channels = true;
    opt.threads = 1;
    opt.replace = true;
    return opt;
}

static void probe(const ss_probe_options *opt)
{
    ss_probe_summary sum;
    ss_err e = {0};

    if (ss_probe_run(opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static int make_all(void **state)
{
    char model[512], output[512];

    if (make_tmp(state) != 0)
        return -1;
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    snprintf(model, sizeof model, "%s", in_tmp("model"));
    make_tiny(model, F, SIDE, 1, 1);
    snprintf(output, sizeof output, "%s", in_tmp("run.h5"));
    const ss_probe_options opt = options(model, output);
    probe(&opt);
    return 0;
}

static void read_one(ss_run *r, const char *set, int input, int sigma, int sample, float *x)
{
    ss_err e = {0};

    if (ss_run_picture(r, set, input, sigma, sample, x, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* x is a x0 + s n with one noise for all frames and inputs; the picture x0 stands still. */
static void test_the_run_holds_what_the_network_saw(void **state)
{
    (void)state;
    ss_run *r = open_run("run.h5");
    ss_run_shape shape;
    float x[F * AREA], y[F * AREA], n[F * AREA];
    ss_err e = {0};

    assert_true(ss_run_has_pictures(r, "/inputs/x", &shape));
    assert_int_equal(shape.rank, 4);
    assert_true(shape.dim[0] == F && shape.dim[1] == SIDE && shape.dim[2] == SIDE &&
                shape.dim[3] == 1);
    assert_true(ss_run_has_pictures(r, "/outputs/denoised", &shape) && shape.rank == 4);
    for (int s = 0; s < 2; s++) {
        const double sigma = r->sigmas[s], a = 1 / sqrt(1 + sigma * sigma);

        for (int k = 0; k < SAMPLES; k++) {
            ss_rng_normals(ss_rng_stream(0, "noise", (uint64_t)k, 0), 0, n, F * AREA);
            read_one(r, "/inputs/x", 0, s, k, x);
            read_one(r, "/inputs/x", 1, s, k, y);
            for (int i = 0; i < F * AREA; i++) {
                const int p = i % AREA;
                const double x0 = (p / SIDE / 2 + p % SIDE / 2) % 2 ? -1 : 1;

                assert_true(fabs(x[i] - a * (x0 + sigma * n[i])) < 1e-5);
                assert_true(fabs(y[i] - a * sigma * n[i]) < 1e-5);
            }
        }
    }
    const float *loss;
    assert_int_equal(ss_run_loss(r, &loss, &e), SS_OK);
    for (int s = 0; s < 2; s++)
        for (int k = 0; k < SAMPLES; k++)
            assert_true(loss[s * SAMPLES + k] > 0 && isnan(loss[(2 + s) * SAMPLES + k]));
    ss_run_close(r);
}

/* `inspect` says how many frames there are. */
static void test_inventory_has_frames(void **state)
{
    (void)state;
    ss_model *m;
    ss_table t;
    ss_err e = {0};

    assert_int_equal(ss_model_open(in_tmp("model"), NULL, &m, &e), SS_OK);
    assert_int_equal(ss_inventory_about(m, &t, &e), SS_OK);
    char *text = json_dumps(t.rows, JSON_COMPACT);
    assert_non_null(strstr(text, "[\"input\",\"1 channels, 3 frames of 8x8\"]"));
    free(text);
    ss_table_release(&t);
    ss_model_close(m);
}

static void test_spectra_are_means_over_frames(void **state)
{
    (void)state;
    ss_run *r = open_run("run.h5");
    double one[SIDE / 2 + 1];
    float x[F * AREA];
    const float *psd;
    ss_spectrum *s;
    ss_err e = {0};

    assert_int_equal(r->n_radii, SIDE / 2 + 1);
    assert_int_equal(ss_run_psd(r, &psd, &e), SS_OK);
    assert_int_equal(ss_spectrum_new(SIDE, SIDE, &s, &e), SS_OK);
    for (int input = 0; input < 3; input++) {
        double mean[SIDE / 2 + 1] = {0};

        read_one(r, "/inputs/x", input, 1, 1, x);
        for (int f = 0; f < F; f++) {
            ss_spectrum_radial(s, x + f * AREA, 1, 1, one);
            for (int k = 0; k < r->n_radii; k++)
                mean[k] += one[k] / F;
        }
        for (int k = 0; k < r->n_radii; k++)
            assert_true(fabs(psd[((input * 2 + 1) * SAMPLES + 1) * r->n_radii + k] - mean[k]) <=
                        1e-6 * mean[k]);
    }
    ss_spectrum_free(s);
    ss_run_close(r);
}

/* The statistics of a module are those of all its frames together. */
static void test_statistics_are_over_all_frames(void **state)
{
    (void)state;
    ss_run *r = open_run("run.h5");
    ss_run_shape shape;
    float x[F * AREA * TINY_WIDTH];
    const float *absmax;
    ss_err e = {0};
    int m = 0;

    while (m < r->n_modules && strcmp(r->modules[m], "up_blocks.0") != 0)
        m++;
    assert_true(ss_run_has_pictures(r, "/activations/up_blocks.0", &shape));
    assert_true(shape.rank == 4 && shape.n == F * AREA * TINY_WIDTH && shape.dim[3] == TINY_WIDTH);
    read_one(r, "/activations/up_blocks.0", 1, 0, 1, x);
    float largest = 0;
    for (int i = 0; i < shape.n; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    assert_int_equal(ss_run_stat(r, "absmax", &absmax, &e), SS_OK);
    assert_true(absmax[ss_run_at(r, m, SS_PORT_OUTPUT, 1, 0, 1)] == largest);
    ss_run_close(r);
}

/* A bundle's input is fed back as raw:, and gives the same numbers. */
static void test_bundles_replay(void **state)
{
    (void)state;
    ss_run *r = open_run("run.h5");
    char bundle[512], spec[600], output[512], model[512];
    const char *inputs[] = {spec};
    const ss_bundle_place place = {.input = 1, .sigma = 1, .sample = -1};
    float x[F * AREA], again[F * AREA];
    ss_err e = {0};

    snprintf(bundle, sizeof bundle, "%s", in_tmp("bundle"));
    if (ss_bundle_write(r, bundle, true, 0, SS_PORT_OUTPUT, place, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    snprintf(spec, sizeof spec, "raw:%s/input.safetensors#x", bundle);
    snprintf(model, sizeof model, "%s", in_tmp("model"));
    snprintf(output, sizeof output, "%s", in_tmp("replay.h5"));
    ss_probe_options opt = options(model, output);
    opt.inputs = inputs;
    opt.n_inputs = 1;
    opt.timesteps = "900";
    probe(&opt);
    ss_run *replay = open_run("replay.h5");
    for (int k = 0; k < SAMPLES; k++) {
        read_one(r, "/outputs/denoised", 1, 1, k, x);
        read_one(replay, "/outputs/denoised", 0, 0, k, again);
        assert_memory_equal(x, again, sizeof x);
    }
    ss_run_close(replay);
    ss_run_close(r);
}

static void write_concat(const char *name, int frames)
{
    float values[2 * 2 * F * AREA];
    ss_array a = {.rank = 5, .dim = {2, 2, frames, SIDE, SIDE}, .values = values};
    ss_err e = {0};

    for (int i = 0; i < 2 * 2 * F * AREA; i++)
        values[i] = (float)i;
    assert_int_equal(ss_safetensors_write_f32(in_tmp(name), "c", &a, &e), SS_OK);
}

static void test_concat_channels_have_frames(void **state)
{
    (void)state;
    char model[512], output[512], concat[600];
    float x[F * AREA * 3];
    ss_probe_summary sum;
    ss_err e = {0};

    snprintf(model, sizeof model, "%s", in_tmp("wide"));
    snprintf(output, sizeof output, "%s", in_tmp("concat.h5"));
    make_tiny(model, F, SIDE, 3, 1);
    write_concat("c.safetensors", F);
    write_concat("short.safetensors", F - 1);
    ss_probe_options opt = options(model, output);
    snprintf(concat, sizeof concat, "%s#c", in_tmp("c.safetensors"));
    opt.concat = concat;
    probe(&opt);
    ss_run *r = open_run("concat.h5");
    read_one(r, "/inputs/x", 0, 0, 1, x);
    for (int i = 0; i < F * AREA; i++)
        for (int c = 0; c < 2; c++)
            assert_true(x[3 * i + 1 + c] == (float)((2 + c) * F * AREA + i));
    ss_run_close(r);

    snprintf(concat, sizeof concat, "%s#c", in_tmp("short.safetensors"));
    assert_int_equal(ss_probe_run(&opt, &sum, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "must be [N,C,3,8,8] with N of 1"));
    opt.concat = NULL;
    assert_int_equal(ss_probe_run(&opt, &sum, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "--concat FILE#NAME, [N,2,3,8,8]"));
    opt.concat = "noise";
    probe(&opt);
    r = open_run("concat.h5");
    read_one(r, "/inputs/x", 0, 0, 1, x);
    assert_true(x[1] != x[1 + 3 * AREA]); /* frames of their own */
    ss_run_close(r);
}

static json_t *generate(const char *name, int channels)
{
    static char model[512], output[512];
    const char *const models[] = {model};
    ss_generate_options o = ss_generate_defaults();
    ss_generate_summary sum = {0};
    char path[600];
    ss_json j;
    ss_err e = {0};

    snprintf(model, sizeof model, "%s", in_tmp("sampled"));
    snprintf(output, sizeof output, "%s", in_tmp(name));
    make_tiny(model, F, SIDE, channels, channels);
    o.models = models;
    o.n_models = 1;
    o.output = output;
    o.replace = true;
    o.each.samples = 2;
    o.each.steps = 3;
    o.each.threads = 1;
    o.each.device = test_device();
    o.each.run = in_tmp("trajectory.h5");
    o.each.replace_run = true;
    if (ss_generate_run(&o, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_table_release(&sum.table);
    snprintf(path, sizeof path, "%s/generate.json", output);
    assert_int_equal(ss_json_load(&j, path, &e), SS_OK);
    json_t *root = json_incref(j.root);
    ss_json_release(&j);
    return root;
}

static void test_samples_are_strips_of_frames(void **state)
{
    (void)state;
    json_t *j = generate("samples", 1);
    ss_image im;
    ss_err e = {0};

    assert_int_equal(json_integer_value(json_object_get(j, "frames")), F);
    assert_int_equal(ss_image_read_png(in_tmp("samples/01-sampled/0001.png"), &im, &e), SS_OK);
    assert_true(im.h == SIDE && im.w == F * SIDE);
    ss_image_release(&im);
    json_decref(j);
    char *page = NULL;
    assert_int_equal(ss_file_read(in_tmp("samples/player.html"), 1 << 20, &page, NULL, &e), SS_OK);
    assert_non_null(strstr(page, "{\"title\":\"01-sampled\",\"frames\":"));
    assert_non_null(strstr(page, "[\"01-sampled/0001.png\"]"));
    ss_free(page);

    ss_run *r = open_run("trajectory.h5");
    ss_run_shape shape;
    assert_true(ss_run_has_pictures(r, "/outputs/denoised", &shape));
    assert_true(shape.rank == 4 && shape.dim[0] == F);
    ss_run_close(r);
}

static void test_latents_have_frames(void **state)
{
    (void)state;
    ss_array a;
    char spec[600];
    ss_err e = {0};

    json_decref(generate("latents", 4));
    snprintf(spec, sizeof spec, "%s#latents", in_tmp("latents/01-sampled/latents.safetensors"));
    assert_int_equal(ss_safetensors_load_f32(spec, &a, &e), SS_OK);
    assert_int_equal(a.rank, 5);
    assert_true(a.dim[0] == 2 && a.dim[1] == 4 && a.dim[2] == F && a.dim[4] == SIDE);
    ss_array_release(&a);
}

/* Each frame is a map; its cosine is to the same frame of the other samples. */
static void test_each_frame_is_a_map(void **state)
{
    (void)state;
    enum { N = AREA * TINY_WIDTH, ALL = 3 * SAMPLES };
    static float x[ALL][F * N];
    ss_run *r = open_run("run.h5");
    const ss_map_shape shape = {SIDE, SIDE, AREA, TINY_WIDTH};
    const ss_blob_row *row = NULL;
    double want[SS_N_BLOBS], sum[N];
    ss_sites sites;
    ss_blobs b;
    ss_table t;
    ss_err e = {0};

    assert_int_equal(ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, &e), SS_OK);
    assert_int_equal(ss_blobs_find(r, &sites, &b, &e), SS_OK);
    for (int i = 0; i < b.n; i++)
        if (strcmp(r->modules[b.rows[i].module], "up_blocks.0") == 0)
            row = &b.rows[i];
    assert_non_null(row);
    assert_int_equal(row->frames, F);
    assert_int_equal(row->n_maps, F * SAMPLES);
    for (int i = 0; i < ALL; i++)
        read_one(r, "/activations/up_blocks.0", i / SAMPLES, 1, i % SAMPLES, x[i]);
    for (int f = 0; f < F; f++) {
        memset(sum, 0, sizeof sum);
        for (int i = 0; i < ALL; i++)
            for (int k = 0; k < N; k++)
                sum[k] += x[i][f * N + k];
        for (int i = 0; i < ALL; i++) {
            const float *got = ss_blob_values(r, row, i / SAMPLES, 1, i % SAMPLES * F + f),
                        *map = x[i] + f * N;

            assert_int_equal(ss_blob_measure(map, &shape, want, &e), SS_OK);
            assert_true(got[SS_BLOB_RANK] == (float)want[SS_BLOB_RANK]);
            assert_true(got[SS_BLOB_LOW] == (float)want[SS_BLOB_LOW]);
            assert_true(got[SS_BLOB_COSINE] == (float)ss_blob_cosine(map, sum, N));
        }
    }
    assert_int_equal(ss_blobs_table(r, &b, 99, &t, &e), SS_OK);
    assert_string_equal(json_string_value(json_array_get(json_array_get(t.rows, 0), 1)), "3x8x8x8");
    ss_table_release(&t);
    ss_blobs_release(&b);
    ss_sites_release(&sites);
    ss_run_close(r);
}

static char *report(const char *const *runs, int n, const char *samples, const char *name)
{
    static char folder[512];
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    char path[600], *page;
    ss_err e = {0};

    snprintf(folder, sizeof folder, "%s", in_tmp(name));
    opt.runs = runs;
    opt.n_runs = n;
    opt.folder = folder;
    opt.samples = samples;
    opt.replace = true;
    if (ss_report_write(&opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    snprintf(path, sizeof path, "%s/index.html", folder);
    assert_int_equal(ss_file_read(path, 64 << 20, &page, NULL, &e), SS_OK);
    return page;
}

static int width_of(const char *name)
{
    ss_image im;
    ss_err e = {0};

    if (ss_image_read_png(in_tmp(name), &im, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const int w = im.w;
    ss_image_release(&im);
    return w;
}

/* Tiles are of 8 x 8 pixels, repeated up to half the side of pictures', with gaps of 2. */
static int tiles_wide(int n, int side)
{
    return n * (side + 2) - 2;
}

static void test_reports_show_frames(void **state)
{
    (void)state;
    char run[512], samples[512], *page;
    const char *const runs[] = {run};

    json_decref(generate("samples", 1));
    snprintf(run, sizeof run, "%s", in_tmp("run.h5"));
    snprintf(samples, sizeof samples, "%s", in_tmp("samples"));
    page = report(runs, 1, samples, "report");
    static const char say[] = "Each is a video of 3 frames; from left to right, frame 1, 2 and 3.";
    int n = 0;
    for (const char *at = page; (at = strstr(at, say)); at++)
        n++;
    assert_true(n >= 4); /* inputs, player, samples, and a module's maps */
    ss_free(page);
    assert_int_equal(width_of("report/inputs-1.png"), tiles_wide(2 * F, 48)); /* 2 noise levels */
    assert_int_equal(width_of("report/frame-00.png"), tiles_wide(3 * F, 32)); /* 3 inputs */
    assert_int_equal(width_of("report/maps-01-1.png"), tiles_wide(3 * F, 48));
    assert_int_equal(width_of("report/samples-1.png"), tiles_wide(2 * F, 56));
}

static void test_reports_refuse_other_frames(void **state)
{
    (void)state;
    static char text[4096];
    char path[600];
    size_t n;
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    char run[512], samples[512], folder[512];
    const char *const runs[] = {run};
    ss_err e = {0};

    json_decref(generate("samples", 1));
    snprintf(path, sizeof path, "%s", in_tmp("samples/generate.json"));
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = 0;
    char *at = strstr(text, "\n \"frames\": 3"); /* not the model's */
    assert_non_null(at);
    at[strlen("\n \"frames\": ")] = '5';
    rewind(f);
    fwrite(text, 1, n, f);
    fclose(f);
    snprintf(run, sizeof run, "%s", in_tmp("run.h5"));
    snprintf(samples, sizeof samples, "%s", in_tmp("samples"));
    snprintf(folder, sizeof folder, "%s", in_tmp("refused"));
    opt.runs = runs;
    opt.n_runs = 1;
    opt.folder = folder;
    opt.samples = samples;
    assert_int_equal(ss_report_write(&opt, &sum, &e), SS_FORMAT);
    assert_non_null(
        strstr(e.msg, "0000.png: a picture of 24 pixels in width cannot be 5 frames side by side"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_run_holds_what_the_network_saw),
        cmocka_unit_test(test_inventory_has_frames),
        cmocka_unit_test(test_spectra_are_means_over_frames),
        cmocka_unit_test(test_statistics_are_over_all_frames),
        cmocka_unit_test(test_bundles_replay),
        cmocka_unit_test(test_concat_channels_have_frames),
        cmocka_unit_test(test_samples_are_strips_of_frames),
        cmocka_unit_test(test_latents_have_frames),
        cmocka_unit_test(test_each_frame_is_a_map),
        cmocka_unit_test(test_reports_show_frames),
        cmocka_unit_test(test_reports_refuse_other_frames),
    };
    return cmocka_run_group_tests(tests, make_all, remove_tmp);
}
