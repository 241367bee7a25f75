/* section_maps.c - maps of dumped activations: inputs beside each other, sigma downwards */
#include "base/mem.h"
#include "reports/page/curves.h"
#include "reports/page/matrix.h"
#include "reports/sections/frames.h"
#include "reports/sections/maps.h"
#include "reports/sections/sections.h"

#include <math.h>

enum { MODULES = 12, ROWS = 5, COLUMNS = 8, TILE = 96, TABLE_ROWS = 1000 };

/* Columns are of (input, sample): of few inputs, several samples each, unless they are videos. */
static int columns_of(const ss_run *r, const ss_map_source *m, int *samples)
{
    const int inputs = r->n_inputs < COLUMNS ? r->n_inputs : COLUMNS;

    *samples = m->size.frames ? 1 : COLUMNS / inputs;
    *samples = *samples < r->n_samples ? *samples : r->n_samples;
    return inputs * *samples;
}

static ss_code read_all(const ss_analysis *x, const ss_map_source *m, const int *levels,
                        int n_levels, float *maps, ss_err *e)
{
    int samples;
    const int columns = columns_of(x->run, m, &samples);
    const size_t n = (size_t)ss_sample_pixels(m->size);
    float *room = ss_alloc((size_t)m->shape.n, sizeof *room);
    ss_code rc = room ? SS_OK : ss_fail(e, SS_NOMEM, "%s: %s: out of memory", x->run->path, m->set);

    for (int k = 0; k < n_levels && rc == SS_OK; k++)
        for (int i = 0; i < columns && rc == SS_OK; i++)
            rc = ss_map_read(x->run, m, i / samples, x->order[levels[k]], i % samples, room,
                             maps + (size_t)(k * columns + i) * n, e);
    ss_free(room);
    return rc;
}

/* The row of a module in the analysis of blobs, or NULL. */
static const ss_blob_row *blob_of(const ss_analysis *x, int module)
{
    for (int i = 0; i < x->blobs.n; i++) {
        if (x->blobs.rows[i].module == module)
            return &x->blobs.rows[i];
    }
    return NULL;
}

typedef struct {
    int input, sigma, sample, frame;
} place;

static bool is_degenerate(const ss_run *r, const ss_blob_row *row, place at)
{
    const int maps = row->frames ? row->frames : 1;

    return ss_blob_degenerate(
        ss_blob_values(r, row, at.input, at.sigma, at.sample * maps + at.frame), &row->shape);
}

static void verdict(ss_str *caption, const ss_analysis *x, const ss_blob_row *row)
{
    if (row->n_degenerate == 0)
        ss_str_add(caption, " At no noise level are half of its maps degenerate.");
    else if (row->n_degenerate == x->n)
        ss_str_add(caption, " At every noise level at least half of its maps are degenerate.");
    else if (row->from >= 0)
        ss_str_addf(caption, " From sigma %.3g on at least half of its maps are degenerate.",
                    x->run->sigmas[row->from]);
    else
        ss_str_addf(caption, " At %d of %d noise levels at least half of its maps are degenerate.",
                    row->n_degenerate, x->n);
}

