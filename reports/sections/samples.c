/* samples.c - see samples.h */
#include "reports/sections/samples.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "reports/page/tiles.h"

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
    rc = path ? ss_image_read_png(path, im, e) : ss_fail(e, SS_NOMEM, "%s: out of memory", file);
    ss_free(path);
    return rc;
}

/* Bytes as the values from -1 to 1 that tiles show. */
static ss_code put_picture(ss_tiles *t, int row, int column, const ss_image *im, ss_err *e)
{
    const size_t n = (size_t)im->h * (size_t)im->w * (size_t)im->c;
    float *x = ss_alloc(n, sizeof *x);

    if (!x)
        return ss_fail(e, SS_NOMEM, "pictures: out of memory");
    for (size_t i = 0; i < n; i++)
        x[i] = (float)im->data[i] / 127.5F - 1;
    ss_tiles_picture(t, row, column, x, im->h, im->w, im->c, 1);
    ss_free(x);
    return SS_OK;
}

static ss_code fill(const char *folder, const json_t *models, int rows, int columns, ss_tiles *t,
                    ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < rows && rc == SS_OK; i++) {
        const json_t *pictures = json_object_get(json_array_get(models, (size_t)i), "pictures");
        const int n = (int)json_array_size(pictures);

        for (int k = 0; k < columns && k < n && rc == SS_OK; k++) {
            ss_image im = {0};

            rc = read_picture(folder, json_array_get(pictures, (size_t)k), &im, e);
            if (rc == SS_OK && !t->sheet.data) { /* the first tells the size */
                int h, w;

                ss_tiles_fit(im.h, im.w, TILE, &h, &w);
                rc = ss_tiles_new(t, rows, columns, h, w, e);
            }
            if (rc == SS_OK)
                rc = put_picture(t, i, k, &im, e);
            ss_image_release(&im);
        }
    }
    if (rc == SS_OK && !t->sheet.data)
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
    int columns = 0;
    ss_tiles t = {0};
    ss_str caption = {0};
    char alt[160];
    ss_code rc;

    for (int i = 0; i < rows; i++) {
        const json_t *model = json_array_get(models, (size_t)i);
        const int n = (int)json_array_size(json_object_get(model, "pictures"));

        columns = n > columns ? n : columns;
    }
    columns = columns < COLUMNS ? columns : COLUMNS;
    if ((rc = fill(folder, models, rows, columns, &t, e)) != SS_OK)
        goto out;
    ss_str_addf(&caption, "%s, %.0f steps, guidance %g, seed %.0f, precision %s; rows: ",
                text_of(root, "sampler"), number_of(root, "steps"), number_of(root, "guidance"),
                number_of(root, "seed"), text_of(root, "precision"));
    for (int i = 0; i < rows; i++)
        ss_str_addf(&caption, "%s%s", i ? ", " : "",
                    text_of(json_array_get(models, (size_t)i), "name"));
    ss_str_add(&caption, "; every row starts from the same noise. Columns: ");
    for (int k = 0; k < columns; k++) {
        const char *name = json_string_value(json_array_get(conditions, (size_t)k));

        ss_str_addf(&caption, "%s%s", k ? ", " : "", name && *name ? name : "unconditional");
    }
    ss_str_add(&caption, ".");
    snprintf(alt, sizeof alt, "Generated samples: %d models by %d samples.", rows, columns);
    ss_page_section(p, "samples", "Generated samples");
    rc = caption.failed ? ss_fail(e, SS_NOMEM, "%s: out of memory", folder)
                        : ss_page_pixels(p, &t.sheet, "samples", t.sheet.w < 900 ? t.sheet.w : 900,
                                         alt, caption.s, e);
    if (rc == SS_OK)
        rc = models_table(p, models, rows, e);
out:
    ss_image_release(&t.sheet);
    ss_str_release(&caption);
    return rc;
}

ss_code ss_section_samples(ss_page *p, const char *folder, ss_err *e)
{
    char *path = ss_path_join(folder, "generate.json");
    ss_json j = {0};
    ss_code rc;

    if (!path)
        return ss_fail(e, SS_NOMEM, "%s: out of memory", folder);
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
