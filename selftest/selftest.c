/* selftest.c - see selftest.h */
#include "selftest/selftest.h"

#include "base/log.h"
#include "base/str.h"
#include "selftest/hashes.h"
#include "selftest/operation.h"
#include "selftest/speed.h"

#include <math.h>
#include <stdio.h>

/* The first is plain; others are emulated. */
static const char *const formats[] = {"fp32", "fp16", "bf16", "fp8-e4m3", "fp8-e5m2", "tf32"};
enum { N_FORMATS = sizeof formats / sizeof *formats, N_QUICK_FORMATS = 2 };

/* Sums of subnormal numbers may be some of the smallest apart. */
static const double TINY_STEPS = 1e-43;

/* Results of all runs of one operation. */
typedef struct {
    int runs, failed;
    double worst, back, units; /* relative errors in f32, and under formats in units */
    bool other_bits, lacks_gradient;
    char where[240];
    double share; /* of the bound, by which the worst place is chosen */
} tally;

typedef struct {
    const ss_selftest_options *opt;
    ss_selftest_result *r;
    ss_hashes *hashes;
    tally *t;
    char name[200]; /* of the run at hand */
} session;

static void fail(session *s, const char *why)
{
    s->t->failed++;
    if (s->t->share <= 1 || !*s->t->where)
        snprintf(s->t->where, sizeof s->t->where, "%.140s: %.90s", s->name, why);
    s->t->share = INFINITY;
    if (s->r->n_failed++ == 0)
        snprintf(s->r->first, sizeof s->r->first, "%s: %.190s", s->name, why);
}

/* Notes an error and its bound; fails above it. */
static bool judge(session *s, const ss_difference *d, double bound)
{
    const double share = d->worst == 0 ? 0 : bound > 0 ? d->worst / bound : INFINITY;

    if (share > s->t->share && share <= 1) {
        s->t->share = share;
        snprintf(s->t->where, sizeof s->t->where, "%s", s->name);
    }
    if (share > 1)
        fail(s, d->where);
    return share <= 1;
}

static void keep(double *worst, double value)
{
    *worst = value > *worst ? value : *worst;
}

/* The CPU takes gradients of some convolutions by Winograd's algorithm, which spreads what is not
 * finite over neighbours and loses digits beside huge numbers. */
static bool is_judged(const ss_operation *o, ss_case_values v)
{
    return !o->winograd || v == SS_VALUES_RANDOM || v == SS_VALUES_ZEROS || v == SS_VALUES_TINY;
}

static void compare(session *s, const ss_case *k, ss_case_values v, const ss_format *f,
                    const ss_outputs *got, const ss_outputs *want)
{
    const ss_operation *o = k->operation;
    const bool plain = ss_format_is_f32(f);
    const double unit = plain ? 0 : ldexp(1, -f->man_bits);
    const double more = o->steps * unit + (o->by_library ? s->opt->rounding : 0);
    const ss_comparison how = {.to_largest = o->by_library && v == SS_VALUES_HUGE,
                               .floor = plain ? TINY_STEPS : o->steps * f->min_subnormal};
    const ss_difference y = ss_outputs_compare(got, want, &how);
    const ss_difference d =
        is_judged(o, v)
            ? ss_outputs_compare(
                  got, want,
                  &(ss_comparison){.gradient = true, .to_largest = how.to_largest, how.floor})
            : (ss_difference){0};

    if (plain) {
        keep(&s->t->worst, y.worst);
        keep(&s->t->back, d.worst);
    } else {
        keep(&s->t->units, fmax(y.worst, d.worst) / unit);
    }
    if (judge(s, &y, o->bound + more))
        judge(s, &d, o->back + more);
}

static ss_code hash(session *s, const ss_outputs *got, ss_err *e)
{
    char hex[17];
    bool known, same;
    ss_code rc = ss_outputs_hash(got, hex, e);

    if (rc == SS_OK)
        rc = ss_hashes_put(s->hashes, s->name, hex, &known, &same, e);
    if (rc != SS_OK)
        return rc;
    if (!ss_hashes_compares(s->hashes) || known)
        s->r->n_hashes++;
    else
        s->r->n_unknown++;
    if (known && !same)
        fail(s, "another hash than in the file: other bits than on the device that wrote it");
    return SS_OK;
}

static ss_code run_once(session *s, const ss_case *k, ss_case_values v, const char *format,
                        ss_err *e)
{
    const ss_selftest_options *opt = s->opt;
    ss_outputs want = {0}, got = {0}, again = {0};
    char name[140];
    ss_err why = {0};
    ss_format f;
    ss_code rc = ss_format_parse(format, &f, e);

    s->t->runs++;
    s->r->n_runs++;
    snprintf(s->name, sizeof s->name, "%s | %s | %s", ss_case_name(k, name, sizeof name), format,
             ss_case_values_name(v));
    if (rc == SS_OK)
        rc = ss_case_run(opt->reference, k, v, format, &want, e);
    if (rc == SS_OK && (ss_case_run(opt->device, k, v, format, &got, &why) != SS_OK ||
                        ss_case_run(opt->device, k, v, format, &again, &why) != SS_OK)) {
        fail(s, why.msg);
    } else if (rc == SS_OK) {
        compare(s, k, v, &f, &got, &want);
        if (!ss_outputs_same_bits(&got, &again)) {
            s->t->other_bits = true;
            fail(s, "a second run gives other bits");
        }
        if (s->hashes && !k->operation->by_library)
            rc = hash(s, &got, e);
    }
    ss_outputs_release(&want);
    ss_outputs_release(&got);
    ss_outputs_release(&again);
    return rc;
}

