/* test_allocation.c - every allocation fails once: no crash, no leak, an error that says so
 *
 * For k = 1, 2, 3... the k-th allocation through base/mem.h fails while a small job runs. It must
 * end as SS_NOMEM, or succeed where it could do without. Under AddressSanitizer
 * (`make check SAN=address,undefined`) the same program finds leaks. What libraries allocate
 * themselves (HDF5, Jansson, oneDNN) is not reached: they have no such promise to keep.
 */
#include "analyze/one/score.h"
#include "base/mem.h"
#include "models/optimizer_table.h"
#include "probe/probe.h"
#include "probe/samples.h"
#include "runfile/run_reader.h"
#include "tests/run_synth.h"
#include "tests/ss_tmp.h"
#include "train/judge.h"
#include "train/trainer_checkpoint.h"

#include <limits.h>
#include <stdlib.h>

#define MODEL "tests/golden/unets/plain"

typedef ss_code (*job)(ss_err *e);

static void check_outcome(ss_code rc, const ss_err *e, unsigned long k, unsigned long n)
{
    if (rc == SS_OK)
        return;
    if (rc != SS_NOMEM || e->code != SS_NOMEM || !*e->msg)
        fail_msg("allocation %lu of %lu: code %d (%d in the error): %s", k, n, rc, e->code, e->msg);
}

/* The first `all` allocations one by one, from there on ever fewer of them: `step` per cent further
 * each time. With EVERY_ALLOCATION in the environment, all (`make check-allocations`). */
static void exhaust(job run, unsigned long all, unsigned long step)
{
    ss_err e = {0};
    int failures = 0;

    if (getenv("EVERY_ALLOCATION"))
        all = ULONG_MAX;
    if (run(&e) != SS_OK) /* also brings up what is made once */
        fail_msg("%s", e.msg);
    const unsigned long before = ss_mem_calls();
    assert_int_equal(run(&e), SS_OK);
    const unsigned long n = ss_mem_calls() - before;

    for (unsigned long k = 1; k <= n; k += k <= all ? 1 : 1 + k * step / 100) {
        e = (ss_err){0};
        ss_mem_fail_at(k);
        const ss_code rc = run(&e);
        ss_mem_fail_at(0);
        check_outcome(rc, &e, k, n);
        failures += rc != SS_OK;
    }
    print_message("%lu allocations, %d runs failed\n", n, failures);
    assert_true(failures > 0);
    if (run(&e) != SS_OK) /* nothing was left in the way */
        fail_msg("%s", e.msg);
}

static ss_code open_model(ss_err *e)
{
    ss_model *m = NULL;
    ss_code rc = ss_model_open(MODEL, NULL, &m, e);

    ss_model_close(m);
    return rc;
}

static void test_model(void **state)
{
    (void)state;
    exhaust(open_model, ULONG_MAX, 0);
}

/* Changes to a checkpoint's tensors before they are used, and an optimiser's state beside it. */
static ss_code open_merged(ss_err *e)
{
    static const char *const loras[] = {"tests/golden/loras/kohya.safetensors:0.5",
                                        "tests/golden/loras/peft-dora",
                                        "tests/golden/loras/mid.safetensors"};
    const ss_model_options opt = {.loras = loras, .n_loras = 3};
    ss_model *m = NULL;
    int n = 0;
    ss_code rc = ss_model_open("tests/golden/loras/unet", &opt, &m, e);
    ss_weight *const *w = rc == SS_OK ? ss_model_weights(m, &n) : NULL;

    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = ss_weight_data(w[i], e) ? SS_OK : e->code;
    ss_model_close(m);
    return rc;
}

static ss_code open_cast(ss_err *e)
{
    const ss_model_options opt = {
        .places = {.config = "tests/golden/trainings/diffusers/checkpoint-4/unet"}};
    ss_model *m = NULL;
    int n = 0;
    ss_code rc = ss_model_open("tests/golden/fp8/network.safetensors", &opt, &m, e);
    ss_weight *const *w = rc == SS_OK ? ss_model_weights(m, &n) : NULL;

    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = ss_weight_data(w[i], e) ? SS_OK : e->code;
    ss_model_close(m);
    return rc;
}

