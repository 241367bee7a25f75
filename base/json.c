/* json.c - see json.h */
#include "base/json.h"

#include "base/file.h"
#include "base/json_python.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 120 }; /* bytes of a value that a message shows */

/* flags are Jansson's. */
static ss_code parse(ss_json *j, const char *name, const char *text, size_t len, size_t flags,
                     ss_err *e)
{
    ss_code rc = SS_OK;
    json_error_t why;
    size_t n = 0;
    char *json = ss_json_from_python(text, len, &n);

    *j = (ss_json){.name = ss_strdup(name), .seen = json_object()};
    if (!json || !j->name || !j->seen) {
        rc = ss_no_memory(e, name);
        goto out;
    }
    rc = ss_file_check_fetched(name, text, len, e);
    if (rc != SS_OK)
        goto out;
    j->root = json_loadb(json, n, flags, &why);
    if (!j->root) {
        char shown[SHOWN];

        rc = json_error_code(&why) == json_error_out_of_memory ? SS_NOMEM : SS_FORMAT;
        ss_fail(e, rc, "%s: line %d, column %d: %s", name, why.line, why.column,
                ss_printable(why.text, shown, sizeof shown));
        goto out;
    }
    if (!json_is_object(j->root))
        rc = ss_fail(e, SS_FORMAT, "%s: expected a JSON object {...}", name);
out:
    ss_free(json);
    if (rc != SS_OK)
        ss_json_release(j);
    return rc;
}

static ss_code load(ss_json *j, const char *path, size_t flags, ss_err *e)
{
    char *text;
    size_t len;

    *j = (ss_json){0};
    ss_code rc = ss_file_read(path, SS_JSON_MAX_FILE, &text, &len, e);

    if (rc != SS_OK)
        return rc;
    rc = parse(j, path, text, len, flags, e);
    ss_free(text);
    return rc;
}

ss_code ss_json_load(ss_json *j, const char *path, ss_err *e)
{
    return load(j, path, 0, e);
}

ss_code ss_json_load_strict(ss_json *j, const char *path, ss_err *e)
{
    return load(j, path, JSON_REJECT_DUPLICATES, e);
}

ss_code ss_json_parse(ss_json *j, const char *name, const char *text, size_t len, ss_err *e)
{
    return parse(j, name, text, len, 0, e);
}

ss_code ss_json_wrap(ss_json *j, const char *name, json_t *object, ss_err *e)
{
    if (!json_is_object(object))
        return ss_fail(e, SS_FORMAT, "%s: expected a JSON object {...}", name);
    *j = (ss_json){.name = ss_strdup(name), .seen = json_object(), .root = json_incref(object)};
    if (j->name && j->seen)
        return SS_OK;
    ss_json_release(j);
    return ss_no_memory(e, name);
}

void ss_json_release(ss_json *j)
{
    ss_free(j->name);
    json_decref(j->root);
    json_decref(j->seen);
    *j = (ss_json){0};
}

typedef struct {
    char text[SHOWN + 1];
    size_t len;
} cut_text;

/* Keeps what fits; -1 ends the dump of a longer value early. */
static int keep(const char *piece, size_t n, void *data)
{
    cut_text *c = data;
    size_t room = SHOWN - c->len, fits = n < room ? n : room;

    memcpy(c->text + c->len, piece, fits);
    c->len += fits;
    return n > room ? -1 : 0;
}

/* The value as compact JSON, cut where it is long: [320,640,... */
static const char *show_value(const json_t *value, char *out, size_t n)
{
    cut_text c = {0};
    bool cut = json_dump_callback(value, keep, &c, JSON_ENCODE_ANY | JSON_COMPACT) != 0;

    ss_printable(c.text, out, n);
    if (cut && strlen(out) >= 3)
        memcpy(out + strlen(out) - 3, "...", 3);
    return out;
}

void ss_json_complain(ss_json *j, ss_code code, const char *key, const char *fmt, ...)
{
    char shown[SHOWN + 1], text[512];
    const json_t *value = json_object_get(j->root, key);
    va_list ap;

    if (j->err.code != SS_OK)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (value)
        ss_fail(&j->err, code, "%s: \"%s\" is %s; %s", j->name, key,
                show_value(value, shown, sizeof shown), text);
    else
        ss_fail(&j->err, code, "%s: \"%s\" is missing; %s", j->name, key, text);
}

json_t *ss_json_get(ss_json *j, const char *key)
{
    json_t *value = json_object_get(j->root, key);

    if (value && json_object_set_new(j->seen, key, json_true()) != 0 && j->err.code == SS_OK)
        ss_no_memory(&j->err, j->name);
    return json_is_null(value) ? NULL : value;
}

