/* color.c - see color.h */
#include "reports/page/color.h"

#include <math.h>

/* Samples at equal distances; in between, linear. The error against the full table is below 3 of
 * 255. */
static const ss_rgb viridis[] = {
    {68, 1, 84},    {72, 26, 108},  {71, 47, 125},  {65, 68, 135},  {57, 86, 140},  {49, 104, 142},
    {42, 120, 142}, {35, 136, 142}, {31, 152, 139}, {34, 168, 132}, {53, 183, 121}, {84, 197, 104},
    {122, 209, 81}, {165, 219, 54}, {210, 226, 27}, {253, 231, 37},
};

ss_rgb ss_viridis(double t)
{
    enum { N = sizeof viridis / sizeof *viridis };
    double place, part;
    int i;

    if (isnan(t))
        return (ss_rgb){255, 0, 255};
    place = fmin(fmax(t, 0), 1) * (N - 1);
    i = place >= N - 1 ? N - 2 : (int)place;
    part = place - i;
#define MIX(c) (uint8_t) lround(viridis[i].c + part * (viridis[i + 1].c - viridis[i].c))
    return (ss_rgb){MIX(r), MIX(g), MIX(b)};
#undef MIX
}

static double linear(uint8_t v)
{
    const double s = v / 255.0;

    return s <= 0.04045 ? s / 12.92 : pow((s + 0.055) / 1.055, 2.4);
}

ss_rgb ss_ink_on(ss_rgb c)
{
    const double y = 0.2126 * linear(c.r) + 0.7152 * linear(c.g) + 0.0722 * linear(c.b);

    /* (y + 0.05) / 0.05 against 1.05 / (y + 0.05) */
    return y > 0.179 ? (ss_rgb){0, 0, 0} : (ss_rgb){255, 255, 255};
}
