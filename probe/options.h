/* options.h - options of a probe and of a trajectory: written into a plan, and read back from one
 *
 *   ss_probe_options now = ss_probe_defaults(), again = now;
 *   ss_settings_owned owned = {0};
 *   json_t *plan = json_object();
 *   rc = ss_options_write(ss_probe_settings(), &now, plan, &err);
 *   if (rc == SS_OK)
 *       rc = ss_options_read(ss_probe_settings(), plan, "run.h5", &again, &owned, &err);
 *   ss_settings_release(&owned);
 *   json_decref(plan);               // not before `again`, which borrows from it, is done with
 *
 * Both go over the list in runfile/plan_list.h, from which the defaults come as well.
 */
#ifndef SS_PROBE_OPTIONS_H
#define SS_PROBE_OPTIONS_H

#include "base/err.h"
#include "models/file/safetensors.h"
#include "runfile/settings.h"

/* A field of the options, and the int that belongs to it: a list's length, a size's width. */
typedef struct {
    size_t at, n_at;     /* offsets */
    size_t size, n_size; /* bytes; 0 if there is no such field */
    bool negated;        /* a flag that is true if its option is not given */
} ss_option_field;

/* The fields of ss_probe_options or ss_trajectory_options, one for each row of the table. */
const ss_option_field *ss_option_fields(const ss_settings *s);

/* Adds every option of a role other than NONE to the plan; reads the files that TENSOR names. The
 * caller then replaces what it has resolved (sizes), and adds what follows and the sums of inputs.
 */
ss_code ss_options_write(const ss_settings *s, const void *options, json_t *plan, ss_err *e);

/* Fills options, which hold the defaults, from a plan; they borrow from it and from owned. What an
 * old plan lacks keeps its default. SS_FORMAT, with `path` before it, if a value is not of its
 * kind. */
ss_code ss_options_read(const ss_settings *s, const json_t *plan, const char *path, void *options,
                        ss_settings_owned *owned, ss_err *e);

/* The sum of a tensor's shape and values. */
ss_code ss_array_sha256(const ss_array *a, char hex[65], ss_err *e);

#endif
