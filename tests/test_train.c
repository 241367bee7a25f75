/* test_train.c - `sigmascope train` as a user runs it: what it leaves, that a run that was cut off
 * goes on to the same bytes, and what it does when steps are not finite
 */
#include "base/file.h"
#include "base/mem.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"
#include "train/journal.h"
#include "train/loss_scale.h"
#include "train/spikes.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <time.h>

static const char config[] =
    "{\"steps\": 12, \"batch\": 4, \"seed\": 1, \"init\": {\"zero\": [\"*.conv2\"]},"
    " \"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    "  \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"
    "  \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    "  \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8,"
    "  \"norm_num_groups\": 4, \"num_class_embeds\": 4},"
    " \"data\": {\"kind\": \"shapes\", \"null_class\": 3, \"dropout\": 0.1},"
    " \"optimizer\": {\"lr\": 5e-3, \"warmup\": 3, \"ema_decay\": 0.9},"
    " \"penalty\": {\"coefficient\": 1e-3, \"interval\": 2},"
    " \"statistics\": {\"every\": 4}, \"checkpoints\": {\"every\": 5, \"ema\": true}}";

static int make_config(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    write_file(in_tmp("train.json"), config, sizeof config - 1);
    return 0;
}

/* Shell that waits for a condition, while process $p is there. */
#define UNTIL(condition) "while kill -0 $p && ! " condition "; do sleep 0.05; done; "
#define TRAIN "train $D/train.json --quiet --threads 1 "

