/* color_match.c - see color_match.h */
#include "probe/color_match.h"

#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- sRGB and L*a*b* (IEC 61966-2-1, CIE 15) ---- */

static const double white[3] = {0.95047, 1, 1.08883};

static double to_linear(double v)
{
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double from_linear(double v)
{
    return v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
}

static void to_lab(const float *rgb, float *lab)
{
    static const double m[3][3] = {{0.412453, 0.357580, 0.180423},
                                   {0.212671, 0.715160, 0.072169},
                                   {0.019334, 0.119193, 0.950227}};
    double f[3];

    for (int i = 0; i < 3; i++) {
        double v = 0;

        for (int j = 0; j < 3; j++)
            v += m[i][j] * to_linear(fmin(fmax((rgb[j] + 1.0) / 2, 0), 1));
        v /= white[i];
        f[i] = v > 0.008856 ? cbrt(v) : 7.787 * v + 16.0 / 116;
    }
    lab[0] = (float)(116 * f[1] - 16);
    lab[1] = (float)(500 * (f[0] - f[1]));
    lab[2] = (float)(200 * (f[1] - f[2]));
}

static void from_lab(const float *lab, float *rgb)
{
    static const double m[3][3] = {{3.24048134, -1.53715152, -0.49853633},
                                   {-0.96925495, 1.87599, 0.04155593},
                                   {0.05564664, -0.20404134, 1.05731107}};
    const double fy = (lab[0] + 16.0) / 116;
    const double f[3] = {fy + lab[1] / 500.0, fy, fmax(fy - lab[2] / 200.0, 0)};
    double xyz[3];

    for (int i = 0; i < 3; i++)
        xyz[i] = white[i] * (f[i] > 0.2068966 ? f[i] * f[i] * f[i] : (f[i] - 16.0 / 116) / 7.787);
    for (int i = 0; i < 3; i++) {
        const double v = m[i][0] * xyz[0] + m[i][1] * xyz[1] + m[i][2] * xyz[2];

        rgb[i] = (float)(2 * fmin(fmax(from_linear(v), 0), 1) - 1);
    }
}

/* ---- distributions ---- */

static int rising(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* Sorts n values, and leaves each once: value[k] is the largest of the first upto[k]. Returns how
 * many there are. */
static int64_t distinct(float *value, int64_t *upto, int64_t n)
{
    int64_t k = 0;

    qsort(value, (size_t)n, sizeof *value, rising);
    for (int64_t i = 0; i < n; i++) {
        if (i + 1 < n && value[i + 1] == value[i])
            continue;
        value[k] = value[i];
        upto[k++] = i + 1;
    }
    return k;
}

/* The value at which a distribution of m values reaches `count`. */
static float reach(const float *value, const int64_t *upto, int64_t m, int64_t count)
{
    int64_t low = 0, high = m - 1;

    while (low < high) { /* the first with upto >= count */
        const int64_t middle = (low + high) / 2;

        if (upto[middle] < count)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return value[0];
    const double part = (double)(count - upto[low - 1]) / (double)(upto[low] - upto[low - 1]);
    return (float)(value[low - 1] + part * ((double)value[low] - value[low - 1]));
}

typedef struct {
    float *x, *reference; /* [pixels] */
    int64_t *upto, *reference_upto;
} room;

/* Maps channel k of x to the distribution of that of y. */
static void match_channel(float *x, const float *y, int64_t n, int c, int k, const room *r)
{
    for (int64_t i = 0; i < n; i++) {
        r->x[i] = x[i * c + k];
        r->reference[i] = y[i * c + k];
    }
    const int64_t own = distinct(r->x, r->upto, n);
    const int64_t other = distinct(r->reference, r->reference_upto, n);

    for (int64_t i = 0; i < n; i++) {
        const float *at = bsearch(&x[i * c + k], r->x, (size_t)own, sizeof *r->x, rising);

        x[i * c + k] = reach(r->reference, r->reference_upto, other, r->upto[at - r->x]);
    }
}

static bool all_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return false;
    }
    return true;
}

ss_code ss_color_match(float *x, const float *reference, int64_t pixels, int c, ss_err *e)
{
    const size_t n = (size_t)pixels;
    float *lab = ss_alloc(n, 2 * (size_t)c * sizeof *lab);
    room r = {ss_alloc(n, sizeof(float)), ss_alloc(n, sizeof(float)), ss_alloc(n, sizeof(int64_t)),
              ss_alloc(n, sizeof(int64_t))};
    const bool memory = lab && r.x && r.reference && r.upto && r.reference_upto;

    if (memory && all_finite(x, pixels * c) && all_finite(reference, pixels * c)) {
        float *other = lab + pixels * c;

        for (int64_t i = 0; i < pixels && c == 3; i++) {
            to_lab(x + 3 * i, lab + 3 * i);
            to_lab(reference + 3 * i, other + 3 * i);
        }
        for (int k = 0; k < c; k++)
            match_channel(c == 3 ? lab : x, c == 3 ? other : reference, pixels, c, k, &r);
        for (int64_t i = 0; i < pixels && c == 3; i++)
            from_lab(lab + 3 * i, x + 3 * i);
    }
    ss_free(lab);
    ss_free(r.x);
    ss_free(r.reference);
    ss_free(r.upto);
    ss_free(r.reference_upto);
    return memory ? SS_OK : ss_no_memory(e, "matching colours");
}
