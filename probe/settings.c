/* settings.c - see settings.h
 *
 * First the list, then what goes over it: to JSON, and back.
 */
#include "probe/settings.h"

#include "base/file.h"
#include "base/mem.h"
#include "probe/generate.h"
#include "probe/probe.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A row of each kind; T is the type of the options. A field of another type does not compile. */
#define AT(field, type) (offsetof(T, field) + 0 * sizeof(char[_Generic(((T *)0)->field, type : 1)]))
#define SIZEOF(field) sizeof(((T *)0)->field)
#define ROW(k, key_, option_, role_, field, type)                                       \
    .kind = SS_SETTING_##k, .role = SS_SETTING_##role_, .key = key_, .option = option_, \
    .at = AT(field, type), .size = SIZEOF(field)
#define AND(field) .n_at = AT(field, int), .n_size = SIZEOF(field)

#define TEXT(key, option, role, f)                    \
    {                                                 \
        ROW(TEXT, key, option, role, f, const char *) \
    }
#define TENSOR(key, option, role, f)                    \
    {                                                   \
        ROW(TENSOR, key, option, role, f, const char *) \
    }
#define FILE_(key, option, role, f)                   \
    {                                                 \
        ROW(FILE, key, option, role, f, const char *) \
    }
#define TEXTS(key, option, role, f, n)                                \
    {                                                                 \
        ROW(TEXTS, key, option, role, f, const char *const *), AND(n) \
    }
#define INPUTS(key, option, role, f, n)                                \
    {                                                                  \
        ROW(INPUTS, key, option, role, f, const char *const *), AND(n) \
    }
#define COUNT(key, option, role, f)           \
    {                                         \
        ROW(COUNT, key, option, role, f, int) \
    }
#define COUNTS(key, option, role, f, n)                        \
    {                                                          \
        ROW(COUNTS, key, option, role, f, const int *), AND(n) \
    }
#define SIZE(key, option, role, f, g)                \
    {                                                \
        ROW(SIZE, key, option, role, f, int), AND(g) \
    }
#define SEED(key, option, role, f)                \
    {                                             \
        ROW(SEED, key, option, role, f, uint64_t) \
    }
#define NUMBER(key, option, role, f)              \
    {                                             \
        ROW(NUMBER, key, option, role, f, double) \
    }
#define FLAG(key, option, role, f, off_, on_)                         \
    {                                                                 \
        ROW(FLAG, key, option, role, f, bool), .off = off_, .on = on_ \
    }
#define OTHER(key, option, f, type)            \
    {                                          \
        ROW(OTHER, key, option, NONE, f, type) \
    }
/* No option, but what followed from them and from the files that they name; plan.c has it. */
#define FOLLOWS(key_, words)                                                            \
    {                                                                                   \
        .kind = SS_SETTING_OTHER, .role = SS_SETTING_DATA, .key = key_, .option = words \
    }

/* In this order two plans are compared, so what decides other settings stands before them. */

/* clang-format off */

/* Of what both kinds of run begin with. */
#define BEGIN \
    FOLLOWS("version", "the version of sigmascope"), \
    FOLLOWS("model_sha256", "the model's SHA-256")

/* Of ss_network_options, `network` in both. */
#define NETWORK \
    TEXT("model", "MODEL", NONE, network.model), \
    TEXT("variant", "--variant", DATA, network.variant), \
    TEXTS("ignore_extra", "--ignore-extra", DATA, network.ignore, network.n_ignore), \
    TEXT("config", "--config", FORM, network.config), /* its content is in the SHA-256 */ \
    TEXT("scheduler", "--scheduler", FORM, network.scheduler), \
    TEXT("beta_schedule", "--beta-schedule", DATA, network.beta_schedule), \
    TEXT("beta_start", "--beta-start", DATA, network.beta_start), \
    TEXT("beta_end", "--beta-end", DATA, network.beta_end), \
    TEXT("prediction_type", "--prediction", DATA, network.prediction_type), \
    TEXT("round_timestep", "--round-timestep", DATA, network.round_timestep), \
    SIZE("size", "--size", DATA, network.height, network.width), \
    TEXT("precision", "--precision", DATA, network.changes.precision), \
    TEXTS("precision_map", "--precision-map", DATA, network.changes.precision_maps, network.changes.n_precision_maps), \
    FLAG("precision_scope", "--precision-scope", DATA, network.changes.round_blocks, "ops", "blocks"), \
    TEXT("as", "--as", DATA, network.changes.as), \
    TEXT("attention", "--attention", DATA, network.changes.attention), \
    TEXTS("interventions", "--intervene", DATA, network.changes.interventions, network.changes.n_interventions)

