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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, open_folders, remove_tmp);
}
