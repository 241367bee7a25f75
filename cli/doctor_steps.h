/* doctor_steps.h - `sigmascope doctor`: commands of this program, run one after the other
 *
 *   cli_doctor_steps s = {.folder = "sigmascope-doctor", .n_expected = 6, .seconds_left = 40};
 *   rc = cli_doctor_begin(&s, force, resume, &err);
 *   cli_words w = {0};
 *   cli_word(&w, "inspect");
 *   cli_word(&w, "%s", model);
 *   rc = cli_doctor_run(&s, &w, "txt", 2, &step, &err);      // frees the words
 *   cli_doctor_result(&s, step, "weights finite");
 *   cli_doctor_end(&s);
 *
 * The folder holds NN-COMMAND.txt, what each command printed; commands.sh, the commands themselves;
 * doctor.json, commands with status and time, by which a folder is known and gone on with; and
 * log.txt, what they said on stderr.
 */
#ifndef SS_CLI_DOCTOR_STEPS_H
#define SS_CLI_DOCTOR_STEPS_H

#include "base/err.h"
#include "base/log.h"
#include "cli/words.h"

#include <jansson.h>
#include <stdio.h>

#define CLI_DOCTOR_FILE "doctor.json"

typedef struct {
    cli_words words;
    char *output; /* DIR/03-bisect.json */
    int status;   /* exit status, -1 if a signal ended it */
    double seconds;
    bool kept;         /* it was run by an earlier doctor */
    char problem[512]; /* what it complained about, "" if it did not */
    char summary[512]; /* its note of what it did, "" */
    char result[512];  /* the line that is shown */
} cli_doctor_step;

typedef struct {
    const char *folder;
    bool quiet_stdout;   /* prints no commands: JSON comes at the end */
    int n_expected;      /* steps, as far as is known */
    double seconds_left; /* of the steps to come, estimated */

    cli_doctor_step *steps;
    int n;
    size_t cap;
    json_t *before; /* steps of an earlier doctor in this folder */
    FILE *log;
    ss_progress progress;
    double started, slowness; /* how much slower than estimated steps were */
    double estimate;          /* of the running step */
    double fraction;          /* of it that is done, by its own progress line */
    double fraction_at;       /* time of that line */
    char detail[160];
} cli_doctor_steps;

/* Makes the folder, or takes one that a doctor made: `resume` keeps what it has, `force` deletes it
 * first. SS_IO for any other folder that is not empty, or if neither is set. */
ss_code cli_doctor_begin(cli_doctor_steps *s, bool force, bool resume, ss_err *e);

/* Runs a command, estimated to take so many seconds; `ending` is that of its output. A step that
 * has the same words in the folder's doctor.json, and did not fail, is not run again. A status
 * other than 0 is no error. *step lives until the next run. SS_INTERRUPTED after a signal. */
ss_code cli_doctor_run(cli_doctor_steps *s, cli_words *w, const char *ending, double seconds,
                       cli_doctor_step **step, ss_err *e);

/* Prints the step's result. */
void cli_doctor_result(cli_doctor_steps *s, cli_doctor_step *step, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns the steps as a list for JSON, the caller's. */
json_t *cli_doctor_steps_json(const cli_doctor_steps *s);

/* Writes doctor.json, whose object gets the steps, and commands.sh. */
ss_code cli_doctor_save(const cli_doctor_steps *s, json_t *object, ss_err *e);

void cli_doctor_end(cli_doctor_steps *s); /* {0} is fine */

#endif
