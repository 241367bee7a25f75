/* samples.c - see samples.h */
#include "reports/sections/samples.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "reports/page/matrix.h"
#include "reports/sections/frames.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 12, ROWS = 40, TILE = 112 };

/* A path that stays inside of the folder. */
static bool is_inside(const char *path)
{
    return *path && *path != '/' && !strstr(path, "..");
}

static ss_code read_picture(const char *folder, const json_t *name, ss_image *im, ss_err *e)
{
    const char *file = json_string_value(name);
    char *path;
    ss_code rc;

    if (!file || !is_inside(file))
        return ss_fail(
            e, SS_FORMAT,
            "%s/generate.json: a model's pictures are to be names of files in that folder", folder);
    path = ss_path_join(folder, file);
    rc = path ? ss_image_read_png(path, im, e) : ss_no_memory(e, file);
    ss_free(path);
    return rc;
}

/* The size of what a picture file shows: with frames, that many from left to right. */
static ss_code size_of(const ss_image *im, int frames, ss_sample_size *size, ss_err *e)
{
    *size = (ss_sample_size){frames, im->h, im->w, im->c};
    if (!frames)
        return SS_OK;
    size->width = im->w / frames;
    return im->w % frames == 0 && size->width
               ? SS_OK
               : ss_fail(e, SS_FORMAT,
                         "a picture of %d pixels in width cannot be %d frames side by side", im->w,
                         frames);
}

/* Puts a picture's bytes into the tiles of a column, as the values from -1 to 1 that they show. */
static ss_code put_picture(ss_tiles *t, int row, int column, const ss_image *im,
                           ss_sample_size size, ss_err *e)
{
    const int64_t line = (int64_t)size.width * size.channels;
    float *x = ss_alloc((size_t)ss_sample_values(size), sizeof *x), *to = x;

    if (!x)
        return ss_no_memory(e, "pictures");
    for (int f = 0; f < ss_sample_frames(size); f++) {
        for (int y = 0; y < size.height; y++) {
            const uint8_t *from = im->data + (y * ss_sample_frames(size) + f) * line;

            for (int64_t i = 0; i < line; i++)
                *to++ = (float)from[i] / 127.5F - 1;
        }
    }
    ss_frames_put(t, row, column, x, size, 1);
    ss_free(x);
    return SS_OK;
}

/* The sheet of samples: a row a model, a column a sample. */
typedef struct {
    int rows, columns;
    int frames;          /* in a picture file; 0: they are pictures */
    ss_sample_size size; /* of the first one */
    ss_tiles tiles;
} sheet;

/* The first picture decides how large the tiles are. */
static ss_code begin_sheet(sheet *s, ss_sample_size size, ss_err *e)
{
    int frames[SS_FRAMES_SHOWN], h, w;

    s->size = size;
    ss_frames_tile(size, TILE, &h, &w);
    return ss_tiles_new(&s->tiles, s->rows, s->columns * ss_frames_shown(size, frames), h, w, e);
}

static ss_code put(sheet *s, const char *folder, const json_t *name, int row, int column, ss_err *e)
{
    ss_image im = {0};
    ss_sample_size size;
    ss_code rc = read_picture(folder, name, &im, e);

    if (rc == SS_OK && (rc = size_of(&im, s->frames, &size, e)) != SS_OK)
        ss_fail_prefix(e, "%s/%s", folder, json_string_value(name));
    if (rc == SS_OK && !s->tiles.sheet.data)
        rc = begin_sheet(s, size, e);
    if (rc == SS_OK)
        rc = put_picture(&s->tiles, row, column, &im, size, e);
    ss_image_release(&im);
    return rc;
}

static ss_code fill(sheet *s, const char *folder, const json_t *models, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < s->rows && rc == SS_OK; i++) {
        const json_t *pictures = json_object_get(json_array_get(models, (size_t)i), "pictures");
        const int n = (int)json_array_size(pictures);

        for (int k = 0; k < s->columns && k < n && rc == SS_OK; k++)
            rc = put(s, folder, json_array_get(pictures, (size_t)k), i, k, e);
    }
    if (rc == SS_OK && !s->tiles.sheet.data)
        rc = ss_fail(e, SS_FORMAT, "%s/generate.json: names no pictures", folder);
    return rc;
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Samples with values that are not finite, and the largest |x0| before clipping. */
static void measure(const json_t *model, int *broken, double *absmax)
{
    const json_t *v;
    size_t i;

    *broken = 0;
    *absmax = NAN;
    json_array_foreach(json_object_get(model, "nonfinite"), i, v) *broken +=
        json_is_number(v) && json_number_value(v) > 0;
    json_array_foreach(json_object_get(model, "absmax"), i, v) *absmax =
        fmax(*absmax, json_is_number(v) ? json_number_value(v) : NAN);
}

