/* training_log.c - see training_log.h */
#include "analyze/training/training_log.h"

#include "analyze/training/training_windows.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/training_files.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 1 << 16 };

/* Calls each(x, line) for every line of FOLDER/NAME, up to one that is no JSON object: a killed
 * process left it incomplete. */
static ss_code each_line(const char *folder, const char *name,
                         void (*each)(void *x, const json_t *line), void *x, ss_err *e)
{
    char *path = ss_path_join(folder, name), *line = ss_alloc(LINE, 1);
    FILE *f = path && line ? fopen(path, "re") : NULL;
    ss_code rc = SS_OK;

    if (!path || !line)
        rc = ss_no_memory(e, folder);
    else if (!f)
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    while (f && fgets(line, LINE, f)) {
        json_t *o = json_loads(line, 0, NULL);

        if (!json_is_object(o)) {
            json_decref(o);
            break;
        }
        each(x, o);
        json_decref(o);
    }
    if (f)
        fclose(f);
    ss_free(line);
    ss_free(path);
    return rc;
}

static double number(const json_t *line, const char *key)
{
    const json_t *v = json_object_get(line, key);

    return json_is_number(v) ? json_number_value(v) : NAN;
}

typedef struct {
    ss_training_log *t;
    double losses[SS_TRAINING_LAST];
    int64_t n;
    int64_t steps_over; /* steps that overflowed so far */
    int64_t last_over;  /* the last of them */
} reading;

static void take_step(void *x, const json_t *line)
{
    reading *r = x;
    ss_training_log *t = r->t;
    const double loss = number(line, "loss"), stale = number(line, "staleness");

    t->steps = json_integer_value(json_object_get(line, "step"));
    if (json_is_true(json_object_get(line, "skipped"))) {
        t->skipped++;
        if (!t->first_skipped)
            t->first_skipped = t->steps;
    } else {
        t->last_good = t->steps;
    }
    if (!isnan(loss))
        r->losses[r->n++ % SS_TRAINING_LAST] = loss;
    if (t->steps >= SS_SETTLED && !(stale <= t->staleness) && !isnan(stale))
        t->staleness = stale;
}

static void take_event(void *x, const json_t *line)
{
    reading *r = x;
    ss_training_log *t = r->t;
    const char *event = json_string_value(json_object_get(line, "event"));
    const char *module = json_string_value(json_object_get(line, "module"));
    const int64_t step = json_integer_value(json_object_get(line, "step"));

    if (event && strcmp(event, SS_EVENT_SPIKE) == 0)
        t->spikes++;
    if (!event || !module || strcmp(event, SS_EVENT_OVERFLOW) != 0)
        return;
    if (!t->first_overflow) {
        t->first_overflow = step;
        snprintf(t->module, sizeof t->module, "%s", module);
    }
    if (step != r->last_over) {
        r->last_over = step;
        r->steps_over++;
    }
    if (r->steps_over > SS_FIRST_OVERFLOWS)
        return;
    t->overflows++;
    t->by_stage[ss_stage_of(module)]++;
    t->in_motion += strstr(module, ".motion.") != NULL;
    t->high_noise += number(line, "sigma") > SS_HIGH_NOISE;
}

/* Reads FOLDER/NAME; *j is {0} if it does not exist. */
static ss_code load(const char *folder, const char *name, ss_json *j, ss_err *e)
{
    char *path = ss_path_join(folder, name);
    ss_code rc = path ? SS_OK : ss_no_memory(e, folder);

    *j = (ss_json){0};
    if (path && ss_file_exists(path))
        rc = ss_json_load(j, path, e);
    ss_free(path);
    return rc;
}

/* A row of a table that a command printed as JSON. */
static const json_t *row_of(const ss_json *j, const char *table, size_t row)
{
    return json_array_get(json_object_get(json_object_get(j->root, table), "rows"), row);
}

static ss_code read_settings(const char *folder, ss_training_log *t, ss_err *e)
{
    ss_json config, summary = {0}, score = {0};
    ss_code rc = load(folder, SS_TRAINING_CONFIG, &config, e);

    if (rc == SS_OK)
        rc = load(folder, "summary.json", &summary, e);
    if (rc == SS_OK)
        rc = load(folder, "score.json", &score, e);
    if (rc == SS_OK) {
        t->planned = json_integer_value(json_object_get(config.root, "steps"));
        t->ms = number(row_of(&summary, "train", 0), "cpu ms");
        t->frechet = number(row_of(&score, "distance from real pictures", 0), "corrected");
        t->recognised = number(row_of(&score, "samples by class", 1), "accuracy"); /* 0: real */
    }
    ss_json_release(&config);
    ss_json_release(&summary);
    ss_json_release(&score);
    return rc;
}

static ss_code read_statistics(const char *folder, ss_training_log *t, ss_err *e)
{
    char *path = ss_path_join(folder, SS_TRAINING_STATISTICS);
    ss_run *r = NULL;
    ss_code rc = path ? ss_run_open_any(path, &r, e) : ss_no_memory(e, folder);

    if (rc == SS_OK)
        rc = r->steps ? ss_training_windows_read(r, t, e)
                      : ss_fail(e, SS_USAGE, "%s: is no training run, it has no steps", path);
    ss_run_close(r);
    ss_free(path);
    return rc;
}

ss_code ss_training_log_read(const char *folder, ss_training_log *t, ss_err *e)
{
    reading r = {.t = t};
    const char *slash = strrchr(folder, '/');
    double sum = 0;
    ss_code rc;

    *t = (ss_training_log){.mechanism = SS_MECHANISM_NONE,
                           .loss = NAN,
                           .staleness = NAN,
                           .ms = NAN,
                           .largest = NAN,
                           .exponent = NAN,
                           .weights = NAN,
                           .weights_max = NAN,
                           .entropy = NAN,
                           .logit = NAN,
                           .limit = NAN,
                           .frechet = NAN,
                           .recognised = NAN};
    for (int k = 0; k <= SS_N_STAGES; k++)
        t->peak[0][k] = t->peak[1][k] = NAN;
    snprintf(t->name, sizeof t->name, "%s", slash ? slash + 1 : folder);
    if ((rc = each_line(folder, SS_TRAINING_LOG, take_step, &r, e)) != SS_OK ||
        (rc = each_line(folder, SS_TRAINING_EVENTS, take_event, &r, e)) != SS_OK ||
        (rc = read_settings(folder, t, e)) != SS_OK)
        return rc;
    const int64_t n = r.n < SS_TRAINING_LAST ? r.n : SS_TRAINING_LAST;
    for (int64_t i = 0; i < n; i++)
        sum += r.losses[i];
    if (n)
        t->loss = sum / (double)n;
    return read_statistics(folder, t, e);
}
