/* near.c - see near.h */
#include "base/near.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BEST = 3 }; /* more that are as near are a list, no hint */

static int least(int a, int b)
{
    return a < b ? a : b;
}

int ss_edit_distance(const char *a, const char *b)
{
    const int na = (int)strnlen(a, SS_NEAR_MAX_NAME), nb = (int)strnlen(b, SS_NEAR_MAX_NAME);
    int d[SS_NEAR_MAX_NAME + 1][SS_NEAR_MAX_NAME + 1]; /* of the first i and the first j letters */

    for (int i = 0; i <= na; i++) {
        for (int j = 0; j <= nb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
                            least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[na][nb];
}

typedef struct {
    const char *name;
    int distance; /* of the names below */
    int n;
    char names[BEST][SS_NEAR_MAX_NAME + 1];
} search;

static void consider(search *s, const char *known, size_t len)
{
    const size_t written = strlen(s->name);
    char other[SS_NEAR_MAX_NAME + 1];

    if (len == 0 || len >= sizeof other || written >= sizeof other)
        return;
    memcpy(other, known, len);
    other[len] = '\0';
    const bool begins = written > 1 && strncmp(other, s->name, written) == 0;
    const size_t longer = len > written ? len : written;
    int distance = ss_edit_distance(s->name, other);

    if (begins)
        distance = 1;
    else if (3 * (size_t)distance > longer || longer < 3)
        return;
    if (s->n && distance > s->distance)
        return;
    if (s->n && distance < s->distance)
        s->n = 0;
    s->distance = distance;
    if (s->n < BEST)
        memcpy(s->names[s->n], other, sizeof other);
    s->n++;
}

static const char *say(const search *s, char hint[SS_NEAR])
{
    int len = 0;

    hint[0] = '\0';
    for (int i = 0; i < s->n && s->n <= BEST; i++)
        len += snprintf(hint + len, SS_NEAR - (size_t)len, "%s'%s'%s",
                        i == 0          ? " - did you mean "
                        : i + 1 == s->n ? " or "
                                        : ", ",
                        s->names[i], i + 1 == s->n ? "?" : "");
    return hint;
}

const char *ss_near(const char *name, const char *const *known, int n, char hint[SS_NEAR])
{
    search s = {.name = name};

    for (int i = 0; i < n; i++)
        consider(&s, known[i], strlen(known[i]));
    return say(&s, hint);
}

const char *ss_near_in(const char *name, const char *known, char hint[SS_NEAR])
{
    static const char between[] = ", |";
    search s = {.name = name};

    for (size_t n; *known; known += n) {
        n = strcspn(known, between);
        consider(&s, known, n);
        n += strspn(known + n, between);
    }
    return say(&s, hint);
}
