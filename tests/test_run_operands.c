/* test_run_operands.c - run files in the place of checkpoints: bisect and analyze */
#include "runfile/run_file.h"
#include "tests/run_training.h"
#include "tests/ss_command.h"

#define GOOD "demo/fashion-mnist/step-00250"
#define BAD "demo/fashion-mnist/step-06000"
#define QUICK " --threads 1 --class 3 --samples 1 --sigmas 0.5,80 --inputs noise:white "
#define FAIL " --fail 'absmax(up_blocks.*) > 240' "

static void make_runs(void)
{
    expect("probe " GOOD " -o $D/a.h5 --force --quiet" QUICK, 0, NULL);
    expect("probe " BAD " -o $D/b.h5 --force --quiet" QUICK, 0, NULL);
}

static void test_bisect_runs(void **state)
{
    (void)state;
    make_runs();
    expect("bisect $D/b.h5 $D/a.h5" FAIL, 3, "BAD since /tmp/");
    assert_non_null(strstr(output, "b.h5: up_blocks.0.upsamplers.0.conv at sigma 80, noise:white, "
                                   "sample 0: "));
    assert_non_null(strstr(output, "; good before: /tmp/"));
    assert_non_null(strstr(output, "(0 probed, 0 kept runs, 2 run files given)"));
    assert_non_null(strstr(output, "order: training step")); /* of the models' paths */
    assert_null(strstr(output, "warning"));
    expect("bisect $D/a.h5 --fail 'overflow(fp16)'", 0,
           "GOOD: 1 of 1 checkpoints tried, none is bad; nearest in /tmp/");
    assert_non_null(strstr(output, ", of 65504 (fp16)."));
    expect("bisect $D/a.h5 $D/b.h5 --steps 9,3" FAIL, 3, "some after it are good again.");
    expect("bisect $D/a.h5 $D/b.h5 --json" FAIL, 3,
           "\"module\": \"up_blocks.0.upsamplers.0.conv\"");
    assert_non_null(strstr(output, "\"limit\": 240"));
    assert_non_null(strstr(output, "\"last_good_step\": 250"));
    expect("bisect $D/a.h5 $D/b.h5 --save-bundle $D/bundle" FAIL, 3, "bundle/replay.sh " BAD "\n");
    assert_int_equal(system("test ! -e .sigmascope-bisect"), 0);
    /* where no run is kept, the next command takes the checkpoint */
    expect("bisect " GOOD " " BAD " --cache $D/none --cache-limit 0" FAIL QUICK, 3,
           "\nsigmascope analyze " BAD "\n");
    assert_null(strstr(output, "sigmascope compare"));
    assert_non_null(strstr(output, "kept 0 runs, 0 bytes"));
}

/* A run of another program, by its hooks: no ports, no plan. */
static void test_foreign(void **state)
{
    (void)state;
#define FOREIGN "tests/golden/outsider.h5"
    expect("bisect " FOREIGN " --fail 'absmax(*) > 1e-3'", 3, "BAD since " FOREIGN ": ");
    expect("bisect " FOREIGN " --fail 'absmax(*) > 1e9'", 0, "GOOD: 1 of 1 checkpoints tried");
    expect("bisect " FOREIGN " --fail 'overflow(fp16)' --fail 'max_logit(*) > 1'", 2,
           "the run has no attention statistics");
    expect("bisect " FOREIGN " --fail 'absmax(*) > 1e-3' --save-bundle $D/f", 2,
           "--save-bundle needs the checkpoint, and it is not where it was");
    make_runs();
    expect("bisect " FOREIGN " $D/b.h5" FAIL, 3, "warning: ");
    assert_non_null(strstr(output, ": it has other noise levels"));
}

/* Run files and checkpoints: what is probed has to show the same. */
static void test_mixed(void **state)
{
    (void)state;
    make_runs();
    expect("bisect " GOOD " $D/b.h5 --cache $D/kept" FAIL QUICK, 3,
           "(1 probed, 0 kept runs, 1 run files given)");
    expect("bisect " GOOD " $D/b.h5 --cache $D/kept" FAIL QUICK "--samples 2", 2,
           "--samples is 2, the run has 1; give bisect the options of the run file, or run files "
           "alone");
    expect("probe " BAD " -o $D/c.h5 --force --quiet" QUICK "--samples 2", 0, NULL);
    expect("bisect $D/a.h5 $D/c.h5" FAIL, 3, "warning: ");
    assert_non_null(strstr(output, "a.h5 does not show the same as the run /tmp/"));
}

static void test_lacks(void **state)
{
    (void)state;
    make_runs();
    expect("bisect $D/a.h5 --fail 'loss() > 1'", 2,
           "--inputs images:, idx: or tensor: give it; `sigmascope probe '" GOOD
           "' -o RUN.h5` with that option makes a run that has it");
    expect("probe " BAD " -o $D/gone.h5 --force --quiet" QUICK, 0, NULL);
    run("--version; cp -r " BAD " $D/moved; ${SIGMASCOPE:-build/sigmascope} probe $D/moved -o "
        "$D/gone.h5 --force --quiet" QUICK "; rm -r $D/moved");
    expect("bisect $D/gone.h5 --save-bundle $D/no" FAIL, 2,
           "--save-bundle needs the checkpoint, and it is not where it was when the run was made");
    expect("bisect $D/gone.h5 --minimal-fp32 e4m3" FAIL, 2, "--minimal-fp32 needs the checkpoint");
    write_file(in_tmp("broken.h5"), "\x89HDF\r\n\x1a\n and more", 17);
    expect("bisect $D/a.h5 $D/broken.h5" FAIL, 0, "broken.h5 cannot be read and is skipped");
    expect("bisect $D/broken.h5" FAIL, 1, "broken.h5");
}

