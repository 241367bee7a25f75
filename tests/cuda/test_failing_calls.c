/* test_failing_calls.c - calls of the driver and of the libraries fail, one at a time
 *
 * From each place in the program, told apart by its callers, the first call fails once (fake.h)
 * while a small network is opened, runs forward and backward with its statistics, is stepped by the
 * optimizer and is closed. That must end with an error that names the call, or succeed where the
 * call could be done without; nothing of the device may be left (the fake driver looks), and under
 * AddressSanitizer nothing of the host. PLACES=all takes every place, else it is every 16th after
 * the first of them.
 */
#include "kernels/context.h"
#include "tests/ss_test.h"
#include "train/trainer.h"

#include <dlfcn.h>
#include <stdio.h>

static const char config[] =
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 8],"
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 4,"
    " \"norm_num_groups\": 2}";
static json_t *network;

/* ss_fake_place_call() of the library that is open. */
static long place_call(int i)
{
    char path[4096];
    long (*place)(int);

    snprintf(path, sizeof path, "%s/libcuda.so.1", getenv("SIGMASCOPE_CUDA_LIBRARIES"));
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    void *f = dlsym(library, "ss_fake_place_call");
    assert_non_null(f);
    memcpy(&place, &f, sizeof f);
    const long call = place(i);
    dlclose(library);
    return call;
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

static void fail_at(long call)
{
    char text[24];

    snprintf(text, sizeof text, "%ld", call);
    setenv("SIGMASCOPE_CUDA_FAIL", text, 1);
}

static void test_calls_fail(void **state)
{
    (void)state;
    enum { MOST = 4096, FIRST = 60, EACH = 16 };
    static long call[MOST];
    const char *all = getenv("PLACES");
    const int each = all && !strcmp(all, "all") ? 1 : EACH;
    double want, loss;
    int n = 0, failures = 0, tried = 0;
    ss_err e = {0};

    fail_at(0);
    if (train(&want, &e) != SS_OK)
        fail_msg("%s", e.msg);
    while (n < MOST && (call[n] = place_call(n)))
        n++;
    for (int i = 0; i < n; i += i < FIRST ? 1 : each) {
        e = (ss_err){0};
        fail_at(call[i]);
        const ss_code rc = train(&loss, &e);

        if (rc == SS_OK && loss != want)
            fail_msg("call %ld: another result, %.9g instead of %.9g", call[i], loss, want);
        if (rc != SS_OK && ((rc != SS_DEVICE && rc != SS_NOMEM) || rc != e.code ||
                            (!strstr(e.msg, "cu") && !strstr(e.msg, "memory"))))
            fail_msg("call %ld: code %d (%d in the error): %s", call[i], rc, e.code, e.msg);
        failures += rc != SS_OK;
        tried++;
    }
    fail_at(0);
    print_message("%d places, %d calls failed, %d times the training did\n", n, tried, failures);
    assert_true(failures > tried / 2);
    if (train(&loss, &e) != SS_OK) /* nothing was left in the way */
        fail_msg("%s", e.msg);
    assert_true(loss == want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_fail),
    };

    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    network = json_loads(config, 0, NULL);
    if (!network)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(network);
    return failed;
}
