/* test_plan.c - the list of all that determines a run: every field of the options is on it, and has
 * its key and its default from nowhere else; each changes the plan or is said not to; a plan that
 * was read back is the same. Then what --resume says, and what counts as the same.
 */
#include "base/mem.h"
#include "models/file/safetensors_write.h"
#include "probe/cached.h"
#include "probe/options.h"
#include "probe/plan.h"
#include "probe/probe.h"
#include "probe/replay.h"
#include "probe/trajectory.h"
#include "runfile/h5.h"
#include "runfile/plan_text.h"
#include "tests/ss_command.h"

#include <math.h>
#include <sys/stat.h>

static void write_tensor(const char *path, float value)
{
    const float values[2] = {value, 2};
    const ss_st_item item = {
        .name = "x", .dtype = SS_F32, .rank = 2, .dim = {1, 2}, .values = values};
    ss_err e = {0};

    if (ss_safetensors_write(path, &item, 1, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* --- every field is on the list --- */

#if defined __has_builtin
#if __has_builtin(__builtin_clear_padding)
#define CAN_CLEAR_PADDING
#endif
#endif

#ifdef CAN_CLEAR_PADDING
/* bytes: 0xff where the struct has a field, 0 where it has padding. */
static void assert_covered(const ss_settings *s, const unsigned char *bytes, size_t size)
{
    unsigned char *covered = ss_calloc(size, 1);

    for (int i = 0; i < s->n; i++) {
        const ss_option_field *x = &ss_option_fields(s)[i];

        memset(covered + x->at, 0xff, x->size);
        memset(covered + x->n_at, 0xff, x->n_size);
    }
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] && !covered[i])
            fail_msg("%s: byte %zu of the options belongs to a field that has no row in the list "
                     "of runfile/plan_list.h",
                     s->kind, i);
        if (!bytes[i] && covered[i])
            fail_msg("%s: a row covers byte %zu of the options, where there is no field", s->kind,
                     i);
    }
    ss_free(covered);
}

static void test_every_field_is_listed(void **state)
{
    (void)state;
    ss_probe_options probe;
    ss_trajectory_options trajectory;

    memset(&probe, 0xff, sizeof probe);
    memset(&trajectory, 0xff, sizeof trajectory);
    __builtin_clear_padding(&probe);
    __builtin_clear_padding(&trajectory);
    assert_covered(ss_probe_settings(), (unsigned char *)&probe, sizeof probe);
    assert_covered(ss_trajectory_settings(), (unsigned char *)&trajectory, sizeof trajectory);
}
#else
static void test_every_field_is_listed(void **state)
{
    (void)state;
    skip_because("this compiler cannot distinguish fields from padding");
}
#endif

/* --- each changes the plan --- */

/* Another value for one field, whatever its kind. The lists are good until the next call. */
static void change(const ss_setting *x, const ss_option_field *f, void *options)
{
    static const char *texts[9];
    static int counts[9];
    static char tensor[600];
    char *field = (char *)options + f->at;
    const char *text = "another";
    const char *const *list;
    const int *numbers;
    int count = 0, n = 0;
    bool flag;
    double number;
    uint64_t seed;

    if (f->n_size)
        memcpy(&n, (char *)options + f->n_at, sizeof n);
    assert_true(x->kind == SS_SETTING_SIZE || (n >= 0 && n < 8));
    switch (x->kind) {
    case SS_SETTING_TEXT: memcpy(field, &text, sizeof text); break;
    case SS_SETTING_TENSOR:
        snprintf(tensor, sizeof tensor, "%s#x", in_tmp("b.safetensors"));
        text = tensor;
        memcpy(field, &text, sizeof text);
        break;
    case SS_SETTING_TEXTS:
    case SS_SETTING_INPUTS:
        memcpy(&list, field, sizeof list);
        for (int i = 0; i < n; i++)
            texts[i] = list[i];
        texts[n++] = "noise:blue";
        list = texts;
        memcpy(field, &list, sizeof list);
        break;
    case SS_SETTING_COUNTS:
        memcpy(&numbers, field, sizeof numbers);
        for (int i = 0; i < n; i++)
            counts[i] = numbers[i];
        counts[n++] = 7;
        numbers = counts;
        memcpy(field, &numbers, sizeof numbers);
        break;
    case SS_SETTING_COUNT:
        memcpy(&count, field, sizeof count);
        count++;
        memcpy(field, &count, sizeof count);
        break;
    case SS_SETTING_SIZE: n++; break;
    case SS_SETTING_FLAG:
    case SS_SETTING_EITHER:
        memcpy(&flag, field, sizeof flag);
        flag = !flag;
        memcpy(field, &flag, sizeof flag);
        break;
    case SS_SETTING_SEED:
        memcpy(&seed, field, sizeof seed);
        seed++;
        memcpy(field, &seed, sizeof seed);
        break;
    case SS_SETTING_NUMBER:
        memcpy(&number, field, sizeof number);
        number = isfinite(number) ? number + 0.5 : 1.25;
        memcpy(field, &number, sizeof number);
        break;
    case SS_SETTING_SAMPLER:
    case SS_SETTING_FOLLOWS: break;
    }
    if (f->n_size)
        memcpy((char *)options + f->n_at, &n, sizeof n);
}