/* Hostile numbers in f32 alone, but for a NaN, which every format has to keep. */
static bool is_tried(const session *s, const ss_operation *o, int format, ss_case_values v)
{
    if (format > 0 && (o->no_policy || (s->opt->quick && format >= N_QUICK_FORMATS)))
        return false;
    if (v == SS_VALUES_RANDOM)
        return true;
    if (o->no_hostile || (format > 0 && v != SS_VALUES_NAN))
        return false;
    return !s->opt->quick || v == SS_VALUES_NAN || v == SS_VALUES_HUGE;
}

static ss_code run_case(session *s, const ss_case *k, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int f = 0; f < N_FORMATS; f++)
        for (int v = 0; v < SS_N_CASE_VALUES && rc == SS_OK; v++)
            if (is_tried(s, k->operation, f, (ss_case_values)v))
                rc = run_once(s, k, (ss_case_values)v, formats[f], e);
    return rc;
}

static void put_row(session *s, const ss_operation *o)
{
    ss_table *t = &s->r->operations;
    const double more = o->by_library ? s->opt->rounding : 0;

    ss_table_row(t);
    ss_table_text(t, o->name);
    ss_table_number(t, s->t->runs);
    ss_table_number(t, s->t->worst);
    ss_table_number(t, o->bound + more);
    ss_table_number(t, o->forward ? s->t->back : NAN);
    ss_table_number(t, o->forward ? o->back + more : NAN);
    ss_table_number(t, o->no_policy ? NAN : s->t->units);
    ss_table_number(t, o->no_policy ? NAN : o->steps);
    ss_table_text(t, s->t->other_bits ? "NO" : "yes");
    ss_table_text(t, s->t->failed ? "FAILED" : "good");
    ss_table_number(t, s->t->failed);
    ss_table_text(t, *s->t->where ? s->t->where : "-");
}

static ss_code begin_table(ss_table *t, ss_err *e)
{
    static const struct {
        const char *name, *format;
    } columns[] = {{"operation", NULL}, {"runs", "%.0f"},     {"error", "%.1e"},
                   {"bound", "%.0e"},   {"gradient", "%.1e"}, {"g. bound", "%.0e"},
                   {"units", "%.2g"},   {"u. bound", "%.2g"}, {"same bits", NULL},
                   {"result", NULL},    {"failed", "%.0f"},   {"worst at", NULL}};
    ss_code rc = ss_table_init(t, "operations", e);

    for (size_t i = 0; i < sizeof columns / sizeof *columns && rc == SS_OK; i++)
        ss_table_column(t, columns[i].name, columns[i].format ? SS_COL_NUMBER : SS_COL_TEXT,
                        columns[i].format);
    return rc;
}

static bool is_asked(const ss_selftest_options *opt, const ss_operation *o)
{
    return !opt->only || ss_glob_match(opt->only, o->name);
}

static ss_code run_operations(session *s, ss_err *e)
{
    int n, n_asked = 0;
    const ss_case *cases = ss_all_cases(&n);
    ss_progress progress;
    ss_code rc = SS_OK;

    for (int i = 0; i < ss_n_operations; i++)
        n_asked += is_asked(s->opt, &ss_operations[i]);
    ss_progress_begin(&progress, "selftest", n_asked);
    for (int i = 0; i < ss_n_operations && rc == SS_OK; i++) {
        const ss_operation *o = &ss_operations[i];
        tally t = {0};

        if (!is_asked(s->opt, o))
            continue;
        s->t = &t;
        for (int k = 0; k < n && rc == SS_OK; k++)
            if (cases[k].operation == o && !(s->opt->quick && cases[k].big))
                rc = run_case(s, &cases[k], e);
        put_row(s, o);
        ss_progress_step(&progress, progress.done + 1, o->name);
    }
    ss_progress_end(&progress);
    if (rc == SS_OK && n_asked == 0)
        rc = ss_fail(e, SS_USAGE, "--only: no operation matches '%s'", s->opt->only);
    return rc;
}

ss_code ss_selftest_run(const ss_selftest_options *opt, ss_selftest_result *r, ss_err *e)
{
    session s = {.opt = opt, .r = r};
    ss_code rc = opt->only ? ss_glob_check(opt->only, e) : SS_OK;

    *r = (ss_selftest_result){0};
    if (rc == SS_OK)
        rc = begin_table(&r->operations, e);
    if (rc == SS_OK && opt->hashes) {
        rc = ss_hashes_open(opt->hashes, ss_ctx_device_text(opt->device), &s.hashes, e);
        r->hashes_written = rc == SS_OK && !ss_hashes_compares(s.hashes);
    }
    if (rc == SS_OK)
        rc = run_operations(&s, e);
    if (rc == SS_OK && opt->speed != SS_SPEED_NONE)
        rc = ss_measure_speed(opt, r, e);
    if (rc == SS_OK)
        rc = ss_hashes_close(s.hashes, e);
    else
        ss_hashes_discard(s.hashes);
    if (rc != SS_OK) {
        ss_selftest_release(r);
        return rc;
    }
    ss_table_note(&r->operations,
                  "%s against %s; error: |x - reference| / max(|reference|, RMS); units: of the "
                  "last place of each number format",
                  ss_ctx_device_text(opt->device), ss_ctx_device_text(opt->reference));
    return SS_OK;
}

void ss_selftest_release(ss_selftest_result *r)
{
    ss_table_release(&r->operations);
    ss_table_release(&r->ceilings);
    ss_table_release(&r->speeds);
    *r = (ss_selftest_result){0};
}
