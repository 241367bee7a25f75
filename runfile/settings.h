/* settings.h - the table of all that determines a run, made from the list in plan_list.h
 *
 *   const ss_settings *s = ss_settings_called("probe");
 *   for (int i = 0; i < s->n; i++)
 *       puts(s->list[i].key);
 *
 * Whatever shows or compares plans (plan_text.h), or writes options into one and reads them back
 * (probe/options.h), goes over this table.
 *
 * A file that an option names is known by its content: "FILE#NAME" is {"from": "FILE#NAME",
 * "sha256": "..."}, and only the sum is compared. The same tensor in another file is the same
 * setting. An input is compared by its spec too, because the run file labels its axis with it: the
 * same pictures in another folder are another input.
 *
 * Text that is not UTF-8, which JSON cannot hold, is {"hex": "..."}.
 */
#ifndef SS_RUNFILE_SETTINGS_H
#define SS_RUNFILE_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* The type of the field, and how a plan holds it. */
typedef enum {
    SS_SETTING_TEXT,    /* const char *, NULL if not given: text or null */
    SS_SETTING_TEXTS,   /* const char *const * and an int, its length: a list of texts */
    SS_SETTING_COUNT,   /* int: a number, at least -1 */
    SS_SETTING_FLAG,    /* bool: true or false */
    SS_SETTING_EITHER,  /* bool: one of two words */
    SS_SETTING_SEED,    /* uint64_t: the number with the same bits as int64_t */
    SS_SETTING_NUMBER,  /* double: a number; if it is not finite, a text */
    SS_SETTING_SIZE,    /* two int: [height, width] */
    SS_SETTING_COUNTS,  /* const int * and an int, its length: a list of numbers */
    SS_SETTING_TENSOR,  /* const char *, "FILE#NAME" of a safetensors file: its content */
    SS_SETTING_INPUTS,  /* as TEXTS, input specs: a list of contents */
    SS_SETTING_SAMPLER, /* const ss_sampler_kind *: the sampler's name, as FOLLOWS */
    SS_SETTING_FOLLOWS, /* no field: written by those who know what follows from the options */
} ss_setting_kind;

typedef enum {
    SS_SETTING_DATA, /* determines what is in the run file: written, read back, compared */
    SS_SETTING_FORM, /* written and read back; not compared itself, since there are other ways to
                      * say the same, but what follows from it (the noise levels) */
    SS_SETTING_NONE, /* changes no number: not in the plan */
} ss_setting_role;

typedef struct {
    ss_setting_kind kind;
    ss_setting_role role;
    const char *key;          /* in the plan: "condition_sigma" */
    const char *option;       /* as the user gives it: "--condition-sigma" */
    const char *off, *on;     /* words of EITHER: "ops", "blocks" */
    const char *default_text; /* NULL: none */
    double default_number;    /* of a flag: 0 or 1 */
} ss_setting;

typedef struct {
    const char *kind; /* "probe" */
    const ss_setting *list;
    int n;
} ss_settings;

/* The tables of ss_probe_options and ss_trajectory_options; borrowed, valid for ever. */
const ss_settings *ss_probe_settings(void);
const ss_settings *ss_trajectory_settings(void);

/* The table of a plan's kind, "probe" or "generate"; NULL for any other. */
const ss_settings *ss_settings_called(const char *kind);

/* True if a field holds the value and a plan has it: not for what follows from other options, and
 * not for what changes no number. */
bool ss_setting_is_written(const ss_setting *x);

/* True if a plan has the setting at its default, or does not have it. What follows from the options
 * counts as default; a size, which the model decides, never does. */
bool ss_setting_is_default(const ss_setting *x, const json_t *plan);

/* A text as plans hold it, null for NULL; and a content, sha256 NULL if it has no sum. NULL: no
 * memory. */
json_t *ss_setting_text(const char *text);
json_t *ss_setting_content(const char *from, const char *sha256);

/* Memory of options that were read from a plan, besides the plan itself. */
typedef struct {
    void **list;
    size_t n, cap;
} ss_settings_owned;

/* Adds a block of ss_alloc, and returns it; NULL if p is, or if there is no memory. */
void *ss_settings_own(ss_settings_owned *owned, void *p);
void ss_settings_release(ss_settings_owned *owned); /* {0} is fine */

/* The text that ss_setting_text or _content made; NULL if j is neither, or if there is no memory.
 * Borrowed from j or owned. */
const char *ss_setting_read_text(const json_t *j, ss_settings_owned *owned);

#endif
