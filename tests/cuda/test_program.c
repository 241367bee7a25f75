/* test_program.c - `--device cuda` as a user meets it: what is said where something is missing or
 * does not fit, on the emulated device
 */
#include "tests/ss_command.h"

/* The libraries of tests/cuda, or of another folder, and a setting of the fakes. */
#define DEVICE "SIGMASCOPE_CUDA_LIBRARIES=$L"

static int open_folders(void **state)
{
    char command[1300];

    if (make_tmp(state) != 0)
        return -1;
    snprintf(command, sizeof command,
             "mkdir %s/none %s/driver && ln -s $PWD/build/cuda-emulated/libcuda.so.1 %s/driver/",
             tmp_dir, tmp_dir, tmp_dir);
    return system(command);
}

/* Runs the program with settings of the environment before its name. */
static void expect_with(const char *settings, const char *args, int status, const char *text)
{
    char command[1024];
    const char *program = getenv("SIGMASCOPE");

    snprintf(command, sizeof command, "--version >$D/log; L=build/cuda-emulated; %s %s %s",
             settings, program ? program : "build/sigmascope", args);
    expect(command, status, text);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *settings, *args;
        int status;
        const char *text;
    } cases[] = {
        {"SIGMASCOPE_CUDA_LIBRARIES=$D/none", "", 1, "NVIDIA's driver cannot be opened"},
        {"SIGMASCOPE_CUDA_LIBRARIES=$D/none", "", 1, "SIGMASCOPE_CUDA_LIBRARIES is /"},
        {"SIGMASCOPE_CUDA_LIBRARIES=$D/driver", "", 1, "cuBLAS cannot be opened"},
        {DEVICE " SIGMASCOPE_CUDA_CARDS=0", "", 1, "finds no card (CUDA_VISIBLE_DEVICES"},
        {DEVICE, ":3", 2, "there is no cuda:3; cards: 1, counted from 0"},
        {DEVICE, ":x", 2, "expected a number, 0 or more, after the colon"},
        {DEVICE " SIGMASCOPE_CUDA_VERSION=11040", "", 1, "the driver is for CUDA 11.4"},
        {DEVICE " SIGMASCOPE_CUDA_CAPABILITY=61", "", 1, "has compute capability 6.1; 7.5 or more"},
        {DEVICE " SIGMASCOPE_CUDA_CAPABILITY=75", " --arithmetic tensor", 2,
         "TF32 needs 8.0 or more; leave it at auto"},
        {DEVICE " SIGMASCOPE_CUDA_MEMORY=1000000", "", 1, "is out of memory: work space of cuBLAS"},
        {DEVICE " SIGMASCOPE_CUDA_MEMORY=34000000", "", 1, "is out of memory: "},
    };
    static const char *const commands[] = {
        "probe $M -o $D/x.h5 --samples 2 --sigmas 1 --device cuda",
        "generate $M -o $D/x --samples 1 --steps 1 --device cuda",
        "bisect $M --fail 'nonfinite()' --cache $D/c --samples 2 --sigmas 1 --device cuda",
        "train train/configs/fast-16.json -o $D/t --set data.kind=shapes --set data.path=null "
        "--set data.labels=null --steps 1 --device cuda",
    };
    char args[512];

    for (size_t c = 0; c < N_OF(commands); c++) {
        for (size_t i = 0; i < N_OF(cases); i++) {
            snprintf(args, sizeof args, "%s%s", commands[c], cases[i].args);
            expect_with(cases[i].settings, args, cases[i].status, cases[i].text);
            if (!strstr(cases[i].text, "memory")) /* that comes when the file is there */
                assert_int_equal(access(in_tmp("x.h5"), F_OK), -1);
            assert_int_equal(access(in_tmp("x"), F_OK), -1);
        }
    }
}

#define QUICK " --sigmas 1 --samples 2 --quiet"
#define TRAIN                                                                               \
    "train train/configs/fast-16.json -o $D/t --set data.kind=shapes --set data.path=null " \
    "--set data.labels=null --set batch=2 --set statistics.every=1 "

/* The same numbers as the CPU's; the files say where they are from. */
static void test_runs(void **state)
{
    (void)state;
    expect_with(DEVICE, "probe $M -o $D/cpu.h5" QUICK, 0, NULL);
    expect_with(DEVICE, "probe $M -o $D/gpu.h5 --device cuda:0" QUICK, 0, NULL);
    expect_with(DEVICE, "compare $D/cpu.h5 $D/gpu.h5 --fail-over 1.0001", 0,
                "the runs differ in device");
    assert_non_null(strstr(output, "cuda:0: Emulated"));
    expect_with(DEVICE, "probe $M -o $D/cpu.h5 --resume --device cuda" QUICK, 2,
                "--device is cuda, the run has cpu");
    expect_with(DEVICE " SIGMASCOPE_CUDA_CARDS=2",
                "probe $M -o $D/gpu.h5 --resume --device cuda" QUICK, 0, NULL);
    expect_with(DEVICE,
                "probe $M -o $D/fp16.h5 --precision fp16 --arithmetic tensor --device cuda" QUICK,
                0, NULL);
    expect_with(DEVICE, "analyze $D/fp16.h5", 0, "arithmetic");
    assert_non_null(strstr(output, "tensor"));
    expect_with(DEVICE,
                "generate $M -o $D/g --samples 1 --steps 1 --probe $D/g.h5 --device cuda --quiet",
                0, NULL);
    expect_with(DEVICE, "analyze $D/g.h5", 0, "cuda");
    expect_with(DEVICE, "bisect $M --fail 'absmax(*) > 1' --cache $D/b --device cuda" QUICK, 3,
                NULL);
    expect_with(DEVICE, TRAIN "--steps 2 --device cuda --quiet", 0, NULL);
    expect_with(DEVICE, TRAIN "--steps 3 --resume", 0,
                "its steps were computed on device cuda, the next ones are on cpu");
}

static void test_selftest(void **state)
{
    (void)state;
    expect_with(DEVICE, "selftest --device cuda --quick --quiet", 0, " runs are good");
    expect_with(DEVICE, "selftest --device cuda --quick --arithmetic tensor --quiet", 0,
                " runs are good");
    expect_with(DEVICE, "selftest --device cuda --only affine --quick --speed tiny --quiet", 0,
                "product in TF32");
}

/* The script for a card, with the emulated one. */
static void test_gpu_run(void **state)
{
    (void)state;
    char command[1400];

    if (system("python3 -c 'import json' 2>/dev/null") != 0)
        skip_because("there is no python3, which writes the summary");
    snprintf(command, sizeof command,
             "tests/cuda/gpu-run --emulated --out %s/run --only hashes --limits 9 >%s/log 2>&1 || "
             "{ cat %s/log; false; }",
             tmp_dir, tmp_dir, tmp_dir);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "cd %s/run && grep -q 'hashes: good' steps.txt && grep -q 'runs are good' summary.txt "
             "&& grep -q '\"runs\"' summary.json && [ $(wc -l <summary.txt) -le 60 ]",
             tmp_dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_selftest),
        cmocka_unit_test(test_gpu_run),
    };

    return cmocka_run_group_tests(tests, open_folders, remove_tmp);
}
