/* expression_cells.c - see expression_cells.h */
#include "analyze/search/expression_cells.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>

bool ss_expression_compare(double a, ss_expression_op op, double b)
{
    switch (op) {
    case SS_OP_GT: return a > b;
    case SS_OP_GE: return a >= b;
    case SS_OP_LT: return a < b;
    case SS_OP_LE: return a <= b;
    case SS_OP_EQ: return fabs(a - b) <= 1e-5 * fabs(b); /* %g prints 6 digits */
    case SS_OP_NONE: break;
    }
    return false;
}

/* True if a noise level meets all conditions on sigma. */
static bool meets(const ss_expression_node *m, double sigma)
{
    for (int k = 0; k < m->n_conditions; k++) {
        const ss_expression_condition *c = &m->conditions[k];

        if (!c->input && !ss_expression_compare(sigma, c->op, c->sigma))
            return false;
    }
    return true;
}

static bool asks_for_sigma(const ss_expression_node *m)
{
    for (int k = 0; k < m->n_conditions; k++) {
        if (!m->conditions[k].input)
            return true;
    }
    return false;
}

static ss_code select_inputs(const ss_expression_node *m, const ss_run *r, ss_cells *c, ss_err *e)
{
    int n = 0;

    for (int i = 0; i < r->n_inputs; i++) {
        c->input[i] = true;
        for (int k = 0; k < m->n_conditions; k++)
            c->input[i] &=
                !m->conditions[k].input || ss_glob_match(m->conditions[k].input, r->inputs[i]);
        n += c->input[i];
    }
    return n ? SS_OK
             : ss_fail(e, SS_USAGE, "no input matches; the first of %d is '%.100s' (--inputs)",
                       r->n_inputs, r->inputs[0]);
}

/* Lowest and highest noise level that there was to choose from. */
typedef struct {
    double low, high;
} range;

static void add_level(range *g, double sigma)
{
    g->low = fmin(g->low, sigma);
    g->high = fmax(g->high, sigma);
}

/* Selects, at a step, the samples whose noise level meets the conditions; true if there is one. */
static bool select_samples(const ss_expression_node *m, const ss_run *r, int step, ss_cells *c,
                           range *g)
{
    bool any = false;

    for (int n = 0; n < r->n_samples; n++) {
        const double sigma = ss_run_level(r, step, n);
        const bool in = !isnan(sigma) && meets(m, sigma);

        if (!isnan(sigma))
            add_level(g, sigma);
        c->sample[(size_t)step * (size_t)r->n_samples + (size_t)n] = in;
        any |= in;
    }
    return any;
}

static ss_code say_none(const ss_run *r, bool samples, range g, ss_err *e)
{
    if (r->steps && samples && isfinite(g.low))
        return ss_fail(e, SS_USAGE,
                       "no %s there has such a noise level; they have sigma %.3g to %.3g",
                       r->binned ? "bin" : "sample", g.low, g.high);
    if (r->steps && samples)
        return ss_fail(e, SS_USAGE, "no noise level is known there");
    if (r->steps)
        return ss_fail(e, SS_USAGE, "it has no finished step there");
    if (!r->n_done)
        return ss_fail(e, SS_USAGE, "it has no finished noise level (--resume)");
    return ss_fail(e, SS_USAGE,
                   "none of its %d finished noise levels (sigma %g to %g) meets the condition "
                   "(--sigmas)",
                   r->n_done, g.low, g.high);
}

static ss_code select_columns(const ss_expression_node *m, const ss_run *r, int column, ss_cells *c,
                              ss_err *e)
{
    range g = {INFINITY, 0};
    int n = 0;

    for (int s = 0; s < r->n_sigmas; s++) {
        c->sigma[s] = r->done[s] && (column < 0 || column == s);
        if (r->done[s] && r->sigmas)
            add_level(&g, r->sigmas[s]);
        if (r->sigmas)
            c->sigma[s] &= meets(m, r->sigmas[s]);
        else if (c->sample && c->sigma[s])
            c->sigma[s] = select_samples(m, r, s, c, &g);
        n += c->sigma[s];
    }
    return n ? SS_OK : say_none(r, c->sample, g, e);
}

ss_code ss_cells_select(const ss_expression_node *m, const ss_run *r, int column, ss_cells *c,
                        ss_err *e)
{
    const bool samples = r->steps && asks_for_sigma(m);
    ss_code rc = SS_OK;

    *c = (ss_cells){.input = ss_alloc((size_t)r->n_inputs, sizeof *c->input),
                    .sigma = ss_alloc((size_t)r->n_sigmas, sizeof *c->sigma)};
    if (samples)
        c->sample = ss_calloc((size_t)r->n_sigmas * (size_t)r->n_samples, sizeof *c->sample);
    if (!c->input || !c->sigma || (samples && !c->sample))
        rc = ss_no_memory(e, "an expression");
    else if (samples && !r->levels)
        rc = ss_fail(e, SS_USAGE, "the run does not say at which noise level a sample is");
    if (rc == SS_OK)
        rc = select_inputs(m, r, c, e);
    if (rc == SS_OK)
        rc = select_columns(m, r, column, c, e);
    if (rc != SS_OK)
        ss_cells_release(c);
    return rc;
}

void ss_cells_release(ss_cells *c)
{
    ss_free(c->input);
    ss_free(c->sigma);
    ss_free(c->sample);
    *c = (ss_cells){0};
}

bool ss_cells_have(const ss_cells *c, const ss_run *r, int sigma, int sample)
{
    return !c->sample || c->sample[(size_t)sigma * (size_t)r->n_samples + (size_t)sample];
}

double ss_cells_peak(const ss_cells *c, const ss_run *r, const float *x, ss_site s, int input,
                     int sigma)
{
    const float *v = x + ss_run_at(r, s.module, s.port, input, sigma, 0);
    double peak = NAN;

    for (int n = 0; n < r->n_samples; n++) {
        if (ss_cells_have(c, r, sigma, n))
            peak = fmax(peak, v[n]);
    }
    return peak;
}

double ss_cells_rms(const ss_cells *c, const ss_run *r, const float *x, ss_site s, int input,
                    int sigma)
{
    const float *v = x + ss_run_at(r, s.module, s.port, input, sigma, 0);
    double sum = 0, count = 0;

    for (int n = 0; n < r->n_samples; n++) {
        const double of = r->binned ? ss_run_count(r, sigma, n) : 1;

        if (isnan(v[n]) || !(of > 0) || !ss_cells_have(c, r, sigma, n))
            continue;
        sum += of * (double)v[n] * v[n];
        count += of;
    }
    return count > 0 ? sqrt(sum / count) : NAN;
}

uint64_t ss_cells_count(const ss_cells *c, const ss_run *r, const uint64_t *x, ss_site s, int input,
                        int sigma)
{
    const uint64_t *v = x ? x + ss_run_at(r, s.module, s.port, input, sigma, 0) : NULL;
    uint64_t sum = 0;

    for (int n = 0; v && n < r->n_samples; n++)
        sum += ss_cells_have(c, r, sigma, n) ? v[n] : 0;
    return sum;
}