#define END \
    FOLLOWS("scheduler_file", "the scheduler file"), \
    FOLLOWS("schedule", "the noise schedule"), \
    FOLLOWS("prediction", "the prediction type"), \
    FOLLOWS("conditions", "the SHA-256 of what conditions the network")

static const ss_setting probe_list[] = {
#define T ss_probe_options
    BEGIN,
    NETWORK,
    TEXT("device", "--device", DATA, device),
    SEED("seed", "--seed", DATA, seed),
    COUNT("samples", "--samples", DATA, samples),
    COUNT("class", "--class", DATA, class_label),
    TENSOR("prompt_embeds", "--prompt-embeds", DATA, prompt_embeds),
    TENSOR("text_embeds", "--text-embeds", DATA, text_embeds),
    TENSOR("time_ids", "--time-ids", DATA, time_ids),
    TENSOR("class_embeds", "--class-embeds", DATA, class_embeds),
    TEXT("guidance_embed", "--guidance-embed", DATA, guidance_embed),
    TENSOR("concat", "--concat", DATA, concat),
    INPUTS("inputs", "--inputs", DATA, inputs, n_inputs),
    TEXTS("modules", "--modules", DATA, modules, n_modules),
    TEXTS("dump", "--dump", DATA, dumps, n_dumps),
    FLAG("dump_dtype", "--dump-dtype", DATA, dump_f16, "f32", "f16"),
    FLAG("channels", "--channels", DATA, channels, "off", "on"),
    FLAG("no_histogram", "--no-histogram", DATA, no_histogram, "off", "on"),
    TEXT("sigmas", "--sigmas", FORM, sigmas),
    TEXT("timesteps", "--timesteps", FORM, timesteps),
    TEXT("condition_sigma", "--condition-sigma", FORM, condition_sigma),
    TEXT("output", "--output", NONE, output),
    TEXT("command", "the command", NONE, command),
    FLAG("resume", "--resume", NONE, resume, "off", "on"),
    FLAG("replace", "--force", NONE, replace, "off", "on"),
    COUNT("threads", "--threads", NONE, threads),
    END,
    FOLLOWS("levels", "the noise levels"),
    COUNT("batch", "--batch", DATA, batch), /* last: chosen by inputs, samples and size */
#undef T
};

static const ss_setting trajectory_list[] = {
#define T ss_trajectory_options
    BEGIN,
    NETWORK,
    SEED("seed", "--seed", DATA, seed),
    COUNT("samples", "--samples", DATA, samples),
    COUNT("steps", "--steps", DATA, steps),
    NUMBER("guidance", "--guidance", DATA, guidance),
    NUMBER("eta", "--eta", DATA, eta),
    COUNTS("classes", "--classes", DATA, condition.classes, condition.n_classes),
    TENSOR("prompt_embeds", "--prompt-embeds", DATA, condition.prompt_embeds),
    TENSOR("text_embeds", "--text-embeds", DATA, condition.text_embeds),
    TENSOR("time_ids", "--time-ids", DATA, condition.time_ids),
    TENSOR("concat", "--concat", DATA, concat),
    TENSOR("class_embeds", "--class-embeds", DATA, condition.class_embeds),
    TEXT("guidance_embed", "--guidance-embed", DATA, condition.guidance_embed),
    TENSOR("negative_class_embeds", "--negative-class-embeds", DATA, condition.negative_class_embeds),
    COUNT("negative_class", "--negative-class", DATA, condition.negative_class),
    TENSOR("negative_embeds", "--negative-embeds", DATA, condition.negative_embeds),
    TENSOR("negative_text_embeds", "--negative-text-embeds", DATA, condition.negative_text),
    FLAG("guided", "--guidance", NONE, condition.guided, "off", "on"), /* follows from it */
    OTHER("sampler", "--sampler", sampler, const ss_sampler_kind *),
    TEXT("run", "--probe", NONE, run),
    FLAG("replace_run", "--force", NONE, replace_run, "off", "on"),
    TEXT("command", "the command", NONE, command),
    END,
    FOLLOWS("sampler", "--sampler"),
    COUNT("batch", "--batch", DATA, batch),
#undef T
};

