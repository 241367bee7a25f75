/* story.c - the runs of a story, and its tables; see story.h. Its rules are in story_findings.c */
#include "analyze/story_parts.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *ss_story_verdict_text(ss_story_verdict v)
{
#define X(name, text) text,
    static const char *const texts[] = {SS_STORY_VERDICTS(X)};
#undef X
    return texts[v];
}

ss_arm ss_story_arm(const ss_story *s, const char *name)
{
    const size_t len = strlen(name);
    ss_arm a = {0};

    for (int i = 0; i < s->n && a.n < SS_MAX_SEEDS; i++) {
        if (strncmp(s->logs[i].name, name, len) == 0 && s->logs[i].name[len] == '-')
            a.seed[a.n++] = &s->logs[i];
    }
    return a;
}

double ss_arm_mean(const ss_arm *a, double (*of)(const ss_training_log *))
{
    double sum = 0;
    int n = 0;

    for (int i = 0; i < a->n; i++) {
        const double v = of(a->seed[i]);

        if (!isnan(v)) {
            sum += v;
            n++;
        }
    }
    return n ? sum / n : NAN;
}

char *ss_arm_number(const ss_arm *a, double (*of)(const ss_training_log *), const char *format,
                    char *out, size_t n)
{
    double least = NAN, most = NAN;
    int at;

    for (int i = 0; i < a->n; i++) {
        least = fmin(least, of(a->seed[i]));
        most = fmax(most, of(a->seed[i]));
    }
    if (isnan(least)) {
        snprintf(out, n, "unknown");
        return out;
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    at = snprintf(out, n, format, ss_arm_mean(a, of));
    for (int i = 0; i < 2 && a->n > 1 && (size_t)at < n; i++) {
        at += snprintf(out + at, n - (size_t)at, i ? " to " : " (");
        if ((size_t)at < n)
            at += snprintf(out + at, n - (size_t)at, format, i ? most : least);
    }
    if (a->n > 1 && (size_t)at < n)
        snprintf(out + at, n - (size_t)at, ")");
#pragma GCC diagnostic pop
    return out;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ss_training_log *)a)->name, ((const ss_training_log *)b)->name);
}

/* Adds FOLDER/NAME if it holds a training. */
static ss_code add(ss_story *s, const char *name, size_t *cap, ss_err *e)
{
    ss_str path = {0}, log = {0};
    ss_code rc = SS_OK;

    ss_str_addf(&path, "%s/%s", s->folder, name);
    ss_str_addf(&log, "%s/%s/log.jsonl", s->folder, name);
    if (path.failed || log.failed) {
        rc = ss_fail(e, SS_NOMEM, "%s: out of memory", s->folder);
    } else if (ss_file_exists(log.s)) {
        ss_training_log *grown = ss_grow(s->logs, cap, (size_t)s->n + 1, sizeof *grown);

        if (grown)
            s->logs = grown;
        rc = grown ? ss_training_log_read(path.s, &grown[s->n], e)
                   : ss_fail(e, SS_NOMEM, "%s: out of memory", s->folder);
        s->n += rc == SS_OK;
    }
    ss_str_release(&path);
    ss_str_release(&log);
    return rc;
}

ss_code ss_story_read(const char *folder, ss_story *s, ss_err *e)
{
    const struct dirent *entry;
    size_t cap = 0;
    DIR *d;
    ss_code rc = SS_OK;

    *s = (ss_story){.folder = ss_strdup(folder)};
    if (!(d = opendir(folder)))
        rc = ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    else if (!s->folder)
        rc = ss_fail(e, SS_NOMEM, "%s: out of memory", folder);
    errno = 0;
    while (rc == SS_OK && (entry = readdir(d))) {
        rc = entry->d_name[0] == '.' ? SS_OK : add(s, entry->d_name, &cap, e);
        errno = 0;
    }
    if (rc == SS_OK && errno)
        rc = ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    if (d)
        closedir(d);
    if (rc == SS_OK && s->n == 0)
        rc = ss_fail(e, SS_USAGE, "%s: no folder in it holds a training run", folder);
    if (rc == SS_OK) {
        qsort(s->logs, (size_t)s->n, sizeof *s->logs, by_name);
        rc = ss_story_judge(s, e);
    }
    if (rc != SS_OK)
        ss_story_release(s);
    return rc;
}

void ss_story_release(ss_story *s)
{
    for (int i = 0; i < SS_N_FINDINGS; i++) {
        ss_free(s->findings[i].test);
        ss_free(s->findings[i].numbers);
    }
    ss_free(s->logs);
    ss_free(s->folder);
    *s = (ss_story){0};
}

ss_code ss_story_findings_table(const ss_story *s, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "findings", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "finding", SS_COL_TEXT, NULL);
    ss_table_column(t, "here", SS_COL_TEXT, NULL);
    ss_table_column(t, "numbers", SS_COL_TEXT, NULL);
    ss_table_column(t, "tested by", SS_COL_TEXT, NULL);
    for (int i = 0; i < SS_N_FINDINGS; i++) {
        const ss_story_finding *f = &s->findings[i];

        ss_table_row(t);
        ss_table_text(t, f->claim);
        ss_table_text(t, ss_story_verdict_text(f->verdict));
        ss_table_text(t, f->numbers);
        ss_table_text(t, f->test);
    }
    return SS_OK;
}

ss_code ss_story_runs_table(const ss_story *s, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "training runs", e);

    if (rc != SS_OK)
        return rc;
    ss_table_note(t,
                  "largest |x| of the batch, at the first measured step from %d on, the last "
                  "before an overflow, and of all; loss over the last 100 finite steps",
                  100);
    ss_table_column(t, "run", SS_COL_TEXT, NULL);
    ss_table_column(t, "steps", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "overflow", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "in", SS_COL_TEXT, NULL);
    ss_table_column(t, "skipped", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "loss", SS_COL_NUMBER, "%.4f");
    ss_table_column(t, "early", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "late", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "exponent", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "weights", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "entropy", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "logit", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "spikes", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "staleness", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "cpu ms", SS_COL_NUMBER, "%.1f");
    for (int i = 0; i < s->n; i++) {
        const ss_training_log *l = &s->logs[i];

        ss_table_row(t);
        ss_table_text(t, l->name);
        ss_table_number(t, (double)l->steps);
        ss_table_number(t, l->first_overflow ? (double)l->first_overflow : NAN);
        ss_table_text(t, l->module);
        ss_table_number(t, (double)l->skipped);
        ss_table_number(t, l->loss);
        ss_table_number(t, l->peak[0][SS_N_STAGES]);
        ss_table_number(t, l->peak[1][SS_N_STAGES]);
        ss_table_number(t, l->largest);
        ss_table_number(t, l->exponent);
        ss_table_number(t, l->weights);
        ss_table_number(t, l->entropy);
        ss_table_number(t, l->logit);
        ss_table_number(t, (double)l->spikes);
        ss_table_number(t, l->staleness);
        ss_table_number(t, l->ms);
    }
    return SS_OK;
}