static json_t *plan_of(const ss_settings *s, const void *options)
{
    json_t *plan = json_object();
    ss_err e = {0};

    if (ss_options_write(s, options, plan, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return plan;
}

/* Read back into options that were at their defaults, the plan is the same. */
static void assert_read_back(const ss_settings *s, const json_t *plan, void *options)
{
    ss_settings_owned owned = {0};
    ss_err e = {0};

    if (ss_options_read(s, plan, "x.h5", options, &owned, &e) != SS_OK)
        fail_msg("%s", e.msg);
    json_t *again = plan_of(s, options);
    if (!json_equal(again, plan))
        fail_msg("read back, the plan is\n%s\nand was\n%s", json_dumps(again, JSON_SORT_KEYS),
                 json_dumps(plan, JSON_SORT_KEYS));
    json_decref(again);
    ss_settings_release(&owned);
}

/* options: some that are set, of `size` bytes; start: defaults. */
static void change_each(const ss_settings *s, const void *options, const void *start, size_t size)
{
    json_t *plan = plan_of(s, options);
    char *same = ss_plan_identity(s, plan), *changed = ss_alloc(size, 1), *back = ss_alloc(size, 1);
    int n_data = 0, n_form = 0;

    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];
        ss_str difference = {0};

        if (x->kind == SS_SETTING_FOLLOWS || x->kind == SS_SETTING_SAMPLER)
            continue;
        memcpy(changed, options, size);
        memcpy(back, start, size);
        change(x, &ss_option_fields(s)[i], changed);
        json_t *other = plan_of(s, changed);
        char *identity = ss_plan_identity(s, other);
        const bool differs = strcmp(identity, same) != 0;

        if (differs != (x->role == SS_SETTING_DATA))
            fail_msg("%s %s the identity of the plan", x->option,
                     differs ? "changes" : "does not change");
        if (json_equal(plan, other) != (x->role == SS_SETTING_NONE))
            fail_msg("%s: the plan should %schange", x->option,
                     x->role == SS_SETTING_NONE ? "not " : "");
        assert_int_equal(ss_plan_difference(s, other, plan, &difference), differs);
        if (differs && strncmp(difference.s, x->option, strlen(x->option)) != 0)
            fail_msg("%s: the difference is said to be \"%s\"", x->option, difference.s);
        if (differs)
            assert_false(ss_setting_is_default(x, other));
        assert_read_back(s, other, back);
        n_data += x->role == SS_SETTING_DATA;
        n_form += x->role == SS_SETTING_FORM;
        ss_str_release(&difference);
        json_decref(other);
        ss_free(identity);
    }
    print_message("%s: %d options determine the data, %d by what follows\n", s->kind, n_data,
                  n_form);
    json_decref(plan);
    ss_free(same);
    ss_free(changed);
    ss_free(back);
}

static void test_every_field_changes_the_plan(void **state)
{
    (void)state;
    static const char *const two[] = {"a=fp16", "b=bf16"};
    const ss_probe_options start = ss_probe_defaults();
    const ss_trajectory_options begin = ss_trajectory_defaults();
    ss_probe_options probe = start;
    ss_trajectory_options trajectory = begin;
    char a[600];

    write_tensor(in_tmp("a.safetensors"), 1);
    write_tensor(in_tmp("b.safetensors"), 3);
    snprintf(a, sizeof a, "%s#x", in_tmp("a.safetensors"));
    change_each(ss_probe_settings(), &probe, &start, sizeof probe);
    change_each(ss_trajectory_settings(), &trajectory, &begin, sizeof trajectory);
    probe.inputs = probe.modules = probe.network.changes.precision_maps = two;
    probe.n_inputs = probe.n_modules = probe.network.changes.n_precision_maps = 2;
    probe.seed = UINT64_MAX - 1;
    probe.prompt_embeds = probe.concat = a;
    probe.network.changes.precision = "caf\xe9"; /* not UTF-8 */
    probe.network.beta_schedule = "linear";
    change_each(ss_probe_settings(), &probe, &start, sizeof probe);
    trajectory.guidance = INFINITY;
    trajectory.condition.prompt_embeds = a;
    trajectory.condition.classes = (const int[]){3, 4};
    trajectory.condition.n_classes = 2;
    change_each(ss_trajectory_settings(), &trajectory, &begin, sizeof trajectory);
}