/* clang-format on */

#define N(list) (int)(sizeof(list) / sizeof *(list))
static const ss_settings lists[] = {
    {"probe", probe_list, N(probe_list)},
    {"generate", trajectory_list, N(trajectory_list)},
};

const ss_settings *ss_probe_settings(void)
{
    return &lists[0];
}

const ss_settings *ss_trajectory_settings(void)
{
    return &lists[1];
}

const ss_settings *ss_settings_called(const char *kind)
{
    for (int i = 0; kind && i < N(lists); i++) {
        if (strcmp(lists[i].kind, kind) == 0)
            return &lists[i];
    }
    return NULL;
}

/* In a plan, and on the list by a field. */
static bool is_written(const ss_setting *x)
{
    return x->kind != SS_SETTING_OTHER && x->role != SS_SETTING_NONE;
}

/* --- to JSON --- */

static json_t *hex_of(const char *text)
{
    ss_str s = {0};

    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        ss_str_addf(&s, "%02x", *p);
    json_t *j = s.failed ? NULL : json_pack("{s:s}", "hex", s.s);
    ss_str_release(&s);
    return j;
}

json_t *ss_setting_text(const char *text)
{
    if (!text)
        return json_null();
    return ss_utf8_valid(text, strlen(text)) ? json_string(text) : hex_of(text);
}

json_t *ss_setting_content(const char *from, const char *sha256)
{
    return json_pack("{s:o, s:s?}", "from", ss_setting_text(from), "sha256", sha256);
}

ss_code ss_array_sha256(const ss_array *a, char hex[65], ss_err *e)
{
    ss_str s = {0};
    size_t n = 1;
    char values[65];

    for (int i = 0; i < a->rank; i++) {
        ss_str_addf(&s, "%lld ", (long long)a->dim[i]);
        n *= (size_t)a->dim[i];
    }
    ss_code rc = ss_sha256_bytes(a->values, n * sizeof *a->values, values, e);
    ss_str_add(&s, values);
    if (rc == SS_OK)
        rc = s.failed ? ss_fail(e, SS_NOMEM, "out of memory") : ss_sha256_bytes(s.s, s.len, hex, e);
    ss_str_release(&s);
    return rc;
}

/* {"from": ..., "sha256": ...} of what a setting names; null where it names nothing. */
static json_t *content_of(const ss_setting *x, const char *from, ss_err *e)
{
    char sha256[65];
    ss_array a = {0};
    ss_code rc;

    if (!from)
        return json_null();
    if (x->kind == SS_SETTING_TENSOR && !strchr(from, '#')) /* a word, as "noise" */
        return ss_setting_text(from);
    if (x->kind == SS_SETTING_FILE) {
        rc = ss_sha256_file(from, sha256, e);
    } else {
        rc = ss_safetensors_load_f32(from, &a, e);
        if (rc == SS_OK)
            rc = ss_array_sha256(&a, sha256, e);
        ss_array_release(&a);
    }
    if (rc != SS_OK) {
        ss_fail_prefix(e, "%s", x->option);
        return NULL;
    }
    return ss_setting_content(from, sha256);
}

