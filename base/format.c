/* format.c - see format.h */
#include "base/format.h"

#include "base/log.h"
#include "base/near.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exp_bits, man_bits;
    bool no_inf;
} named[] = {
    {"fp32", 8, 23, false}, {"bf16", 8, 7, false},    {"fp16", 5, 10, false},
    {"tf32", 8, 10, false}, {"fp8-e4m3", 4, 3, true}, {"fp8-e5m2", 5, 2, false},
};

/* Bits for which OCP defines other numbers. */
static const struct {
    int exp_bits, man_bits;
    const char *other;
} doubtful[] = {
    {4, 3, "PyTorch's float8_e4m3fn is fp8-e4m3, 448"},
    {3, 2, "OCP's E3M2 reaches 28"},
    {2, 3, "OCP's E2M3 reaches 7.5"},
    {2, 1, "OCP's E2M1 reaches 6"},
};

enum { N_NAMED = sizeof named / sizeof *named, N_DOUBTFUL = sizeof doubtful / sizeof *doubtful };

static ss_code unknown(const char *name, ss_err *e)
{
    char hint[SS_NEAR];

    return ss_fail(
        e, SS_USAGE,
        "'%s' is not a number format%s; known: fp32, bf16, fp16, tf32, fp8-e4m3 (PyTorch's "
        "float8_e4m3fn, max 448; saturates, as PyTorch's cast since 2.12), fp8-e4m3-nan (overflows "
        "to NaN), fp8-e5m2 (overflows to inf), e4m3-ieee (max 240), eXmY with X exponent (2-8) and "
        "Y fraction bits (1-23); '-sat' after a name saturates instead of overflowing",
        SS_SHOW(name),
        ss_near_in(name, "fp32 bf16 fp16 tf32 fp8-e4m3 fp8-e4m3-nan fp8-e5m2 e4m3-ieee", hint));
}

/* The row of `doubtful`, or N_DOUBTFUL. */
static int doubt(const ss_format *f)
{
    int i = 0;

    while (i < N_DOUBTFUL && (f->no_inf || f->exp_bits != doubtful[i].exp_bits ||
                              f->man_bits != doubtful[i].man_bits))
        i++;
    return i;
}

static void set_name(ss_format *f)
{
    const char *end = f->saturate == f->no_inf ? "" : f->saturate ? "-sat" : "-nan";
    int i = 0;

    while (i < N_NAMED && (f->exp_bits != named[i].exp_bits || f->man_bits != named[i].man_bits ||
                           f->no_inf != named[i].no_inf))
        i++;
    if (i < N_NAMED)
        snprintf(f->name, sizeof f->name, "%s%s", named[i].name, end);
    else
        snprintf(f->name, sizeof f->name, "e%dm%d%s%s", f->exp_bits % 10, f->man_bits % 100,
                 doubt(f) < N_DOUBTFUL ? "-ieee" : "", end);
}

/* Cuts the end off the name, if it has that. */
static bool take_end(char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);

    if (n <= k || strcmp(name + n - k, end) != 0)
        return false;
    name[n - k] = '\0';
    return true;
}

/* Reads the name without what follows it; *ieee: it says itself which numbers are meant. */
static bool read_bits(char *name, ss_format *f, bool *ieee)
{
    int x = 0, y = 0, end = 0;

    for (int i = 0; i < N_NAMED; i++) {
        if (strcmp(name, named[i].name) == 0) {
            f->exp_bits = named[i].exp_bits;
            f->man_bits = named[i].man_bits;
            f->no_inf = named[i].no_inf;
            return true;
        }
    }
    *ieee = take_end(name, "-ieee");
    if (sscanf(name, "e%1dm%2d%n", &x, &y, &end) != 2 || name[end] || x < 2 || x > 8 || y < 1 ||
        y > 23)
        return false;
    f->exp_bits = x;
    f->man_bits = y;
    return true;
}

/* *old: the name that has more than one meaning, or "". */
static bool read_name(const char *name, ss_format *f, char old[SS_FORMAT_NAME])
{
    char base[SS_FORMAT_NAME];
    ss_format g = {0};
    bool ieee = false;

    *old = '\0';
    if (strlen(name) >= sizeof base)
        return false;
    snprintf(base, sizeof base, "%s", name);
    const bool sat = take_end(base, "-sat"), nan = !sat && take_end(base, "-nan");
    if (!read_bits(base, &g, &ieee) || (ss_format_is_f32(&g) && sat) || (nan && !g.no_inf))
        return false;
    g.saturate = sat || (g.no_inf && !nan);
    set_name(&g);
    if (!ieee && doubt(&g) < N_DOUBTFUL)
        snprintf(old, SS_FORMAT_NAME, "%s", name);

    int bias = (1 << (g.exp_bits - 1)) - 1;

    /* OCP e4m3 uses the top exponent for numbers, all but the last fraction */
    if (g.no_inf)
        g.max = ldexp(2 - 2 * ldexp(1, -g.man_bits), bias + 1);
    else
        g.max = ldexp(2 - ldexp(1, -g.man_bits), bias);
    g.min_normal = ldexp(1, 1 - bias);
    g.min_subnormal = ldexp(1, 1 - bias - g.man_bits);
    *f = g;
    return true;
}

ss_code ss_format_parse(const char *name, ss_format *f, ss_err *e)
{
    char old[SS_FORMAT_NAME];

    if (!read_name(name, f, old))
        return unknown(name, e);
    if (*old)
        ss_note_once("%s is %s, largest %g; %s", old, f->name, f->max, doubtful[doubt(f)].other);
    return SS_OK;
}

bool ss_format_read(const char *name, ss_format *f)
{
    char old[SS_FORMAT_NAME];

    return read_name(name, f, old);
}

ss_format ss_format_overflowing(const ss_format *f)
{
    ss_format g = *f;

    g.saturate = false;
    set_name(&g);
    return g;
}

bool ss_format_is_f32(const ss_format *f)
{
    return f->exp_bits == 8 && f->man_bits == 23;
}

float ss_format_round(const ss_format *f, float x)
{
    double a = fabs((double)x), r;
    int e, unit;

    if (isnan(x) || a == 0)
        return x;
    if (isinf(x)) {
        r = INFINITY;
    } else {
        frexp(a, &e); /* 2^(e-1) <= a < 2^e */
        unit = e - 1 - f->man_bits;
        if (e - 1 < ilogb(f->min_normal))
            unit = ilogb(f->min_subnormal);
        r = ldexp(nearbyint(ldexp(a, -unit)), unit); /* exact but for nearbyint */
    }
    if (r > f->max)
        r = f->saturate ? f->max : f->no_inf ? NAN : INFINITY;
    return copysignf((float)r, x);
}

int ss_format_over_from(const ss_format *f)
{
    return ilogb(f->max) + 1;
}
