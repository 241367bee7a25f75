/* bytes.c - see bytes.h */
#include "base/bytes.h"

#include "base/str.h"

#include <stdio.h>
#include <strings.h>

static ss_code refuse(const char *text, const char *why, ss_err *e)
{
    return ss_fail(e, SS_USAGE, "'%s' is no number of bytes: %s", SS_SHOW(text), why);
}

/* Finds the size of a unit; 0 where it is none. */
static uint64_t unit_size(const char *unit)
{
    static const char letters[] = "kmgt";
    uint64_t decimal = 1, binary = 1;

    if (!*unit || strcasecmp(unit, "b") == 0)
        return 1;
    for (const char *l = letters; *l; l++) {
        char full[4];

        decimal *= 1000;
        binary *= 1024;
        for (int form = 0; form < 4; form++) {
            snprintf(full, sizeof full, "%c%s%s", *l, form & 1 ? "i" : "", form & 2 ? "b" : "");
            if (strcasecmp(unit, full) == 0)
                return form & 1 ? binary : decimal;
        }
    }
    return 0;
}

ss_code ss_bytes_parse(const char *text, uint64_t *bytes, ss_err *e)
{
    static const char form[] = "expected 500M, 1.5G or 10G";
    const char *p = text;
    uint64_t whole = 0;
    double fraction = 0, place = 0.1;
    int digits = 0;

    for (; *p >= '0' && *p <= '9'; p++, digits++) {
        if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return refuse(text, "more than 64 bits hold", e);
    }
    if (*p == '.') {
        for (p++; *p >= '0' && *p <= '9'; p++, digits++, place /= 10)
            fraction += place * (*p - '0');
    }
    const uint64_t unit = unit_size(p);
    if (!digits || !unit)
        return refuse(text, form, e);
    if (__builtin_mul_overflow(whole, unit, &whole) ||
        __builtin_add_overflow(whole, (uint64_t)(fraction * (double)unit), &whole))
        return refuse(text, "more than 64 bits hold", e);
    *bytes = whole;
    return SS_OK;
}

char *ss_bytes_text(uint64_t bytes, char *out, size_t n)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    int unit = -1;

    while (value >= 999.5 && unit < 5) {
        value /= 1000;
        unit++;
    }
    if (unit < 0)
        snprintf(out, n, "%d bytes", (int)bytes);
    else
        snprintf(out, n, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}
