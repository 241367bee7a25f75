/* mechanism.c - see mechanism.h */
#include "analyze/training/mechanism.h"

#include "analyze/training/mechanism_evidence.h"
#include "analyze/training/mechanism_explain.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>

static const char *speaks_text(ss_speaks s)
{
#define X(name, text) text,
    static const char *const texts[] = {SS_SPEAKS(X)};
#undef X

    return texts[s];
}

/* FOR: all required rows speak for it; AGAINST: one speaks against it; UNKNOWN: neither. */
static ss_speaks state_of(const ss_mechanism_finding *m, ss_mechanism k)
{
    ss_speaks state = SS_SPEAKS_FOR;

    for (int i = 0; i < m->n; i++) {
        const ss_evidence *row = &m->rows[i];

        if (row->mechanism != k || !row->required || row->speaks == SS_SPEAKS_FOR)
            continue;
        if (row->speaks == SS_SPEAKS_AGAINST)
            return SS_SPEAKS_AGAINST;
        state = SS_SPEAKS_UNKNOWN;
    }
    return state;
}

static int n_for(const ss_mechanism_finding *m, ss_mechanism k)
{
    int n = 0;

    for (int i = 0; i < m->n; i++)
        n += m->rows[i].mechanism == k && m->rows[i].speaks == SS_SPEAKS_FOR;
    return n;
}

static void decide(const ss_course *c, ss_mechanism_finding *m)
{
    m->name = SS_MECHANISM_NONE;
    for (int k = SS_N_MECHANISMS - 1; k >= 0; k--) {
        const ss_speaks s = state_of(m, (ss_mechanism)k);

        m->agrees[k] = s == SS_SPEAKS_UNKNOWN && n_for(m, (ss_mechanism)k) > 0;
        if (s == SS_SPEAKS_FOR)
            m->name = (ss_mechanism)k;
    }
    /* values that are cut off at a limit show neither growth nor which site leads */
    if (*c->p.limit && (m->name == SS_MECHANISM_STREAM || m->name == SS_MECHANISM_LOGITS))
        m->name = SS_MECHANISM_NONE;
}

ss_code ss_mechanism_find(ss_run *const *runs, const int64_t *steps, int n, ss_mechanism_finding *m,
                          ss_err *e)
{
    ss_course c;
    ss_code rc = ss_course_make(runs, steps, n, &c, e);

    *m = (ss_mechanism_finding){.name = SS_MECHANISM_NONE, .end = NAN};
    if (rc != SS_OK)
        return rc;
    ss_evidence_data(&c, m);
    ss_evidence_rate(&c, m);
    ss_evidence_spike(&c, m);
    ss_course_end_at_break(&c);
    const ss_runaway x = ss_runaway_leading(&c);
    ss_evidence_weights(&c, m);
    ss_evidence_logits(&c, &x, m);
    ss_evidence_stream(&c, &x, m);
    decide(&c, m);
    m->bad = c.end >= 0;
    m->end = m->bad ? c.p.points[c.end].step : NAN;
    m->n_points = c.to;
    m->grew = m->bad || ss_course_reach(&c) >= SS_MECHANISM_GROWS;
    rc = ss_mechanism_explain(&c, &x, m, e);
    ss_course_release(&c);
    if (rc != SS_OK)
        ss_mechanism_release(m);
    return rc;
}

void ss_mechanism_release(ss_mechanism_finding *m)
{
    ss_free(m->sentence);
    *m = (ss_mechanism_finding){.name = SS_MECHANISM_NONE, .end = NAN};
}

bool ss_mechanism_matters(const ss_mechanism_finding *m)
{
    return m->bad || m->grew || m->name != SS_MECHANISM_NONE;
}

ss_code ss_mechanism_table(const ss_mechanism_finding *m, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "mechanism", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "mechanism", SS_COL_TEXT, NULL);
    ss_table_column(t, "measure", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "limit", SS_COL_TEXT, NULL);
    ss_table_column(t, "speaks", SS_COL_TEXT, NULL);
    ss_table_column(t, "need", SS_COL_TEXT, NULL);
    ss_table_column(t, "where", SS_COL_TEXT, NULL);
    for (int i = 0; i < m->n; i++) {
        const ss_evidence *row = &m->rows[i];
        char limit[32];

        snprintf(limit, sizeof limit, "%s %.3g", row->below ? "<" : ">=", row->threshold);
        ss_table_row(t);
        ss_table_text(t, ss_mechanism_key(row->mechanism));
        ss_table_text(t, row->measure);
        ss_table_number(t, row->value);
        ss_table_text(t, limit);
        ss_table_text(t, speaks_text(row->speaks));
        ss_table_text(t, row->required ? "yes" : "-");
        ss_table_text(t, *row->where ? row->where : "-");
    }
    ss_table_note(t, "%s; the name is the first whose needed rows all speak for it",
                  ss_mechanism_text(m->name));
    return SS_OK;
}
