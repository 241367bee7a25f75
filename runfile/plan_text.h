/* plan_text.h - plans as a run file has them: read, compared, shown
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

/* A plan of a run file, with what older versions wrote brought to today's keys; NULL where it is no
 * JSON object. *s: the list it was made by, or NULL (a training, or somebody else's). The caller
 * releases it with json_decref. */
json_t *ss_plan_parse(const char *text, const ss_settings **s);

/* Where two plans differ, in words that name the option: "--samples is 2, the run has 4", `now`
 * first. False where nothing does. out: ss_str_release. */
bool ss_plan_difference(const ss_settings *s, const json_t *now, const json_t *run, ss_str *out);

/* Whether both have the same, or neither has any; of what was read from a file, the same content.
 */
bool ss_setting_is_same(const ss_setting *x, const json_t *a, const json_t *b);

/* What a file held then that it does not hold now, of the files that both plans name: "--inputs:
 * what images:a holds is not what the run was made of". False where there is nothing. */
bool ss_plan_content_difference(const ss_settings *s, const json_t *now, const json_t *run,
                                ss_str *out);

/* The plan without what is not compared, as text: equal for runs with the same data. ss_free; NULL:
 * no memory. */
char *ss_plan_identity(const ss_settings *s, const json_t *plan);

/* A plan as text, as run files have it; ss_free. NULL: no memory. */
char *ss_plan_dump(const json_t *plan);

/* A setting of a plan for people, "0.5", "mid_block=bf16, up_blocks.0=fp16", "none". A plan that
 * does not have it: "not recorded". */
void ss_setting_show(const ss_setting *x, const json_t *plan, ss_str *out);

#endif
