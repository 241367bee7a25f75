/* doctor_verdict.h - `sigmascope doctor`: what the runs say, what was covered, what was assumed
 *
 * The verdict itself is that of `analyze` and of the page's findings.json
 * (analyze/findings/verdict.h). Beside it stand checkpoints whose weights are not finite, which
 * need no run, and what was fed and assumed: nothing else was tested.
 */
#ifndef SS_CLI_DOCTOR_VERDICT_H
#define SS_CLI_DOCTOR_VERDICT_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *format;
    bool has_report;
    bool bad;        /* weights or runs are */
    char *text;      /* what analyze prints first, several lines; NULL: nothing was judged */
    json_t *weights; /* sentences about weights that are inf or NaN; NULL: none */
    json_t *fed;     /* a sentence for each run */
    json_t *assumed;
} cli_doctor_verdict;

/* Adds what stands in for a condition, once. */
void cli_doctor_assume(cli_doctor_verdict *v, const char *text);

/* Adds a checkpoint whose weights are not finite, by the sentence that inspect has for it. */
void cli_doctor_bad_weights(cli_doctor_verdict *v, const char *model, const char *component,
                            const char *sentence);

/* Facts of a run that steps depend on. */
typedef struct {
    bool levels;    /* it is over noise levels, not over the steps of a training */
    bool attends;   /* it has attention */
    bool overflows; /* in the format */
    char said[512]; /* its largest value, for people; "" */
} cli_doctor_judged;

/* Looks into a run, and adds to the verdict what it was fed. */
ss_code cli_doctor_judge(cli_doctor_verdict *v, const char *path, const char *format,
                         cli_doctor_judged *judged, ss_err *e);

/* Takes the verdict from what analyze printed; a later one replaces it. */
ss_code cli_doctor_take(cli_doctor_verdict *v, const char *output, ss_err *e);

/* Writes the line of the output of attn, or of a list of what to keep in fp32, that says most. */
void cli_doctor_say(const char *output, bool keep, char *line, size_t n);

/* folder: the doctor's; report: path of the page in it, or NULL. */
void cli_doctor_verdict_print(const cli_doctor_verdict *v, const char *folder, const char *report);
ss_code cli_doctor_verdict_json(const cli_doctor_verdict *v, const char *folder, const char *report,
                                json_t *object, ss_err *e);
void cli_doctor_verdict_release(cli_doctor_verdict *v); /* {0} is fine */

#endif
