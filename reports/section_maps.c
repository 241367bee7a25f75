/* section_maps.c - maps of dumped activations: inputs beside each other, sigma downwards */
#include "base/mem.h"
#include "reports/curves.h"
#include "reports/maps.h"
#include "reports/sections.h"
#include "reports/tiles.h"

#include <math.h>

enum { MODULES = 12, ROWS = 5, COLUMNS = 8, TILE = 72 };

/* Tiles are of (input, sample): of few inputs, several samples each. */
static int columns_of(const ss_run *r, int *samples)
{
    const int inputs = r->n_inputs < COLUMNS ? r->n_inputs : COLUMNS;

    *samples = COLUMNS / inputs;
    *samples = *samples < r->n_samples ? *samples : r->n_samples;
    return inputs * *samples;
}

static ss_code read_all(const ss_findings *x, const ss_map_source *m, const int *levels,
                        int n_levels, float *maps, ss_err *e)
{
    int samples;
    const int columns = columns_of(x->run, &samples);
    const size_t n = (size_t)m->h * (size_t)m->w;
    float *room = ss_alloc((size_t)m->shape.n, sizeof *room);
    ss_code rc = room ? SS_OK : ss_fail(e, SS_NOMEM, "%s: %s: out of memory", x->run->path, m->set);

    for (int k = 0; k < n_levels && rc == SS_OK; k++)
        for (int i = 0; i < columns && rc == SS_OK; i++)
            rc = ss_map_read(x->run, m, i / samples, x->order[levels[k]], i % samples, room,
                             maps + (size_t)(k * columns + i) * n, e);
    ss_free(room);
    return rc;
}

static ss_code module(ss_page *page, const ss_findings *x, const ss_map_source *m, int number,
                      ss_err *e)
{
    const ss_run *r = x->run;
    int levels[ROWS], n_levels = ss_curves_levels(x, levels, ROWS), samples, h, w;
    const int columns = columns_of(r, &samples);
    const size_t n = (size_t)m->h * (size_t)m->w, all = n * (size_t)(columns * n_levels);
    float *maps = ss_alloc(all, sizeof *maps);
    double low = INFINITY, high = 0;
    char name[32], alt[400];
    ss_str caption = {0};
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
    ss_tiles_fit(m->h, m->w, TILE, &h, &w);
    if ((rc = ss_tiles_new(&t, n_levels, columns, h, w, e)) != SS_OK)
        goto out;
    for (int k = 0; k < n_levels; k++)
        for (int i = 0; i < columns; i++)
            ss_tiles_map(&t, k, i, maps + (size_t)(k * columns + i) * n, m->h, m->w, low, high);
    ss_str_addf(
        &caption,
        "%s, %d x %d positions, %lld channels: RMS over channels, from %.3g (violet) to %.3g "
        "(yellow), one logarithmic scale for all tiles. Rows: sigma ",
        r->modules[m->module], m->h, m->w, (long long)m->c, low, high);
    for (int k = 0; k < n_levels; k++)
        ss_str_addf(&caption, "%s%.3g", k ? ", " : "", r->sigmas[x->order[levels[k]]]);
    ss_str_add(&caption, ". Columns: ");
    for (int i = 0; i < columns / samples; i++)
        ss_str_addf(&caption, "%s%s", i ? "; " : "", r->inputs[i]);
    if (samples > 1)
        ss_str_addf(&caption, " (%d samples each)", samples);
    ss_str_add(&caption, ".");
    snprintf(name, sizeof name, "maps-%02d", number);
    snprintf(alt, sizeof alt, "Activation maps of %.250s: %d columns at %d noise levels.",
             r->modules[m->module], columns, n_levels);
    rc = caption.failed ? ss_fail(e, SS_NOMEM, "%s: out of memory", r->path)
                        : ss_page_pixels(page, &t.sheet, name, t.sheet.w, alt, caption.s, e);
out:
    ss_image_release(&t.sheet);
    ss_str_release(&caption);
    ss_free(maps);
    return rc;
}

ss_code ss_section_maps(ss_page *page, const ss_findings *x, ss_err *e)
{
    int shown = 0;
    ss_code rc = SS_OK;

    for (int m = 0; m < x->run->n_modules && shown < MODULES && x->n > 0 && rc == SS_OK; m++) {
        ss_map_source source;

        if (!ss_map_find(x->run, m, &source))
            continue;
        if (shown++ == 0)
            ss_page_section(page, "maps", "Activation maps");
        rc = module(page, x, &source, shown, e);
        ss_map_release(&source);
    }
    return rc;
}
