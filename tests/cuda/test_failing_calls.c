/* test_failing_calls.c - each call of the driver and of the libraries fails once
 *
 * For k = 1, 2, 3 ... the k-th call fails (fake.h) while a small network is opened, runs forward
 * and backward with its statistics, is stepped by the optimizer and is closed. That must end with
 * an error that names the call, or succeed where the call could be done without; nothing of the
 * device may be left (the fake driver looks), and under AddressSanitizer nothing of the host.
 * CALLS=all tries every call; otherwise from some call on, some are left out.
 */
#include "kernels/context.h"
#include "tests/ss_test.h"
#include "train/trainer.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>

static const char config[] =
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 8],"
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 4,"
    " \"norm_num_groups\": 2}";
static json_t *network;

/* ss_fake_calls() of the library that is open. */
static long calls(void)
{
    char path[4096];
    long (*count)(void);

    snprintf(path, sizeof path, "%s/libcuda.so.1", getenv("SIGMASCOPE_CUDA_LIBRARIES"));
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    void *f = dlsym(library, "ss_fake_calls");
    assert_non_null(f);
    memcpy(&count, &f, sizeof f);
    const long n = count();
    dlclose(library);
    return n;
}

static ss_code train(double *loss, ss_err *e)
{
    ss_trainer_options o = ss_trainer_defaults();
    ss_trainer *t = NULL;
    ss_trainer_did did = {0};

    o.config = network;
    o.config_name = "the network";
    o.init.seed = 1;
    o.data.kind = SS_DATA_SHAPES;
    o.batch = 2;
    o.lambda = 1e-3;
    o.threads = 1;
    o.device = test_device();
    ss_code rc = ss_trainer_new(&o, &t, e);
    for (int i = 0; i < 2 && rc == SS_OK; i++)
        rc = ss_trainer_step(t, &did, e);
    ss_trainer_free(t);
    *loss = did.loss;
    return rc;
}

static void fail_at(long k)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", k);
    if (k)
        setenv("SIGMASCOPE_CUDA_FAIL", text, 1);
    else
        unsetenv("SIGMASCOPE_CUDA_FAIL");
}

static void test_every_call(void **state)
{
    (void)state;
    const char *all = getenv("CALLS");
    const long some = all && !strcmp(all, "all") ? LONG_MAX : 100;
    double want, loss;
    long failures = 0, tried = 0;
    ss_err e = {0};

    fail_at(0);
    if (train(&want, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const long n = calls();

    for (long k = 1; k <= n; k += k < some ? 1 : 1 + k / 16) {
        e = (ss_err){0};
        fail_at(k);
        const ss_code rc = train(&loss, &e);

        if (rc == SS_OK && loss != want)
            fail_msg("call %ld of %ld: another result, %.9g instead of %.9g", k, n, loss, want);
        if (rc != SS_OK && ((rc != SS_DEVICE && rc != SS_NOMEM) || rc != e.code ||
                            (!strstr(e.msg, "cu") && !strstr(e.msg, "memory"))))
            fail_msg("call %ld of %ld: code %d (%d in the error): %s", k, n, rc, e.code, e.msg);
        failures += rc != SS_OK;
        tried++;
    }
    fail_at(0);
    print_message("%ld calls, %ld of them failed, %ld times the training did\n", n, tried,
                  failures);
    assert_true(failures > tried / 2);
    if (train(&loss, &e) != SS_OK) /* nothing was left in the way */
        fail_msg("%s", e.msg);
    assert_true(loss == want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call),
    };

    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    network = json_loads(config, 0, NULL);
    if (!network)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(network);
    return failed;
}
