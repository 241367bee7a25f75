/* test_doctor.c - `sigmascope doctor`: from models of all kinds to a verdict, by child processes */
#include "base/json.h"
#include "tests/made_model.h"
#include "tests/ss_command.h"

#include <signal.h>
#include <sys/stat.h>

#define UNETS "tests/golden/unets"
#define QUICK " --sigmas 0.5,5 --inputs noise:white --samples 1 "

static void shell(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line,
             "M=%s; D=%s; T=tests/golden/tokenizers; P=${SIGMASCOPE:-build/sigmascope}; %s", MODEL,
             tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

static void check_text(const char *text)
{
    if (!strstr(output, text))
        fail_msg("it printed\n%s\nwhich lacks \"%s\"", output, text);
}

static void check_no_text(const char *text)
{
    if (strstr(output, text))
        fail_msg("it printed\n%s\nwhich has \"%s\"", output, text);
}

/* A small network that takes pictures alone. */
static const char unconditional[] =
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 3, "
    "\"out_channels\": 3, \"block_out_channels\": [8, 8], \"layers_per_block\": 1, "
    "\"norm_num_groups\": 4, \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], "
    "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 4}";

static void make_nan(const char *name, float *values, size_t n)
{
    if (strcmp(name, "mid_block.resnets.0.conv1.weight") == 0)
        values[n / 2] = NAN;
}

/* Makes the last convolution so large that fp16 overflows. */
static void make_large(const char *name, float *values, size_t n)
{
    for (size_t i = 0; i < n && strcmp(name, "conv_out.weight") == 0; i++)
        values[i] *= 1e6F;
}

static int make_models(void **state)
{
    const int failed = make_tmp(state);

    if (failed)
        return failed;
    setenv("SIGMASCOPE_CACHE", "none", 1);
    mkdir(in_tmp("training"), 0777);
    make_model(in_tmp("plain"), unconditional, NULL);
    make_model(in_tmp("nan"), unconditional, make_nan);
    make_model(in_tmp("training/checkpoint-100"), unconditional, NULL);
    make_model(in_tmp("training/checkpoint-200"), unconditional, make_large);
    make_model(in_tmp("training/checkpoint-300"), unconditional, make_nan);
    return 0;
}

/* A healthy network: every step is said, with what was covered, and the page is there. */
static void test_healthy(void **state)
{
    (void)state;
    expect("doctor $D/plain -o $D/out --progress never", 0, "$ sigmascope inspect ");
    check_text("/plain -o ");
    check_text("all are finite");
    check_text("GOOD in fp16: ");
    check_text("inputs noise:white, grating:2,30, checker:2, noise:pink, noise:blue");
    check_text("told: nothing");
    check_no_text("--keep-fp32"); /* nothing overflows */
    check_no_text("BAD");
    check_text("\nfed ");
    check_text("\nassumed ");
    assert_non_null(strstr(output, "/out/report/index.html\n"));
    shell("test -s $D/out/report/index.html && test -s $D/out/report.html && test -s "
          "$D/out/01-inspect.txt && "
          "test -s $D/out/02-probe.txt && grep -q '^sigmascope probe ' $D/out/commands.sh");
    /* what is there is neither replaced nor forgotten */
    expect("doctor $D/plain -o $D/out", 1, "--resume goes on with it, --force replaces it");
    expect("doctor $D/plain -o $D/out --resume", 0, "[kept, took ");
    expect("doctor $D/plain -o $D/out --force --quiet" QUICK, 0, "--sigmas 0.5,5");
    check_no_text("kept, took");
    shell("mkdir $D/mine && touch $D/mine/thesis.tex");
    expect("doctor $D/plain -o $D/mine --force", 1, "so it is not ours to replace");
    shell("test -e $D/mine/thesis.tex");
}

/* The printed commands make the same runs. */
static void test_commands_repeat(void **state)
{
    (void)state;
    expect("doctor $D/plain -o $D/again --quiet" QUICK, 0, NULL);
    shell("mv $D/again/run.h5 $D/first.h5 && rm -r $D/again/report && mkdir $D/bin && "
          "ln -s $(realpath $P) $D/bin/sigmascope && PATH=$D/bin:$PATH sh $D/again/commands.sh "
          "> $D/log 2>&1");
    expect("compare $D/first.h5 $D/again/run.h5 --fail-over 1.000001", 0, NULL);
    shell("test -e $D/again/report/index.html");
}

/* NaN comes first: of one checkpoint, and the first of several. */
static void test_not_finite(void **state)
{
    (void)state;
    expect("doctor $D/nan -o $D/n --quiet" QUICK, 3, "BAD");
    check_text("mid_block.resnets.0.conv1");
    shell("sed -n 3p $D/n/commands.sh | grep -q inspect");
}

/* A training's folder: the first bad checkpoint, found by bisection, and what to keep in fp32. */
static void test_training(void **state)
{
    (void)state;
    expect("doctor $D/training -o $D/t --quiet" QUICK, 3, "first bad: ");
    check_text("checkpoint-200");
    check_text("--fail 'overflow(fp16) or nonfinite(*)'");
    check_text("BAD in fp16: ");
    check_text("also bad ");
    check_text("--keep-fp32 fp16");
    /* the page compares the bad one with the last good one */
    shell(
        "grep -c 'sigmascope report .*/t/runs/.*h5 .*/t/runs/.*h5 -o ' $D/t/commands.sh > $D/log");
    expect("doctor $D/training/checkpoint-100 $D/training/checkpoint-200 -o $D/json --json "
           "--quiet" QUICK,
           3, "\"bad\": true");
    shell("$P doctor $D/training -o $D/json --json --quiet --resume" QUICK
          "> $D/doctor-out.json; test $? = 3");
    ss_json j = {0};
    ss_err e = {0};
    if (ss_json_load(&j, in_tmp("doctor-out.json"), &e) != SS_OK)
        fail_msg("%s", e.msg);
    const json_t *steps = json_object_get(j.root, "steps");
    assert_true(json_array_size(steps) >= 6);
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(json_array_get(steps, 0), "command"), 1)),
        "inspect");
    assert_true(json_is_string(json_object_get(j.root, "report")));
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(j.root, "verdict"), "verdict")), "bad");
    assert_non_null(json_object_get(json_object_get(j.root, "verdict"), "since"));
    ss_json_release(&j);
    expect("doctor $D/training -o $D/e --quiet --format bf16" QUICK, 3, "checkpoint-300");
    check_text("NaN");
}

