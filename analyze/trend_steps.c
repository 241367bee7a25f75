/* trend_steps.c - which training step a run is of; see trend.h */
#include "analyze/trend.h"

#include <stdio.h>
#include <string.h>

/* "250,500": as many whole numbers as there are runs. */
static ss_code parse_steps(const char *list, int64_t *steps, int n, ss_err *e)
{
    int found = 0;

    for (const char *p = list;;) {
        const size_t len = strcspn(p, ",");
        char text[24];

        snprintf(text, sizeof text, "%.*s", len < sizeof text ? (int)len : 0, p);
        if (found == n || !ss_parse_i64(text, &steps[found]))
            return ss_fail(e, SS_USAGE,
                           "--steps takes a whole number for each of the %d runs, "
                           "separated by commas, not '%s'",
                           n, list);
        found++;
        p += len;
        if (!*p)
            break;
        p++;
    }
    return found == n ? SS_OK
                      : ss_fail(e, SS_USAGE, "--steps has %d numbers for %d runs", found, n);
}

static ss_code find_steps(ss_run *const *runs, int64_t *steps, int n, ss_err *e)
{
    for (int i = 0; i < n; i++) {
        if (!ss_trend_step(runs[i]->model_path, &steps[i]))
            return ss_fail(e, SS_USAGE,
                           "%s: the model's path '%.300s' tells no training step, as step-250 "
                           "would; give the step of each run with --steps",
                           runs[i]->path, runs[i]->model_path);
    }
    return SS_OK;
}

ss_code ss_trend_steps(ss_run *const *runs, int n, const char *list, int64_t *steps, ss_err *e)
{
    return list ? parse_steps(list, steps, n, e) : find_steps(runs, steps, n, e);
}
