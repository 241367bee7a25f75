/* test_chain.c - videos made in stages: the file that says them, and what they leave
 *
 * Networks are of tests/tiny_video.h.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/png.h"
#include "probe/chain.h"
#include "probe/frames.h"
#include "probe/generate.h"
#include "runfile/run_reader.h"
#include "tests/ss_tmp.h"
#include "tests/tiny_video.h"

#include <sys/stat.h>

enum { F = 4, SIDE = 8 };

static int set_up(void **state)
{
    char path[512];

    if (make_tmp(state) != 0)
        return -1;
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    snprintf(path, sizeof path, "%s", in_tmp("base"));
    make_tiny(path, F, SIDE, 1, 1);
    snprintf(path, sizeof path, "%s", in_tmp("given"));
    make_model(path,
               "{\"_class_name\": \"TinyVideoModel\", \"frames\": 4, \"sample_size\": 8, "
               "\"in_channels\": 3, \"out_channels\": 1, \"reference\": true}",
               NULL);
    snprintf(path, sizeof path, "%s", in_tmp("large"));
    make_model(path,
               "{\"_class_name\": \"TinyVideoModel\", \"frames\": 4, \"sample_size\": 16, "
               "\"in_channels\": 3, \"out_channels\": 1, \"reference\": true}",
               NULL);
    return 0;
}

#define BASE "{\"mode\": \"base\", \"model\": \"base\", \"steps\": 3, \"sampler\": \"ddim\"}"

static void write_chain(const char *text)
{
    write_file(in_tmp("chain.json"), text, strlen(text));
}

static ss_code run(const char *out, bool replace, ss_table *t, ss_err *e)
{
    char file[512], dir[512];

    snprintf(file, sizeof file, "%s", in_tmp("chain.json"));
    snprintf(dir, sizeof dir, "%s", in_tmp(out));
    const ss_chain_options o = {.file = file,
                                .output = dir,
                                .replace = replace,
                                .threads = 1,
                                .device = test_device(),
                                .arithmetic = "auto",
                                .command = "sigmascope generate --chain"};
    return ss_chain_run(&o, t, e);
}

static void assert_frames(const char *dir, int frames, int side)
{
    ss_frames f;
    ss_err e = {0};

    if (ss_frames_read(in_tmp(dir), &f, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(f.videos, 2);
    assert_int_equal(f.frames, frames);
    assert_int_equal(f.height, side);
    assert_int_equal(f.width, side);
    ss_frames_release(&f);
}

static void test_stages(void **state)
{
    (void)state;
    ss_table t = {0};
    ss_err e = {0};
    ss_run *r;

    write_chain(
        "{\"samples\": 2, \"seed\": 5, \"stages\": [" BASE ", "
        "{\"mode\": \"extrapolate\", \"model\": \"given\", \"steps\": 2, \"keep\": 2, "
        "\"length\": 7}, "
        "{\"mode\": \"interpolate\", \"model\": \"given\", \"steps\": 2, \"name\": \"more\", "
        "\"probe\": true}, "
        "{\"mode\": \"upscale\", \"model\": \"large\", \"steps\": 2, \"overlap\": 1}, "
        "{\"mode\": \"refine\", \"model\": \"base\", \"steps\": 4, \"strength\": 0.5, "
        "\"frames\": 4, \"overlap\": 0}]}");
    if (run("out", false, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(json_array_size(t.rows), 5);
    ss_table_release(&t);
    assert_frames("out/01-base", 4, SIDE);
    assert_frames("out/02-extrapolate", 7, SIDE);
    assert_frames("out/03-more", 13, SIDE);
    assert_frames("out/04-upscale", 13, 2 * SIDE);
    assert_frames("out/05-refine", 13, SIDE);
    assert_true(ss_file_exists(in_tmp("out/03-more/01-given/0001/0012.png")));
    assert_true(ss_file_exists(in_tmp("out/player.html")));
    assert_false(ss_file_exists(in_tmp("out/02-extrapolate/run.h5")));
    assert_int_equal(ss_run_open(in_tmp("out/03-more/run.h5"), &r, &e), SS_OK);
    assert_int_equal(r->n_samples, 2 * 6);
    ss_run_close(r);

    /* 10 rows of 13 frames of 16 pixels, enlarged 6 times, with gaps of 2 */
    ss_image sheet;
    assert_int_equal(ss_image_read_png(in_tmp("out/sheet.png"), &sheet, &e), SS_OK);
    assert_int_equal(sheet.h, 2 + 10 * (6 * 16 + 2));
    assert_int_equal(sheet.w, 4 + 6 * 16 * 13);
    ss_image_release(&sheet);

    /* the same again; and nothing is replaced unasked */
    assert_int_equal(run("out", false, &t, &e), SS_IO);
    ss_table_release(&t);
    assert_int_equal(run("again", false, &t, &e), SS_OK);
    ss_table_release(&t);
    char a[65], b[65];
    assert_int_equal(ss_sha256_file(in_tmp("out/sheet.png"), a, &e), SS_OK);
    assert_int_equal(ss_sha256_file(in_tmp("again/sheet.png"), b, &e), SS_OK);
    assert_string_equal(a, b);
}