static ss_code models_table(ss_page *p, const json_t *models, int rows, ss_err *e)
{
    ss_table t;
    ss_code rc = ss_table_init(&t, "samples", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(&t, "row", SS_COL_NUMBER, "%.0f");
    ss_table_column(&t, "model", SS_COL_TEXT, NULL);
    ss_table_column(&t, "samples", SS_COL_NUMBER, "%.0f");
    ss_table_column(&t, "not finite", SS_COL_NUMBER, "%.0f");
    ss_table_column(&t, "largest |x0|", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < rows; i++) {
        const json_t *model = json_array_get(models, (size_t)i);
        int broken;
        double absmax;

        measure(model, &broken, &absmax);
        ss_table_row(&t);
        ss_table_number(&t, i + 1);
        ss_table_text(&t, text_of(model, "name"));
        ss_table_number(&t, (double)json_array_size(json_object_get(model, "pictures")));
        ss_table_number(&t, broken);
        ss_table_number(&t, absmax);
    }
    ss_table_note(&t, "samples that have inf or NaN anywhere, and the largest |x0| before pictures "
                      "are clipped to -1..1");
    ss_page_table(p, &t);
    return SS_OK;
}

static ss_code show(ss_page *p, const char *folder, const json_t *root, ss_err *e)
{
    const json_t *models = json_object_get(root, "models");
    const int all = (int)json_array_size(models), rows = all < ROWS ? all : ROWS;
    const json_t *conditions = json_object_get(root, "conditions");
    const int64_t frames = json_integer_value(json_object_get(root, "frames"));
    int columns = 0;
    sheet t = {.rows = rows};
    ss_str caption = {0};
    char alt[160];
    ss_matrix m = {.name = "samples", .alt = alt, .corner = "model, by sample"};
    ss_code rc;

    for (int i = 0; i < rows; i++) {
        const json_t *model = json_array_get(models, (size_t)i);
        const int n = (int)json_array_size(json_object_get(model, "pictures"));

        columns = n > columns ? n : columns;
    }
    if (frames < 0 || frames > SS_IMAGE_MAX_SIDE)
        return ss_fail(e, SS_FORMAT, "%s/generate.json: \"frames\" is %lld", folder,
                       (long long)frames);
    t.frames = (int)frames;
    t.columns = frames ? COLUMNS / SS_FRAMES_SHOWN : COLUMNS;
    t.columns = columns = columns < t.columns ? columns : t.columns;
    if ((rc = fill(&t, folder, models, e)) != SS_OK)
        goto out;
    ss_str_addf(&caption,
                "%s, %.0f steps, guidance %g, seed %.0f, precision %s; every row starts from the "
                "same noise.",
                text_of(root, "sampler"), number_of(root, "steps"), number_of(root, "guidance"),
                number_of(root, "seed"), text_of(root, "precision"));
    ss_frames_say(&caption, t.size);
    for (int i = 0; i < rows; i++)
        ss_matrix_label(&m.rows, "%s", text_of(json_array_get(models, (size_t)i), "name"));
    for (int k = 0; k < columns; k++) {
        const char *name = json_string_value(json_array_get(conditions, (size_t)k));

        ss_matrix_label(&m.columns, "%d: %s", k + 1, name && *name ? name : "unconditional");
    }
    snprintf(alt, sizeof alt, "Generated samples: %d models by %d samples.", rows, columns);
    ss_page_section(p, "samples", "Generated samples");
    if (caption.failed) {
        rc = ss_no_memory(e, folder);
        goto out;
    }
    m.caption = caption.s;
    rc = ss_page_matrix(p, &t.tiles, &m, e);
    if (rc == SS_OK)
        rc = models_table(p, models, rows, e);
out:
    ss_image_release(&t.tiles.sheet);
    ss_str_release(&m.rows);
    ss_str_release(&m.columns);
    ss_str_release(&caption);
    return rc;
}

ss_code ss_section_samples(ss_page *p, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, "generate.json");
    ss_json j = {0};
    ss_code rc;

    if (!path)
        return ss_no_memory(e, folder);
    if ((rc = ss_json_load(&j, path, e)) == SS_OK) {
        if (strcmp(ss_json_string(&j, "format", ""), "sigmascope-generate") != 0)
            ss_json_complain(&j, SS_FORMAT, "format", "\"sigmascope-generate\" is expected");
        if (!json_is_array(ss_json_get(&j, "models")))
            ss_json_complain(&j, SS_FORMAT, "models", "a list of models is expected");
        if ((rc = ss_json_done(&j, e)) == SS_OK)
            rc = show(p, folder, j.root, e);
    }
    ss_json_release(&j);
    ss_free(path);
    return rc;
}
