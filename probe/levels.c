/* levels.c - see levels.h */
#include "probe/levels.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Parses a finite number, or "inf" if that is allowed. */
static bool parse_level(const char *text, bool infinite, double *v)
{
    if (!infinite || strcmp(text, "inf") != 0)
        return ss_parse_double(text, v);
    *v = INFINITY;
    return true;
}

/* Parses comma-separated numbers into a new array; messages name the option `what`. */
static ss_code parse_list(const char *what, const char *text, bool infinite, double **values,
                          int *n, ss_err *e)
{
    double *v = NULL;
    size_t cap = 0, count = 0;

    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",");
        char item[64];

        if (len >= sizeof item) {
            ss_free(v);
            return ss_fail(e, SS_USAGE, "--%s: '%.40s...' is not a number", what, p);
        }
        memcpy(item, p, len);
        item[len] = '\0';
        double *grown = ss_grow(v, &cap, count + 1, sizeof *v);
        if (!grown) {
            ss_free(v);
            return ss_no_memory(e, "noise levels");
        }
        v = grown;
        if (!parse_level(item, infinite, &v[count]) || count == SS_MAX_LEVELS) {
            ss_free(v);
            return count == SS_MAX_LEVELS
                       ? ss_fail(e, SS_USAGE, "--%s: more than %d levels", what, SS_MAX_LEVELS)
                       : ss_fail(e, SS_USAGE, "--%s: '%s' is not a number", what, item);
        }
        count++;
        p += len;
        if (!*p)
            break;
    }
    *values = v;
    *n = (int)count;
    return SS_OK;
}

static ss_code parse_range(const char *text, double **values, int *n, ss_err *e)
{
    const char *a = strchr(text, ':'), *b = a ? strchr(a + 1, ':') : NULL;
    char part[2][64];
    double lo, hi;
    int64_t count;

    if (!b || (size_t)(a - text) >= sizeof part[0] || (size_t)(b - a - 1) >= sizeof part[1])
        return ss_fail(e, SS_USAGE, "--sigmas: '%s' is not LOW:HIGH:COUNT", text);
    memcpy(part[0], text, (size_t)(a - text));
    part[0][a - text] = '\0';
    memcpy(part[1], a + 1, (size_t)(b - a - 1));
    part[1][b - a - 1] = '\0';
    if (!ss_parse_double(part[0], &lo) || !ss_parse_double(part[1], &hi) ||
        !ss_parse_i64(b + 1, &count))
        return ss_fail(e, SS_USAGE, "--sigmas: '%s' is not LOW:HIGH:COUNT", text);
    if (!(lo > 0) || !(hi > lo) || count < 2 || count > SS_MAX_LEVELS)
        return ss_fail(e, SS_USAGE, "--sigmas: '%s' needs 0 < LOW < HIGH and a COUNT from 2 to %d",
                       text, SS_MAX_LEVELS);

    double *v = ss_alloc((size_t)count, sizeof *v);
    if (!v)
        return ss_no_memory(e, "noise levels");
    for (int64_t i = 0; i < count; i++)
        v[i] = lo * pow(hi / lo, (double)i / (double)(count - 1));
    v[count - 1] = hi;
    *values = v;
    *n = (int)count;
    return SS_OK;
}

static ss_code check(const char *what, double **values, int n, bool positive, ss_err *e)
{
    const double *v = *values;
    ss_code rc = SS_OK;

    for (int i = 0; i < n && rc == SS_OK; i++) {
        if (positive && !(v[i] > 0))
            rc = ss_fail(e, SS_USAGE, "--%s: %g is not positive", what, v[i]);
        for (int k = 0; k < i && rc == SS_OK; k++) {
            if (v[k] == v[i])
                rc = ss_fail(e, SS_USAGE, "--%s: %g is given twice", what, v[i]);
        }
    }
    if (rc != SS_OK) {
        ss_free(*values);
        *values = NULL;
    }
    return rc;
}

ss_code ss_levels_parse_sigmas(const char *text, double **values, int *n, ss_err *e)
{
    ss_code rc = strchr(text, ':') ? parse_range(text, values, n, e)
                                   : parse_list("sigmas", text, true, values, n, e);

    return rc == SS_OK ? check("sigmas", values, *n, true, e) : rc;
}

ss_code ss_levels_parse_timesteps(const char *text, double **values, int *n, ss_err *e)
{
    ss_code rc = parse_list("timesteps", text, false, values, n, e);

    return rc == SS_OK ? check("timesteps", values, *n, false, e) : rc;
}
