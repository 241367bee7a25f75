/* run_settings.h - in which settings runs differ, by the list that their plans are made of
 * (probe/settings.h)
 *
 *   ss_run_settings x;
 *   rc = ss_run_settings_find(runs, n_runs, &x, &err);
 *   for (int i = 0; i < x.n; i++)
 *       printf("%s: %s\n", x.list[i].name, x.list[i].values[0]);
 *   ss_run_settings_release(&x);
 *
 * Files of other people's hooks have no settings: each is unknown there, which is neither the same
 * nor different. The same holds for a setting that an older version did not record.
 */
#ifndef SS_ANALYZE_RUN_SETTINGS_H
#define SS_ANALYZE_RUN_SETTINGS_H

#include "base/str.h"
#include "base/table.h"
#include "runfile/run_reader.h"

typedef struct {
    const char *key;  /* in the plan; borrowed for ever */
    const char *name; /* "condition-sigma": the option without its dashes, or what it is */
    char **values;    /* [n_runs] for people; what is long begins where it differs */
    bool *known;      /* [n_runs] */
    bool differs;     /* among the runs of which it is known. How something was said, "0.5,20" for
                       * "0.50,2e1", is no difference where the same followed */
    bool usual;       /* every run of which it is known has it at its default, or it is no option */
} ss_run_setting;

typedef struct {
    ss_run_setting *list;
    int n, n_runs;
    int n_foreign; /* runs without a plan of ours */
} ss_run_settings;

/* All settings of all runs, in the order of the list. */
ss_code ss_run_settings_find(ss_run *const *runs, int n_runs, ss_run_settings *x, ss_err *e);
void ss_run_settings_release(ss_run_settings *x); /* {0} is fine */

/* Appends "seed (0, 3141), intervene (none, zero@mid_block)", what differs, with the values of at
 * most four runs. skip: keys that are left out, ends in NULL; may be NULL. */
void ss_run_settings_describe(const ss_run_settings *x, const char *const *skip, ss_str *out);

#endif
