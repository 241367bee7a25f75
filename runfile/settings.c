/* settings.c - see settings.h: the tables, then single values */
#include "runfile/settings.h"

#include "base/mem.h"
#include "base/str.h"
#include "runfile/plan_list.h"

#include <string.h>

/* How the rest of a row becomes the members of ss_setting, for each kind of plan_list.h. */
#define WITH_TEXT(value, f) .kind = SS_SETTING_TEXT, .default_text = value
#define WITH_TENSOR(value, f) .kind = SS_SETTING_TENSOR, .default_text = value
#define WITH_TEXTS(value, f, n) .kind = SS_SETTING_TEXTS
#define WITH_INPUTS(value, f, n) .kind = SS_SETTING_INPUTS
#define WITH_COUNTS(value, f, n) .kind = SS_SETTING_COUNTS
#define WITH_COUNT(value, f) .kind = SS_SETTING_COUNT, .default_number = value
#define WITH_NUMBER(value, f) .kind = SS_SETTING_NUMBER, .default_number = value
#define WITH_SEED(value, f) .kind = SS_SETTING_SEED, .default_number = value
#define WITH_SIZE(value, h, w) .kind = SS_SETTING_SIZE, .default_number = value
#define WITH_FLAG(value, f) .kind = SS_SETTING_FLAG, .default_number = value
#define WITH_NOT_FLAG(value, f) .kind = SS_SETTING_FLAG, .default_number = !(value)
#define WITH_EITHER(value, f, off_, on_) \
    .kind = SS_SETTING_EITHER, .default_number = value, .off = off_, .on = on_
#define WITH_SAMPLER(value, f) .kind = SS_SETTING_SAMPLER

#define OPTION(kind_, role_, key_, option_, ...) \
    {WITH_##kind_(__VA_ARGS__), .role = SS_SETTING_##role_, .key = key_, .option = option_},
#define FOLLOWS(key_, words) \
    {.kind = SS_SETTING_FOLLOWS, .role = SS_SETTING_DATA, .key = key_, .option = words},

static const ss_setting probe_list[] = {SS_PLAN_PROBE(OPTION, FOLLOWS)};
static const ss_setting trajectory_list[] = {SS_PLAN_TRAJECTORY(OPTION, FOLLOWS)};

#define N(list) (int)(sizeof(list) / sizeof *(list))
static const ss_settings tables[] = {
    {"probe", probe_list, N(probe_list)},
    {"generate", trajectory_list, N(trajectory_list)},
};

const ss_settings *ss_probe_settings(void)
{
    return &tables[0];
}

const ss_settings *ss_trajectory_settings(void)
{
    return &tables[1];
}

const ss_settings *ss_settings_called(const char *kind)
{
    for (int i = 0; kind && i < N(tables); i++) {
        if (strcmp(tables[i].kind, kind) == 0)
            return &tables[i];
    }
    return NULL;
}

bool ss_setting_is_written(const ss_setting *x)
{
    return x->kind != SS_SETTING_FOLLOWS && x->kind != SS_SETTING_SAMPLER &&
           x->role != SS_SETTING_NONE;
}

/* --- defaults --- */

/* The default as a plan holds it. */
static json_t *default_of(const ss_setting *x)
{
    const bool flag = x->default_number != 0;

    switch (x->kind) {
    case SS_SETTING_TEXT:
    case SS_SETTING_TENSOR: return ss_setting_text(x->default_text);
    case SS_SETTING_COUNT:
    case SS_SETTING_SEED: return json_integer((json_int_t)x->default_number);
    case SS_SETTING_NUMBER: return json_real(x->default_number);
    case SS_SETTING_FLAG: return json_boolean(flag);
    case SS_SETTING_EITHER: return json_string(flag ? x->on : x->off);
    case SS_SETTING_TEXTS:
    case SS_SETTING_COUNTS:
    case SS_SETTING_INPUTS: return json_array();
    case SS_SETTING_SIZE:
    case SS_SETTING_SAMPLER:
    case SS_SETTING_FOLLOWS: break;
    }
    return NULL;
}

bool ss_setting_is_default(const ss_setting *x, const json_t *plan)
{
    const json_t *j = json_object_get(plan, x->key);

    if (x->kind == SS_SETTING_SIZE)
        return false;
    if (!j || x->kind == SS_SETTING_FOLLOWS || x->kind == SS_SETTING_SAMPLER)
        return true;
    json_t *usual = default_of(x);
    const bool same = json_equal(usual, j);

    json_decref(usual);
    return same;
}

/* --- texts --- */

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

void *ss_settings_own(ss_settings_owned *o, void *p)
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

/* The bytes of {"hex": "..."}; NULL if it is none, or if there is no memory. */
static const char *bytes_of(const char *hex, ss_settings_owned *o)
{
    const size_t n = hex ? strlen(hex) / 2 : 0;
    char *text = hex ? ss_settings_own(o, ss_alloc(n + 1, 1)) : NULL;

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