/* --- keys and defaults --- */

static void assert_defaults(const ss_settings *s, const void *defaults)
{
    json_t *plan = plan_of(s, defaults);

    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];

        if (x->kind != SS_SETTING_SIZE && !ss_setting_is_default(x, plan))
            fail_msg("%s: %s is not at its default at the beginning", s->kind, x->option);
        for (int k = 0; k < i; k++) {
            if (strcmp(x->key, s->list[k].key) == 0)
                fail_msg("%s: two rows have the key \"%s\"", s->kind, x->key);
        }
    }
    json_decref(plan);
}

static void test_options_begin_at_their_defaults(void **state)
{
    (void)state;
    const ss_probe_options probe = ss_probe_defaults();
    const ss_trajectory_options trajectory = ss_trajectory_defaults();

    assert_defaults(ss_probe_settings(), &probe);
    assert_defaults(ss_trajectory_settings(), &trajectory);
}

static const ss_setting *row_of(const ss_settings *s, const char *key)
{
    for (int i = 0; i < s->n; i++) {
        if (s->list[i].role != SS_SETTING_NONE && strcmp(s->list[i].key, key) == 0)
            return &s->list[i];
    }
    return NULL;
}

/* The plan of a run file has the keys of the list and no others, and all but the settings in
 * `given` (and what the model decides) are at their defaults. */
static void assert_keys_and_defaults(const char *path, const char *kind, const char *given)
{
    ss_run *r;
    ss_err e = {0};
    const ss_settings *s;
    const char *key;
    json_t *value;

    if (ss_run_open(path, &r, &e) != SS_OK)
        fail_msg("%s", e.msg);
    json_t *plan = ss_plan_parse(r->plan, &s);
    assert_non_null(plan);
    assert_string_equal(s->kind, kind);
    json_object_foreach(plan, key, value)
    {
        if (strcmp(key, "kind") != 0 && !row_of(s, key))
            fail_msg("%s: the plan has \"%s\", and runfile/plan_list.h has no such row", kind, key);
    }
    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];

        if (x->role != SS_SETTING_NONE && !json_object_get(plan, x->key))
            fail_msg("%s: the plan lacks \"%s\"", kind, x->key);
        if (x->kind != SS_SETTING_SIZE && !strstr(given, x->key) && !ss_setting_is_default(x, plan))
            fail_msg("%s: %s is not at its default, though it was not given", kind, x->option);
    }
    json_decref(plan);
    ss_run_close(r);
}

/* The program sets no default itself. */
static void test_run_files_have_the_keys_of_the_list(void **state)
{
    (void)state;
    expect("probe $M -o $D/keys.h5 --sigmas 1 --samples 1 --quiet", 0, NULL);
    assert_keys_and_defaults(in_tmp("keys.h5"), "probe", "sigmas samples inputs batch");
    expect("probe $M -o $D/keys.h5 --force --timesteps 5 --inputs constant:0 --quiet", 0, NULL);
    assert_keys_and_defaults(in_tmp("keys.h5"), "probe", "timesteps samples inputs batch");
    expect("generate $M -o $D/keys --probe $D/keys.h5 --force --samples 1 --steps 1 --quiet", 0,
           NULL);
    assert_keys_and_defaults(in_tmp("keys.h5"), "generate", "samples steps batch");
}

/* The text of an option in the output of --help; ends where the next one begins. */
static const char *help_of(const char *option, size_t *n)
{
    char line[64];

    snprintf(line, sizeof line, "\n  %s ", option);
    const char *at = strstr(output, line), *end = at ? strstr(at + 1, "\n  -") : NULL;

    *n = end ? (size_t)(end - at) : 0;
    return at;
}

/* Returns how many options of the command have a default to be said. */
static int assert_help(const ss_settings *s)
{
    int n_found = 0;

    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];
        char said[40];
        size_t n;

        if ((x->kind != SS_SETTING_COUNT && x->kind != SS_SETTING_NUMBER) || x->default_number <= 0)
            continue;
        snprintf(said, sizeof said, "(default %g", x->default_number);
        const char *text = help_of(x->option, &n);
        if (!text || !memmem(text, n, said, strlen(said)))
            fail_msg("%s --help: %s lacks \"%s\"", s->kind, x->option, said);
        n_found++;
    }
    return n_found;
}

static void test_help_says_the_defaults(void **state)
{
    (void)state;
    int n_found = 0;

    expect("probe --help", 0, NULL);
    n_found += assert_help(ss_probe_settings());
    expect("generate --help", 0, NULL);
    n_found += assert_help(ss_trajectory_settings());
    assert_true(n_found > 0);
}

/* A run from before there was an option had its default: it goes on with that, and with no other.
 */
