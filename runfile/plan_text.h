/* plan_text.h - reads, compares and shows the plans of run files
 *
 *   const ss_settings *s;
 *   json_t *plan = ss_plan_parse(run->plan, &s);
 *   for (int i = 0; s && i < s->n; i++)
 *       ss_setting_show(&s->list[i], plan, &text);
 *   json_decref(plan);
 */
#ifndef SS_RUNFILE_PLAN_TEXT_H
#define SS_RUNFILE_PLAN_TEXT_H

#include "base/str.h"
#include "runfile/settings.h"

/* Reads a plan; one of an older version gets today's keys and names of formats. NULL if it is no
 * JSON object, or there is no memory. *s: the table of its kind, or NULL (a training, or another
 * program). The caller releases it with json_decref. */
json_t *ss_plan_parse(const char *text, const ss_settings **s);

/* Gives each number format of a plan, also of a training's, its one name (base/format.h). False: no
 * memory. */
bool ss_plan_name_formats(json_t *plan);

/* Writes where two plans differ: "--samples is 2, the run has 4", with the value of `now` first.
 * False if they do not differ. The caller releases out. */
bool ss_plan_difference(const ss_settings *s, const json_t *now, const json_t *run, ss_str *out);

/* True if both plans have the same value, or neither has any. Values that were read from files are
 * compared by content. */
bool ss_setting_is_same(const ss_setting *x, const json_t *a, const json_t *b);

/* Writes which file, of those that both plans name, has changed: "--inputs: what images:a holds is
 * not what the run was made of". False if none has. The caller releases out. */
bool ss_plan_content_difference(const ss_settings *s, const json_t *now, const json_t *run,
                                ss_str *out);

/* The compared part of a plan as text, which is equal for runs with the same data. The caller frees
 * it with ss_free; NULL: no memory. */
char *ss_plan_identity(const ss_settings *s, const json_t *plan);

/* A plan as text, as run files have it. The caller frees it with ss_free; NULL: no memory. */
char *ss_plan_dump(const json_t *plan);

/* Writes a setting for people: "0.5", "mid_block=bf16, up_blocks.0=fp16", "none"; "not recorded" if
 * the plan lacks it. */
void ss_setting_show(const ss_setting *x, const json_t *plan, ss_str *out);

#endif
