/* settings.h - the list of all options of a probe and of a trajectory, and the plan made of it
 *
 * A plan is what determines the numbers of a run, as one JSON object in the run file:
 *
 *   {"kind": "probe", "version": "0.1.0", "model_sha256": "...",
 *    "samples": 4, "precision": "fp16", "precision_map": ["mid_block=bf16"], ...   the settings
 *    "levels": [...], "scheduler_file": {...}, ...}          what followed from them (plan.c)
 *
 * Every field of ss_probe_options and ss_trajectory_options is one row of the list in settings.c:
 * its key in the plan, the option that the user gives, its kind, and its role. All that writes a
 * plan, compares two, reads one back or shows one goes over the list, so a new option is one row.
 * tests/test_plan.c fails where a field has none.
 *
 * What an option reads is known by its content: "FILE#NAME" is {"from": "FILE#NAME", "sha256":
 * "..."}, and only the sum is compared. The same tensor in another file is the same setting. An
 * input is compared by its spec too, because the run file labels its axis with it: the same
 * pictures in another folder are another input, a folder that was moved and linked is the same.
 *
 * Text that is not UTF-8, which JSON cannot hold, is {"hex": "..."}.
 */
#ifndef SS_PROBE_SETTINGS_H
#define SS_PROBE_SETTINGS_H

#include "base/err.h"
#include "base/str.h"
#include "models/file/safetensors.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum {
    SS_SETTING_TEXT,   /* const char *, NULL: not given */
    SS_SETTING_TEXTS,  /* const char *const *, and an int that counts them */
    SS_SETTING_COUNT,  /* int */
    SS_SETTING_FLAG,   /* bool */
    SS_SETTING_SEED,   /* uint64_t */
    SS_SETTING_NUMBER, /* double */
    SS_SETTING_SIZE,   /* two int: height, width */
    SS_SETTING_COUNTS, /* const int *, and an int that counts them */
    SS_SETTING_TENSOR, /* const char *, "FILE#NAME" of a safetensors file */
    SS_SETTING_FILE,   /* const char *, a file */
    SS_SETTING_INPUTS, /* as TEXTS: input specs, known by what they read (plan.c) */
    SS_SETTING_OTHER,  /* no option, but what follows from some; plan.c fills it in */
} ss_setting_kind;

typedef enum {
    SS_SETTING_DATA, /* determines what is in the run file: written, read back, compared */
    SS_SETTING_FORM, /* the same, but how it is said does not matter: what follows from it is
                      * compared instead (levels) */
    SS_SETTING_NONE, /* changes no number: not in the plan */
} ss_setting_role;

typedef struct {
    ss_setting_kind kind;
    ss_setting_role role;
    const char *key;      /* in the plan: "condition_sigma" */
    const char *option;   /* as the user gives it: "--condition-sigma" */
    const char *off, *on; /* of a flag: "ops", "blocks" */
    size_t at, n_at;      /* offsets of the field, and of its count or second half */
    size_t size, n_size;
} ss_setting;

typedef struct {
    const char *kind; /* "probe" */
    const ss_setting *list;
    int n;
} ss_settings;

/* Of ss_probe_options and ss_trajectory_options. Borrowed, for ever. */
const ss_settings *ss_probe_settings(void);
const ss_settings *ss_trajectory_settings(void);

/* Adds every setting of a role other than NONE to the plan. Reads the files that TENSOR and FILE
 * name. The caller fills in what is resolved (sizes) and the sums of inputs. */
ss_code ss_settings_write(const ss_settings *s, const void *options, json_t *plan, ss_err *e);

/* What options read from a plan own, beside the plan itself. */
typedef struct {
    void **list;
    size_t n, cap;
} ss_settings_owned;

/* Fills options, which come with the defaults, from a plan; they borrow from it and from owned.
 * What an old plan lacks keeps its default. SS_FORMAT, with `path` before it, where a value is not
 * of its kind. */
ss_code ss_settings_read(const ss_settings *s, const json_t *plan, const char *path, void *options,
                         ss_settings_owned *owned, ss_err *e);
void ss_settings_release(ss_settings_owned *owned); /* {0} is fine */

/* The list called "probe" or "generate"; NULL: none is. */
const ss_settings *ss_settings_called(const char *kind);

/* Whether a plan has a setting at its default, or does not know it; a size, which the model
 * decides, never is at one. */
bool ss_setting_is_default(const ss_settings *s, const ss_setting *x, const json_t *plan);

/* For values that the caller fills in; NULL: no memory. A text, NULL as null; a content. */
json_t *ss_setting_text(const char *text);
json_t *ss_setting_content(const char *from, const char *sha256);
/* The text of either; NULL where it is none, or there is no memory. Borrowed from j or owned. */
const char *ss_setting_read_text(const json_t *j, ss_settings_owned *owned);

/* Of shape and values. */
ss_code ss_array_sha256(const ss_array *a, char hex[65], ss_err *e);

#endif
