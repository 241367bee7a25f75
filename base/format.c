/* format.c - see format.h */
#include "base/format.h"

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

static ss_code unknown(const char *name, ss_err *e)
{
    char hint[SS_NEAR];

    return ss_fail(
        e, SS_USAGE,
        "'%s' is not a number format%s; known: fp32, bf16, fp16, tf32, fp8-e4m3 (OCP, max 448; "
        "saturates, as PyTorch's cast since 2.12), fp8-e4m3-nan (overflows to NaN), "
        "fp8-e5m2 (overflows to inf), eXmY with X exponent (2-8) and Y fraction bits "
        "(1-23), as in e4m3; '-sat' after a name saturates instead of overflowing",
        SS_SHOW(name),
        ss_near_in(name, "fp32 bf16 fp16 tf32 fp8-e4m3 fp8-e4m3-nan fp8-e5m2", hint));
}

ss_code ss_format_parse(const char *name, ss_format *f, ss_err *e)
{
    char base[sizeof f->name];
    size_t len = strlen(name);
    int x = 0, y = 0, end = 0;
    ss_format g = {0};

    if (len >= sizeof g.name)
        return unknown(name, e);
    memcpy(g.name, name, len + 1);
    memcpy(base, name, len + 1);
    const char *end4 = len > 4 ? base + len - 4 : "";
    const bool sat = strcmp(end4, "-sat") == 0, nan = strcmp(end4, "-nan") == 0;
    if (sat || nan)
        base[len - 4] = '\0';
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (strcmp(base, named[i].name) == 0) {
            g.exp_bits = named[i].exp_bits;
            g.man_bits = named[i].man_bits;
            g.no_inf = named[i].no_inf;
        }
    }
    if (!g.exp_bits) {
        if (sscanf(base, "e%1dm%2d%n", &x, &y, &end) != 2 || base[end] || x < 2 || x > 8 || y < 1 ||
            y > 23)
            return unknown(name, e);
        g.exp_bits = x;
        g.man_bits = y;
    }
    if ((ss_format_is_f32(&g) && sat) || (nan && !g.no_inf))
        return unknown(name, e);
    g.saturate = sat || (g.no_inf && !nan);

    int bias = (1 << (g.exp_bits - 1)) - 1;

    /* OCP e4m3 uses the top exponent for numbers, all but the last fraction */
    if (g.no_inf)
        g.max = ldexp(2 - 2 * ldexp(1, -g.man_bits), bias + 1);
    else
        g.max = ldexp(2 - ldexp(1, -g.man_bits), bias);
    g.min_normal = ldexp(1, 1 - bias);
    g.min_subnormal = ldexp(1, 1 - bias - g.man_bits);
    *f = g;
    return SS_OK;
}

ss_format ss_format_overflowing(const ss_format *f)
{
    ss_format g = *f;
    size_t n = strlen(g.name);

    if (!f->saturate)
        return g;
    g.saturate = false;
    if (n > 4 && strcmp(g.name + n - 4, "-sat") == 0)
        g.name[n -= 4] = '\0';
    if (g.no_inf && n + sizeof "-nan" <= sizeof g.name)
        memcpy(g.name + n, "-nan", sizeof "-nan");
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
