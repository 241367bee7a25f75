/* steps_json.c - "normalizer" and "pre_tokenizer" of a tokenizer.json
 *
 * Each is null, one step, or {"type": "Sequence"} of steps, which may hold sequences. A step that
 * is not known is refused by name.
 */
#include "base/mem.h"
#include "models/text/tokenizer_parts.h"

#include <string.h>

enum { DEEPEST = 8 };

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

static bool flag(const json_t *o, const char *key, bool fallback)
{
    const json_t *v = json_object_get(o, key);

    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

/* --- base64 --- */

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes the bytes of a base64 text, *n of them; out has room for as many as the text has. */
static bool from_base64(const char *text, size_t len, unsigned char *out, size_t *n)
{
    uint32_t bits = 0;
    int have = 0;

    *n = 0;
    for (size_t i = 0; i < len && text[i] != '='; i++) {
        const int d = digit(text[i]);

        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*n)++] = (unsigned char)(bits >> have);
        }
    }
    return true;
}

static ss_code read_map(const json_t *o, const char *name, ss_charsmap *map, ss_err *e)
{
    const char *text = text_of(o, "precompiled_charsmap");
    const size_t len = strlen(text);
    size_t n;
    ss_code rc;

    if (len == 0) /* an empty table: texts stay as they are */
        return SS_OK;
    unsigned char *bytes = ss_alloc(len, 1);
    if (!bytes)
        return ss_no_memory(e, name);
    if (from_base64(text, len, bytes, &n))
        rc = ss_charsmap_open(bytes, n, name, map, e);
    else
        rc = ss_fail(e, SS_FORMAT, "%s: \"precompiled_charsmap\" is not base64", name);
    ss_free(bytes);
    return rc;
}

/* --- normalizer --- */

static ss_code unsupported(const char *name, const char *what, const json_t *o, ss_err *e)
{
    const char *type = text_of(o, "type");

    return ss_fail(e, SS_UNSUPPORTED, "%s: %s \"%s\" is not supported%s", name, what, SS_SHOW(type),
                   strcmp(type, "Replace") == 0 || strcmp(type, "Split") == 0 ? " with this pattern"
                                                                              : "");
}

static ss_code read_replace(const json_t *o, const char *name, ss_normal_step *s, ss_err *e)
{
    const char *pattern = text_of(json_object_get(o, "pattern"), "Regex");
    const char *with = text_of(o, "content");

    if (strcmp(pattern, "\\s+") != 0 && strcmp(pattern, " {2,}") != 0)
        return unsupported(name, "the normalizer", o, e);
    if (strlen(with) > 16)
        return ss_fail(e, SS_FORMAT, "%s: a replacement of more than 16 bytes", name);
    s->kind = *pattern == '\\' ? SS_NORMAL_SPACES : SS_NORMAL_RUNS;
    s->with = ss_strdup(with);
    return s->with ? SS_OK : ss_no_memory(e, name);
}

static ss_code read_normalizer(const json_t *o, const char *name, ss_steps *p, int depth, ss_err *e)
{
    const char *type = text_of(o, "type");
    ss_normal_step s = {.kind = SS_NORMAL_NFC};
    ss_code rc = SS_OK;
    size_t i;
    json_t *v;

    if (!o || json_is_null(o))
        return SS_OK;
    if (strcmp(type, "Sequence") == 0 && depth < DEEPEST) {
        json_array_foreach(json_object_get(o, "normalizers"), i, v)
        {
            rc = read_normalizer(v, name, p, depth + 1, e);
            if (rc != SS_OK)
                return rc;
        }
        return SS_OK;
    }
    if (strcmp(type, "Lowercase") == 0) {
        s.kind = SS_NORMAL_LOWER;
    } else if (strcmp(type, "Strip") == 0) {
        s.kind = SS_NORMAL_STRIP;
        s.left = flag(o, "strip_left", true);
        s.right = flag(o, "strip_right", true);
    } else if (strcmp(type, "Precompiled") == 0) {
        s.kind = SS_NORMAL_CHARSMAP;
        rc = read_map(o, name, &s.map, e);
    } else if (strcmp(type, "Replace") == 0) {
        rc = read_replace(o, name, &s, e);
    } else if (strcmp(type, "NFC") != 0) {
        rc = unsupported(name, "the normalizer", o, e);
    }
    return rc == SS_OK ? ss_steps_add_normal(p, &s, e) : rc;
}

static const json_t *find_map(const json_t *o, int depth)
{
    size_t i;
    json_t *v;

    if (strcmp(text_of(o, "type"), "Precompiled") == 0)
        return o;
    if (depth == DEEPEST)
        return NULL;
    json_array_foreach(json_object_get(o, "normalizers"), i, v)
    {
        const json_t *found = find_map(v, depth + 1);

        if (found)
            return found;
    }
    return NULL;
}