static void test_options_that_a_plan_lacks(void **state)
{
    (void)state;
    ss_probe_options opt = ss_probe_defaults();
    ss_str difference = {0};
    json_t *now = plan_of(ss_probe_settings(), &opt), *old = json_deep_copy(now);

    assert_int_equal(json_object_del(old, "arithmetic"), 0);
    assert_false(ss_plan_difference(ss_probe_settings(), now, old, &difference));
    assert_false(ss_plan_difference(ss_probe_settings(), old, now, &difference));
    opt.arithmetic = "f32";
    json_t *other = plan_of(ss_probe_settings(), &opt);
    assert_true(ss_plan_difference(ss_probe_settings(), other, old, &difference));
    assert_string_equal(difference.s, "--arithmetic is f32, the run has none");
    ss_str_release(&difference);
    json_decref(now);
    json_decref(old);
    json_decref(other);
}

/* A list of formats of thousands of bytes, changed in its last one. */
static void test_nothing_is_cut(void **state)
{
    (void)state;
    enum { MANY = 300 };
    static char text[MANY][32];
    const char *maps[MANY];
    ss_probe_options opt = ss_probe_defaults();
    ss_str difference = {0};

    for (int i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "up_blocks.%d=fp16", i);
        maps[i] = text[i];
    }
    opt.network.changes.precision_maps = maps;
    opt.network.changes.n_precision_maps = MANY;
    json_t *before = plan_of(ss_probe_settings(), &opt);
    maps[MANY - 1] = "up_blocks.299=bf16";
    json_t *after = plan_of(ss_probe_settings(), &opt);
    assert_true(ss_plan_difference(ss_probe_settings(), after, before, &difference));
    assert_string_equal(difference.s,
                        "--precision-map is up_blocks.299=bf16, the run has up_blocks.299=fp16");
    ss_str_release(&difference);
    opt.network.changes.n_precision_maps--;
    json_t *shorter = plan_of(ss_probe_settings(), &opt);
    assert_true(ss_plan_difference(ss_probe_settings(), shorter, before, &difference));
    assert_string_equal(difference.s,
                        "--precision-map lacks up_blocks.299=fp16, which the run has");
    ss_str_release(&difference);
    json_decref(before);
    json_decref(after);
    json_decref(shorter);
}

/* --- plans of version 1.1 --- */

static const char old_plan[] =
    "{\"batch\":8,\"beta_schedule\":null,\"channels\":true,\"class\":3,\"concat\":null,"
    "\"condition\":\"class 3\",\"condition_sigma\":null,\"device\":\"cpu\",\"dump\":[\"conv_in\"],"
    "\"dump_dtype\":\"f16\",\"inputs\":[\"noise:white\",\"constant:0\"],\"interventions\":[],"
    "\"levels\":[\"0.5, timestep 30, told 30\",\"LAST, timestep 999, told 999\"],"
    "\"model_sha256\":\"1234\",\"modules\":[],\"precision\":\"fp16 (blocks), {a,c}=bf16, "
    "b.*=fp32\","
    "\"prediction\":\"epsilon\",\"prediction_type\":null,\"prompt_embeds\":null,\"samples\":2,"
    "\"seed\":5,\"size\":[28,28],\"text_embeds\":null,\"threads\":4,\"time_ids\":null,"
    "\"version\":\"0.1.0\"}";

static void read_old(const char *last, const char *sigmas, const char *timesteps)
{
    char text[sizeof old_plan + 16];
    const char *at = strstr(old_plan, "LAST");
    ss_run r = {.path = (char[]){"old.h5"}, .model_path = (char[]){"m"}, .plan = text};
    ss_err e = {0};
    ss_replay p;

    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - old_plan), old_plan, last, at + 4);
    if (ss_replay_read(&r, &p, &e) != SS_OK)
        fail_msg("%s", e.msg);
    if (sigmas)
        assert_string_equal(p.opt.sigmas, sigmas);
    else
        assert_null(p.opt.sigmas);
    if (timesteps)
        assert_string_equal(p.opt.timesteps, timesteps);
    else
        assert_null(p.opt.timesteps);
    assert_string_equal(p.opt.network.changes.precision, "fp16");
    assert_true(p.opt.network.changes.round_blocks);
    assert_int_equal(p.opt.network.changes.n_precision_maps, 2);
    assert_string_equal(p.opt.network.changes.precision_maps[0], "{a,c}=bf16");
    assert_string_equal(p.opt.network.changes.precision_maps[1], "b.*=fp32");
    assert_true(p.opt.dump_f16 && p.opt.channels && p.opt.histogram);
    assert_int_equal(p.opt.n_inputs, 2);
    assert_string_equal(p.opt.inputs[1], "constant:0");
    assert_int_equal(p.opt.class_label, 3);
    assert_int_equal(p.opt.samples, 2);
    assert_int_equal(p.opt.network.width, 28);
    assert_true(p.opt.seed == 5);
    ss_replay_release(&p);
}

