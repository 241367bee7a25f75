/* test_train_config.c - the configuration of a training: what it says, what it refuses, and that
 * the effective one stands for itself
 */
#include "base/file.h"
#include "base/mem.h"
#include "tests/ss_tmp.h"
#include "train/config.h"

#include <sys/stat.h>

#define NETWORK                                                                           \
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 16, \"in_channels\": 1,"         \
    " \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"     \
    " \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"                      \
    " \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8," \
    " \"norm_num_groups\": 4, \"num_class_embeds\": 4}"

/* Reads a text as train.json in the test's folder. */
static ss_code read_config(const char *text, const char *const *sets, int n, ss_train_config **t,
                           ss_err *e)
{
    char path[600];

    snprintf(path, sizeof path, "%s", in_tmp("train.json"));
    write_file(path, text, strlen(text));
    return ss_train_config_read(path, sets, n, t, e);
}

static ss_train_config *good(const char *text, const char *const *sets, int n)
{
    ss_train_config *t;
    ss_err e = {0};

    if (read_config(text, sets, n, &t, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return t;
}

static void test_fields(void **state)
{
    (void)state;
    static const char text[] =
        "{\"output\": \"out\", \"seed\": 7, \"steps\": 30, \"batch\": 4, \"recompute\": true,"
        " \"on_nonfinite\": \"rollback\", \"max_rollbacks\": 2,"
        " \"max_overflows\": 5, \"model\": " NETWORK ","
        " \"init\": {\"zero\": [\"*.conv2\", \"*.to_out.0\"]},"
        " \"data\": {\"kind\": \"shapes\", \"null_class\": 3, \"dropout\": 0.25},"
        " \"objective\": {\"prediction\": \"epsilon\", \"weighting\": \"min_snr\", \"gamma\": 4},"
        " \"optimizer\": {\"kind\": \"adamw\", \"lr\": 1, \"beta2\": 0.98, \"warmup\": 9},"
        " \"penalty\": {\"coefficient\": 1e-3, \"interval\": 8, \"modules\": [\"up_*\"]},"
        " \"precision\": {\"format\": \"e4m3-ieee\", \"gradient\": \"e5m2\", \"scope\": \"blocks\","
        "  \"rules\": [{\"modules\": \"mid_block*\", \"format\": \"fp32\"}]},"
        " \"interventions\": [\"clamp:20@up_blocks.0\"],"
        " \"loss_scale\": {\"dynamic\": true, \"initial\": 1024},"
        " \"checkpoints\": {\"every\": 10, \"keep\": 2}}";
    ss_train_config *t = good(text, NULL, 0);
    const ss_trainer_options *o = &t->trainer;

    assert_string_equal(t->output, "out");
    assert_int_equal(t->steps, 30);
    assert_int_equal(t->on_nonfinite, SS_NONFINITE_ROLLBACK);
    assert_int_equal(t->max_rollbacks, 2);
    assert_int_equal(t->max_overflows, 5);
    assert_int_equal(t->checkpoint_keep, 2);
    assert_int_equal(o->init.seed, 7);
    assert_int_equal(o->data.seed, 7);
    assert_int_equal(o->objective.seed, 7);
    assert_int_equal(o->init.n_zero, 2);
    assert_string_equal(o->init.zero[1], "*.to_out.0");
    assert_true(o->recompute);
    assert_int_equal(o->data.kind, SS_DATA_SHAPES);
    assert_float_equal(o->data.dropout, 0.25, 0);
    assert_int_equal(o->objective.prediction, SS_OBJECTIVE_EPSILON);
    assert_int_equal(o->objective.weighting, SS_WEIGHTING_MIN_SNR);
    assert_float_equal(o->objective.gamma, 4, 0);
    assert_int_equal(o->optimizer.kind, SS_OPTIMIZER_ADAMW);
    assert_float_equal(o->optimizer.lr, 1, 0);
    assert_float_equal(o->optimizer.beta1, 0.9, 0); /* not said: the default */
    assert_int_equal(o->optimizer.steps, 30);
    assert_int_equal(o->interval, 8);
    assert_string_equal(o->penalty[0], "up_*");
    assert_string_equal(o->precision->format.name, "e4m3-ieee");
    assert_string_equal(o->precision->gradient.name, "fp8-e5m2");
    assert_int_equal(o->precision->scope, SS_ROUND_BLOCKS);
    assert_int_equal(o->precision->n_rules, 1);
    assert_true(ss_format_is_f32(&o->precision->rules[0].gradient));
    assert_int_equal(o->interventions[0].kind, SS_CLAMP);
    assert_true(o->scale.dynamic);
    assert_float_equal(o->scale.growth, 2, 0);
    assert_string_equal(json_string_value(json_object_get(o->scheduler, "prediction_type")),
                        "epsilon");
    ss_train_config_free(t);
}

/* The effective configuration, read again, is itself, whatever it was made of. */
static void test_effective(void **state)
{
    (void)state;
    static const char *const sets[] = {"optimizer.lr=0.25", "data.kind=shapes", "seed=3",
                                       "penalty.modules=[\"mid_block\"]", "loss_by_sigma.bins=4"};
    ss_train_config *a =
        good("{\"model\": " NETWORK ", \"data\": {\"kind\": \"idx\"}}", sets, (int)N_OF(sets));
    char *text = json_dumps(a->effective, 0), where[200];
    ss_train_config *b = good(text, NULL, 0);

    assert_float_equal(a->trainer.optimizer.lr, 0.25, 0);
    assert_int_equal(a->trainer.data.kind, SS_DATA_SHAPES);
    assert_int_equal(a->seed, 3);
    assert_int_equal(a->trainer.bins, 4);
    assert_string_equal(a->trainer.penalty[0], "mid_block");
    if (ss_train_config_differs(a->effective, b->effective, where, sizeof where))
        fail_msg("%s", where);
    ss_train_config_free(b);
    b = good(text, (const char *const[]){"optimizer.lr=0.5"}, 1);
    assert_true(ss_train_config_differs(a->effective, b->effective, where, sizeof where));
    assert_string_equal(where, "optimizer.lr is 0.25 there, 0.5 here");
    ss_train_config_free(b);
    ss_train_config_free(a);
    ss_free(text);
}

/* The folder of a training says the one name of a format, whichever its configuration had. */
static void test_names_of_formats(void **state)
{
    (void)state;
    ss_train_config *a =
        good("{\"model\": " NETWORK ", \"precision\": {\"format\": \"e4m3\", \"gradient\": "
             "\"e5m2\", \"rules\": [{\"modules\": \"*\", \"format\": \"e5m10\"}]}}",
             NULL, 0);
    ss_train_config *b =
        good("{\"model\": " NETWORK ", \"precision\": {\"format\": \"e4m3-ieee\", \"gradient\": "
             "\"fp8-e5m2\", \"rules\": [{\"modules\": \"*\", \"format\": \"fp16\"}]}}",
             NULL, 0);
    char where[200];

    if (ss_train_config_differs(a->effective, b->effective, where, sizeof where))
        fail_msg("%s", where);
    ss_train_config_free(b);
    ss_train_config_free(a);
}

/* Checks that the role of each field decides whether it is in the plan, must be the same on
 * resuming, and is in checkpoints. */
static void test_roles(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        bool plan, fixed, record; /* whether it differs with that */
    } cases[] = {
        {"output=elsewhere", false, false, true},
        {"steps=31", true, false, false},
        {"max_overflows=3", false, true, true},
        {"optimizer.lr=0.25", true, true, true},
        {"init.from=/x", true, true, true},
        {"arithmetic=f32", true, true, true},
        {"interventions=[\"clamp:20@*\"]", true, true, true},
    };
    static const char *const branch[] = {"init.from=/x", "init.state=true"};
    ss_train_config *a = good("{\"model\": " NETWORK "}", NULL, 0), *b;
    char *const plan = ss_train_config_plan(a, a->steps);
    json_t *const fixed = ss_train_config_fixed(a->effective);
    json_t *const record = ss_train_config_record(a);

    for (size_t i = 0; i < N_OF(cases); i++) {
        b = good("{\"model\": " NETWORK "}", &cases[i].set, 1);
        char *const other_plan = ss_train_config_plan(b, b->steps);
        json_t *const other = ss_train_config_fixed(b->effective);
        json_t *const other_record = ss_train_config_record(b);

        if ((strcmp(plan, other_plan) != 0) != cases[i].plan ||
            !json_equal(fixed, other) != cases[i].fixed ||
            !json_equal(record, other_record) != cases[i].record)
            fail_msg("%s: determines the wrong things", cases[i].set);
        json_decref(other_record);
        json_decref(other);
        ss_free(other_plan);
        ss_train_config_free(b);
    }
    /* trainings from before there were branches and arithmetics had neither, and can go on */
    assert_null(strstr(plan, "\"state\""));
    assert_null(strstr(plan, "\"arithmetic\""));
    json_t *const earlier = json_deep_copy(a->effective);
    assert_int_equal(json_object_del(earlier, "arithmetic"), 0);
    json_t *const earlier_fixed = ss_train_config_fixed(earlier);
    assert_true(json_equal(earlier_fixed, fixed));
    json_decref(earlier_fixed);
    json_decref(earlier);
    b = good("{\"model\": " NETWORK "}", branch, 2);
    char *const branched = ss_train_config_plan(b, 7);
    assert_non_null(strstr(branched, "\"state\":true"));
    assert_non_null(strstr(branched, "\"steps\":7"));
    ss_free(branched);
    ss_train_config_free(b);
    /* learning rates that depend on the number of steps */
    b = good("{\"model\": " NETWORK "}", (const char *const[]){"optimizer.rate=cosine"}, 1);
    json_t *const kept = ss_train_config_record(b);
    assert_true(ss_train_config_steps_matter(b) && !ss_train_config_steps_matter(a));
    assert_int_equal(json_integer_value(json_object_get(kept, "steps")), b->steps);
    assert_null(json_object_get(record, "steps"));
    json_decref(kept);
    ss_train_config_free(b);
    json_decref(record);
    json_decref(fixed);
    ss_free(plan);
    ss_train_config_free(a);
}

/* A path is relative to the file; a folder is one with a config.json in it. */
static void test_paths(void **state)
{
    (void)state;
    char path[600];

    mkdir(in_tmp("net"), 0777);
    snprintf(path, sizeof path, "%s/config.json", in_tmp("net"));
    write_file(path, NETWORK, strlen(NETWORK));
    ss_train_config *t = good("{\"model\": \"net\", \"data\": {\"kind\": \"idx\", \"path\": "
                              "\"net/config.json\", \"labels\": \"gone\"}}",
                              NULL, 0);
    assert_string_equal(json_string_value(json_object_get(t->trainer.config, "_class_name")),
                        "UNet2DModel");
    assert_string_equal(t->trainer.data.path, path);
    assert_string_equal(t->trainer.data.labels, in_tmp("gone"));
    ss_train_config_free(t);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *set, *want;
    } cases[] = {
        {"{", NULL, "train.json: line 1"},
        {"[]", NULL, "expected a JSON object"},
        {"{}", NULL, "train.json: \"model\" is missing; expected a diffusers config.json"},
        {"{}", "steps=0", "train.json: \"steps\" is 0; allowed: 1 to"},
        {"{}", "steps=1.5", "\"steps\" is 1.5; expected an integer"},
        {"{}", "batch=70000", "\"batch\" is 70000; allowed: 1 to 65536"},
        {"{\"model\": " NETWORK "}", "stepz=1",
         "there is no key \"stepz\" - did you mean 'steps'?; known"},
        {"{}", "optimizer.lrr=1",
         "train.json: optimizer: there is no key \"lrr\" - did you mean 'lr'?; known: kind"},
        {"{}", "optimizer.lr=-1", "train.json: optimizer: \"lr\" is -1; allowed: numbers from 0"},
        {"{}", "optimizer.lr=fast", "\"lr\" is \"fast\"; expected a number"},
        {"{}", "optimizer.kind=adagrad",
         "\"kind\" is \"adagrad\"; supported: adam, adamw, lion, sgd"},
        {"{}", "optimizer=3", "\"optimizer\" is 3; expected an object"},
        {"{}", "data.dropout=2", "data: \"dropout\" is 2; allowed: 0 to 1"},
        {"{}", "data.rare_scale=1e999", "expected a number"},
        {"{}", "objective.sigma_data=0", "\"sigma_data\" is 0; allowed: numbers over 0"},
        {"{}", "objective.levels=timesteps", "\"schedule\" is missing; noise levels by timesteps"},
        {"{}", "objective.schedule=x.json", "only noise levels by timesteps have one"},
        {"{\"objective\": {\"levels\": \"timesteps\", \"schedule\": \"gone.json\"}}", NULL,
         "gone.json"},
        {"{\"model\": " NETWORK "}", "precision.format=fp17",
         "precision: \"format\" is \"fp17\"; 'fp17' is not a number"},
        {"{\"model\": " NETWORK "}", "precision.rules=[{}]",
         "precision: rules: \"modules\" is missing"},
        {"{\"model\": " NETWORK "}", "precision.rules=[{\"modules\": \"x\", \"a\": 1}]",
         "rules: there is no key \"a\""},
        {"{\"model\": " NETWORK "}", "precision.rules=7", "\"rules\" is 7; expected a list"},
        {"{\"model\": " NETWORK "}", "interventions=[\"frob@x\"]",
         "'frob@x' is not an intervention"},
        {"{\"model\": " NETWORK "}", "interventions=[7]", "expected a list of strings"},
        {"{}", "init.zero=[1]", "init: \"zero\" is [1]; expected a list of strings"},
        {"{}", "model=gone.json", "gone.json"},
        {"{}", "model=7", "\"model\" is 7; expected an object, or the path"},
        {"{\"model\": " NETWORK "}", "checkpoints.ema=true", "need optimizer.ema_decay over 0"},
        {"{\"model\": " NETWORK "}", "lr", "'lr' is not KEY=VALUE"},
        {"{}", "=1", "'=1' is not KEY=VALUE"},
        {"{}", "a..b=1", "'a..b=1' is not KEY=VALUE"},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_train_config *t;
        ss_err e = {0};
        ss_code rc = read_config(cases[i].text, &cases[i].set, cases[i].set != NULL, &t, &e);

        if (rc == SS_OK || !strstr(e.msg, cases[i].want))
            fail_msg("%s %s: %d \"%s\", want \"%s\"", cases[i].text, cases[i].set, rc, e.msg,
                     cases[i].want);
    }
}

static void test_memory(void **state)
{
    (void)state;
    ss_train_config *t;
    ss_err e = {0};

    for (unsigned long k = 1; k < 200; k++) {
        ss_mem_fail_at(k);
        if (read_config("{\"model\": " NETWORK ", \"interventions\": [\"zero@x\"], \"precision\": "
                        "{\"rules\": [{\"modules\": \"a\"}]}}",
                        NULL, 0, &t, &e) == SS_OK)
            ss_train_config_free(t);
        else
            assert_int_equal(e.code, SS_NOMEM);
        ss_mem_fail_at(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_effective),
        cmocka_unit_test(test_names_of_formats),
        cmocka_unit_test(test_roles),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