ss_code ss_steps_read_map(ss_json *j, ss_steps *p, ss_err *e)
{
    const json_t *o = find_map(json_object_get(j->root, "normalizer"), 0);
    ss_normal_step s = {.kind = SS_NORMAL_CHARSMAP};
    const ss_code rc = o ? read_map(o, j->name, &s.map, e) : SS_OK;

    return rc == SS_OK && o ? ss_steps_add_normal(p, &s, e) : rc;
}

/* --- pre_tokenizer --- */

static ss_code read_split(const json_t *o, const char *name, ss_steps *p, ss_err *e)
{
    const ss_split_pattern pattern = ss_split_find(text_of(json_object_get(o, "pattern"), "Regex"));
    const char *behavior = text_of(o, "behavior");
    const bool invert = flag(o, "invert", false);

    /* matches are kept and the rest is dropped: said in two ways */
    if ((pattern != SS_SPLIT_CLIP && pattern != SS_SPLIT_CLIP_PLAIN) ||
        strcmp(behavior, "Removed") || !invert)
        return unsupported(name, "the pre_tokenizer", o, e);
    return ss_steps_add_pattern(p, SS_CUT_PATTERN, pattern, e);
}

static ss_code read_byte_level(const json_t *o, const char *name, ss_steps *p, ss_err *e)
{
    ss_cut_step bytes = {.kind = SS_CUT_BYTES};
    ss_code rc = SS_OK;

    if (flag(o, "add_prefix_space", true))
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: the pre_tokenizer \"ByteLevel\" has \"add_prefix_space\", which is not "
                       "supported",
                       name);
    if (flag(o, "use_regex", true))
        rc = ss_steps_add_pattern(p, SS_CUT_ALL, SS_SPLIT_BYTE_LEVEL, e);
    return rc == SS_OK ? ss_steps_add_cut(p, &bytes, e) : rc;
}

static ss_code read_metaspace(const json_t *o, const char *name, ss_steps *p, ss_err *e)
{
    static const char *const schemes[] = {
        [SS_PREPEND_NEVER] = "never", [SS_PREPEND_FIRST] = "first", [SS_PREPEND_ALWAYS] = "always"};
    const char *scheme = text_of(o, "prepend_scheme");
    ss_cut_step s = {.kind = SS_CUT_UNDERLINES,
                     .prepend =
                         flag(o, "add_prefix_space", true) ? SS_PREPEND_ALWAYS : SS_PREPEND_NEVER,
                     .cut = flag(o, "split", true)};

    if (strcmp(text_of(o, "replacement"), "\xe2\x96\x81") != 0)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s: the replacement of \"Metaspace\" is \"%s\"; supported: U+2581", name,
                       SS_SHOW(text_of(o, "replacement")));
    for (int i = 0; i < 3; i++) {
        if (strcmp(scheme, schemes[i]) == 0)
            s.prepend = (ss_prepend)i;
    }
    return ss_steps_add_cut(p, &s, e);
}

static ss_code read_pre_tokenizer(const json_t *o, const char *name, ss_steps *p, int depth,
                                  ss_err *e)
{
    const char *type = text_of(o, "type");
    ss_code rc = SS_OK;
    size_t i;
    json_t *v;

    if (!o || json_is_null(o))
        return SS_OK;
    if (strcmp(type, "Sequence") == 0 && depth < DEEPEST) {
        json_array_foreach(json_object_get(o, "pretokenizers"), i, v)
        {
            rc = read_pre_tokenizer(v, name, p, depth + 1, e);
            if (rc != SS_OK)
                return rc;
        }
        return SS_OK;
    }
    if (strcmp(type, "Split") == 0)
        return read_split(o, name, p, e);
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(o, name, p, e);
    if (strcmp(type, "Metaspace") == 0)
        return read_metaspace(o, name, p, e);
    if (strcmp(type, "WhitespaceSplit") == 0)
        return ss_steps_add_cut(p, &(ss_cut_step){.kind = SS_CUT_SPACES}, e);
    return unsupported(name, "the pre_tokenizer", o, e);
}

ss_code ss_steps_read(ss_json *j, ss_steps *p, ss_err *e)
{
    ss_code rc = read_normalizer(json_object_get(j->root, "normalizer"), j->name, p, 0, e);

    if (rc == SS_OK)
        rc = read_pre_tokenizer(json_object_get(j->root, "pre_tokenizer"), j->name, p, 0, e);
    return rc;
}