static void test_old_plans(void **state)
{
    (void)state;
    read_old("80", "0.5,80", NULL);
    read_old("inf", NULL, "30,999");
}

/* --- as a user meets it --- */

#define QUICK " --sigmas 0.5,20 --samples 2 --quiet"

static void test_resume_names_the_option(void **state)
{
    (void)state;
    static const struct {
        const char *options, *said;
    } cases[] = {
        {"--samples 3", "--samples is 3, the run has 2"},
        {"--sigmas 0.5,21", "--sigmas is 0.5,21, the run has 0.5,20"},
        {"--condition-sigma 3", "--condition-sigma is 3, the run has none"},
        {"--seed 1", "--seed is 1, the run has 0"},
        {"--size 16x16", "--size is 16x16, the run has 32x32"},
        {"--class 3", "--class is 3, the run has none"},
        {"--inputs noise:pink", "--inputs is noise:pink, the run has noise:white"},
        {"--inputs noise:white --inputs constant:0",
         "--inputs has constant:0, which the run lacks"},
        {"--modules conv_in", "--modules has conv_in, which the run lacks"},
        {"--dump conv_in", "--dump has conv_in, which the run lacks"},
        {"--dump-dtype f16", "--dump-dtype is f16, the run has f32"},
        {"--channels", "--channels is on, the run has off"},
        {"--no-histogram", "--no-histogram is on, the run has off"},
        {"--precision fp16", "--precision is fp16, the run has none"},
        {"--precision-map conv_in=fp16", "--precision-map has conv_in=fp16, which the run lacks"},
        {"--precision-scope blocks", "--precision-scope is blocks, the run has ops"},
        {"--intervene zero@mid_block", "--intervene has zero@mid_block, which the run lacks"},
        {"--arithmetic f32", "--arithmetic is f32, the run has auto"},
        {"--batch 1", "--batch is 1, the run has 2"},
    };
    char command[512];

    expect("probe $M -o $D/run.h5" QUICK, 0, NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        snprintf(command, sizeof command, "probe $M -o $D/run.h5 --resume" QUICK " %s",
                 cases[i].options);
        expect(command, 2, cases[i].said);
    }
    expect("probe $M -o $D/run.h5 --resume --timesteps 5,6 --samples 2 --quiet", 2,
           "--sigmas is none, the run has 0.5,20");
    /* what changes no number may differ, as may the way in which the same is said */
    expect("probe $M -o $D/run.h5 --resume --threads 1 --sigmas 0.50,2e1 --samples 2 --size 32x32 "
           "--inputs noise:white --batch 64 --quiet",
           0, NULL);
}

/* Writes an attribute of a run file, as an earlier version had it: FROM in it becomes TO. */
static void change_attribute(const char *file, const char *name, const char *from, const char *to)
{
    const hid_t f = H5Fopen(file, H5F_ACC_RDWR, H5P_DEFAULT), type = H5Tcopy(H5T_C_S1);
    const hid_t space = H5Screate(H5S_SCALAR);
    char *old = NULL;
    ss_str text = {0};
    ss_err e = {0};

    assert_int_equal(ss_h5_read_text(f, name, &old, &e), SS_OK);
    const char *at = strstr(old, from);
    assert_non_null(at);
    ss_str_addf(&text, "%.*s%s%s", (int)(at - old), old, to, at + strlen(from));
    H5Tset_size(type, text.len + 1);
    assert_true(H5Adelete(f, name) >= 0);
    const hid_t a = H5Acreate2(f, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, type, text.s) >= 0);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
    H5Fclose(f);
    ss_str_release(&text);
    ss_free(old);
}

static void assert_precision(const char *path, const char *want)
{
    ss_run *r;
    ss_err e = {0};

    assert_int_equal(ss_run_open(path, &r, &e), SS_OK);
    assert_string_equal(r->precision, want);
    ss_run_close(r);
}

