/* test_stages.c - a training in stages, batches that are accumulated, and both resumed */
#include "base/file.h"
#include "base/mem.h"
#include "kernels/context.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"
#include "train/trainer.h"

#include <math.h>
#include <stdarg.h>

#define NETWORK                                                                           \
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"          \
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"     \
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"                      \
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8," \
    " \"norm_num_groups\": 4, \"num_class_embeds\": 4}"

static const char training[] =
    "{\"batch\": 4, \"seed\": 1, \"model\": " NETWORK ","
    " \"data\": {\"kind\": \"shapes\", \"null_class\": 3}, \"penalty\": {\"coefficient\": 1e-3},"
    " \"optimizer\": {\"lr\": 5e-3, \"warmup\": 3}, \"loss_scale\": {\"initial\": 1024},"
    " \"objective\": {\"base_size\": 8}, \"statistics\": {\"every\": 2},"
    " \"checkpoints\": {\"every\": 2}, \"stages\": [{\"steps\": 3},"
    " {\"steps\": 4, \"size\": 12, \"batch\": 2, \"accumulate\": 3},"
    " {\"steps\": 3, \"size\": [16, 8], \"lr\": 1e-3}]}";
static json_t *network;

static int make_model(void **state)
{
    network = json_loads(NETWORK, 0, NULL);
    if (!network || make_tmp(state) != 0)
        return -1;
    write_file(in_tmp("train.json"), training, sizeof training - 1);
    return 0;
}

static int free_model(void **state)
{
    json_decref(network);
    return remove_tmp(state);
}

static ss_trainer_options options(void)
{
    ss_trainer_options o = ss_trainer_defaults();

    o.config = network;
    o.config_name = "the network";
    o.data.null_class = 3;
    o.optimizer.kind = SS_OPTIMIZER_SGD; /* its step is the gradient */
    o.optimizer.momentum = 0;
    o.optimizer.lr = 0.1;
    o.lambda = 1e-2;
    o.interval = 2;
    o.scale.initial = 1024;
    o.batch = 8;
    o.threads = 1;
    o.device = test_device();
    return o;
}

