/* training_log.c - see training_log.h */
#include "analyze/training/training_log.h"

#include "analyze/math/power_law.h"
#include "analyze/one/not_finite.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAST_LOSSES = 100, LINE = 1 << 16 };

/* Calls each(x, line) for every line of FOLDER/NAME; one that is no JSON object ends it: a killed
 * process left it half. */
static ss_code each_line(const char *folder, const char *name,
                         void (*each)(void *x, const json_t *line), void *x, ss_err *e)
{
    char *path = ss_path_join(folder, name), *line = ss_alloc(LINE, 1);
    FILE *f = path && line ? fopen(path, "re") : NULL;
    ss_code rc = SS_OK;

    if (!path || !line)
        rc = ss_fail(e, SS_NOMEM, "%s: out of memory", folder);
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
    double losses[LAST_LOSSES];
    int64_t n;
    int64_t steps_over; /* steps that overflowed so far */
    int64_t last_over;
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
        r->losses[r->n++ % LAST_LOSSES] = loss;
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

    if (event && strcmp(event, "spike") == 0)
        t->spikes++;
    if (!event || !module || strcmp(event, "overflow") != 0)
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
    t->high_noise += number(line, "sigma") > SS_HIGH_NOISE;
}

/* FOLDER/NAME, if it is there; *j is {0} otherwise. */
static ss_code load(const char *folder, const char *name, ss_json *j, ss_err *e)
{
    char *path = ss_path_join(folder, name);
    ss_code rc = path ? SS_OK : ss_fail(e, SS_NOMEM, "%s: out of memory", folder);

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
    ss_code rc = load(folder, "config.json", &config, e);

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

/* ---- statistics.h5 ---- */

/* Leaves the block outputs of the sites; all of them where the file does not know blocks. */
static void keep_blocks(const ss_run *r, ss_sites *sites)
{
    int n = 0;

    for (int i = 0; i < sites->n; i++) {
        if (r->blocks && r->blocks[sites->site[i].module])
            sites->site[n++] = sites->site[i];
    }
    sites->n = n ? n : sites->n;
}

/* The largest |x| of each stage over the batch of measured step s; false where any is not finite.
 */
static bool peaks_of(ss_run *r, const ss_sites *sites, const float *absmax,
                     const uint64_t *nonfinite, int s, double peak[SS_N_STAGES + 1])
{
    for (int k = 0; k <= SS_N_STAGES; k++)
        peak[k] = NAN;
    for (int i = 0; i < r->n_samples; i++) {
        double one[SS_N_STAGES + 1];

        ss_stage_peaks(r, sites, absmax, 0, s, i, one);
        for (int k = 0; k <= SS_N_STAGES; k++)
            peak[k] = fmax(peak[k], one[k]);
    }
    for (int k = 0; k < sites->n && nonfinite; k++) {
        for (int i = 0; i < r->n_samples; i++) {
            if (nonfinite[ss_run_at(r, sites->site[k].module, sites->site[k].port, 0, s, i)])
                return false;
        }
    }
    return isfinite(peak[SS_N_STAGES]);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* How parameters changed in RMS from column a to b. */
static ss_code read_weights(ss_run *r, int a, int b, ss_training_log *t, ss_err *e)
{
    const float *rms;
    double *ratio = ss_alloc((size_t)r->n_parameters, sizeof *ratio);
    ss_code rc = ratio ? ss_run_updates(r, "weight_rms", &rms, e)
                       : ss_fail(e, SS_NOMEM, "%s: out of memory", r->path);
    size_t n = 0;

    for (int64_t p = 0; rc == SS_OK && rms && p < r->n_parameters; p++) {
        const double v = (double)rms[p * r->n_sigmas + b] / (double)rms[p * r->n_sigmas + a];

        if (isfinite(v))
            ratio[n++] = v;
    }
    if (n) {
        qsort(ratio, n, sizeof *ratio, by_value);
        t->weights = ratio[n / 2];
        t->weights_max = ratio[n - 1];
    }
    ss_free(ratio);
    return rc;
}

/* Of the columns from to to: the lowest mean entropy of a head, and the largest logit. */
static ss_code read_attention(ss_run *r, int from, int to, ss_training_log *t, ss_err *e)
{
    const float *entropy, *logit, *keys;
    ss_code rc;

    if (!r->n_layers)
        return SS_OK;
    if ((rc = ss_run_attention(r, "entropy", &entropy, e)) != SS_OK ||
        (rc = ss_run_attention(r, "max_logit", &logit, e)) != SS_OK ||
        (rc = ss_run_attention_keys(r, &keys, e)) != SS_OK || !entropy || !logit || !keys)
        return rc;
    for (int l = 0; l < r->n_layers; l++) {
        for (int h = 0; h < r->n_heads; h++) {
            double sum = 0;
            int n = 0;

            for (int s = from; s <= to; s++) {
                for (int i = 0; i < r->n_samples && r->done[s]; i++) {
                    const size_t at = ss_run_attention_at(r, l, h, 0, s, i);

                    t->logit = fmax(t->logit, logit[at]);
                    if (isnan(entropy[at]))
                        continue;
                    sum += entropy[at] / log(keys[l]);
                    n++;
                }
            }
            if (n)
                t->entropy = fmin(t->entropy, sum / n);
        }
    }
    return SS_OK;
}

/* The measured steps before the overflow: columns, and the peaks of each. */
typedef struct {
    int *column;
    double (*peak)[SS_N_STAGES + 1];
    int n;
} measured;

/* Columns first to last of m are in the window; the geometric mean of each stage. */
static void window_peaks(const measured *m, int first, int last, double peak[SS_N_STAGES + 1])
{
    for (int k = 0; k <= SS_N_STAGES; k++) {
        double sum = 0;

        for (int i = first; i <= last; i++)
            sum += log(m->peak[i][k]);
        peak[k] = exp(sum / (last - first + 1));
    }
}

/* Peaks of all measured steps, and in m those that are finite and before an overflow. */
static ss_code read_peaks(ss_run *r, ss_training_log *t, measured *m, ss_err *e)
{
    ss_sites sites = {0};
    const float *absmax;
    const uint64_t *nonfinite;
    const int thin = (r->n_sigmas + SS_TRAINING_POINTS - 1) / SS_TRAINING_POINTS;
    ss_code rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e);

    if (rc == SS_OK && (rc = ss_run_stat(r, "absmax", &absmax, e)) == SS_OK)
        rc = ss_run_nonfinite(r, &nonfinite, e);
    if (rc == SS_OK)
        keep_blocks(r, &sites);
    for (int s = 0; rc == SS_OK && absmax && s < r->n_sigmas; s++) {
        double peak[SS_N_STAGES + 1];
        const bool finite = r->done[s] && peaks_of(r, &sites, absmax, nonfinite, s, peak);

        if (r->done[s])
            t->largest = fmax(t->largest, peak[SS_N_STAGES]);
        if (r->done[s] && s % thin == 0 && isfinite(peak[SS_N_STAGES])) {
            t->point[t->n_points].step = (double)r->steps[s];
            t->point[t->n_points++].peak = peak[SS_N_STAGES];
        }
        if (!finite || r->steps[s] < SS_SETTLED ||
            (t->first_overflow && r->steps[s] >= t->first_overflow))
            continue;
        m->column[m->n] = s;
        memcpy(m->peak[m->n++], peak, sizeof peak);
    }
    ss_sites_release(&sites);
    return rc;
}

/* The windows, and what changed from one to the other. */
static ss_code compare_windows(ss_run *r, const measured *m, ss_training_log *t, ss_err *e)
{
    const int last = m->n - 1;
    int early = 0, late = last;
    ss_code rc;

    if (m->n == 0)
        return SS_OK;
    t->early = r->steps[m->column[0]];
    t->late = r->steps[m->column[last]];
    const double eighth = (double)(t->late - t->early) / 8;

    while (early < last && (double)(r->steps[m->column[early + 1]] - t->early) <= eighth)
        early++;
    while (late > 0 && (double)(t->late - r->steps[m->column[late - 1]]) <= eighth)
        late--;
    window_peaks(m, 0, early, t->peak[0]);
    window_peaks(m, late, last, t->peak[1]);
    if ((rc = read_weights(r, m->column[0], m->column[last], t, e)) != SS_OK)
        return rc;
    return read_attention(r, m->column[late], m->column[last], t, e);
}

static ss_code fit_exponent(const ss_run *r, const measured *m, ss_training_log *t, ss_err *e)
{
    double *x = ss_alloc((size_t)m->n, sizeof *x), *y = ss_alloc((size_t)m->n, sizeof *y);
    const ss_code rc = x && y ? SS_OK : ss_fail(e, SS_NOMEM, "%s: out of memory", r->path);

    for (int i = 0; i < m->n && rc == SS_OK; i++) {
        x[i] = (double)r->steps[m->column[i]];
        y[i] = m->peak[i][SS_STAGE_DECODER];
    }
    if (rc == SS_OK)
        t->exponent = ss_power_law_fit(x, y, m->n).b;
    ss_free(x);
    ss_free(y);
    return rc;
}

static ss_code read_measured(ss_run *r, ss_training_log *t, ss_err *e)
{
    measured m = {.column = ss_alloc((size_t)r->n_sigmas, sizeof *m.column),
                  .peak = ss_alloc((size_t)r->n_sigmas, sizeof *m.peak)};
    ss_mechanism_finding mechanism;
    ss_format f;
    ss_code rc = m.column && m.peak ? read_peaks(r, t, &m, e)
                                    : ss_fail(e, SS_NOMEM, "%s: out of memory", r->path);

    t->seed = (int64_t)r->seed;
    if (ss_run_format(r, &f))
        t->limit = f.max;
    if (rc == SS_OK)
        rc = compare_windows(r, &m, t, e);
    if (rc == SS_OK)
        rc = fit_exponent(r, &m, t, e);
    if (rc == SS_OK && (rc = ss_mechanism_find(&r, NULL, 1, &mechanism, e)) == SS_OK) {
        t->mechanism = mechanism.name;
        ss_mechanism_release(&mechanism);
    }
    ss_free(m.column);
    ss_free(m.peak);
    return rc;
}

static ss_code read_statistics(const char *folder, ss_training_log *t, ss_err *e)
{
    char *path = ss_path_join(folder, "statistics.h5");
    ss_run *r = NULL;
    ss_code rc =
        path ? ss_run_open_any(path, &r, e) : ss_fail(e, SS_NOMEM, "%s: out of memory", folder);

    if (rc == SS_OK)
        rc = r->steps ? read_measured(r, t, e)
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
    if ((rc = each_line(folder, "log.jsonl", take_step, &r, e)) != SS_OK ||
        (rc = each_line(folder, "events.jsonl", take_event, &r, e)) != SS_OK ||
        (rc = read_settings(folder, t, e)) != SS_OK)
        return rc;
    const int64_t n = r.n < LAST_LOSSES ? r.n : LAST_LOSSES;
    for (int64_t i = 0; i < n; i++)
        sum += r.losses[i];
    if (n)
        t->loss = sum / (double)n;
    return read_statistics(folder, t, e);
}