/* A run in which an earlier version wrote other names of formats is a run in those formats. */
static void test_names_of_formats(void **state)
{
    (void)state;
    char path[600];

    snprintf(path, sizeof path, "%s", in_tmp("named.h5"));
    expect("probe $M -o $D/named.h5 --precision e4m3 --precision-map mid*=e5m10 --round-timestep "
           "e8m7" QUICK,
           0, NULL);
    assert_precision(path, "e4m3-ieee (half, sdpa), mid*=fp16");
    change_attribute(path, "precision", "e4m3-ieee", "e4m3");
    change_attribute(path, "plan", "\"e4m3-ieee\"", "\"e4m3\"");
    change_attribute(path, "plan", "mid*=fp16", "mid*=e5m10");
    assert_precision(path, "e4m3-ieee (half, sdpa), mid*=fp16");
    expect("probe $M -o $D/named.h5 --resume --precision e4m3-ieee --precision-map mid*=fp16 "
           "--round-timestep bf16" QUICK,
           0, NULL);
    expect("probe $M -o $D/named.h5 --resume --precision fp8-e4m3 --precision-map mid*=fp16 "
           "--round-timestep bf16" QUICK,
           2, "--precision is fp8-e4m3, the run has e4m3-ieee");
    assert_int_equal(run("probe $M -o $D/noted.h5 --sigmas 1 --samples 1 --precision e4m3 "
                         "--precision-map conv_in=e4m3"),
                     0);
    const char *note = strstr(output, "note: e4m3 is e4m3-ieee, largest 240; PyTorch's "
                                      "float8_e4m3fn is fp8-e4m3, 448\n");
    assert_non_null(note);
    assert_null(strstr(note + 10, "e4m3 is"));
}

/* Copies a picture of the demo to the folder of the test. */
static void put_picture(const char *from, const char *to)
{
    char command[1200];

    snprintf(command, sizeof command, "cp demo/fashion-mnist/images/%s %s", from, in_tmp(to));
    assert_int_equal(system(command), 0);
}

#define PICTURES " --inputs images:$D/p --sigmas 0.5 --samples 2 --quiet"

static void test_pictures_by_content(void **state)
{
    (void)state;
    mkdir(in_tmp("p"), 0755);
    put_picture("0-t-shirt.png", "p/a.png");
    put_picture("1-trouser.png", "p/b.png");
    expect("probe $M -o $D/pictures.h5" PICTURES, 0, NULL);
    expect("probe $M -o $D/pictures.h5 --resume" PICTURES, 0, NULL);
    put_picture("2-pullover.png", "p/c.png"); /* behind those that are read */
    expect("probe $M -o $D/pictures.h5 --resume" PICTURES, 0, NULL);
    put_picture("3-dress.png", "p/b.png");
    expect("probe $M -o $D/pictures.h5 --resume" PICTURES, 2, "--inputs: what images:");
    assert_non_null(strstr(output, "p holds is not what the run was made of"));
    put_picture("1-trouser.png", "p/b.png");
    expect("probe $M -o $D/pictures.h5 --resume" PICTURES, 0, NULL);
}

static int kept(const ss_probe_options *opt)
{
    ss_run_cache cache = {.dir = in_tmp("kept"), .limit = SS_RUN_CACHE_LIMIT};
    ss_err e = {0};
    char *path;
    bool found;

    if (ss_probe_cached(opt, &cache, &path, &found, &e) != SS_OK)
        fail_msg("%s", e.msg);
    ss_run_cache_close(&cache);
    ss_free(path);
    return found;
}

/* A run that is kept serves the same pictures and tensors, and no others. */
static void test_kept_runs(void **state)
{
    (void)state;
    enum { MANY = 40 };
    static char text[MANY][32], pictures[600];
    const char *maps[MANY], *const inputs[] = {pictures};
    ss_probe_options opt = ss_probe_defaults();

    for (int i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "up_blocks.%d.*=fp16", i % 2);
        maps[i] = text[i];
    }
    mkdir(in_tmp("q"), 0755);
    put_picture("0-t-shirt.png", "q/a.png");
    snprintf(pictures, sizeof pictures, "images:%s", in_tmp("q"));
    opt.network.model = MODEL;
    opt.sigmas = "20";
    opt.samples = 1;
    opt.threads = 1;
    opt.inputs = inputs;
    opt.n_inputs = 1;
    opt.network.changes.precision_maps = maps;
    opt.network.changes.n_precision_maps = MANY;
    assert_false(kept(&opt));
    assert_true(kept(&opt));
    opt.threads = 2;
    assert_true(kept(&opt));
    maps[MANY - 1] = "up_blocks.1.*=e4m3-ieee"; /* far behind byte 255 */
    assert_false(kept(&opt));
    put_picture("3-dress.png", "q/a.png");
    assert_false(kept(&opt));
    put_picture("0-t-shirt.png", "q/a.png");
    assert_true(kept(&opt));
    opt.histogram = false;
    assert_false(kept(&opt));
}

/* Another card is as good, another kind of device is not. */
static void test_plans_have_no_number_of_a_device(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu", "cuda", "cuda:1"};
    char *identity[3];

    for (int i = 0; i < 3; i++) {
        ss_probe_options opt = ss_probe_defaults();
        ss_plan p;
        ss_err e = {0};

        opt.network.model = MODEL;
        opt.device = devices[i];
        if (ss_plan_make(&opt, &p, &e) != SS_OK)
            fail_msg("%s", e.msg);
        assert_null(strstr(p.text, "cuda:1"));
        identity[i] = ss_strdup(p.identity);
        ss_plan_release(&p);
    }
    assert_string_not_equal(identity[0], identity[1]);
    assert_string_equal(identity[1], identity[2]);
    for (int i = 0; i < 3; i++)
        ss_free(identity[i]);
}