static ss_code open_wrapped(ss_err *e)
{
    const ss_model_options opt = {
        .places = {.config = "tests/golden/trainings/diffusers/checkpoint-4/unet", .ema = true}};
    ss_model *m = NULL;
    const ss_code rc =
        ss_model_open("tests/golden/trainings/wrapped/both.safetensors", &opt, &m, e);

    ss_model_close(m);
    return rc;
}

static ss_code open_average(ss_err *e)
{
    const ss_model_options opt = {.places = {.ema = true}};
    ss_table t = {0};
    ss_model *m = NULL;
    char *path = NULL;
    ss_code rc = ss_model_open("tests/golden/trainings/diffusers/checkpoint-4", &opt, &m, e);

    if (rc == SS_OK)
        rc = ss_optimizer_find(m, &path, e);
    if (rc == SS_OK)
        rc = ss_optimizer_table(m, path, 0, &t, e);
    if (rc == SS_OK && t.failed)
        rc = ss_no_memory(e, "a table");
    ss_table_release(&t);
    ss_free(path);
    ss_model_close(m);
    return rc;
}

/* The state in a folder of torch.distributed.checkpoint, by names. */
static ss_code open_state(ss_err *e)
{
    const ss_model_options opt = {.places = {.config = "tests/golden/trainings/dcp/unet"}};
    ss_table t = {0};
    ss_model *m = NULL;
    char *path = NULL;
    ss_code rc = ss_model_open("tests/golden/trainings/dcp/nested", &opt, &m, e);

    if (rc == SS_OK)
        rc = ss_optimizer_find(m, &path, e);
    if (rc == SS_OK)
        rc = ss_optimizer_table(m, path, 0, &t, e);
    if (rc == SS_OK && t.failed)
        rc = ss_no_memory(e, "a table");
    ss_table_release(&t);
    ss_free(path);
    ss_model_close(m);
    return rc;
}

static void test_changed_checkpoints(void **state)
{
    (void)state;
    exhaust(open_merged, 50, 10);
    exhaust(open_cast, 50, 10);
    exhaust(open_wrapped, 50, 10);
    exhaust(open_average, 50, 10);
    exhaust(open_state, 50, 10);
}

static ss_code write_run(ss_err *e)
{
    const ss_run_spec spec = syn_spec();
    ss_run_writer *w;
    const ss_code rc = ss_run_create(in_tmp("w.h5"), &spec, true, &w, e);

    return rc == SS_OK ? syn_complete(w, e) : rc;
}

static void test_write_run(void **state)
{
    (void)state;
    exhaust(write_run, 60, 10);
    assert_int_equal(count_files(tmp_dir), 1); /* no half-made skeleton */
}

static ss_code read_run(ss_err *e)
{
    ss_run *r;
    const float *x;
    const uint64_t *n;
    ss_run_shape shape;
    ss_code rc = ss_run_open(in_tmp("w.h5"), &r, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_run_stat(r, "absmax", &x, e);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &n, e);
    if (rc == SS_OK)
        rc = ss_run_attention(r, "entropy", &x, e);
    if (rc == SS_OK)
        rc = ss_run_psd(r, &x, e);
    if (rc == SS_OK)
        ss_run_has_pictures(r, "/inputs/x", &shape);
    ss_run_close(r);
    return rc;
}

static void test_read_run(void **state)
{
    (void)state;
    exhaust(read_run, 100, 10);
}

static ss_code probe(ss_err *e)
{
    static const char *const inputs[] = {"lowpass:2:grating:2,30", "noise:pink"};
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary sum;

    opt.network.model = MODEL;
    opt.network.beta_schedule = "linear";
    opt.network.prediction_type = "epsilon";
    opt.output = in_tmp("p.h5");
    opt.replace = true;
    opt.sigmas = "1";
    opt.inputs = inputs;
    opt.n_inputs = 2;
    opt.samples = 1;
    opt.threads = 1;
    return ss_probe_run(&opt, &sum, e);
}

static void test_probe(void **state)
{
    (void)state;
    exhaust(probe, 20, 8);
}

static const char training[] =
    "{\"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [4, 8],"
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 4,"
    " \"norm_num_groups\": 2},"
    " \"data\": {\"kind\": \"shapes\"}, \"batch\": 2, \"optimizer\": {\"ema_decay\": 0.9},"
    " \"penalty\": {\"coefficient\": 1e-3, \"interval\": 1}}";