static json_t *texts_of(const ss_setting *x, const char *const *text, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++) {
        json_t *one = x->kind == SS_SETTING_INPUTS ? ss_setting_content(text[i], NULL)
                                                   : ss_setting_text(text[i]);

        if (json_array_append_new(list, one) != 0) { /* no memory */
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *counts_of(const int *v, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(v[i]));
    return list;
}

/* JSON has no infinity and no NaN. */
static json_t *number_of(double v)
{
    char text[32];

    if (isfinite(v))
        return json_real(v);
    snprintf(text, sizeof text, "%g", v);
    return json_string(text);
}

/* A flag whose values have names is one of these. */
static bool is_named(const ss_setting *x)
{
    return strcmp(x->on, "on") != 0;
}

/* NULL: e says why. */
static json_t *value_of(const ss_setting *x, const void *options, ss_err *e)
{
    const char *field = (const char *)options + x->at;
    const char *text;
    const char *const *texts;
    const int *counts;
    int count, n = 0;
    bool flag;
    uint64_t seed;
    double number;
    json_t *j = NULL;

    ss_fail(e, SS_NOMEM, "out of memory");
    if (x->n_size)
        memcpy(&n, (const char *)options + x->n_at, sizeof n);
    switch (x->kind) {
    case SS_SETTING_TEXT:
        memcpy(&text, field, sizeof text);
        j = ss_setting_text(text);
        break;
    case SS_SETTING_TENSOR:
    case SS_SETTING_FILE:
        memcpy(&text, field, sizeof text);
        j = content_of(x, text, e);
        break;
    case SS_SETTING_TEXTS:
    case SS_SETTING_INPUTS:
        memcpy(&texts, field, sizeof texts);
        j = texts_of(x, texts, n);
        break;
    case SS_SETTING_COUNTS:
        memcpy(&counts, field, sizeof counts);
        j = counts_of(counts, n);
        break;
    case SS_SETTING_COUNT:
        memcpy(&count, field, sizeof count);
        j = json_integer(count);
        break;
    case SS_SETTING_SIZE:
        memcpy(&count, field, sizeof count);
        j = json_pack("[i,i]", count, n);
        break;
    case SS_SETTING_FLAG:
        memcpy(&flag, field, sizeof flag);
        j = is_named(x) ? json_string(flag ? x->on : x->off) : json_boolean(flag);
        break;
    case SS_SETTING_SEED:
        memcpy(&seed, field, sizeof seed);
        j = json_integer((json_int_t)seed);
        break;
    case SS_SETTING_NUMBER:
        memcpy(&number, field, sizeof number);
        j = number_of(number);
        break;
    case SS_SETTING_OTHER: break;
    }
    return j;
}

ss_code ss_settings_write(const ss_settings *s, const void *options, json_t *plan, ss_err *e)
{
    ss_err why = {0};

    if (json_object_set_new(plan, "kind", json_string(s->kind)) != 0)
        return ss_fail(e, SS_NOMEM, "out of memory");
    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];

        if (is_written(x) && json_object_set_new(plan, x->key, value_of(x, options, &why)) != 0)
            return ss_fail(e, why.code, "%s", why.msg);
    }
    return SS_OK;
}

/* --- back --- */

static void *own(ss_settings_owned *o, void *p)
{
    void **grown = p ? ss_grow(o->list, &o->cap, o->n + 1, sizeof *grown) : NULL;

    if (!grown) {
        ss_free(p);
        return NULL;
    }
    o->list = grown;
    return o->list[o->n++] = p;
}

void ss_settings_release(ss_settings_owned *o)
{
    for (size_t i = 0; i < o->n; i++)
        ss_free(o->list[i]);
    ss_free(o->list);
    *o = (ss_settings_owned){0};
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes of {"hex": "..."}; NULL where it is none, or there is no memory. */
static const char *bytes_of(const char *hex, ss_settings_owned *o)
{
    const size_t n = hex ? strlen(hex) / 2 : 0;
    char *text = hex ? own(o, ss_alloc(n + 1, 1)) : NULL;

    for (size_t i = 0; text && i < n; i++) {
        const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

        if (high < 0 || low < 0 || high + low == 0)
            return NULL;
        text[i] = (char)(high << 4 | low);
    }
    if (text)
        text[n] = '\0';
    return text;
}

const char *ss_setting_read_text(const json_t *j, ss_settings_owned *o)
{
    const json_t *from = json_object_get(j, "from");

    j = from ? from : j;
    return json_is_string(j) ? json_string_value(j)
                             : bytes_of(json_string_value(json_object_get(j, "hex")), o);
}

static bool read_texts(const json_t *j, char *field, int *n, ss_settings_owned *o)
{
    const size_t count = json_array_size(j);
    const char **list = own(o, ss_alloc(count, sizeof *list));

    if (!list || !json_is_array(j) || count > INT_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!(list[i] = ss_setting_read_text(json_array_get(j, i), o)))
            return false;
    }
    memcpy(field, &list, sizeof list);
    *n = (int)count;
    return true;
}