/* --- shown --- */

/* Runs that differ in one thing each: it is named, with both values, and `analyze` shows it. */
static void test_compare_names_what_differs(void **state)
{
    (void)state;
    static const struct {
        const char *options, *said, *shown;
    } cases[] = {
        {"--intervene clamp:0.1@up_blocks.?", "intervene (none, clamp:0.1@up_blocks.?)",
         "clamp:0.1"},
        {"--intervene zero@mid_block", "intervene (none, zero@mid_block)", "zero@mid_block"},
        {"--condition-sigma 0.123", "condition-sigma (none, 0.123)", "0.123"},
        {"--size 16x16", "size (32x32, 16x16)", "16x16"},
        {"--beta-schedule scaled_linear", "beta-schedule (none, scaled_linear)", "scaled_linear"},
        {"--prediction sample", "prediction (epsilon, sample)", "sample"},
        {"--seed 3141", "seed (0, 3141)", "3141"},
        {"--precision bf16", "precision (fp32, bf16 (half, sdpa))", "bf16 (half"},
        {"--precision-scope blocks", "precision-scope (ops, blocks)", NULL},
        {"--class 3", "condition (null class, class 3)", "class 3"},
        {"--modules 'up_blocks.*'", "modules (none, up_blocks.*)", "up_blocks.*"},
        {"--channels", "channels (off, on)", "channels"},
        {"--no-histogram", "no-histogram (off, on)", "no-histogram"},
        {"--arithmetic f32", "arithmetic (auto, f32)", "arithmetic"},
        {"--batch 1", "batch (2, 1)", "batch"},
    };
    char command[600];

    expect("inspect $M >$D/inspected; mkdir $D/bare; cp -r $M/unet $M/*.safetensors $D/bare/", 0,
           NULL); /* no scheduler file */
    expect("probe $D/bare -o $D/plain.h5" QUICK, 0, NULL);
    for (size_t i = 0; i < N_OF(cases); i++) {
        snprintf(command, sizeof command, "probe $D/bare -o $D/other.h5 --force" QUICK " %s",
                 cases[i].options);
        expect(command, 0, NULL);
        expect("compare $D/plain.h5 $D/other.h5", 0, cases[i].said);
        assert_null(strstr(output, "nothing but the file"));
        expect("analyze $D/other.h5", 0, NULL);
        *strstr(output, "growth") = '\0';
        if (cases[i].shown && !strstr(output, cases[i].shown))
            fail_msg("%s: analyze shows\n%s", cases[i].options, output);
    }
    expect("probe $D/bare -o $D/other.h5 --force --threads 1 --sigmas 0.50,2e1 --samples 2 --quiet",
           0, NULL);
    expect("compare $D/plain.h5 $D/other.h5", 0, NULL);
    assert_null(strstr(output, "sigmas ("));
    expect("compare $D/plain.h5 $D/plain.h5", 0, "differ in nothing but the file");
}

/* Several runs of a training whose settings differ. */
static void test_trend_names_what_differs(void **state)
{
    (void)state;
    expect("probe $M -o $D/t1.h5" QUICK, 0, NULL);
    expect("probe demo/fashion-mnist/step-06000 -o $D/t2.h5" QUICK, 0, NULL);
    expect("analyze $D/t1.h5 $D/t2.h5", 0, NULL);
    assert_null(strstr(output, "the runs differ in more than the checkpoint"));
    expect("probe demo/fashion-mnist/step-06000 -o $D/t3.h5 --intervene scale:0.5@mid_block" QUICK,
           0, NULL);
    expect(
        "analyze $D/t1.h5 $D/t3.h5", 0,
        "the runs differ in more than the checkpoint: intervene, so a trend may be that of these");
    assert_non_null(strstr(output, "scale:0.5@mid_block  6000"));
    expect("report $D/t3.h5 -o $D/report --quiet", 0, NULL);
    expect("inspect $M >$D/x; cat $D/report/index.html", 0, "<th>intervene</th>");
    assert_non_null(strstr(output, "scale:0.5@mid_block</td>"));
}