static ss_code read_training(ss_err *e)
{
    static json_t *usual;
    ss_train_config *t = NULL;
    char where[256];
    const ss_code rc = ss_train_config_read(in_tmp("train.json"), NULL, 0, &t, e);

    if (rc != SS_OK)
        return rc;
    if (!usual)
        usual = json_deep_copy(t->effective);
    if (ss_train_config_differs(usual, t->effective, where, sizeof where))
        fail_msg("success, but with another configuration: %s", where);
    ss_train_config_free(t);
    return rc;
}

static void test_training_config(void **state)
{
    (void)state;
    write_file(in_tmp("train.json"), training, sizeof training - 1);
    exhaust(read_training, ULONG_MAX, 0);
}

/* A trainer, two steps, a checkpoint, and another trainer that goes on from it. */
static ss_code train(ss_err *e)
{
    ss_train_config *t = NULL;
    ss_trainer *one = NULL, *two = NULL;
    ss_trainer_did did;
    ss_code rc = ss_train_config_read(in_tmp("train.json"), NULL, 0, &t, e);

    if (rc != SS_OK)
        return rc;
    t->trainer.threads = 1;
    rc = ss_trainer_new(&t->trainer, &one, e);
    for (int i = 0; i < 2 && rc == SS_OK; i++)
        rc = ss_trainer_step(one, &did, e);
    if (rc == SS_OK)
        rc = ss_trainer_save(one, in_tmp("step-000002"), false, e);
    if (rc == SS_OK)
        rc = ss_trainer_new(&t->trainer, &two, e);
    if (rc == SS_OK)
        rc = ss_trainer_load(two, in_tmp("step-000002"), e);
    if (rc == SS_OK)
        rc = ss_trainer_step(two, &did, e);
    if (rc == SS_OK)
        assert_int_equal(did.step, 3);
    ss_trainer_free(one);
    ss_trainer_free(two);
    ss_train_config_free(t);
    return rc;
}

static void test_training(void **state)
{
    (void)state;
    const int before = count_files(tmp_dir);

    exhaust(train, 20, 4);
    assert_int_equal(count_files(tmp_dir), before + 1); /* the checkpoint, whole */
}

/* A classifier made and read back, folders of samples, scores: as `score` does it. */
static ss_code judge(ss_err *e)
{
    ss_train_config *t = NULL;
    ss_judge *j = NULL;
    ss_samples *s = NULL;
    ss_score score;
    const ss_judge_options opt = {
        .classifier = in_tmp("classifier"), .threads = 1, .most = 360, .steps = 1};
    ss_code rc = ss_train_config_read(in_tmp("train.json"), NULL, 0, &t, e);

    remove(opt.classifier);
    for (int again = 0; again < 2 && rc == SS_OK; again++) {
        ss_judge_free(j);
        j = NULL;
        rc = ss_judge_new(t, &opt, &j, e);
    }
    if (rc == SS_OK)
        rc = ss_samples_open(tmp_dir, &s, e);
    if (rc == SS_OK) {
        const ss_scored all = {j->held.n,     SS_CLASSIFIER_FEATURES, j->held.features,
                               j->held.label, j->held.taken,          j->held.confidence,
                               NULL};

        rc = ss_score_samples(&all, &all, 0, &score, e);
    }
    ss_samples_close(s);
    ss_judge_free(j);
    ss_train_config_free(t);
    return rc;
}

static void test_judge(void **state)
{
    (void)state;
    static const char samples[] =
        "{\"format\": \"sigmascope-generate\", \"samples\": 1, \"conditions\": [\"class 1\"],"
        " \"models\": [{\"folder\": \"m\", \"pictures\": [\"p\"], \"nonfinite\": [1],"
        " \"absmax\": [0]}]}";

    write_file(in_tmp("train.json"), training, sizeof training - 1);
    write_file(in_tmp("generate.json"), samples, sizeof samples - 1);
    exhaust(judge, 150, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),           cmocka_unit_test(test_write_run),
        cmocka_unit_test(test_read_run),        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_training_config), cmocka_unit_test(test_training),
        cmocka_unit_test(test_judge),           cmocka_unit_test(test_changed_checkpoints),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