/* Conditions that are not at hand: stand-ins, which are said. */
static void test_conditions(void **state)
{
    (void)state;
    expect("doctor " UNETS "/sd15 -o $D/sd15" QUICK, 0, "--prompt-embeds random");
    check_text("normal random numbers for the text's states");
    check_text("told: prompt embeddings of random numbers, a stand-in");
    expect("doctor " UNETS "/sd15 -o $D/zeros --quiet --prompt-embeds zeros" QUICK, 0,
           "told: prompt embeddings of zeros, a stand-in");
    check_no_text("--prompt-embeds random");
    expect("doctor " UNETS "/tables -o $D/class --quiet" QUICK, 1, "--class 0"); /* 50 steps only */
    check_text("FAILED: time_proj: index ");
    check_text("UNKNOWN: nothing could be judged");
    expect("doctor " UNETS "/class-projection-concat -o $D/vector --quiet" QUICK, 0,
           "--class-embeds random");
    expect("doctor $M -o $D/demo --quiet --class 3" QUICK, 0, "told: class 3");
    check_no_text("--class 0");
}

/* A pipeline: every component, the denoiser told what its text encoders make. */
static void test_pipeline(void **state)
{
    (void)state;
    shell("cp -r tests/golden/pipelines/sd $D/sd && cp -r $T/clip $D/sd/tokenizer && "
          "cp $T/vocab.json $T/merges.txt $D/sd/tokenizer/");
    expect("doctor $D/sd -o $D/p --quiet --sigmas 1 --inputs noise:white --samples 1", 0,
           "/run.unet.h5");
    check_text("--components vae ");
    check_text("--components text_encoder ");
    check_text("--prompt 'a photograph of an astronaut riding a horse'");
    check_text("two prompts (--prompt TEXT gives your own)");
    /* without a tokenizer a stand-in takes the text's place, and the failure is said */
    shell("rm -r $D/sd/tokenizer");
    expect("doctor $D/sd -o $D/q --sigmas 1 --inputs noise:white --samples 1", 1, "FAILED: ");
    check_text("a stand-in takes the place of the text");
    check_text("--prompt-embeds random");
    check_text("GOOD in fp16: ");
}

/* Runs are not probed again. */
static void test_runs(void **state)
{
    (void)state;
    expect("probe $D/plain -o $D/r.h5 --quiet" QUICK, 0, NULL);
    expect("doctor $D/r.h5 -o $D/fromrun --quiet", 0, "$ sigmascope analyze ");
    check_no_text("$ sigmascope probe");
    expect("doctor $D/r.h5 $D/plain -o $D/x", 2, "one kind or the other");
}

/* A model that cannot be examined leaves no folder. */
static void test_refusals(void **state)
{
    (void)state;
    shell("mkdir $D/empty");
    expect("doctor $D/empty -o $D/x", 1, "config.json");
    expect("doctor $D/nowhere -o $D/x", 1, "nowhere");
    shell("mkdir $D/flux && echo '{\"_class_name\": \"FluxTransformer2DModel\"}' > "
          "$D/flux/config.json && touch $D/flux/diffusion_pytorch_model.safetensors");
    expect("doctor $D/flux -o $D/x", 1, "FluxTransformer2DModel");
    expect("doctor $D/plain -o $D/x --format e99m3", 2, "--format");
    expect("doctor $D/plain -o $D/x --force --resume", 2, "exclude each other");
    shell("test ! -e $D/x");
}

/* A signal ends the running step, too, and the folder can be gone on with. */
static void test_interrupted(void **state)
{
    (void)state;
    shell("$P doctor $M -o $D/cut --sigmas 0.02:80:200 --quiet > $D/log 2>&1 & pid=$!; "
          "while ! grep -q probe $D/log; do sleep 0.05; done; sleep 0.3; kill -TERM $pid; "
          "wait $pid; test $? != 0 && grep -q -- '--resume goes on' $D/log && "
          "test -e $D/cut/doctor.json && test ! -e $D/cut/02-probe.txt");
}

/* The line has a time left from the start, and ends with all steps. */
static void test_progress(void **state)
{
    (void)state;
    expect("doctor $M -o $D/progress --progress always --sigmas 0.02:80:60", 0, " left  ");
    check_text("doctor: 6/6 in ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthy),     cmocka_unit_test(test_commands_repeat),
        cmocka_unit_test(test_not_finite),  cmocka_unit_test(test_training),
        cmocka_unit_test(test_conditions),  cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_runs),        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests(tests, make_models, remove_tmp);
}