/* Zero terminal SNR: at the last timestep sigma is infinite, and all that repeats a run does. */
static void test_infinite_sigma(void **state)
{
    (void)state;
    expect("inspect $M >$D/x; mkdir $D/zero; cp -r $M/unet $M/*.safetensors $D/zero/; "
           "echo '{\"_class_name\": \"DDPMScheduler\", \"rescale_betas_zero_snr\": true, "
           "\"prediction_type\": \"v_prediction\"}' >$D/zero/scheduler_config.json; "
           "mkdir $D/zero/scheduler; mv $D/zero/scheduler_config.json $D/zero/scheduler/",
           0, NULL);
    expect("probe $D/zero -o $D/inf.h5 --timesteps 10,999 --samples 1 --quiet", 0, NULL);
    expect("analyze $D/inf.h5 --keep-fp32 fp16 --check", 0, "the list suffices");
    expect("probe $D/zero -o $D/inf.h5 --timesteps 10,999 --samples 1 --quiet --resume", 0, NULL);
    expect("bisect $D/zero --fail 'absmax(*) > 1' --timesteps 999 --samples 1 --quiet --cache "
           "$D/c --save-bundle $D/bundle",
           3, "sh ");
    expect("inspect $M >$D/x; cat $D/bundle/expected.json", 0, "\"sigma\": \"inf\"");
    expect("bisect $D/zero --fail 'absmax(*) > 1' --timesteps 10,999 --samples 1 --quiet --cache "
           "$D/c --minimal-fp32 e4m3-ieee",
           3, NULL);
    assert_null(strstr(output, "--sigmas"));
}

/* A replay must repeat the run: other pictures at the same path are refused by name. */
static void test_replay_of_changed_pictures(void **state)
{
    (void)state;
    mkdir(in_tmp("r"), 0755);
    put_picture("0-t-shirt.png", "r/a.png");
    expect("probe $M -o $D/r.h5 --inputs images:$D/r --samples 1 --sigmas 1 --quiet", 0, NULL);
    expect("analyze $D/r.h5 --keep-fp32 fp16 --check --quiet", 0, "the list suffices");
    put_picture("1-trouser.png", "r/a.png");
    expect("analyze $D/r.h5 --keep-fp32 fp16 --check --quiet", 1,
           "r.h5 cannot be repeated: --inputs: what images:");
}

/* Long names, lists and paths come out whole: a table of each of two inputs that differ far behind,
 * and a hundred classes. */
static void test_texts_are_whole(void **state)
{
    (void)state;
    char deep[300], command[2048];
    int at = 0;

    snprintf(deep, sizeof deep, "%s", in_tmp("a-folder-whose-name-is-longer-than-many-another-is"));
    mkdir(deep, 0755);
    snprintf(command, sizeof command, "cp demo/fashion-mnist/images/0-t-shirt.png %s/one.png",
             deep);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "cp demo/fashion-mnist/images/1-trouser.png %s/two.png",
             deep);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "probe $M -o $D/long.h5 --sigmas 1 --samples 1 --quiet --inputs images:%s/one.png "
             "--inputs images:%s/two.png",
             deep, deep);
    expect(command, 0, NULL);
    expect("analyze $D/long.h5 --by-input --json", 0, "one.png\": {");
    assert_non_null(strstr(output, "two.png\": {"));
    expect("analyze $D/long.h5 $D/long.h5 --json --steps 1,2", 0, NULL);

    at = snprintf(command, sizeof command,
                  "generate $M -o $D/g --probe $D/g.h5 --quiet --steps 1 "
                  "--samples 1 --classes 9");
    for (int i = 0; i < 99; i++)
        at += snprintf(command + at, sizeof command - (size_t)at, ",%d", i % 9);
    expect(command, 0, NULL);
    expect("analyze $D/g.h5 --json", 0, NULL);
    const char *condition = strstr(output, "class 9, 0, 1");
    assert_non_null(condition);
    assert_true(strcspn(condition, "\"") == strlen("class 9") + 99 * strlen(", 0"));
    expect("generate $M -o $D/g2 --classes 0000000000000003", 2,
           "--classes takes 'all' or numbers");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_field_is_listed),
        cmocka_unit_test(test_every_field_changes_the_plan),
        cmocka_unit_test(test_options_begin_at_their_defaults),
        cmocka_unit_test(test_run_files_have_the_keys_of_the_list),
        cmocka_unit_test(test_help_says_the_defaults),
        cmocka_unit_test(test_options_that_a_plan_lacks),
        cmocka_unit_test(test_nothing_is_cut),
        cmocka_unit_test(test_old_plans),
        cmocka_unit_test(test_resume_names_the_option),
        cmocka_unit_test(test_names_of_formats),
        cmocka_unit_test(test_pictures_by_content),
        cmocka_unit_test(test_kept_runs),
        cmocka_unit_test(test_plans_have_no_number_of_a_device),
        cmocka_unit_test(test_compare_names_what_differs),
        cmocka_unit_test(test_trend_names_what_differs),
        cmocka_unit_test(test_infinite_sigma),
        cmocka_unit_test(test_replay_of_changed_pictures),
        cmocka_unit_test(test_texts_are_whole),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
