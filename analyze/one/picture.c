/* picture.c - see picture.h */
#include "analyze/one/picture.h"

#include "analyze/math/median.h"
#include "analyze/one/sites.h"
#include "analyze/one/spectra.h"
#include "base/file.h"
#include "base/mem.h"
#include "fft/filter.h"
#include "fft/spectrum.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

ss_code ss_picture_is_png(const char *path, bool *is, ss_err *e)
{
    static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    ss_map map;
    ss_code rc = ss_map_open(path, &map, e);

    *is = rc == SS_OK && map.size >= sizeof signature &&
          memcmp(map.data, signature, sizeof signature) == 0;
    if (rc == SS_OK)
        ss_map_close(&map);
    return rc;
}

/* Variance within channels, the mean over them: the sum of the whole spectrum, corners included. */
static double variance(const float *x, int64_t pixels, int channels)
{
    double sum = 0;

    for (int c = 0; c < channels; c++) {
        double mean = 0;

        for (int64_t i = 0; i < pixels; i++)
            mean += (double)x[i * channels + c] / (double)pixels;
        for (int64_t i = 0; i < pixels; i++) {
            const double d = (double)x[i * channels + c] - mean;

            sum += d * d;
        }
    }
    return sum / ((double)pixels * channels);
}

static ss_code measure(const ss_picture *p, ss_picture_side *side, ss_err *e)
{
    const int64_t n = (int64_t)p->h * p->w * p->c;
    ss_spectrum *s = NULL;
    double *waves = ss_alloc((size_t)p->n_rings, sizeof *waves);
    double *radii = ss_alloc((size_t)p->n_rings, sizeof *radii);
    ss_code rc = ss_spectrum_new(p->h, p->w, &s, e);

    side->psd = ss_alloc((size_t)p->n_rings, sizeof *side->psd);
    if (rc == SS_OK && (!waves || !radii || !side->psd))
        rc = ss_fail(e, SS_NOMEM, "a spectrum of %d x %d pixels: out of memory", p->h, p->w);
    if (rc == SS_OK) {
        ss_spectrum_radial(s, p->x, 1, p->c, side->psd);
        ss_spectrum_waves(p->h, p->w, waves);
        for (int k = 0; k < p->n_rings; k++)
            radii[k] = k;
        side->variance = variance(p->x, (int64_t)p->h * p->w, p->c);
        for (int64_t i = 0; i < n; i++)
            side->mean += p->x[i] / (double)n;
        side->low = ss_low_share(side->psd, waves, radii, p->n_rings, p->cutoff);
        side->slope = ss_log_slope(radii, side->psd, p->n_rings);
    }
    ss_spectrum_free(s);
    ss_free(waves);
    ss_free(radii);
    return rc;
}

static ss_code filter(ss_picture *p, const ss_picture_filter *f, ss_err *e)
{
    const ss_sample_size size = {0, p->h, p->w, p->c};
    ss_code rc = SS_OK;

    if (f->lowpass > 0)
        rc = ss_filter_gaussian(SS_LOWPASS, f->lowpass, size, p->x, e);
    if (rc == SS_OK && f->highpass > 0)
        rc = ss_filter_gaussian(SS_HIGHPASS, f->highpass, size, p->x, e);
    return rc == SS_OK ? measure(p, &p->side[1], e) : rc;
}

