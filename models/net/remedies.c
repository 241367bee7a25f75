/* remedies.c - see remedies.h */
#include "models/net/remedies.h"

#include "models/net/config_values.h"

#include <stdio.h>
#include <string.h>

static const double MOST = 1e6; /* largest of these numbers */

/* Reads a number above 0; 0 where the key is absent or wrong. */
static float read_positive(ss_json *j, const char *key, const char *expected)
{
    const json_t *v = ss_json_get(j, key);
    const double k = json_is_number(v) ? json_number_value(v) : 0;

    if (v && !(k > 0 && k <= MOST))
        ss_json_complain(j, SS_FORMAT, key, "expected %s", expected);
    return (float)k;
}

static ss_factor_spec read_factor(ss_json *j, const char *key)
{
    const json_t *v = ss_json_get(j, key);

    if (json_is_string(v) && strcmp(json_string_value(v), "learned") == 0)
        return (ss_factor_spec){.learned = true};
    return (ss_factor_spec){
        .value = read_positive(j, key, "a number above 0, at most 1e6, or \"learned\"")};
}

static void read_cosine(ss_json *j, ss_remedies *r)
{
    static const char key[] = "cosine_attention";
    const json_t *v = ss_json_get(j, key);

    if (json_is_boolean(v)) {
        r->cosine = json_is_true(v);
        return;
    }
    r->cosine_scale =
        read_positive(j, key, "true, false or the factor of the cosines, above 0, at most 1e6");
    r->cosine = r->cosine_scale > 0;
}

static void read_all(ss_json *j, ss_remedies *r)
{
    r->clamp = read_positive(j, "clamp", "a number above 0, at most 1e6");
    r->residual = read_factor(j, "residual_scale");
    r->skip = read_factor(j, "skip_scale");
    read_cosine(j, r);
    r->magnitude = ss_json_bool(j, "magnitude_preserving", false);
    if (r->magnitude && (r->residual.learned || r->residual.value > 0))
        ss_json_complain(j, SS_UNSUPPORTED, "residual_scale",
                         "magnitude_preserving weighs the branches itself");
    if (r->magnitude && (r->skip.learned || r->skip.value > 0))
        ss_json_complain(j, SS_UNSUPPORTED, "skip_scale",
                         "magnitude_preserving weighs the skips itself");

    const char *unread = ss_json_unread(j);
    if (unread)
        ss_json_complain(j, SS_UNSUPPORTED, unread,
                         "known remedies: clamp, residual_scale, skip_scale, cosine_attention, "
                         "magnitude_preserving");
}

static void read_object(ss_json *inner, void *into)
{
    read_all(inner, into);
}

void ss_remedies_read(ss_json *j, ss_remedies *r)
{
    *r = (ss_remedies){0};
    ss_config_object(j, "remedies", read_object, r);
}

static void add_number(char *out, size_t n, const char *name, float value)
{
    const size_t at = strlen(out);

    snprintf(out + at, n - at, "%s%s %.6g", at ? ", " : "", name, value);
}

static void add_word(char *out, size_t n, const char *name, const char *word)
{
    const size_t at = strlen(out);

    snprintf(out + at, n - at, "%s%s%s%s", at ? ", " : "", name, *word ? " " : "", word);
}

static void add_factor(char *out, size_t n, const char *name, ss_factor_spec f)
{
    if (f.learned)
        add_word(out, n, name, "learned");
    else if (f.value > 0)
        add_number(out, n, name, f.value);
}

const char *ss_remedies_text(const ss_remedies *r, char *out, size_t n)
{
    *out = '\0';
    if (r->clamp > 0)
        add_number(out, n, "clamp", r->clamp);
    add_factor(out, n, "residual_scale", r->residual);
    add_factor(out, n, "skip_scale", r->skip);
    if (r->cosine_scale > 0)
        add_number(out, n, "cosine_attention", r->cosine_scale);
    else if (r->cosine)
        add_word(out, n, "cosine_attention", "");
    if (r->magnitude)
        add_word(out, n, "magnitude_preserving", "");
    return out;
}
