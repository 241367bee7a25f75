/* test_training.c - what a training step moves between host and device
 *
 * Weights, moments, gradients and activations stay on the device: a step sends the batch and lists
 * of its tensors, and fetches a few sums of each. The fake driver counts bytes, kernels and waits.
 */
#include "kernels/context.h"
#include "models/model.h"
#include "tests/cuda/fake.h"
#include "tests/ss_test.h"
#include "train/trainer.h"

#include <dlfcn.h>
#include <stdio.h>

enum { SIDE = 8, BATCH = 8 };
static const char config[] =
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 8],"
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 4,"
    " \"norm_num_groups\": 2}";
static json_t *network;

/* The fake driver's counts so far. */
static ss_fake_traffic traffic(void)
{
    char path[4096];
    ss_fake_traffic (*count)(void);

    snprintf(path, sizeof path, "%s/libcuda.so.1", getenv("SIGMASCOPE_CUDA_LIBRARIES"));
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    void *f = dlsym(library, "ss_fake_traffic_so_far");
    assert_non_null(f);
    memcpy(&count, &f, sizeof f);
    const ss_fake_traffic t = count();
    dlclose(library);
    return t;
}

static void step(ss_trainer *t)
{
    ss_trainer_did did;
    ss_err e = {0};

    if (ss_trainer_step(t, &did, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_true(isfinite(did.loss) && isfinite(did.penalty) && !did.skipped);
}

static void test_step_moves_little(void **state)
{
    (void)state;
    ss_trainer_options o = ss_trainer_defaults();
    ss_trainer *t = NULL;
    ss_err e = {0};
    int tensors;

    o.config = network;
    o.config_name = "the network";
    o.data.kind = SS_DATA_SHAPES;
    o.batch = BATCH;
    o.lambda = 1e-3;
    o.threads = 1;
    o.device = test_device();
    if (ss_trainer_new(&o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_model_weights(ss_trainer_model(t), &tensors);
    step(t); /* plans, memory, forms of weights */
    const ss_fake_traffic before = traffic();

    step(t);
    const ss_fake_traffic after = traffic();
    const size_t batch = BATCH * SIDE * SIDE * sizeof(float);
    const size_t sent = after.to_device - before.to_device;
    const size_t fetched = after.to_host - before.to_host;

    print_message("%d tensors, batch of %zu bytes: %zu bytes to the device, %zu back, %ld kernels, "
                  "%ld waits\n",
                  tensors, batch, sent, fetched, after.launches - before.launches,
                  after.waits - before.waits);
    assert_true(sent >= 2 * batch); /* input and target */
    assert_true(sent <= 2 * batch + 100 * (size_t)tensors + 2048);
    assert_true(fetched <= 40 * (size_t)tensors + 8192);
    assert_true(after.waits - before.waits <= 3); /* loss and penalty; norm; updates */
    ss_trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_moves_little),
    };

    setenv("SIGMASCOPE_DEVICE", "cuda-emulated", 0);
    network = json_loads(config, 0, NULL);
    if (!network)
        return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(network);
    return failed;
}