static ss_code module(ss_page *page, const ss_analysis *x, const ss_map_source *m, int number,
                      ss_err *e)
{
    const ss_run *r = x->run;
    int levels[ROWS], n_levels = ss_curves_levels(x, levels, ROWS), samples, h, w;
    const int columns = columns_of(r, m, &samples);
    const size_t n = (size_t)ss_sample_pixels(m->size), all = n * (size_t)(columns * n_levels);
    int frames[SS_FRAMES_SHOWN];
    const int n_frames = ss_frames_shown(m->size, frames);
    const ss_blob_row *blob = blob_of(x, m->module);
    float *maps = ss_alloc(all, sizeof *maps);
    double low = INFINITY, high = 0;
    char name[32], alt[400], ends[2][16];
    ss_str caption = {0};
    ss_matrix matrix = {.corner = "sigma, by input",
                        .low = ends[0],
                        .high = ends[1],
                        .viridis = true,
                        .marked = blob ? "a degenerate map" : NULL};
    ss_tiles t = {0};
    ss_code rc = SS_OK;

    if (!maps)
        return ss_fail(e, SS_NOMEM, "%s: %s: out of memory", r->path, m->set);
    if ((rc = read_all(x, m, levels, n_levels, maps, e)) != SS_OK)
        goto out;
    for (size_t i = 0; i < all; i++) {
        if (maps[i] > 0 && isfinite(maps[i])) {
            low = fmin(low, maps[i]);
            high = fmax(high, maps[i]);
        }
    }
    low = fmax(low, high * 1e-3);
    ss_frames_tile(m->size, TILE, &h, &w);
    if ((rc = ss_tiles_new(&t, n_levels, columns * n_frames, h, w, e)) != SS_OK)
        goto out;
    for (int k = 0; k < n_levels; k++) {
        for (int i = 0; i < columns * n_frames; i++) {
            const int column = i / n_frames, frame = frames[i % n_frames];
            const place at = {column / samples, x->order[levels[k]], column % samples, frame};
            const float *map = maps + (size_t)(k * columns + column) * n;

            ss_tiles_map(&t, k, i, map + frame * ss_sample_area(m->size), m->size.height,
                         m->size.width, low, high);
            if (blob && is_degenerate(r, blob, at))
                ss_tiles_mark(&t, k, i);
        }
    }
    for (int k = 0; k < n_levels; k++)
        ss_matrix_label(&matrix.rows, "sigma %.3g", r->sigmas[x->order[levels[k]]]);
    for (int i = 0; i < columns; i++) {
        if (samples > 1)
            ss_matrix_label(&matrix.columns, "%s, sample %d", r->inputs[i / samples],
                            i % samples + 1);
        else
            ss_matrix_label(&matrix.columns, "%s", r->inputs[i]);
    }
    ss_str_addf(&caption,
                "%d x %d positions, %d channels: RMS over channels, one logarithmic scale for "
                "all maps.",
                m->size.height, m->size.width, m->size.channels);
    ss_frames_say(&caption, m->size);
    if (blob)
        verdict(&caption, x, blob);
    snprintf(name, sizeof name, "maps-%02d", number);
    snprintf(alt, sizeof alt, "Activation maps of %.250s: %d columns at %d noise levels.",
             r->modules[m->module], columns, n_levels);
    snprintf(ends[0], sizeof ends[0], "%.3g", low);
    snprintf(ends[1], sizeof ends[1], "%.3g", high);
    if (caption.failed) {
        rc = ss_no_memory(e, r->path);
        goto out;
    }
    html_element(page->f, "h3", NULL, "%s", r->modules[m->module]);
    matrix.name = name;
    matrix.alt = alt;
    matrix.caption = caption.s;
    rc = ss_page_matrix(page, &t, &matrix, e);
out:
    ss_image_release(&t.sheet);
    ss_str_release(&matrix.rows);
    ss_str_release(&matrix.columns);
    ss_str_release(&caption);
    ss_free(maps);
    return rc;
}

/* Shows a module, if it has maps and there is room for more. */
static ss_code show(ss_page *page, const ss_analysis *x, int m, int *shown, ss_err *e)
{
    ss_map_source source;
    ss_code rc;

    if (*shown >= MODULES || !ss_map_find(x->run, m, &source))
        return SS_OK;
    rc = module(page, x, &source, ++*shown, e);
    ss_map_release(&source);
    return rc;
}

ss_code ss_section_maps(ss_page *page, const ss_analysis *x, ss_err *e)
{
    int shown = 0;
    ss_table t;
    ss_code rc = SS_OK;

    if (x->blobs.n == 0)
        return SS_OK;
    ss_page_section(page, "maps", "Activation maps, and which of them are blobs");
    html_element(page->f, "p", NULL,
                 "A map is degenerate (red frame) when two of these hold: its effective rank is "
                 "below 2, more than 75 %% of its energy is in waves of at most one cycle per "
                 "picture, its cosine to the other inputs' maps is above 0.85.");
    for (int i = 0; i < x->blobs.n && rc == SS_OK; i++)
        rc = show(page, x, x->blobs.rows[i].module, &shown, e);
    if (rc == SS_OK && (rc = ss_blobs_table(x->run, &x->blobs, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_blob_shapes_table(x->run, &x->blobs, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    if (rc == SS_OK && (rc = ss_blob_levels_table(x->run, &x->blobs, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc;
}