bool ss_json_has(ss_json *j, const char *key)
{
    return ss_json_get(j, key) != NULL;
}

/* The value for a typed getter, or NULL if the fallback holds. */
static const json_t *typed(ss_json *j, const char *key, bool (*is)(const json_t *),
                           const char *expected)
{
    const json_t *value = ss_json_get(j, key);

    if (j->err.code != SS_OK || !value)
        return NULL;
    if (is(value))
        return value;
    ss_json_complain(j, SS_FORMAT, key, "expected %s", expected);
    return NULL;
}

/* Jansson's tests are macros; these can be pointed to. */
static bool is_bool(const json_t *v)
{
    return json_is_boolean(v);
}

static bool is_int(const json_t *v)
{
    return json_is_integer(v);
}

static bool is_number(const json_t *v)
{
    double x;

    return ss_json_number(v, &x);
}

static bool is_string(const json_t *v)
{
    return json_is_string(v);
}

bool ss_json_bool(ss_json *j, const char *key, bool fallback)
{
    const json_t *v = typed(j, key, is_bool, "true or false");

    return v ? json_is_true(v) : fallback;
}

int64_t ss_json_int(ss_json *j, const char *key, int64_t fallback)
{
    const json_t *v = typed(j, key, is_int, "an integer");

    return v ? json_integer_value(v) : fallback;
}

double ss_json_double(ss_json *j, const char *key, double fallback)
{
    const json_t *v = typed(j, key, is_number, "a number");
    double x;

    if (!v)
        return fallback;
    ss_json_number(v, &x);
    if (isfinite(x))
        return x;
    ss_json_complain(j, SS_FORMAT, key, "expected a finite number");
    return fallback;
}

bool ss_json_number(const json_t *value, double *x)
{
    static const struct {
        const char *name;
        double x;
    } words[] = {{"Infinity", INFINITY}, {"-Infinity", -INFINITY}, {"NaN", NAN}};
    const char *text = json_string_value(value);

    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++) {
        if (strcmp(text, words[i].name) == 0) {
            *x = words[i].x;
            return true;
        }
    }
    if (!json_is_number(value))
        return false;
    *x = json_number_value(value);
    return true;
}

const char *ss_json_string(ss_json *j, const char *key, const char *fallback)
{
    const json_t *v = typed(j, key, is_string, "a string");

    return v ? json_string_value(v) : fallback;
}

json_t *ss_json_from_text(const char *text)
{
    const size_t room = 4 * strlen(text) + 1;
    char *shown = ss_alloc(room, 1);
    json_t *j = shown ? json_string(ss_printable(text, shown, room)) : NULL;

    ss_free(shown);
    return j;
}

json_t *ss_json_from_number(double v)
{
    if (isnan(v))
        return json_null();
    if (isinf(v))
        return json_string(v > 0 ? "inf" : "-inf");
    return v == rint(v) && fabs(v) < 0x1p53 ? json_integer((json_int_t)v) : json_real(v);
}

int ss_json_choice(ss_json *j, const char *key, const char *const *choices, int fallback)
{
    const char *s = ss_json_string(j, key, NULL);
    ss_str list = {0};

    if (!s)
        return fallback;
    for (int i = 0; choices[i]; i++) {
        if (strcmp(s, choices[i]) == 0)
            return i;
    }
    for (int i = 0; choices[i]; i++)
        ss_str_addf(&list, "%s%s", i ? ", " : "", choices[i]);
    ss_json_complain(j, SS_UNSUPPORTED, key, "supported: %s", list.s ? list.s : "nothing");
    ss_str_release(&list);
    return fallback;
}

ss_code ss_json_done(ss_json *j, ss_err *e)
{
    if (j->err.code != SS_OK && e)
        *e = j->err;
    return j->err.code;
}

const char *ss_json_unread(const ss_json *j)
{
    const char *key;
    json_t *value;

    json_object_foreach(j->root, key, value)
    {
        if (key[0] != '_' && !json_object_get(j->seen, key))
            return key;
    }
    return NULL;
}

ss_code ss_json_write(const char *path, const json_t *value, size_t flags, ss_err *e)
{
    ss_outfile o;
    ss_code rc = value ? ss_outfile_open(&o, path, e) : ss_no_memory(e, path);

    if (rc != SS_OK)
        return rc;
    if (json_dumpf(value, o.f, flags) != 0 && !ferror(o.f)) { /* writing did not fail, so: */
        ss_outfile_discard(&o);
        return ss_no_memory(e, path);
    }
    fputc('\n', o.f);
    return ss_outfile_commit(&o, e);
}