ss_code ss_picture_read(const char *path, const ss_picture_filter *f, double cutoff,
                        const char *name, ss_picture *p, ss_err *e)
{
    ss_image im = {0};
    ss_code rc = ss_image_read_png(path, &im, e);

    *p = (ss_picture){.h = im.h, .w = im.w, .c = im.c, .cutoff = cutoff};
    if (rc != SS_OK)
        return rc;
    p->n_rings = ss_spectrum_rings(im.h, im.w);
    p->filtered = f->lowpass > 0 || f->highpass > 0;
    p->title[0] = ss_table_title("picture", name);
    p->title[1] = ss_table_title("spectrum", name);

    const size_t n = (size_t)im.h * (size_t)im.w * (size_t)im.c;
    p->x = ss_alloc(n, sizeof *p->x);
    if (!p->x || !p->title[0] || !p->title[1])
        rc = ss_no_memory(e, path);
    for (size_t i = 0; i < n && rc == SS_OK; i++)
        p->x[i] = im.data[i];
    if (rc == SS_OK)
        rc = measure(p, &p->side[0], e);
    if (rc == SS_OK && p->filtered)
        rc = filter(p, f, e);
    ss_image_release(&im);
    if (rc != SS_OK)
        ss_picture_release(p);
    return rc;
}

void ss_picture_release(ss_picture *p)
{
    ss_free(p->x);
    ss_free(p->side[0].psd);
    ss_free(p->side[1].psd);
    ss_free(p->title[0]);
    ss_free(p->title[1]);
    *p = (ss_picture){0};
}

static void put(const ss_picture *p, const char *what, double as_it_is, double filtered,
                ss_table *t)
{
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_number(t, as_it_is);
    if (p->filtered)
        ss_table_number(t, filtered);
}

ss_code ss_picture_table(const ss_picture *p, ss_table *t, ss_err *e)
{
    const ss_picture_side *a = &p->side[0], *b = &p->side[1];
    ss_code rc = ss_table_init(t, p->title[0], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "what", SS_COL_TEXT, NULL);
    ss_table_column(t, "picture", SS_COL_NUMBER, "%.4g");
    if (p->filtered)
        ss_table_column(t, "filtered", SS_COL_NUMBER, "%.4g");
    put(p, "mean", a->mean, b->mean, t);
    put(p, "variance", a->variance, b->variance, t);
    put(p, "low-frequency share", a->low, b->low, t);
    put(p, "slope", a->slope, b->slope, t);
    ss_table_note(t, "%d x %d, %d channels, 0 to 255; low is %g cycles per picture and less", p->h,
                  p->w, p->c, p->cutoff);
    return SS_OK;
}

/* Every ring to 8, then four an octave. */
static bool is_shown(int ring)
{
    int step = 1;

    while (ring >= 8 * step)
        step *= 2;
    return ring % step == 0;
}

ss_code ss_picture_psd_table(const ss_picture *p, bool every, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, p->title[1], e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "cycles", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "power", SS_COL_NUMBER, "%.4g");
    if (p->filtered)
        ss_table_column(t, "filtered", SS_COL_NUMBER, "%.4g");
    for (int k = 1; k < p->n_rings; k++) { /* ring 0 is the mean, which was removed */
        if (!every && !is_shown(k))
            continue;
        ss_table_row(t);
        ss_table_number(t, k);
        ss_table_number(t, p->side[0].psd[k]);
        if (p->filtered)
            ss_table_number(t, p->side[1].psd[k]);
    }
    ss_table_note(t, "mean power of the waves of so many cycles per picture");
    return SS_OK;
}

ss_code ss_picture_write(const ss_picture *p, const ss_picture_filter *f, const char *path,
                         int64_t *cut, ss_err *e)
{
    const int64_t n = (int64_t)p->h * p->w * p->c;
    const double offset = f->highpass > 0 ? 127.5 : 0;
    ss_image im = {p->h, p->w, p->c, ss_alloc((size_t)n, 1)};
    ss_code rc = im.data ? SS_OK : ss_no_memory(e, path);

    *cut = 0;
    for (int64_t i = 0; i < n && rc == SS_OK; i++) {
        const double v = rint(p->x[i] + offset);

        *cut += v < 0 || v > 255;
        im.data[i] = (uint8_t)fmin(fmax(v, 0), 255);
    }
    if (rc == SS_OK)
        rc = ss_image_write_png(path, &im, e);
    ss_image_release(&im);
    return rc;
}
