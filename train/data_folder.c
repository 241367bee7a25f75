/* data_folder.c - PNG files and their captions
 *
 * FOLDER/captions.jsonl has one JSON object a line, each naming a file in the folder:
 *
 *   {"file": "0001.png", "label": 3}
 *   {"file": "0002.png", "text": "a red disc"}
 *
 * All lines have a label, or all have a text, or none has either. A text's label is the
 * number of its line, from 0: the row of a table of text embeddings made from the same file.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/picture.h"
#include "train/data_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LABEL = 1 << 24, MAX_LINES = 1 << 24 };
typedef enum { NOTHING, LABEL, TEXT } caption_kind;

static const char *const kind_names[] = {"neither a label nor a text", "a label", "a text"};

static int64_t count_lines(const char *text)
{
    int64_t n = 0;

    for (const char *p = text; *p; n++) {
        p = strchr(p, '\n');
        if (!p)
            return n + 1;
        p++;
    }
    return n;
}

/* The name of the line's picture; NULL after a complaint. */
static const char *read_file_name(ss_json *j)
{
    const char *file = ss_json_string(j, "file", NULL);

    if (file && *file && file[0] != '/' && !strstr(file, ".."))
        return file;
    ss_json_complain(j, SS_FORMAT, "file", "expected the name of a PNG file in the folder");
    return NULL;
}

static ss_code read_picture(ss_data *d, const char *file, int64_t i, ss_err *e)
{
    const ss_data_options *o = &d->opt;
    ss_image im = {0};
    char *path = ss_path_join(d->path, file);
    ss_code rc = path ? ss_image_read_png(path, &im, e) : ss_no_memory(e, file);

    ss_free(path);
    if (rc == SS_OK)
        rc = ss_picture_fit(&im, d->x + i * o->h * o->w * o->c, o->h, o->w, o->c, e);
    ss_image_release(&im);
    return rc;
}

static ss_code read_caption(ss_data *d, ss_json *j, int64_t i, caption_kind *kind, ss_err *e)
{
    const bool label = ss_json_has(j, "label"), text = ss_json_has(j, "text");
    const caption_kind mine = label ? LABEL : text ? TEXT : NOTHING;

    d->label[i] = ss_json_int(j, "label", text ? i : -1);
    if (label && text)
        ss_json_complain(j, SS_FORMAT, "label", "a line has a label or a text, not both");
    if (label && (d->label[i] < 0 || d->label[i] >= MAX_LABEL))
        ss_json_complain(j, SS_FORMAT, "label", "labels are 0 to %d", MAX_LABEL - 1);
    if (text) {
        const char *caption = ss_json_string(j, "text", "");

        if (!(d->caption[i] = ss_strdup(caption)))
            return ss_no_memory(e, j->name);
    }
    if (ss_json_unread(j))
        ss_json_complain(j, SS_FORMAT, ss_json_unread(j), "known: file, label, text");
    if (ss_json_done(j, e) != SS_OK)
        return j->err.code;
    if (i > 0 && mine != *kind)
        return ss_fail(e, SS_FORMAT, "%s: has %s, the lines before have %s", j->name,
                       kind_names[mine], kind_names[*kind]);
    *kind = mine;
    if (d->label[i] >= d->classes)
        d->classes = d->label[i] + 1;
    return SS_OK;
}

static ss_code read_line(ss_data *d, const char *file, const char *line, size_t len, int64_t i,
                         caption_kind *kind, ss_err *e)
{
    ss_json j = {0};
    ss_str name = {0};
    const char *picture = NULL;
    ss_code rc;

    ss_str_addf(&name, "%s:%" PRId64, file, i + 1);
    if (name.failed)
        rc = ss_no_memory(e, file);
    else
        rc = ss_json_parse(&j, name.s, line, len, e);
    if (rc == SS_OK) {
        picture = read_file_name(&j);
        rc = read_caption(d, &j, i, kind, e); /* and the complaint about the name */
    }
    if (rc == SS_OK)
        rc = read_picture(d, picture, i, e);
    ss_json_release(&j);
    ss_str_release(&name);
    return rc;
}

static ss_code read_lines(ss_data *d, const char *file, const char *text, ss_err *e)
{
    const ss_data_options *o = &d->opt;
    const int64_t n = count_lines(text);
    caption_kind kind = NOTHING;
    ss_code rc = SS_OK;

    if (n == 0 || n > MAX_LINES)
        return ss_fail(e, SS_USAGE, "%s: %" PRId64 " lines, expected 1 to %d", file, n, MAX_LINES);
    d->x = ss_alloc((size_t)n, (size_t)o->h * (size_t)o->w * (size_t)o->c * sizeof(float));
    d->label = ss_calloc((size_t)n, sizeof *d->label);
    d->caption = ss_calloc((size_t)n, sizeof *d->caption);
    if (!d->x || !d->label || !d->caption)
        return ss_fail(e, SS_NOMEM, "%s: no memory for %" PRId64 " pictures", file, n);
    d->n = n; /* from here on the captions are freed with it */
    for (int64_t i = 0; i < n && rc == SS_OK; i++) {
        const char *end = strchrnul(text, '\n');

        rc = read_line(d, file, text, (size_t)(end - text), i, &kind, e);
        text = end + (*end == '\n');
    }
    return rc;
}

static ss_code open_folder(ss_data *d, ss_err *e)
{
    char *file = ss_path_join(d->path, "captions.jsonl"), *text = NULL;
    ss_code rc =
        file ? ss_file_read(file, SS_JSON_MAX_FILE, &text, NULL, e) : ss_no_memory(e, d->path);

    if (rc == SS_OK)
        rc = read_lines(d, file, text, e);
    ss_free(text);
    ss_free(file);
    return rc;
}

static void read_folder(const ss_data *d, int64_t i, float *x, int64_t *label)
{
    const size_t n = (size_t)d->opt.h * (size_t)d->opt.w * (size_t)d->opt.c;

    memcpy(x, d->x + (size_t)i * n, n * sizeof *x);
    if (d->label[i] >= 0)
        *label = d->label[i];
}

static void draw_folder(const ss_data *d, ss_rng r, float *x, int64_t *label)
{
    read_folder(d, ss_data_pick(r, SS_DATA_OWN, d->n), x, label);
}

const ss_data_source ss_data_source_folder = {open_folder, draw_folder, read_folder};