static bool read_count(const json_t *j, int *v)
{
    enum { MOST = 1 << 20 };
    const json_int_t x = json_integer_value(j);

    *v = (int)x;
    return json_is_integer(j) && x >= -1 && x <= MOST;
}

static bool read_counts(const json_t *j, char *field, int *n, ss_settings_owned *o)
{
    const size_t count = json_array_size(j);
    int *list = own(o, ss_alloc(count, sizeof *list));

    if (!list || !json_is_array(j) || count > INT_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!read_count(json_array_get(j, i), &list[i]))
            return false;
    }
    memcpy(field, &list, sizeof list);
    *n = (int)count;
    return true;
}

static bool read_flag(const ss_setting *x, const json_t *j, bool *flag)
{
    const char *text = json_string_value(j);

    *flag = text ? strcmp(text, x->on) == 0 : json_is_true(j);
    return text ? *flag || strcmp(text, x->off) == 0 : json_is_boolean(j);
}

static bool read_number(const json_t *j, double *v)
{
    *v = json_is_number(j)                                                ? json_number_value(j)
         : json_is_string(j) && strcmp(json_string_value(j), "inf") == 0  ? (double)INFINITY
         : json_is_string(j) && strcmp(json_string_value(j), "-inf") == 0 ? (double)-INFINITY
                                                                          : (double)NAN;
    return json_is_number(j) || json_is_string(j);
}

/* False: the value is not of the setting's kind, or there is no memory. */
static bool read_value(const ss_setting *x, const json_t *j, void *options, ss_settings_owned *o)
{
    char *field = (char *)options + x->at;
    const char *text;
    int count, n = 0;
    bool flag, good = false;
    uint64_t seed;
    double number;

    switch (x->kind) {
    case SS_SETTING_TEXT:
    case SS_SETTING_TENSOR:
    case SS_SETTING_FILE:
        text = json_is_null(j) ? NULL : ss_setting_read_text(j, o);
        good = json_is_null(j) || text;
        memcpy(field, &text, sizeof text);
        break;
    case SS_SETTING_TEXTS:
    case SS_SETTING_INPUTS: good = read_texts(j, field, &n, o); break;
    case SS_SETTING_COUNTS: good = read_counts(j, field, &n, o); break;
    case SS_SETTING_COUNT:
        good = read_count(j, &count);
        memcpy(field, &count, sizeof count);
        break;
    case SS_SETTING_SIZE:
        good = read_count(json_array_get(j, 0), &count) && read_count(json_array_get(j, 1), &n);
        memcpy(field, &count, sizeof count);
        break;
    case SS_SETTING_FLAG:
        good = read_flag(x, j, &flag);
        memcpy(field, &flag, sizeof flag);
        break;
    case SS_SETTING_SEED:
        seed = (uint64_t)json_integer_value(j);
        good = json_is_integer(j);
        memcpy(field, &seed, sizeof seed);
        break;
    case SS_SETTING_NUMBER:
        good = read_number(j, &number);
        memcpy(field, &number, sizeof number);
        break;
    case SS_SETTING_OTHER: good = true; break;
    }
    if (good && x->n_size)
        memcpy((char *)options + x->n_at, &n, sizeof n);
    return good;
}

ss_code ss_settings_read(const ss_settings *s, const json_t *plan, const char *path, void *options,
                         ss_settings_owned *owned, ss_err *e)
{
    for (int i = 0; i < s->n; i++) {
        const ss_setting *x = &s->list[i];
        const json_t *j = json_object_get(plan, x->key);

        if (j && is_written(x) && !read_value(x, j, options, owned))
            return ss_fail(e, SS_FORMAT,
                           "%s: its plan says nothing usable of \"%s\"; probe the model again "
                           "with this version",
                           path, x->key);
    }
    return SS_OK;
}

bool ss_setting_is_default(const ss_settings *s, const ss_setting *x, const json_t *plan)
{
    const ss_probe_options probe = ss_probe_defaults();
    const ss_generate_options generate = ss_generate_defaults();
    const json_t *j = json_object_get(plan, x->key);

    if (x->kind == SS_SETTING_SIZE || !is_written(x))
        return false;
    json_t *usual =
        s == ss_probe_settings() ? value_of(x, &probe, NULL) : value_of(x, &generate.each, NULL);
    const bool same = !j || json_equal(usual, j);

    json_decref(usual);
    return same;
}
