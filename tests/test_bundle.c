/* test_bundle.c - a saved finding, replayed by its own script, gives the numbers that it expects:
 * plain, and under emulation with a change to the network
 */
#include "base/mem.h"
#include "models/file/safetensors.h"
#include "probe/bundle.h"
#include "probe/probe.h"
#include "tests/made_model.h"
#include "tests/ss_tmp.h"

#include <jansson.h>
#include <sys/stat.h>

typedef struct {
    const char *path, *module;
    int class_label;
} model;

static const model fashion = {"demo/fashion-mnist/step-06000", "up_blocks.0.upsamplers.0.conv", 4};
/* Three channels, and takes sigma for a timestep; a field that is not square. */
static const model score = {"tests/golden/unets/ncsnpp", "conv_in", -1};
static const model oblong = {"tests/golden/unets/center-scale-nonsquare", "conv_in", -1};

static ss_run *probe(const char *name, const model *m, const ss_changes_options *changes)
{
    static const char *const inputs[] = {"constant:0", "noise:pink"};
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary summary;
    ss_run *r = NULL;
    ss_err e = {0};

    opt.network.model = m->path;
    opt.network.changes = *changes;
    opt.output = in_tmp(name);
    opt.sigmas = "0.5,20";
    opt.inputs = inputs;
    opt.n_inputs = N_OF(inputs);
    opt.samples = 3;
    opt.class_label = m->class_label;
    opt.arithmetic = "f32"; /* which the script repeats */
    opt.threads = 1;
    if (ss_probe_run(&opt, &summary, &e) != SS_OK || ss_run_open(opt.output, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static int find_module(const ss_run *r, const char *path)
{
    for (int m = 0; m < r->n_modules; m++) {
        if (strcmp(r->modules[m], path) == 0)
            return m;
    }
    fail_msg("no module %s", path);
    return -1;
}

/* A shell command; the test fails where it does. */
static void shell(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s failed", command);
}

/* The same, with $D for the folder of the tests. */
static void shell_in_tmp(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line, "D=%s; %s", tmp_dir, command);
    shell(line);
}

/* Moves the bundle, checks that nothing in it knows this machine, and runs its script as a user
 * does. What it prints is in $tmp_dir/out. */
static ss_run *replay(const char *dir, const char *checkpoint)
{
    const char *program = getenv("SIGMASCOPE");
    char command[2048], path[600], here[400],
        *full = realpath(program ? program : "build/sigmascope", NULL);
    ss_run *r = NULL;
    ss_err e = {0};

    assert_non_null(full);
    assert_non_null(getcwd(here, sizeof here));
    snprintf(command, sizeof command,
             "rm -rf %s/moved && cp -r %s %s/moved && ! grep -rlF -e %s -e %s %s/moved", tmp_dir,
             dir, tmp_dir, here, tmp_dir, tmp_dir);
    shell(command);
    snprintf(command, sizeof command,
             "SIGMASCOPE='%s' sh %s/moved/replay.sh %s >%s/out 2>&1 || ! cat %s/out", full, tmp_dir,
             checkpoint, tmp_dir, tmp_dir);
    shell(command);
    free(full);
    snprintf(path, sizeof path, "%s/moved/replay.h5", tmp_dir);
    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

static void compare(ss_run *again, const model *m, const char *dir, const char *stat)
{
    char path[600];
    const float *x;
    ss_err e = {0};
    double worst = 0;

    snprintf(path, sizeof path, "%s/expected.json", dir);
    json_t *want = json_load_file(path, 0, NULL);
    const json_t *list = json_object_get(want, stat);
    assert_int_equal(json_array_size(list), again->n_samples);
    assert_int_equal(ss_run_stat(again, stat, &x, &e), SS_OK);
    for (int n = 0; n < again->n_samples; n++) {
        const double v = json_real_value(json_array_get(list, (size_t)n));
        const double got = x[ss_run_at(again, find_module(again, m->module),
                                       ss_run_port(again, "output"), 0, 0, n)];

        assert_true(v > 0.01);
        worst = fmax(worst, fabs(got / v - 1));
    }
    assert_true(worst < 1e-5); /* worst seen: 2e-9 */
    json_decref(want);
}

static bool has_scheduler(const model *m)
{
    char path[600];

    snprintf(path, sizeof path, "%s/scheduler/scheduler_config.json", m->path);
    return access(path, F_OK) == 0;
}

static void check(const char *name, const model *m, const ss_changes_options *changes)
{
    char run_name[32];
    ss_err e = {0};

    snprintf(run_name, sizeof run_name, "%s.h5", name);
    ss_run *r = probe(run_name, m, changes), *again;
    const char *dir = in_tmp(name);

    if (ss_bundle_write(r, dir, false, find_module(r, m->module), ss_run_port(r, "output"),
                        (ss_bundle_place){1, 1, -1}, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const int n = count_files(dir);
    assert_int_equal(n, 5 + has_scheduler(m) + !changes->n_interventions);
    again = replay(dir, m->path);
    assert_string_equal(again->precision, r->precision);
    assert_non_null(strstr(again->device, ", arithmetic f32"));
    compare(again, m, dir, "absmax");
    compare(again, m, dir, "rms");
    ss_run_close(again);
    shell_in_tmp("! grep warning $D/out && grep -q '^expected: .*, row 2: absmax' $D/out");

    assert_int_equal(ss_bundle_write(r, dir, false, 0, 0, (ss_bundle_place){0}, NULL, &e),
                     SS_IO); /* it is there */
    assert_int_equal(ss_bundle_write(r, dir, true, find_module(r, m->module),
                                     ss_run_port(r, "output"), (ss_bundle_place){1, 0, 1}, NULL,
                                     &e),
                     SS_OK);
    again = replay(dir, m->path); /* one sample of two */
    const float *x, *y;
    assert_int_equal(again->n_samples, 1);
    assert_int_equal(ss_run_stat(r, "absmax", &x, &e), SS_OK);
    assert_int_equal(ss_run_stat(again, "absmax", &y, &e), SS_OK);
    const int in = find_module(r, m->module), out = ss_run_port(r, "output");
    const double want = x[ss_run_at(r, in, out, 1, 0, 1)];
    assert_true(fabs(y[ss_run_at(again, find_module(again, m->module), out, 0, 0, 0)] / want - 1) <
                1e-5);
    ss_run_close(again);
    assert_int_equal(count_files(dir), n);
    ss_run_close(r);
}

static void test_replays(void **state)
{
    (void)state;
    check("plain", &fashion, &(ss_changes_options){0});
    check("score", &score, &(ss_changes_options){0});
    check("oblong", &oblong, &(ss_changes_options){0});
}

static void test_replays_changes(void **state)
{
    (void)state;
    static const char *const maps[] = {"up_blocks.1=fp32", "conv_in=bf16"};
    static const char *const interventions[] = {"scale:0.5@mid_block"};

    check("changed", &fashion,
          &(ss_changes_options){.precision = "e4m3-ieee-sat",
                                .precision_maps = maps,
                                .n_precision_maps = N_OF(maps),
                                .interventions = interventions,
                                .n_interventions = N_OF(interventions)});
}

/* A class vector of two numbers is saved as a vector, each sample's its own. */
static void test_class_vector(void **state)
{
    (void)state;
    static const char config[] =
        "{\"_class_name\": \"UNet2DConditionModel\", \"sample_size\": 8, \"in_channels\": 3,"
        "\"out_channels\": 3, \"layers_per_block\": 1, \"block_out_channels\": [4, 8],"
        "\"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"],"
        "\"mid_block_type\": \"UNetMidBlock2D\", \"up_block_types\": [\"UpBlock2D\", "
        "\"UpBlock2D\"],"
        "\"norm_num_groups\": 2, \"attention_head_dim\": 4, \"class_embed_type\": \"projection\","
        "\"projection_class_embeddings_input_dim\": 2}";
    static const char *const inputs[] = {"noise:pink"};
    static float values[] = {1, -2, 3, 0.5f};
    const ss_array vectors = {.rank = 2, .dim = {2, 2}, .values = values};
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary summary;
    ss_array saved = {0};
    ss_run *r;
    ss_err e = {0};
    char embeds[600], model_dir[512];

    snprintf(model_dir, sizeof model_dir, "%s", in_tmp("vector-model"));
    make_model(model_dir, config, NULL);
    assert_int_equal(ss_safetensors_write_f32(in_tmp("vectors.safetensors"), "c", &vectors, &e),
                     SS_OK);
    snprintf(embeds, sizeof embeds, "%s/vectors.safetensors#c", tmp_dir);
    opt.network.model = model_dir;
    opt.output = in_tmp("vector.h5");
    opt.sigmas = "1";
    opt.inputs = inputs;
    opt.n_inputs = 1;
    opt.samples = 2;
    opt.class_embeds = embeds;
    opt.threads = 1;
    if (ss_probe_run(&opt, &summary, &e) != SS_OK || ss_run_open(opt.output, &r, &e) != SS_OK ||
        ss_bundle_write(r, in_tmp("vector"), false, find_module(r, "conv_out"),
                        ss_run_port(r, "output"), (ss_bundle_place){0, 0, -1}, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    snprintf(embeds, sizeof embeds, "%s/vector/input.safetensors#class_labels", tmp_dir);
    if (ss_safetensors_load_f32(embeds, &saved, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_true(saved.rank == 2 && saved.dim[0] == 2 && saved.dim[1] == 2);
    assert_memory_equal(saved.values, values, sizeof values);
    ss_array_release(&saved);
    ss_run *again = replay(in_tmp("vector"), model_dir);
    compare(again, &(model){model_dir, "conv_out", -1}, in_tmp("vector"), "rms");
    ss_run_close(again);
    ss_run_close(r);
}

/* Another checkpoint, or none, is said; the label of an input has no folders of this machine. */
static void test_says_what_differs(void **state)
{
    (void)state;
    static const char *const inputs[] = {"lowpass:0.2:tensor:/tmp/ss-bundle/deep/x.safetensors#x"};
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary summary;
    ss_run *r;
    ss_err e = {0};

    shell("rm -rf /tmp/ss-bundle && mkdir -p /tmp/ss-bundle/deep");
    float values[28 * 28 * 3] = {0};
    const ss_array x = {.rank = 4, .dim = {1, 1, 28, 28}, .values = values};
    assert_int_equal(ss_safetensors_write_f32("/tmp/ss-bundle/deep/x.safetensors", "x", &x, &e),
                     SS_OK);
    opt.network.model = fashion.path;
    opt.network.height = opt.network.width = 28;
    opt.class_label = 4;
    opt.output = in_tmp("far.h5");
    opt.sigmas = "0.5";
    opt.inputs = inputs;
    opt.n_inputs = 1;
    opt.samples = 1;
    opt.threads = 1;
    opt.command = "sigmascope probe /tmp/ss-bundle/deep/x.safetensors";
    if (ss_probe_run(&opt, &summary, &e) != SS_OK || ss_run_open(opt.output, &r, &e) != SS_OK ||
        ss_bundle_write(r, in_tmp("far"), false, find_module(r, "conv_in"),
                        ss_run_port(r, "output"), (ss_bundle_place){0, 0, 0}, "Found in a test.",
                        &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_run_close(r);
    shell("rm -rf /tmp/ss-bundle");
    shell_in_tmp("! grep -r ss-bundle $D/far && grep -q 'lowpass:0.2:tensor:x.safetensors#x' "
                 "$D/far/README.md && "
                 "grep -qx 'Found in a test.' $D/far/README.md");
    ss_run_close(replay(in_tmp("far"), "demo/fashion-mnist/step-00250"));
    shell_in_tmp("grep -q 'warning: demo/fashion-mnist/step-00250 is not the checkpoint' $D/out");
    ss_run_close(replay(in_tmp("far"), "demo/fashion-mnist/step-06000/unet"));
    shell_in_tmp("! grep warning $D/out");
    shell_in_tmp("sh $D/far/replay.sh 2>$D/out; test $? = 2 && grep -q 'usage: sh replay.sh "
                 "CHECKPOINT$' $D/out");
}

static void test_leaves_others_alone(void **state)
{
    (void)state;
    ss_run *r = probe("other.h5", &fashion, &(ss_changes_options){0});
    ss_err e = {0};

    mkdir(in_tmp("other"), 0755);
    write_file(in_tmp("other/letter"), "x", 1);
    assert_int_equal(
        ss_bundle_write(r, in_tmp("other"), true, 0, 0, (ss_bundle_place){0}, NULL, &e), SS_IO);
    assert_int_equal(count_files(in_tmp("other")), 1);
    ss_run_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_replays_changes),
        cmocka_unit_test(test_class_vector),
        cmocka_unit_test(test_says_what_differs),
        cmocka_unit_test(test_leaves_others_alone),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
