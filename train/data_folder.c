/* data_folder.c - PNG files, or videos of PNG frames, and their captions
 *
 * FOLDER/captions.jsonl has one JSON object a line, each naming a file in the folder:
 *
 *   {"file": "0001.png", "label": 3}
 *   {"file": "0002.png", "text": "a red disc"}
 *
 * and of videos a folder of frames, or a strip of so many frames from left to right:
 *
 *   {"file": "walk", "label": 3}
 *   {"file": "run.png", "frames": 12, "label": 4}
 *
 * All lines have a label, or all have a text, or none has either. A text's label is the
 * number of its line, from 0: the row of a table of text embeddings made from the same file.
 */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/str.h"
#include "train/data_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LABEL = 1 << 24, MAX_LINES = 1 << 24 };
enum { WHICH = SS_DATA_OWN, START }; /* numbers of a sample: which entry, where it begins */
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

/* State of reading, beside what d has. */
typedef struct {
    caption_kind kind; /* of all lines */
    size_t frames, room;
} progress;

static ss_code read_caption(ss_data *d, ss_json *j, int64_t i, progress *p, ss_err *e)
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
        ss_json_complain(j, SS_FORMAT, ss_json_unread(j), "known: file, frames, label, text");
    if (ss_json_done(j, e) != SS_OK)
        return j->err.code;
    if (i > 0 && mine != p->kind)
        return ss_fail(e, SS_FORMAT, "%s: has %s, the lines before have %s", j->name,
                       kind_names[mine], kind_names[p->kind]);
    p->kind = mine;
    if (d->label[i] >= d->classes)
        d->classes = d->label[i] + 1;
    return SS_OK;
}

static ss_code read_line(ss_data *d, const char *file, const char *line, size_t len, int64_t i,
                         progress *p, ss_err *e)
{
    ss_json j = {0};
    ss_str name = {0};
    const char *picture = NULL;
    int64_t strip = 0;
    ss_code rc;

    ss_str_addf(&name, "%s:%" PRId64, file, i + 1);
    if (name.failed)
        rc = ss_no_memory(e, file);
    else
        rc = ss_json_parse(&j, name.s, line, len, e);
    if (rc == SS_OK) {
        picture = read_file_name(&j);
        strip = ss_json_int(&j, "frames", 0);
        if (strip < 0 || strip > SS_IMAGE_MAX_SIDE || (strip == 0 && ss_json_has(&j, "frames")))
            ss_json_complain(&j, SS_FORMAT, "frames", "a strip has 1 to %d", SS_IMAGE_MAX_SIDE);
        rc = read_caption(d, &j, i, p, e); /* and the complaints before */
    }
    if (rc == SS_OK)
        rc = ss_data_read_frames(d, name.s, picture, (int)strip, &p->frames, &p->room, e);
    d->first[i + 1] = (int64_t)p->frames;
    ss_json_release(&j);
    ss_str_release(&name);
    return rc;
}

static ss_code read_lines(ss_data *d, const char *file, const char *text, ss_err *e)
{
    const int64_t n = count_lines(text);
    progress p = {0};
    ss_code rc = SS_OK;

    if (n == 0 || n > MAX_LINES)
        return ss_fail(e, SS_USAGE, "%s: %" PRId64 " lines, expected 1 to %d", file, n, MAX_LINES);
    d->first = ss_calloc((size_t)n + 1, sizeof *d->first);
    d->label = ss_calloc((size_t)n, sizeof *d->label);
    d->caption = ss_calloc((size_t)n, sizeof *d->caption);
    if (!d->first || !d->label || !d->caption)
        return ss_fail(e, SS_NOMEM, "%s: no memory for %" PRId64 " pictures", file, n);
    d->n = d->n_captions = n; /* from here on the captions are freed with it */
    for (int64_t i = 0; i < n && rc == SS_OK; i++) {
        const char *end = strchrnul(text, '\n');

        rc = read_line(d, file, text, (size_t)(end - text), i, &p, e);
        text = end + (*end == '\n');
    }
    if (rc == SS_OK && p.kind != TEXT)
        d->n_captions = 0;
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

static void read_folder(const ss_data *d, int64_t i, ss_rng r, float *x, int64_t *label)
{
    const ss_data_options *o = &d->opt;
    const size_t n = ss_data_frame_values(d);
    const int frames = ss_data_frames(d);
    const int64_t have = d->first[i + 1] - d->first[i];
    const int64_t span = (int64_t)(frames - 1) * o->stride + 1;
    const bool still = have < span; /* a picture */
    const int64_t from = d->first[i] + (still ? 0 : ss_data_pick(r, START, have - span + 1));

    for (int f = 0; f < frames; f++)
        memcpy(x + (size_t)f * n, d->x + (size_t)(from + (still ? 0 : f * o->stride)) * n,
               n * sizeof *x);
    if (d->label[i] >= 0)
        *label = d->label[i];
}

static void draw_folder(const ss_data *d, ss_rng r, float *x, int64_t *label)
{
    read_folder(d, ss_data_pick(r, WHICH, d->n), r, x, label);
}

const ss_data_source ss_data_source_folder = {open_folder, draw_folder, read_folder, false};