/* A training's own run: its steps take the place of checkpoints. */
static void test_training_steps(void **state)
{
    (void)state;
    const ss_run_spec spec = trn_spec();
    ss_run_writer *w;
    ss_err e = {0};

    if (ss_run_create(in_tmp("statistics.h5"), &spec, true, &w, &e) != SS_OK ||
        trn_continue(w, 0, TRN_STEPS, true, &e) != SS_OK || ss_run_finish(w, &e) != SS_OK)
        fail_msg("%s", e.msg);
    expect("bisect $D/statistics.h5 --fail 'overflow(fp8-e4m3)'", 3,
           "BAD since step 2000 of /tmp/");
    assert_non_null(strstr(output, "statistics.h5: up_blocks.0 at sigma 10, sample 0: "));
    assert_non_null(strstr(output, "over 448 (fp8-e4m3) by a factor of 1.59"));
    assert_non_null(strstr(output, "good before: step 1000 of /tmp/"));
    expect(
        "bisect $D/statistics.h5 --fail 'nonfinite(*)'", 3,
        "up_blocks.1 at sigma 10, sample 0: 7 values are inf or NaN; good before: step 1000 of ");
    assert_non_null(strstr(output, "6 of 6 steps tried"));
    expect("bisect $D/statistics.h5 --fail 'loss() > 9'", 3,
           ": inf or NaN (loss() > 9); good before");
    expect("bisect $D/statistics.h5 --fail 'absmax(mid_block) > 99'", 0,
           "GOOD: 6 of 6 steps tried");
    expect("bisect $D/statistics.h5 --fail 'absmax(up_blocks.0, sigma<1) > 100'", 3,
           "BAD since step 1000 of /tmp/");
    assert_non_null(strstr(output, "up_blocks.0 at sigma 0.1, sample 1: 112.47 (absmax("));
    assert_non_null(strstr(output, "good before: step 500 of /tmp/"));
    expect("bisect $D/statistics.h5 --fail 'absmax(*, sigma>10) > 9'", 2,
           "no sample there has such a noise level; they have sigma 0.1 to 10");
    expect("bisect $D/statistics.h5 --fail 'nonfinite(*, sigma<10)'", 0,
           "GOOD: 6 of 6 steps tried");
    expect("bisect $D/statistics.h5 --fail 'entropy(*) < 1'", 2, "no attention statistics");
    expect("bisect $D/statistics.h5 --fail 'nonfinite(*)' --json", 3, "\"step\": 2000");
    expect("bisect $D/statistics.h5 --check true", 2, "no checkpoints for --check");
    expect("bisect $D/statistics.h5 --fail 'nonfinite(*)' --minimal-fp32 fp16", 2,
           "is the run of a training");
    expect("bisect $D/statistics.h5 $D/a.h5 --fail 'nonfinite(*)'", 2, "is a training run");
}

/* `analyze` of checkpoints probes them first, and the second time takes the kept runs. */
static void test_analyze_checkpoints(void **state)
{
    (void)state;
    static const char text[] = "shape";
#define THERE "cd $D/inside && S=$OLDPWD/${SIGMASCOPE:-build/sigmascope} && O=$OLDPWD && "
    run("--version; mkdir -p $D/inside");
    assert_int_equal(run("--version; " THERE "$S analyze $O/" BAD " --threads 1 --top 1"), 0);
    assert_non_null(strstr(output, BAD " is a checkpoint: analyzing its run .sigmascope-bisect/"));
    assert_non_null(strstr(output, "probed with the default plan; `sigmascope probe '"));
    assert_non_null(strstr(output, "\ngrowth\n"));
    assert_int_equal(run("--version; " THERE "$S analyze $O/" GOOD " $O/" BAD " --threads 1"), 0);
    assert_non_null(strstr(output, "kept from before; `sigmascope probe '"));
    assert_non_null(strstr(output, "forecast fp16"));
    assert_non_null(strstr(output, "kept 2 runs, "));
    assert_int_equal(run("--version; " THERE "mkdir two && ln -s $O/" GOOD " $O/" BAD " two && "
                         "$S analyze two --threads 1"),
                     0);
    assert_non_null(strstr(output, "note: 2 checkpoints, from two/step-00250 to two/step-06000"));
    assert_non_null(strstr(output, "forecast fp16"));
    assert_int_equal(run("--version; " THERE "$S analyze $O/" BAD " two/step-06000 --threads 1"),
                     2);
    /* the same runs serve bisect */
    assert_int_equal(
        run("--version; " THERE "$S bisect $O/" GOOD " --threads 1 --fail 'nonfinite()'"), 0);
    assert_non_null(strstr(output, "(0 probed, 1 kept runs)"));
    write_file(in_tmp("inside/letter"), text, sizeof text);
    expect("analyze $D/inside/letter", 1, "letter: not a readable HDF5 file");
    expect("analyze " GOOD " --by-input --steps 1", 2, "--steps is for several");
    assert_int_equal(run("--version; " THERE "$S analyze $O/tests/golden/unets/sd15"), 2);
    assert_non_null(strstr(output, "with that option, then analyze RUN.h5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bisect_runs),    cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_mixed),          cmocka_unit_test(test_lacks),
        cmocka_unit_test(test_training_steps), cmocka_unit_test(test_analyze_checkpoints),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