static char *slurp(const char *name, size_t *n)
{
    char *text;
    ss_err e = {0};

    if (ss_file_read(in_tmp(name), 1 << 26, &text, n, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return text;
}

static void assert_same_file(const char *a, const char *b)
{
    size_t na, nb;
    char *x = slurp(a, &na), *y = slurp(b, &nb);

    if (na != nb || memcmp(x, y, na) != 0)
        fail_msg("%s and %s differ", a, b);
    ss_free(x);
    ss_free(y);
}

static ss_run *open_run(const char *name)
{
    ss_run *r;
    ss_err e = {0};

    if (ss_run_open_any(in_tmp(name), &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return r;
}

/* Two statistics files hold the same numbers. */
static void assert_same_run(const char *a, const char *b)
{
    static const char *const names[] = {"absmax", "rms", "std"};
    ss_run *x = open_run(a), *y = open_run(b);
    const float *p, *q;
    ss_err e = {0};

    assert_true(x->complete && y->complete);
    assert_int_equal(x->n_sigmas, y->n_sigmas);
    const size_t n =
        (size_t)x->n_modules * (size_t)x->n_ports * (size_t)x->n_sigmas * (size_t)x->n_samples;
    for (size_t i = 0; i < N_OF(names); i++) {
        assert_int_equal(ss_run_stat(x, names[i], &p, &e), SS_OK);
        assert_int_equal(ss_run_stat(y, names[i], &q, &e), SS_OK);
        assert_memory_equal(p, q, n * sizeof *p);
    }
    assert_int_equal(ss_run_training(x, "sample_loss", &p, &e), SS_OK);
    assert_int_equal(ss_run_training(y, "sample_loss", &q, &e), SS_OK);
    assert_memory_equal(p, q, (size_t)(x->n_sigmas * x->n_samples) * sizeof *p);
    ss_run_close(x);
    ss_run_close(y);
}

static void test_results(void **state)
{
    (void)state;
    const float *x;
    size_t n;
    int lines = 0;
    ss_err e;

    expect(TRAIN "-o $D/whole --set statistics.tensorboard=true", 0, "sigmascope analyze");
    ss_run *r = open_run("whole/statistics.h5");
    assert_true(r->complete);
    assert_null(r->sigmas);
    assert_int_equal(r->n_sigmas, 4); /* 1, 4, 8, 12 */
    assert_int_equal(r->steps[0], 1);
    assert_int_equal(r->steps[3], 12);
    assert_int_equal(r->n_samples, 4);
    assert_int_equal(ss_run_training(r, "sigma", &x, &e), SS_OK);
    for (int i = 0; i < 16; i++)
        assert_true(x[i] > 0);
    assert_int_equal(ss_run_training(r, "penalty", &x, &e), SS_OK);
    assert_true(isnan(x[0]) && x[1] > 0); /* at every second step */
    assert_int_equal(ss_run_updates(r, "staleness", &x, &e), SS_OK);
    assert_float_equal(x[0], 1, 1e-3); /* after one step v^ is g^2 */
    assert_int_equal(ss_run_training(r, "loss_by_sigma", &x, &e), SS_OK);
    assert_int_equal(r->n_bins, 16);
    ss_run_close(r);

    char *log = slurp("whole/log.jsonl", &n);
    for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = json_loads(line, 0, NULL);

        assert_int_equal(json_integer_value(json_object_get(o, "step")), ++lines);
        assert_true(json_real_value(json_object_get(o, "loss")) > 0);
        json_decref(o);
    }
    assert_int_equal(lines, 12);
    ss_free(log);
    assert_int_equal(count_files(in_tmp("whole/tensorboard")), 1);
    /* what is saved is a model with all it needs, also as averages */
    expect("inspect $D/whole/step-000010", 0, "UNet2DModel");
    expect("probe $D/whole/step-000012-ema -o $D/ema.h5 --class 1 --quiet --sigmas 1,10", 0, NULL);
    expect("inspect $D/whole/step-000005 $D/whole/step-000012", 0, "tensors differ");
    expect(TRAIN "-o $D/whole", 1, "holds a training already: go on with --resume");
    expect("probe $D/whole/statistics.h5 -o $D/x.h5", 2, NULL);
    expect("compare $D/whole/statistics.h5 $D/ema.h5", 2, "is over training steps");
}

/* Cut off after step 7, where there is a checkpoint of step 5 and statistics of step 4. */
static void test_resume(void **state)
{
    (void)state;
    static const char *const files[] = {
        "log.jsonl", "events.jsonl", "step-000012/diffusion_pytorch_model.safetensors",
        "step-000012/optimizer.safetensors", "step-000010-ema/diffusion_pytorch_model.safetensors"};

    expect(TRAIN "-o $D/a", 0, NULL);
    expect(TRAIN "-o $D/b", 0, NULL);
    assert_int_equal(system("true"), 0);
    char command[1024];
    /* as a process leaves it that was killed: no later checkpoint, half a line, an incomplete file
     */
    snprintf(command, sizeof command,
             "cd %s/b && rm -r step-000010* step-000012* && head -n 7 log.jsonl > l && "
             "printf '{\"step\": 8, \"lo' >> l && mv l log.jsonl",
             tmp_dir);
    assert_int_equal(system(command), 0);
    expect(TRAIN "-o $D/b --resume", 0, NULL);
    for (size_t i = 0; i < N_OF(files); i++) {
        char a[200], b[200];

        snprintf(a, sizeof a, "a/%s", files[i]);
        snprintf(b, sizeof b, "b/%s", files[i]);
        assert_same_file(a, b);
    }
    assert_same_run("a/statistics.h5", "b/statistics.h5");
    expect(TRAIN "-o $D/b --resume --set optimizer.lr=1", 2,
           "is of another training: optimizer.lr is 0.005 there, 1.0 here");
    expect(TRAIN "-o $D/b --resume", 0, NULL); /* nothing left to do */
    expect(TRAIN "-o $D/b --resume --arithmetic f32", 2,
           "is of another training: arithmetic is \"auto\" there, \"f32\" here");
    snprintf(
        command, sizeof command,
        "sed -i 's/\"device\": \"[a-z]*\"/\"device\": \"other\"/' %s/b/step-000012/training.json",
        tmp_dir);
    assert_int_equal(system(command), 0);
    expect("train $D/train.json --threads 1 -o $D/b --resume", 0,
           "its steps were computed on device other, the next ones are on c");
    /* two checkpoints of the same name are distinguished by the folders that they are in */
    expect("generate $D/a/step-000012 $D/b/step-000012/ -o $D/samples --class 1 --steps 2 "
           "--samples 1 --quiet",
           0, "02-b_step-000012");
}

/* The same bytes on one thread and on two. */
static void test_threads(void **state)
{
    (void)state;
    expect(TRAIN "-o $D/one", 0, NULL);
    expect("train $D/train.json --quiet --threads 2 -o $D/two", 0, NULL);
    assert_same_file("one/log.jsonl", "two/log.jsonl");
    assert_same_file("one/step-000012/optimizer.safetensors",
                     "two/step-000012/optimizer.safetensors");
}

/* A loss scale that overflows every gradient: down by halves, until steps count. */
static void test_loss_scale(void **state)
{
    (void)state;
    size_t n;

    expect(TRAIN "-o $D/scaled --set loss_scale.dynamic=true --set loss_scale.initial=1e42 "
                 "--set loss_scale.ceiling=1e42 --set loss_scale.backoff=1e-3 "
                 "--set on_nonfinite=skip",
           0, NULL);
    char *log = slurp("scaled/log.jsonl", &n), *events = slurp("scaled/events.jsonl", &n);
    assert_non_null(strstr(log, "\"skipped\":true"));
    assert_non_null(strstr(log, "\"skipped\":false"));
    assert_non_null(strstr(events, "\"event\":\"gradient_overflow\""));
    assert_null(strstr(events, "\"event\":\"overflow\""));
    ss_free(log);
    ss_free(events);
}

/* A network whose first block overflows a format of largest number 14 as soon as something passes.
 */
#define NARROW "--set precision.format=e3m2 --set precision.scope=blocks --set optimizer.lr=0.5 "

static void test_divergence(void **state)
{
    (void)state;
    size_t n;

    expect(TRAIN "-o $D/stop " NARROW, 3, "diverged: step");
    char *events = slurp("stop/events.jsonl", &n);
    assert_non_null(strstr(events, "\"event\":\"overflow\",\"module\":\""));
    assert_non_null(strstr(events, "\"share\":"));
    ss_free(events);
    expect(TRAIN "-o $D/skip --set on_nonfinite=skip " NARROW, 3, " STEPS WERE SKIPPED, ");
    /* the forward pass is inf at any loss scale: no 24 halvings before that is seen */
    expect(TRAIN "-o $D/early --set loss_scale.dynamic=true --set loss_scale.initial=65536 " NARROW,
           3, "the loss itself is, in 3 steps in a row");
    expect(TRAIN "-o $D/back --set on_nonfinite=rollback --set max_rollbacks=3 "
                 "--set checkpoints.every=100 " NARROW,
           3, NULL);
    events = slurp("back/events.jsonl", &n);
    int rollbacks = 0;
    for (const char *at = events; (at = strstr(at, "\"event\":\"rollback\",\"to\":0")); at++)
        rollbacks++;
    assert_int_equal(rollbacks, 3);
    ss_free(events);
    /* fp32 where it overflows, and for the blocks that contain it, lets it train on */
    expect(TRAIN "-o $D/island " NARROW
                 "--set 'precision.rules=[{\"modules\": \"*\", \"format\": \"fp32\"}]' "
                 "--set optimizer.lr=5e-3",
           0, NULL);
}

static int count_of(const char *file, const char *text)
{
    size_t n;
    char *all = slurp(file, &n);
    int count = 0;

    for (const char *at = all; (at = strstr(at, text)); at++)
        count++;
    ss_free(all);
    return count;
}

/* It ends with the third step whose loss is not finite, counted over runs of the program. */
static void test_max_overflows(void **state)
{
    (void)state;
    static const char *const files[] = {"log.jsonl", "events.jsonl", "config.json"};
#define THREE "--set on_nonfinite=skip --set max_overflows=3 --set checkpoints.every=1 " NARROW

    expect(TRAIN "-o $D/three --json " THREE, 3,
           "is number 3 whose loss is inf or NaN, because the forward pass overflowed; "
           "max_overflows is 3");
    assert_non_null(strstr(output, "\"overflows\": 3"));
    const int lines = count_of("three/log.jsonl", "\"step\":");
    assert_int_equal(count_of("three/log.jsonl", "\"loss\":null"), 3);
    assert_true(lines >= 4 && lines < 12);

    /* cut off after the second: the count goes on */
    char command[1024];
    snprintf(command, sizeof command,
             "cd %s && cp -r three third && rm -r third/step-%06d third/step-%06d-ema && "
             "printf '{\"step\": 8, \"lo' >> third/log.jsonl",
             tmp_dir, lines, lines);
    assert_int_equal(system(command), 0);
    expect(TRAIN "-o $D/third --resume " THREE, 3, "is number 3 whose loss is inf or NaN");
    for (size_t i = 0; i < N_OF(files); i++) {
        char a[200], b[200];

        snprintf(a, sizeof a, "three/%s", files[i]);
        snprintf(b, sizeof b, "third/%s", files[i]);
        assert_same_file(a, b);
    }
    /* what a smaller loss scale answers for has a finite loss, and does not count */
    expect(TRAIN "-o $D/routine --json --set max_overflows=1 --set loss_scale.dynamic=true "
                 "--set loss_scale.initial=1e42 --set loss_scale.ceiling=1e42 "
                 "--set loss_scale.backoff=1e-3",
           0, "\"overflows\": 0");
    assert_true(count_of("routine/log.jsonl", "\"skipped\":true") > 0);
    expect(TRAIN "-o $D/x --set max_overflows=-1", 2, "allowed: 0 to");
}

/* A training that ended early says so again, and trains no step more. */
static void test_ended(void **state)
{
    (void)state;
    static const char *const ways[] = {"--set on_nonfinite=stop",
                                       "--set on_nonfinite=skip --set max_overflows=2"};

    for (size_t i = 0; i < N_OF(ways); i++) {
        char args[600];
        size_t n, m;

        snprintf(args, sizeof args, TRAIN "-o $D/ended%zu %s " NARROW, i, ways[i]);
        expect(args, 3, "diverged: step ");
        snprintf(args, sizeof args, "ended%zu/log.jsonl", i);
        char *before = slurp(args, &n);
        snprintf(args, sizeof args, TRAIN "-o $D/ended%zu --resume %s " NARROW, i, ways[i]);
        expect(args, 3, "the training ended there, and --resume does not train on");
        assert_non_null(strstr(output, "diverged: step "));
        snprintf(args, sizeof args, "ended%zu/log.jsonl", i);
        char *after = slurp(args, &m);
        assert_int_equal(n, m);
        assert_memory_equal(before, after, n);
        ss_free(before);
        ss_free(after);
    }
}

/* A folder of a version that had no such keys goes on. */
static void test_older_folder(void **state)
{
    (void)state;
    char command[1024];

    expect(TRAIN "-o $D/older --set max_overflows=0", 0, NULL);
    snprintf(command, sizeof command,
             "cd %s/older && rm -r step-000012* && sed -i '/max_overflows/d' config.json && "
             "sed -i '/overflows/d' step-*/training.json",
             tmp_dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(count_of("older/config.json", "overflows"), 0);
    expect(TRAIN "-o $D/older --resume", 0, NULL);
    assert_int_equal(count_of("older/step-000012/training.json", "\"overflows\": 0"), 1);
}

/* Remedies of the network go with its checkpoints, and every command has them. */
static void test_remedies(void **state)
{
    (void)state;
    expect(TRAIN "-o $D/cured --set remedies.clamp=3 --set remedies.residual_scale=learned "
                 "--set remedies.cosine_attention=true",
           0, NULL);
    expect("inspect $D/cured/step-000012", 0, "clamp 3");
    expect("probe $D/cured/step-000012 -o $D/cured.h5 --class 1 --quiet --sigmas 0.1,1,10", 0,
           NULL);
    expect("analyze $D/cured.h5", 0, "growth");
    expect(
        "generate $D/cured/step-000012 -o $D/cured-samples --class 1 --steps 2 --samples 1 --quiet",
        0, NULL);
    expect(
        "bisect $D/cured/step-000012 --fail 'absmax(*) > 0' --class 1 --sigmas 1 --cache $D/kept "
        "--save-bundle $D/bundle",
        3, "no replay.py: PyTorch's network would lack the remedies");
    assert_int_equal(access(in_tmp("bundle/replay.sh"), F_OK), 0);
    assert_int_equal(access(in_tmp("bundle/replay.py"), F_OK), -1);
    /* normalised weights stay so while they are trained */
    expect(TRAIN "-o $D/edm2 --set remedies.magnitude_preserving=true --set init.zero=[]", 0, NULL);
    expect("probe $D/edm2/step-000012 -o $D/edm2.h5 --class 1 --quiet --sigmas 0.1,1,10", 0, NULL);
    expect(TRAIN "-o $D/moves --steps 2 --set data.stills=true --set motion.frames=3 "
                 "--set motion.norm=true",
           0, NULL);
    expect("inspect $D/moves/step-000002", 0, "a norm of each frame");
    expect(TRAIN "-o $D/x --set motion=3", 1, "\"motion\" is 3; expected an object");
    expect(TRAIN "-o $D/x --set remedies.clump=3", 1,
           "train.json: model: remedies: \"clump\" is 3; known remedies: clamp");
}

/* An EDM network goes with how it was preconditioned. One whose last layer is 0 answers F = 0, so
 * what it takes for the clean picture is c_skip x, x being 1 / c_in times what it saw. */
static void test_edm(void **state)
{
    (void)state;
    enum { N = 64 };
    const double d = 0.25;
    float x[N], denoised[N];
    ss_err e = {0};

    expect(TRAIN
           "-o $D/edm --steps 1 --set objective.prediction=edm --set objective.levels=lognormal "
           "--set objective.sigma_data=0.25 --set optimizer.lr=0 --set init.zero='[\"conv_out\"]'",
           0, NULL);
    expect("inspect $D/edm/step-000001", 0, "EDM preconditioning, sigma_data 0.25");
    expect("probe $D/edm/step-000001 -o $D/edm.h5 --class 1 --quiet --sigmas 0.1,1,10 "
           "--inputs images:demo/fashion-mnist/images",
           0, NULL);
    ss_run *r = open_run("edm.h5");
    assert_string_equal(r->prediction_type, "edm");
    assert_null(r->timesteps);
    const float *loss;
    assert_int_equal(ss_run_loss(r, &loss, &e), SS_OK);
    for (int s = 0; s < r->n_sigmas; s++) {
        const double sigma = r->sigmas[s], norm = sqrt(sigma * sigma + d * d);

        assert_int_equal(ss_run_picture(r, "/inputs/x", 0, s, 0, x, &e), SS_OK);
        assert_int_equal(ss_run_picture(r, "/outputs/denoised", 0, s, 0, denoised, &e), SS_OK);
        for (int i = 0; i < N; i++)
            assert_float_equal(denoised[i], (float)(d * d / norm * x[i]), 1e-5);
        assert_true(loss[s * r->n_samples] > 0);
    }
    ss_run_close(r);
    expect("probe $D/edm/step-000001 -o $D/x.h5 --class 1 --timesteps 5", 2, "takes sigma");
    expect("generate $D/edm/step-000001 -o $D/x --class 1", 1, "EDM");
}

static void test_checkpoints_kept(void **state)
{
    (void)state;
    expect(TRAIN "-o $D/kept --set checkpoints.every=2 --set checkpoints.keep=2", 0, NULL);
    assert_int_equal(access(in_tmp("kept/step-000008"), F_OK), -1);
    assert_int_equal(access(in_tmp("kept/step-000008-ema"), F_OK), -1);
    assert_int_equal(access(in_tmp("kept/step-000010/training.json"), F_OK), 0);
    assert_int_equal(access(in_tmp("kept/step-000012/training.json"), F_OK), 0);

    /* one that a killed training saved, and had no time to remove another for */
    char command[1200];
    snprintf(command, sizeof command, "cp -r %s/step-000010 %s/step-000008", in_tmp("kept"),
             in_tmp("kept"));
    assert_int_equal(system(command), 0);
    expect(TRAIN "-o $D/kept --resume --set checkpoints.every=2 --set checkpoints.keep=2", 0, NULL);
    assert_int_equal(access(in_tmp("kept/step-000008"), F_OK), -1);
}

/* Training begins with the weights of another's checkpoint. */
static void test_from(void **state)
{
    (void)state;
    expect(TRAIN "-o $D/first --steps 5", 0, NULL);
    expect(TRAIN "-o $D/second --set init.from=first/step-000005 --steps 1 --set optimizer.lr=0", 0,
           NULL);
    expect("inspect $D/first/step-000005 $D/second/step-000001", 0, "0 of");
    expect(TRAIN "-o $D/x --set init.from=nowhere", 1, "nowhere");
}

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

/* Checks that `part` measured at its steps what `whole` measured at them. */
static void assert_same_steps(const char *whole, const char *part, int first, int n_steps)
{
    static const char *const names[] = {"absmax", "rms"};
    ss_run *x = open_run(whole), *y = open_run(part);
    const float *p, *q;
    ss_err e = {0};

    assert_true(x->complete && y->complete);
    assert_int_equal(y->n_sigmas, n_steps);
    const int n = x->n_samples, rows = x->n_modules * x->n_ports;
    for (size_t i = 0; i < N_OF(names); i++) {
        assert_int_equal(ss_run_stat(x, names[i], &p, &e), SS_OK);
        assert_int_equal(ss_run_stat(y, names[i], &q, &e), SS_OK);
        for (int r = 0; r < rows; r++)
            assert_memory_equal(p + (r * x->n_sigmas + first) * n, q + r * n_steps * n,
                                (size_t)(n_steps * n) * sizeof *p);
    }
    for (int s = 0; s < n_steps; s++)
        assert_int_equal(x->steps[first + s], y->steps[s]);
    ss_run_close(x);
    ss_run_close(y);
}

#define BRANCH "--set init.from=base/step-000005 --set init.state=true "

/* Asked for more steps, it leaves what a training of so many leaves. */
static void test_longer(void **state)
{
    (void)state;
    static const char *const files[] = {"config.json",
                                        "log.jsonl",
                                        "events.jsonl",
                                        "step-000005/training.json",
                                        "step-000015/optimizer.safetensors",
                                        "step-000015/training.json",
                                        "step-000017/diffusion_pytorch_model.safetensors",
                                        "step-000017/training.json"};
    static const int begun[] = {7, 12}; /* 7 is measured as the last step, and then no longer */

    expect(TRAIN "-o $D/long --steps 17", 0, NULL);
    for (size_t k = 0; k < N_OF(begun); k++) {
        char args[400], a[200], b[200];

        snprintf(args, sizeof args, TRAIN "-o $D/short%zu --steps %d", k, begun[k]);
        expect(args, 0, NULL);
        if (k) /* and cut off behind step 10 */
            shell("cd %s/short1 && rm -r step-000012* && printf '{\"step\": 13' >> log.jsonl",
                  tmp_dir);
        snprintf(args, sizeof args, TRAIN "-o $D/short%zu --steps 17 --resume", k);
        expect(args, 0, NULL);
        for (size_t i = 0; i < N_OF(files); i++) {
            snprintf(a, sizeof a, "long/%s", files[i]);
            snprintf(b, sizeof b, "short%zu/%s", k, files[i]);
            assert_same_file(a, b);
        }
        snprintf(b, sizeof b, "short%zu/statistics.h5", k);
        assert_same_run("long/statistics.h5", b);
        assert_same_steps("long/statistics.h5", b, 0, 6); /* 1, 4, 8, 12, 16, 17 */
    }
    assert_int_equal(access(in_tmp("short0/step-000007"), F_OK), 0);
}

/* The last checkpoint of fewer steps goes when another comes, if not all are kept. */
static void test_longer_keeps_as_many(void **state)
{
    (void)state;
#define KEPT TRAIN "--set checkpoints.keep=2 --set statistics.every=0 "

    expect(KEPT "-o $D/keeps --steps 7", 0, NULL);
    expect(KEPT "-o $D/keeps --steps 11 --resume", 0, NULL);
    assert_int_equal(access(in_tmp("keeps/step-000005"), F_OK), -1);
    assert_int_equal(access(in_tmp("keeps/step-000007"), F_OK), -1);
    assert_int_equal(access(in_tmp("keeps/step-000010/training.json"), F_OK), 0);
    assert_int_equal(access(in_tmp("keeps/step-000011/training.json"), F_OK), 0);
}

/* A rollback goes where it would have gone: at step 5 to 3, and not to 4, which was the last. */
static void test_longer_rolls_back(void **state)
{
    (void)state;
#define BACK                                                                            \
    TRAIN NARROW "--set on_nonfinite=rollback --set max_rollbacks=100 --set optimizer." \
                 "lr=0.2 --set checkpoints.every=3 --set statistics.every=0 "

    expect(BACK "-o $D/back-long --steps 17", 3, NULL);
    expect(BACK "-o $D/back-short --steps 4", 0, NULL);
    expect(BACK "-o $D/back-short --steps 17 --resume", 3, NULL);
    assert_true(count_of("back-long/events.jsonl", "rollback") > 3);
    assert_same_file("back-long/log.jsonl", "back-short/log.jsonl");
    assert_same_file("back-long/events.jsonl", "back-short/events.jsonl");
    assert_same_file("back-long/step-000017/optimizer.safetensors",
                     "back-short/step-000017/optimizer.safetensors");
}

static void test_longer_errors(void **state)
{
    (void)state;
    expect(TRAIN "-o $D/n --steps 7", 0, NULL);
    expect(TRAIN "-o $D/n --steps 17", 1, "holds a training already");
    expect(TRAIN "-o $D/n --steps 17 --seed 2 --resume", 2, "seed is 1 there, 2 here");
    expect(TRAIN "-o $D/n --steps 6 --resume", 2, "7 steps are done already, 6 are asked for");
    assert_int_equal(count_of("n/config.json", "\"steps\": 7"), 1);
    expect(TRAIN "-o $D/n --steps 7 --resume", 0, NULL);
    /* cut off after the configuration was stored, either number goes on */
    shell("cd %s && cp -r n n17 && sed -i 's/\"steps\": 7/\"steps\": 17/' n17/config.json",
          tmp_dir);
    expect(TRAIN "-o $D/n17 --steps 7 --resume", 0, NULL);
    assert_int_equal(count_of("n17/config.json", "\"steps\": 7"), 1);
    shell("cd %s && sed -i 's/\"steps\": 7/\"steps\": 17/' n17/config.json", tmp_dir);
    expect(TRAIN "-o $D/n17 --steps 17 --resume", 0, NULL);
    assert_same_run("long/statistics.h5", "n17/statistics.h5");
    /* 5 has a checkpoint, but no statistics; the error leaves a training that goes on */
    shell("cd %s && cp -r n n5 && rm -r n5/step-000007*", tmp_dir);
    expect(TRAIN "-o $D/n5 --steps 5 --resume", 2, "step 5 is done and was not measured");
    expect(TRAIN "-o $D/n5 --steps 7 --resume", 0, NULL);
    assert_same_run("n/statistics.h5", "n5/statistics.h5");

    expect(TRAIN "-o $D/cosine --steps 7 --set optimizer.rate=cosine", 0, NULL);
    expect(TRAIN "-o $D/cosine --steps 17 --set optimizer.rate=cosine --resume", 2,
           "optimizer.rate is \"cosine\", so the learning rate of every step depends on");
    expect(TRAIN "-o $D/cosine --steps 7 --set optimizer.rate=cosine --resume", 0, NULL);
    /* one that ended early ends there with any number of steps */
    expect(TRAIN "-o $D/ended-longer " NARROW, 3, "diverged: step ");
    expect(TRAIN "-o $D/ended-longer --steps 17 --resume " NARROW, 3, "the training ended there");
    /* a branch gets more like any other */
    expect(TRAIN "-o $D/branch-longer " BRANCH, 0, NULL);
    expect(TRAIN "-o $D/branch-longer --steps 17 --resume " BRANCH, 0, NULL);
    assert_same_file("long/step-000017/optimizer.safetensors",
                     "branch-longer/step-000017/optimizer.safetensors");
    assert_same_steps("long/statistics.h5", "branch-longer/statistics.h5", 2, 4);
}

static const char *const branch_files[] = {"log.jsonl",
                                           "events.jsonl",
                                           "step-000010/optimizer.safetensors",
                                           "step-000012/diffusion_pytorch_model.safetensors",
                                           "step-000012/optimizer.safetensors",
                                           "step-000012-ema/diffusion_pytorch_model.safetensors"};

/* Without a changed key it does what the training did that it leaves. */
static void test_branch(void **state)
{
    (void)state;
    char a[200], b[200];

    expect(TRAIN "-o $D/base", 0, NULL);
    expect(TRAIN "-o $D/branch " BRANCH, 0, NULL);
    shell("cd %s && tail -n +6 base/log.jsonl | cmp - branch/log.jsonl", tmp_dir);
    for (size_t i = 2; i < N_OF(branch_files); i++) {
        snprintf(a, sizeof a, "base/%s", branch_files[i]);
        snprintf(b, sizeof b, "branch/%s", branch_files[i]);
        assert_same_file(a, b);
    }
    assert_same_steps("base/statistics.h5", "branch/statistics.h5", 2, 2); /* 8 and 12 */
    assert_int_equal(access(in_tmp("branch/step-000005"), F_OK), -1);

    /* resumed from its own checkpoint, and from nothing but its beginning */
    for (int k = 0; k < 2; k++) {
        shell("cd %s && rm -rf cut-branch && cp -r branch cut-branch && cd cut-branch && "
              "rm -r step-000012* %s && printf '{\"step\": 12, \"lo' >> log.jsonl",
              tmp_dir, k ? "step-000010*" : "");
        expect(TRAIN "-o $D/cut-branch --resume " BRANCH, 0, NULL);
        for (size_t i = 0; i < N_OF(branch_files); i++) {
            snprintf(a, sizeof a, "branch/%s", branch_files[i]);
            snprintf(b, sizeof b, "cut-branch/%s", branch_files[i]);
            assert_same_file(a, b);
        }
        assert_same_run("branch/statistics.h5", "cut-branch/statistics.h5");
    }
    expect(TRAIN "-o $D/branch --resume", 2, "init.from is ");

    /* with one it does something else, and longer */
    expect(TRAIN "-o $D/remedied --steps 14 --set optimizer.kind=adamw "
                 "--set optimizer.weight_decay=0.1 --json " BRANCH,
           0, "\"steps\": 14");
    assert_int_equal(count_of("remedied/log.jsonl", "\"step\":6,"), 1);
    shell("cd %s && ! tail -n +6 base/log.jsonl | cmp -s - remedied/log.jsonl", tmp_dir);
}

/* It can go back to where it began before it has a checkpoint of its own. */
static void test_branch_rolls_back(void **state)
{
    (void)state;
    size_t n;

    expect(TRAIN "-o $D/undone --set on_nonfinite=rollback --set max_rollbacks=2 "
                 "--set checkpoints.every=100 " BRANCH NARROW,
           3, "2 rollbacks did not help");
    char *events = slurp("undone/events.jsonl", &n);
    assert_non_null(strstr(events, "\"event\":\"rollback\",\"to\":5"));
    ss_free(events);
    assert_int_equal(access(in_tmp("undone/step-000005/training.json"), F_OK), 0);
    /* one that ended early is branched off like any other */
    expect(TRAIN "-o $D/freed --set init.from=three/step-000004 --set init.state=true --steps 8 "
                 "--set on_nonfinite=skip --set max_overflows=4 --json",
           0, "\"overflows\": 3");
}

/* The loss scale goes on where both search one. */
static void test_branch_loss_scale(void **state)
{
    (void)state;
#define SEARCHED "--set loss_scale.dynamic=true --set loss_scale.initial=64 "
#define OF(from) "--set init.state=true --steps 6 --set init.from=" from "/step-000005 "

    expect(TRAIN "-o $D/searched --steps 5 --set loss_scale.interval=2 " SEARCHED, 0, NULL);
    expect(TRAIN "-o $D/s1 --json --set loss_scale.interval=5 " SEARCHED OF("searched"), 0,
           "\"scale\": 256,");
    expect(TRAIN "-o $D/s2 --json --set loss_scale.initial=2 " OF("searched"), 0, "\"scale\": 2,");
    expect(TRAIN "-o $D/s3 --json " SEARCHED OF("base"), 0, "\"scale\": 64,");
}

static void test_branch_errors(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        int status;
        const char *text;
    } cases[] = {
        {"init.zero=[]", 2, "state goes on from a checkpoint, which from must name"},
        {"init.from=base/step-000005-ema", 2, "averages of weights never have"},
        {"init.from=base/step-000012", 2, "is at step 12 already, and steps is 12: give more"},
        {"init.from=base/step-000005 --set optimizer.kind=lion", 1,
         "the state of an optimiser 'adam', expected 'lion'"},
        {"init.from=base/step-000005 --set optimizer.ema_decay=0 --set checkpoints.ema=false", 1,
         "has averages of weights (ema_decay), this training keeps none"},
        {"init.from=base/step-000005 --set remedies.residual_scale=learned", 1,
         "down_blocks.0.resnets.0.residual_scale is missing"},
        {"init.from=scaled-base/step-000002", 1,
         "the first is down_blocks.0.resnets.0.residual_scale"},
        {"init.from=base/step-000005 --set loss_by_sigma.to=20", 2, "from sigma 0.01 to 100"},
        {"init.from=base/step-000005 --set loss_by_sigma.bins=3", 1, "two lists of 3 numbers"},
    };

    expect(TRAIN "-o $D/scaled-base --steps 2 --set remedies.residual_scale=learned", 0, NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        char args[600];

        snprintf(args, sizeof args, TRAIN "-o $D/x --set init.state=true --set %s", cases[i].set);
        expect(args, cases[i].status, cases[i].text);
        assert_int_equal(access(in_tmp("x"), F_OK), -1);
    }
}

/* SIGTERM saves a checkpoint of the step at hand, and --resume goes on from it. */
static void test_interrupt(void **state)
{
    (void)state;
    int status = run("train $D/train.json --threads 1 -o $D/cut --steps 100000 "
                     "--set statistics.every=0 --set checkpoints.every=1000000 & "
                     "p=$!; " UNTIL("[ -s $D/cut/log.jsonl ]") "kill -TERM $p; wait $p");

    assert_int_equal(status, 143);
    assert_non_null(strstr(output, "go on with --resume"));
    const char *saved = strstr(output, "cut/step-");
    assert_non_null(saved);
    assert_true(strtol(saved + strlen("cut/step-"), NULL, 10) > 0);
    /* while somebody has the folder, nobody else gets it */
    int lock = open(in_tmp("cut/lock"), O_RDWR);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    expect(TRAIN "-o $D/cut --resume --steps 100000 --set statistics.every=0 "
                 "--set checkpoints.every=1000000",
           1, "another process is training there");
    close(lock);
}

/* Also where every step is saved anyway. */
static void test_interrupt_between_checkpoints(void **state)
{
    (void)state;
    int status = run("train $D/train.json --threads 1 -o $D/each --steps 100000 "
                     "--set statistics.every=0 --set checkpoints.every=1 --set checkpoints.keep=2 "
                     "--set checkpoints.ema=false & "
                     "p=$!; " UNTIL("[ -s $D/each/log.jsonl ]") "kill -TERM $p; wait $p");

    assert_int_equal(status, 143);
    assert_non_null(strstr(output, "interrupted after step"));
    assert_non_null(strstr(output, "each/step-"));
}

static void test_errors(void **state)
{
    (void)state;
    expect("train", 2, "expected CONFIG.json");
    expect("train $D/gone.json", 1, "gone.json");
    expect(TRAIN "--set steps=many -o $D/x", 1, "\"steps\" is \"many\"; expected an integer");
    expect(TRAIN "--steps 0 -o $D/x", 2, "--steps takes a whole number from 1");
    expect(TRAIN "-o /proc/x", 1, "/proc/x");
    expect(TRAIN "-o $D/x --set data.kind=idx --set data.path=gone", 1, "gone");
    expect(TRAIN "-o $D/x --set 'penalty.modules=[\"nowhere\"]'", 2, "'nowhere'");
    assert_int_equal(access(in_tmp("x"), F_OK), -1); /* what is wrong leaves nothing behind */
}

static void test_scaler(void **state)
{
    (void)state;
    ss_loss_scale_options o = ss_loss_scale_defaults();
    ss_err e = {0};

    o.dynamic = true;
    o.initial = 8;
    o.floor = 2;
    o.ceiling = 16;
    o.interval = 3;
    assert_int_equal(ss_loss_scale_check(&o, &e), SS_OK);
    ss_loss_scale s = ss_loss_scale_begin(&o);
    static const struct {
        bool finite, helped;
        double scale;
    } steps[] = {{true, true, 8},  {true, true, 8},  {true, true, 16},  {true, true, 16},
                 {true, true, 16}, {true, true, 16}, {false, true, 8},  {true, true, 8},
                 {false, true, 4}, {false, true, 2}, {false, false, 2}, {true, true, 2},
                 {true, true, 2},  {true, true, 4}};
    for (size_t i = 0; i < N_OF(steps); i++) {
        assert_int_equal(ss_loss_scale_update(&s, &o, steps[i].finite, true), steps[i].helped);
        assert_float_equal(s.scale, steps[i].scale, 0);
    }
    assert_int_equal(s.skipped, 4);
    o.floor = 9;
    assert_int_equal(ss_loss_scale_check(&o, &e), SS_USAGE);
    o = ss_loss_scale_defaults();
    s = ss_loss_scale_begin(&o);
    assert_false(ss_loss_scale_update(&s, &o, false, true)); /* a static one cannot help */
    assert_float_equal(s.scale, 1, 0);
}

static void test_spikes(void **state)
{
    (void)state;
    const ss_spike_options o = {.threshold = 3.2, .decay = 0.9, .warmup = 20, .quiet = 5};
    ss_spikes s = {0};

    for (int i = 1; i <= 60; i++) {
        const double noise = i % 2 ? 0.01 : -0.01;
        const bool high = i == 10 || i == 40 || i == 42 || i == 55;
        const bool spike = ss_spikes_add(&s, &o, high ? 3 : 1 + noise);

        /* 10 is in the warm-up, 42 in the quiet after 40 */
        if (spike != (i == 40 || i == 55))
            fail_msg("loss %d: %d, mean %g, var %g", i, spike, s.mean, s.var);
    }
    assert_int_equal(s.count, 2);
    assert_false(ss_spikes_add(&s, &o, NAN));
    assert_false(ss_spikes_add(&s, &o, INFINITY));
    assert_true(isfinite(s.mean));
}

/* Counts, among losses that all are spikes, those that come `quiet` steps after the last that
 * counted.
 */
static void test_quiet(void **state)
{
    (void)state;
    for (int quiet = 1; quiet <= 7; quiet += 3) {
        const ss_spike_options o = {.threshold = 3.2, .decay = 0.9, .warmup = 20, .quiet = quiet};
        ss_spikes s = {0};

        for (int i = 1; i <= 60; i++) {
            const bool rising = i >= 40;
            const bool spike = ss_spikes_add(&s, &o,
                                             rising  ? pow(10, i - 39)
                                             : i % 2 ? 1.01
                                                     : 0.99);

            if (spike != (rising && (i - 40) % quiet == 0))
                fail_msg("quiet %d, loss %d: %d", quiet, i, spike);
        }
    }
}

static void test_journal(void **state)
{
    (void)state;
    static const char some[] =
        "{\"step\":1}\n{\"step\":2,\"x\":null}\n{\"step\":2}\n{\"step\":3}\n{\"ste";
    ss_journal *j;
    size_t n;
    ss_err e = {0};

    write_file(in_tmp("j"), some, sizeof some - 1);
    assert_int_equal(ss_journal_open(in_tmp("j"), 2, &j, &e), SS_OK);
    assert_int_equal(
        ss_journal_add(j, json_pack("{s:i, s:o}", "step", 9, "y", ss_journal_number(INFINITY)), &e),
        SS_OK);
    assert_int_equal(ss_journal_close(j, &e), SS_OK);
    char *text = slurp("j", &n);
    assert_string_equal(text, "{\"step\":1}\n{\"step\":2,\"x\":null}\n{\"step\":2}\n"
                              "{\"step\":9,\"y\":null}\n");
    ss_free(text);
    assert_int_equal(ss_journal_open("/no/such/j", 0, &j, &e), SS_IO);
    assert_int_equal(ss_journal_open("/dev/full", 0, &j, &e), SS_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_loss_scale),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_max_overflows),
        cmocka_unit_test(test_ended),
        cmocka_unit_test(test_older_folder),
        cmocka_unit_test(test_remedies),
        cmocka_unit_test(test_edm),
        cmocka_unit_test(test_checkpoints_kept),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_branch),
        cmocka_unit_test(test_branch_rolls_back),
        cmocka_unit_test(test_branch_loss_scale),
        cmocka_unit_test(test_branch_errors),
        cmocka_unit_test(test_longer),
        cmocka_unit_test(test_longer_keeps_as_many),
        cmocka_unit_test(test_longer_rolls_back),
        cmocka_unit_test(test_longer_errors),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_interrupt_between_checkpoints),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_scaler),
        cmocka_unit_test(test_spikes),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_journal),
    };
    return cmocka_run_group_tests(tests, make_config, remove_tmp);
}