/* A stage that fails is named, and leaves no folder. */
static void test_failing_stage(void **state)
{
    (void)state;
    ss_table t = {0};
    ss_err e = {0};

    write_chain("{\"samples\": 2, \"stages\": [" BASE ", {\"mode\": \"interpolate\", \"model\": "
                "\"base\"}]}");
    assert_int_equal(run("none", false, &t, &e), SS_USAGE);
    ss_table_release(&t);
    if (!strstr(e.msg, "stage 2 (interpolate): ") || !strstr(e.msg, "takes no frames"))
        fail_msg("%s", e.msg);
    assert_false(ss_is_dir(in_tmp("none")));
}

static void expect_refused(const char *text, const char *says)
{
    ss_chain k;
    ss_err e = {0};

    assert_int_not_equal(ss_chain_parse("c.json", text, strlen(text), ".", &k, &e), SS_OK);
    if (!strstr(e.msg, says))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, e.msg, says);
}

#define STAGE(more) "{\"stages\": [" BASE ", {\"model\": \"m\", " more "}]}"

static void test_refused(void **state)
{
    (void)state;
    expect_refused("{}", "\"stages\" is missing; expected a list of 1 to 32 stages");
    expect_refused("{\"stages\": []}", "expected a list of 1 to 32 stages");
    expect_refused("{\"stages\": [3]}", "c.json: stage 1 is no object");
    expect_refused("{\"stages\": [" BASE "], \"step\": 3}", "\"step\" is 3; no such key");
    expect_refused("{\"stages\": [" BASE "], \"classes\": [\"a\"]}",
                   "expected a list of whole numbers");
    expect_refused("{\"stages\": [" BASE "], \"fps\": 0}", "\"fps\" is 0; expected more than 0");
    expect_refused("{\"stages\": [{\"model\": \"m\"}]}",
                   "c.json: stage 1: \"mode\" is missing; expected base");
    expect_refused("{\"stages\": [{\"mode\": \"base\"}]}", "\"model\" is missing");
    expect_refused("{\"stages\": [{\"mode\": \"upscale\", \"model\": \"m\"}]}",
                   "the first stage is base");
    expect_refused(STAGE("\"mode\": \"base\""),
                   "stage 2: \"mode\" is \"base\"; later stages go on");
    expect_refused(STAGE("\"mode\": \"wave\""), "stage 2: \"mode\" is \"wave\"");
    expect_refused(STAGE("\"mode\": \"upscale\", \"keep\": 2"),
                   "\"keep\" is 2; mode \"upscale\" has no use for it");
    expect_refused(STAGE("\"mode\": \"extrapolate\""), "\"keep\" is missing");
    expect_refused(STAGE("\"mode\": \"refine\""), "expected a number between 0 and 1");
    expect_refused(
        STAGE("\"mode\": \"upscale\", \"stpes\": 2"),
        "stage 2: \"stpes\" is 2; no such key - did you mean 'steps'?; known ones: mode");
    expect_refused(STAGE("\"mode\": \"upscale\", \"steps\": 0"), "expected 1 to 65536");
    expect_refused(STAGE("\"mode\": \"upscale\", \"name\": \"../x\""), "\"name\" is \"../x\"");
    expect_refused(STAGE("\"mode\": \"upscale\", \"negative_class\": 3"), "without \"guidance\"");
    expect_refused(STAGE("\"mode\": \"upscale\", \"negative_prompts\": [3], \"guidance\": 2"),
                   "expected a list of texts");
    expect_refused(STAGE("\"mode\": \"upscale\", \"sampler\": \"dpm\""), "\"sampler\" is \"dpm\"");
}

static void test_file(void **state)
{
    (void)state;
    ss_chain k;
    ss_err e = {0};

    write_chain("{\"classes\": [3, 4, 5], \"seed\": 9, \"stages\": [" BASE
                ", {\"mode\": \"upscale\", \"model\": \"/x/up\", \"guidance\": 2, "
                "\"negative_class\": 11, \"frames\": 8, \"overlap\": 2, \"join\": \"separate\", "
                "\"sampler\": \"heun\", \"precision\": \"fp16\"}]}");
    if (ss_chain_load(in_tmp("chain.json"), &k, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(k.n, 2);
    assert_true(k.n_classes == 3 && k.classes[2] == 5 && k.seed == 9 && k.samples == 0);
    assert_string_equal(k.stage[0].model, in_tmp("base"));
    const ss_chain_stage *s = &k.stage[1];
    assert_string_equal(s->model, "/x/up");
    assert_string_equal(s->name, "upscale");
    assert_true(s->each.guidance == 2 && s->each.condition.negative_class == 11);
    assert_true(s->each.network.frames == 8 && s->each.reel.overlap == 2);
    assert_string_equal(s->each.reel.join, "separate");
    assert_true(*s->each.sampler == SS_SAMPLER_HEUN && !s->probe);
    assert_string_equal(s->each.network.changes.precision, "fp16");
    ss_chain_release(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_failing_stage),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, set_up, remove_tmp);
}