static ss_trainer *trainer(const ss_trainer_options *o)
{
    ss_trainer *t;
    ss_err e = {0};

    if (ss_trainer_new(o, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return t;
}

static ss_trainer_did step(ss_trainer *t)
{
    ss_trainer_did did;
    ss_err e = {0};

    if (ss_trainer_step(t, &did, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return did;
}

/* |a - b| / |a| over all weights. */
static double distance(ss_trainer *a, ss_trainer *b)
{
    double sum = 0, all = 0;
    int n;
    ss_weight *const *w = ss_model_weights(ss_trainer_model(a), &n);
    ss_weight *const *v = ss_model_weights(ss_trainer_model(b), &n);

    for (int i = 0; i < n; i++) {
        const int64_t values = ss_shape_numel(w[i]->shape);
        float *x = ss_alloc((size_t)values, sizeof *x), *y = ss_alloc((size_t)values, sizeof *y);

        assert_int_equal(ss_download(ss_trainer_context(a), w[i]->tensor, x, NULL), SS_OK);
        assert_int_equal(ss_download(ss_trainer_context(b), v[i]->tensor, y, NULL), SS_OK);
        for (int64_t k = 0; k < values; k++) {
            sum += pow((double)x[k] - y[k], 2);
            all += pow(x[k], 2);
        }
        ss_free(x);
        ss_free(y);
    }
    return sqrt(sum / all);
}

/* Four batches of two make the step that one of eight makes. */
static void test_accumulates(void **state)
{
    (void)state;
    ss_trainer_options whole = options(), parts = options(), other = options();

    parts.batch = 2;
    parts.accumulate = 4;
    other.batch = 2; /* without them it is another step */
    ss_trainer *a = trainer(&whole), *b = trainer(&parts), *c = trainer(&other);
    for (int i = 1; i <= 4; i++) {
        const ss_trainer_did x = step(a), y = step(b);

        step(c);
        assert_true(fabs(x.loss - y.loss) < 1e-6 * x.loss);
        assert_true(fabs(x.norm - y.norm) < 1e-5 * x.norm);
        assert_true(isnan(x.penalty) == (i % 2 == 1) && isnan(y.penalty) == (i % 2 == 1));
        assert_true(i % 2 == 1 || fabs(x.penalty - y.penalty) < 1e-6 * x.penalty);
        assert_int_equal(ss_trainer_samples(b), 8);
        for (int k = 0; k < 8; k++) {
            assert_true(ss_trainer_levels(a)[k].sigma == ss_trainer_levels(b)[k].sigma);
            assert_true(fabs(ss_trainer_losses(a)[k] / ss_trainer_losses(b)[k] - 1) < 1e-4);
        }
    }
    if (!(distance(a, b) < 1e-6 && distance(a, c) > 1e-4))
        fail_msg("%g from the step of one batch, %g from that of a quarter", distance(a, b),
                 distance(a, c));
    ss_trainer_free(a);
    ss_trainer_free(b);
    ss_trainer_free(c);
}

/* A stage has its own sizes, levels and rate; one that changes nothing changes no bit. */
static void test_stages(void **state)
{
    (void)state;
    static const ss_train_stage same[] = {{.steps = 2, .lr = -1}, {.steps = 9, .lr = -1}};
    static const ss_train_stage grown[] = {{.steps = 2, .lr = -1},
                                           {.height = 16, .width = 16, .batch = 3, .lr = 0.05}};
    ss_trainer_options o = options();
    int i;

    ss_trainer *a = trainer(&o);
    o.stages = same;
    o.n_stages = 2;
    ss_trainer *b = trainer(&o);
    o.stages = grown;
    o.objective.base_size = 8;
    ss_trainer *c = trainer(&o);
    assert_int_equal(ss_trainer_most_samples(c), 8);
    for (int k = 1; k <= 4; k++) {
        const ss_trainer_did x = step(a), y = step(b), z = step(c);

        assert_true(x.loss == y.loss && x.stage == 0 && y.stage == 1 + (k > 2));
        assert_true(k > 2 ? z.rate == 0.05 : z.loss == x.loss && z.rate == 0.1);
        assert_int_equal(ss_trainer_samples(c), k > 2 ? 3 : 8);
        for (int n = 0; n < ss_trainer_samples(c); n++) {
            const double ratio = ss_trainer_levels(c)[n].sigma / ss_trainer_levels(a)[n].sigma;

            assert_true(fabs(ratio - (k > 2 ? 2 : 1)) < 1e-6);
        }
    }
    assert_true(distance(a, b) == 0);
    assert_int_equal(ss_trainer_stage(c, 3, &i).height, 16);
    assert_int_equal(i, 1);
    ss_trainer_free(a);
    ss_trainer_free(b);
    ss_trainer_free(c);
}

#define TRAIN "train $D/train.json --quiet --threads 1 "

static void shell(const char *format, ...)
{
    char command[1200];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("%s failed", command);
}

static void assert_same(const char *a, const char *b)
{
    static const char *const files[] = {"log.jsonl",
                                        "events.jsonl",
                                        "config.json",
                                        "step-000010/diffusion_pytorch_model.safetensors",
                                        "step-000010/optimizer.safetensors",
                                        "step-000010/training.json"};

    for (size_t i = 0; i < N_OF(files); i++)
        shell("cmp %s/%s/%s %s/%s/%s", tmp_dir, a, files[i], tmp_dir, b, files[i]);
}

static void assert_same_statistics(const char *a, const char *b)
{
    const float *p, *q;
    ss_run *x, *y;
    ss_err e;

    assert_int_equal(ss_run_open_any(in_tmp(a), &x, &e), SS_OK);
    assert_int_equal(ss_run_open_any(in_tmp(b), &y, &e), SS_OK);
    assert_int_equal(ss_run_stat(x, "rms", &p, &e), SS_OK);
    assert_int_equal(ss_run_stat(y, "rms", &q, &e), SS_OK);
    assert_memory_equal(p, q, (size_t)(x->n_modules * x->n_ports * x->n_sigmas * x->n_samples) * 4);
    assert_int_equal(ss_run_training(x, "sample_loss", &p, &e), SS_OK);
    assert_int_equal(ss_run_training(y, "sample_loss", &q, &e), SS_OK);
    assert_memory_equal(p, q, (size_t)(x->n_sigmas * x->n_samples) * 4);
    ss_run_close(x);
    ss_run_close(y);
}

/* Resumed inside a stage, at its end, and for more steps. */
static void test_resumes(void **state)
{
    (void)state;
    const float *x;
    ss_run *r;
    ss_err e;

    expect(TRAIN "-o $D/whole", 0, NULL);
    shell("grep -c '\"event\":\"stage\"' %s/whole/events.jsonl | grep -qx 3", tmp_dir);
    shell("grep -q '{\"step\":4,\"event\":\"stage\",\"stage\":2,\"size\":\\[12,12\\],\"frames\":0,"
          "\"batch\":2,\"accumulate\":3,' %s/whole/events.jsonl",
          tmp_dir);
    shell("grep -q '{\"step\":8,\"stage\":3,' %s/whole/log.jsonl", tmp_dir);
    for (int from = 2; from <= 8; from += 2) { /* 3 and 7 are the last steps of stages */
        shell("cd %s && rm -rf cut && cp -r whole cut && for s in 02 04 06 08 10; do "
              "[ $s -le %02d ] || rm -r cut/step-0000$s; done",
              tmp_dir, from);
        expect(TRAIN "-o $D/cut --resume", 0, NULL);
        assert_same("whole", "cut");
    }
    assert_same_statistics("whole/statistics.h5", "cut/statistics.h5");
    assert_int_equal(ss_run_open_any(in_tmp("cut/statistics.h5"), &r, &e), SS_OK);
    assert_true(r->complete);
    assert_int_equal(r->n_samples, 6);
    assert_int_equal(ss_run_training(r, "sigma", &x, &e), SS_OK);
    for (int k = 0; k < 6; k++) { /* steps 1, 2, 4, 6, 8, 10 */
        assert_true(isnan(x[k]) == (k >= 4));
        assert_false(isnan(x[2 * 6 + k]));
        assert_true(isnan(x[4 * 6 + k]) == (k >= 4));
    }
    assert_non_null(strstr(r->plan, "\"stages\":[{\"steps\":3},"));
    ss_run_close(r);
    expect("analyze $D/whole/statistics.h5", 0, NULL);

    expect(TRAIN "-o $D/short --steps 8", 0, NULL); /* in the last stage, then on to its end */
    expect(TRAIN "-o $D/short --steps 10 --resume", 0, NULL);
    assert_same("whole", "short");
    expect(TRAIN "-o $D/whole --steps 13 --resume", 0, NULL);
    shell("tail -n 1 %s/whole/log.jsonl | grep -q '{\"step\":13,\"stage\":3,'", tmp_dir);
    expect(TRAIN "-o $D/cut --resume --set 'stages=[{\"steps\":3}]'", 2,
           "stages is something longer there, [{\"steps\":3}] here");
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        int status;
        const char *text;
    } cases[] = {
        {"stages=7", 1, "expected a list of 1 to 256 objects"},
        {"stages=[{},{}]", 2, "stage 1: \"steps\" is missing; every stage but the last"},
        {"stages=[{\"steps\":0}]", 2, "stage 1: \"steps\" is 0; allowed: 1 to"},
        {"stages=[{\"size\":[8]}]", 2, "\"size\" is [8]; allowed: a side from 1 to 16384"},
        {"stages=[{\"lr\":-1}]", 2, "\"lr\" is -1"},
        {"stages=[{\"sise\":8}]", 2, "known: steps, size, frames, pool, batch, accumulate, lr"},
        {"stages=[{\"frames\":8}]", 2, "stage 1: 8 frames, and model takes pictures"},
        {"stages=[{\"batch\":60000,\"accumulate\":2}]", 2, "a step of 2 batches of 60000"},
        {"stages=[{\"steps\":2},{\"frames\":2}]", 2, "stage 2: 2 frames, and model"},
        {"accumulate=0", 2, "\"accumulate\" is 0; allowed: 1 to 65536"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        char args[600];

        snprintf(args, sizeof args, TRAIN "-o $D/x --set '%s'", cases[i].set);
        expect(args, cases[i].status, cases[i].text);
        assert_int_equal(access(in_tmp("x"), F_OK), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accumulates),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_resumes),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_model, free_model);
}
