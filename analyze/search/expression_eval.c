/* expression_eval.c - see expression.h: what an expression says of a run */
#include "analyze/one/headroom.h"
#include "analyze/one/not_finite.h"
#include "analyze/search/expression_cells.h"
#include "attn/entropy.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The run, or runs, over which an expression is evaluated. */
typedef struct {
    ss_run *r;
    int column;            /* the only one that counts; -1: all */
    const ss_trend *trend; /* of the runs up to r, or NULL */
    bool series;           /* earlier runs are known, if there are any */
} context;

/* One measure over one run: places in forward order, each over the selected cells. */
typedef struct {
    const ss_expression *x;
    const ss_expression_node *m;
    ss_run *r;
    ss_cells cells;       /* selected */
    ss_sites sites;       /* of modules */
    const float *values;  /* of the measure's data set */
    const float *weights; /* [module] of overflow and headroom; else NULL */
    const float *keys;
    int *heads; /* [layer] how many there are; owned */
    const uint64_t *nonfinite;
    int answer; /* of all sites, the one that the model makes last: for the loss; -1 without */
    ss_sites all;
} look;

typedef struct {
    ss_site site;
    int layer, head;
} place;

static bool wants_small(const ss_expression_node *m)
{
    return m->op == SS_OP_LT || m->op == SS_OP_LE;
}

static bool fails(const ss_expression_node *m, double value)
{
    if (m->measure == SS_MEASURE_OVERFLOW)
        return ss_overflows(&m->format, value);
    return m->op == SS_OP_NONE ? value > 0 : ss_expression_compare(value, m->op, m->limit);
}

/* "overflow(fp16)", as the text has it. */
static void text_of(const look *l, char *out, size_t n)
{
    char part[256];

    snprintf(part, sizeof part, "%.*s", l->m->to - l->m->from, l->x->text + l->m->from);
    ss_printable(part, out, n);
}

static ss_code lacks(const look *l, const char *what, ss_err *e)
{
    char text[160];

    text_of(l, text, sizeof text);
    return ss_fail(e, SS_USAGE, "%s of %s: %s", text, l->r->path, what);
}

static ss_code select_cells(look *l, int column, ss_err *e)
{
    ss_err why = {0};
    const ss_code rc = ss_cells_select(l->m, l->r, column, &l->cells, &why);

    if (rc == SS_USAGE)
        return lacks(l, why.msg, e);
    return rc == SS_OK ? SS_OK : ss_fail(e, rc, "%s", why.msg);
}

/* A value that is only read overflows where it is cast; inf is inf whether it is stored or not. */
static ss_site_ports sites_of(ss_expression_measure m)
{
    if (m == SS_MEASURE_OVERFLOW || m == SS_MEASURE_HEADROOM)
        return SS_SITES_STORED;
    return m == SS_MEASURE_NONFINITE ? SS_SITES_COMPUTED : SS_SITES_MADE;
}

static ss_code read_sites(look *l, ss_err *e)
{
    const char *glob = l->m->glob;
    const char *set = l->m->measure == SS_MEASURE_RMS ? "rms" : "absmax";
    ss_code rc = ss_run_stat(l->r, set, &l->values, e);

    if (rc == SS_OK && l->m->measure == SS_MEASURE_NONFINITE && !l->nonfinite)
        return lacks(l, "the run has no /stats/nonfinite", e);
    if (rc == SS_OK && !l->values)
        return lacks(l,
                     l->m->measure == SS_MEASURE_RMS ? "the run has no /stats/rms"
                                                     : "the run has no /stats/absmax",
                     e);
    if (rc == SS_OK && sites_of(l->m->measure) == SS_SITES_STORED)
        rc = ss_run_module_weights(l->r, &l->weights, e);
    if (rc == SS_OK)
        rc = ss_sites_find_each(l->r, &glob, glob != NULL, sites_of(l->m->measure), &l->sites, e);
    if (rc == SS_OK && l->sites.n == 0)
        return lacks(l, "nothing was recorded of these modules (--modules)", e);
    return rc;
}

static ss_code read_heads(look *l, ss_err *e)
{
    const bool entropy = l->m->measure == SS_MEASURE_ENTROPY;
    int n = 0;
    ss_code rc = ss_run_attention(l->r, entropy ? "entropy" : "max_logit", &l->values, e);

    if (rc == SS_OK && entropy)
        rc = ss_run_attention_keys(l->r, &l->keys, e);
    if (rc != SS_OK)
        return rc;
    if (!l->values)
        return lacks(l,
                     "the run has no attention statistics: the model has no attention, or "
                     "--modules left its layers out",
                     e);
    if (entropy && !l->keys)
        return lacks(l, "the run has no /attention/keys, so entropy cannot be normalised", e);
    if (!(l->heads = ss_calloc((size_t)l->r->n_layers, sizeof *l->heads)))
        return ss_no_memory(e, "an expression");
    for (int a = 0; a < l->r->n_layers; a++) {
        if ((rc = ss_layer_heads(l->r, a, &l->heads[a], e)) != SS_OK)
            return rc;
    }
    for (int a = 0; a < l->r->n_layers; a++)
        n += !l->m->glob || ss_glob_module(l->m->glob, l->r->layers[a]);
    return n ? SS_OK : lacks(l, "no attention layer matches", e);
}

/* A recorder that is not given the losses of samples leaves all of them NaN. */
static bool any_loss(const look *l)
{
    const size_t n = (size_t)l->r->n_sigmas * (size_t)l->r->n_samples;
    size_t i = 0;

    while (l->values && l->r->binned && i < n && isnan(l->values[i]))
        i++;
    return l->values && i < n;
}

static ss_code read_loss(look *l, ss_err *e)
{
    ss_code rc = l->r->steps ? ss_run_training(l->r, "sample_loss", &l->values, e)
                             : ss_run_loss(l->r, &l->values, e);

    if (rc == SS_OK && l->r->steps && !any_loss(l))
        return lacks(l, "the run has no losses of samples", e);
    if (rc == SS_OK && !l->values)
        return lacks(l,
                     "the run has no losses, for the clean picture is not known; --inputs images:, "
                     "idx: or tensor: give it",
                     e);
    if (rc == SS_OK)
        rc = ss_sites_find_each(l->r, NULL, 0, SS_SITES_PRODUCED, &l->all, e);
    l->answer = l->all.n - 1;
    return rc;
}

static uint64_t bad_at(const look *l, ss_site s, int input, int sigma)
{
    return ss_cells_count(&l->cells, l->r, l->nonfinite, s, input, sigma);
}

static double value_of_site(const look *l, ss_site s, int input, int sigma)
{
    const uint64_t bad = bad_at(l, s, input, sigma);
    const double weight = ss_site_weight(l->r, l->weights, s);
    double v;

    switch (l->m->measure) {
    case SS_MEASURE_NONFINITE: return (double)bad;
    case SS_MEASURE_RMS:
        return bad ? INFINITY : ss_cells_rms(&l->cells, l->r, l->values, s, input, sigma);
    case SS_MEASURE_HEADROOM:
    case SS_MEASURE_OVERFLOW:
        v = bad ? INFINITY : ss_cells_peak(&l->cells, l->r, l->values, s, input, sigma);
        if (ss_overflows(&l->m->format, weight)) /* smaller ones are no answer to what grows */
            v = fmax(v, weight);
        return l->m->measure == SS_MEASURE_OVERFLOW ? v : ss_headroom_bits(&l->m->format, v);
    case SS_MEASURE_ABSMAX:
        return bad ? INFINITY : ss_cells_peak(&l->cells, l->r, l->values, s, input, sigma);
    case SS_MEASURE_ENTROPY:
    case SS_MEASURE_MAX_LOGIT:
    case SS_MEASURE_LOSS:
    case SS_MEASURE_FORECAST:
    case SS_N_MEASURES: break; /* no values of sites */
    }
    return NAN;
}

static double value_of_head(const look *l, int layer, int head, int input, int sigma)
{
    const bool entropy = l->m->measure == SS_MEASURE_ENTROPY;
    const size_t at = ss_run_attention_at(l->r, layer, head, input, sigma, 0);
    double sum = 0, peak = NAN;
    int n = 0;

    for (int k = 0; k < l->r->n_samples; k++) {
        const double v = l->values[at + (size_t)k];

        if (!ss_cells_have(&l->cells, l->r, sigma, k))
            continue;
        if (!isfinite(v) && head < l->heads[layer]) /* it is there, and inf or NaN */
            return entropy ? 0 : INFINITY;
        if (isnan(v))
            continue;
        peak = fmax(peak, v);
        sum += v;
        n++;
    }
    return entropy ? ss_entropy_normalised(n ? sum / n : NAN, (double)l->keys[layer]) : peak;
}

/* The mean over the samples that have one; infinite where the answer itself is inf or NaN. */
static double value_of_loss(const look *l, int input, int sigma)
{
    const float *v = l->values + (input * l->r->n_sigmas + sigma) * l->r->n_samples;
    double sum = 0, n = 0;

    if (l->answer >= 0 && bad_at(l, l->all.site[l->answer], input, sigma))
        return INFINITY;
    for (int k = 0; k < l->r->n_samples; k++) {
        const double of = l->r->binned ? ss_run_count(l->r, sigma, k) : 1;

        if (!(of > 0) || !ss_cells_have(&l->cells, l->r, sigma, k))
            continue;
        /* not known; or another stage of the training has more samples */
        if (isnan(v[k]) && (l->r->binned || isnan(ss_run_level(l->r, sigma, k))))
            continue;
        if (!isfinite(v[k]) && l->r->steps)
            return INFINITY;
        if (!isnan(v[k])) {
            sum += of * v[k];
            n += of;
        }
    }
    return n > 0 ? sum / n : NAN;
}

static double value_at(const look *l, const place *p, int input, int sigma)
{
    if (p->site.module >= 0)
        return value_of_site(l, p->site, input, sigma);
    if (p->layer >= 0)
        return value_of_head(l, p->layer, p->head, input, sigma);
    return value_of_loss(l, input, sigma);
}

/* The value of a sample of a cell by which the worst sample is found; NaN: it does not count. */
static double sample_value(const look *l, const place *p, int input, int sigma, int sample)
{
    if (!ss_cells_have(&l->cells, l->r, sigma, sample) || !(ss_run_count(l->r, sigma, sample) > 0))
        return NAN;
    if (p->site.module >= 0) {
        const size_t at = ss_run_at(l->r, p->site.module, p->site.port, input, sigma, sample);

        if (l->nonfinite && l->nonfinite[at])
            return INFINITY;
        return l->m->measure == SS_MEASURE_NONFINITE ? NAN : (double)l->values[at];
    }
    if (p->layer >= 0)
        return (double)
            l->values[ss_run_attention_at(l->r, p->layer, p->head, input, sigma, sample)];
    return (double)l->values[(input * l->r->n_sigmas + sigma) * l->r->n_samples + sample];
}

/* The sample that a cell's value comes from. Small headroom is a large |x|. */
static int sample_of(const look *l, const place *p, int input, int sigma)
{
    const bool small = wants_small(l->m) && l->m->measure != SS_MEASURE_HEADROOM;
    double best = NAN;
    int at = -1;

    for (int k = 0; k < l->r->n_samples; k++) {
        const double v = sample_value(l, p, input, sigma, k);

        if (!isnan(v) && (at < 0 || (small ? v < best : v > best))) {
            best = v;
            at = k;
        }
    }
    return at;
}

/* The most extreme cell of a place, in the direction in which the measure fails. */
static ss_witness look_at_place(const look *l, const place *p)
{
    ss_witness w = {.site = p->site,
                    .layer = p->layer,
                    .head = p->head,
                    .sigma = -1,
                    .input = -1,
                    .sample = -1,
                    .value = NAN};

    for (int s = 0; s < l->r->n_sigmas; s++) {
        for (int i = 0; i < l->r->n_inputs; i++) {
            const double v = l->cells.sigma[s] && l->cells.input[i] ? value_at(l, p, i, s) : NAN;

            if (!isnan(v) && (isnan(w.value) || (wants_small(l->m) ? v < w.value : v > w.value))) {
                w.value = v;
                w.sigma = s;
                w.input = i;
            }
        }
    }
    if (w.sigma >= 0)
        w.sample = sample_of(l, p, w.input, w.sigma);
    return w;
}

/* Takes a place into account; true when it fails, and no later one matters. */
static bool take_place(const look *l, const place *p, ss_witness *w)
{
    const ss_witness here = look_at_place(l, p);

    if (isnan(here.value))
        return false;
    if (fails(l->m, here.value) || isnan(w->value) ||
        (wants_small(l->m) ? here.value < w->value : here.value > w->value)) {
        const int node = w->node;

        *w = here;
        w->node = node;
    }
    return fails(l->m, here.value);
}

static bool look_at_heads(const look *l, ss_witness *w)
{
    for (int a = 0; a < l->r->n_layers; a++) {
        if (l->m->glob && !ss_glob_module(l->m->glob, l->r->layers[a]))
            continue;
        for (int h = 0; h < l->r->n_heads; h++) {
            const place p = {.site = {-1, -1}, .layer = a, .head = h};

            if (take_place(l, &p, w))
                return true;
        }
    }
    return false;
}

static bool look_at_places(const look *l, ss_witness *w)
{
    const place whole = {.site = {-1, -1}, .layer = -1, .head = -1};

    if (l->m->measure == SS_MEASURE_LOSS)
        return take_place(l, &whole, w);
    if (l->m->measure == SS_MEASURE_ENTROPY || l->m->measure == SS_MEASURE_MAX_LOGIT)
        return look_at_heads(l, w);
    for (int i = 0; i < l->sites.n; i++) {
        const place p = {.site = l->sites.site[i], .layer = -1, .head = -1};

        if (take_place(l, &p, w))
            return true;
    }
    return false;
}

/* The noise level, input and sample at which a site is largest in the last run of a trend. */
static void find_peak(const ss_trend *t, ss_site s, ss_run *r, const float *absmax, ss_witness *w)
{
    double most = NAN;

    for (int i = 0; i < t->aligned.n_inputs; i++) {
        for (int k = 0; k < t->aligned.n_sigmas; k++) {
            const int input = ss_align_input(&t->aligned, i, t->n_steps - 1);
            const int sigma = ss_align_sigma(&t->aligned, k, t->n_steps - 1);
            const double v = ss_site_peak(r, absmax, s, input, sigma);

            if (!isnan(v) && (isnan(most) || v > most)) {
                most = v;
                w->input = input;
                w->sigma = sigma;
            }
        }
    }
    if (w->sigma < 0)
        return;
    for (int k = 0; k < r->n_samples; k++) {
        if ((double)absmax[ss_run_at(r, s.module, s.port, w->input, w->sigma, k)] == most)
            w->sample = k;
    }
}

/* Steps from the last of the trend until a row overflows; infinite where that is not foreseen. */
static double steps_left(const ss_trend *t, const ss_trend_row *row, const ss_format *f)
{
    const ss_forecast x = ss_trend_forecast(t, row, f);
    const double left = x.at.at - t->steps[t->n_steps - 1];

    if ((x.reach == SS_REACH_PASSED || x.reach == SS_REACH_LOST) && !x.back)
        return 0;
    return x.reach == SS_REACH_AHEAD ? fmax(left, 0) : INFINITY;
}

/* The row that the forecast says overflows soonest (or latest, where that is asked for), the first
 * in forward order of equal ones. */
static ss_code eval_forecast(const ss_expression *x, const ss_expression_node *m, const context *c,
                             bool *holds, ss_witness *w, ss_err *e)
{
    const look l = {.x = x, .m = m, .r = c->r};
    const ss_trend *t = c->trend;
    const ss_trend_row *best = NULL;
    const float *absmax;
    bool any = false;

    if (!c->series)
        return lacks(&l,
                     "a forecast needs the runs of earlier checkpoints; it is for `sigmascope "
                     "watch --alarm`",
                     e);
    w->value = INFINITY;
    *holds = false;
    if (!t) {
        *holds = fails(m, w->value);
        return SS_OK;
    }
    const ss_code rc = ss_run_stat(c->r, "absmax", &absmax, e);
    if (rc != SS_OK)
        return rc;
    for (int i = 0; i < t->n; i++) {
        const ss_trend_row *row = &t->rows[i];
        const ss_site s = ss_align_site(&t->aligned, row->site, t->n_steps - 1);

        if (m->glob && !ss_glob_module(m->glob, c->r->modules[s.module]))
            continue;
        any = true;
        const double v = steps_left(t, row, &m->format);
        const bool nearer = wants_small(m) ? v < w->value : v > w->value;

        if (!best || nearer || (v == w->value && row->site < best->site)) {
            best = row;
            w->value = v;
        }
    }
    if (!any)
        return lacks(&l, "no module matches of those that all runs have", e);
    w->site = ss_align_site(&t->aligned, best->site, t->n_steps - 1);
    find_peak(t, w->site, c->r, absmax, w);
    *holds = fails(m, w->value);
    return SS_OK;
}

/* Looks at the places of the run itself. */
static ss_code eval_places(look *l, int column, bool *holds, ss_witness *w, ss_err *e)
{
    ss_code rc = select_cells(l, column, e);

    if (rc == SS_OK)
        rc = ss_run_nonfinite(l->r, &l->nonfinite, e);
    if (rc == SS_OK) {
        switch (l->m->measure) {
        case SS_MEASURE_LOSS: rc = read_loss(l, e); break;
        case SS_MEASURE_ENTROPY:
        case SS_MEASURE_MAX_LOGIT: rc = read_heads(l, e); break;
        case SS_MEASURE_OVERFLOW:
        case SS_MEASURE_NONFINITE:
        case SS_MEASURE_ABSMAX:
        case SS_MEASURE_RMS:
        case SS_MEASURE_HEADROOM: rc = read_sites(l, e); break;
        case SS_MEASURE_FORECAST:
        case SS_N_MEASURES: break;
        }
    }
    if (rc != SS_OK)
        return rc;
    *holds = look_at_places(l, w);
    if (isnan(w->value))
        rc = lacks(l,
                   "the run has no value there: nothing was recorded, or all is NaN, which "
                   "nonfinite(*) finds",
                   e);
    return rc;
}

static ss_code eval_measure(const ss_expression *x, int node, const context *c, bool *holds,
                            ss_witness *w, ss_err *e)
{
    look l = {.x = x, .m = &x->nodes[node], .r = c->r, .answer = -1};
    ss_code rc;

    *w = (ss_witness){.node = node,
                      .site = {-1, -1},
                      .layer = -1,
                      .head = -1,
                      .value = NAN,
                      .sigma = -1,
                      .input = -1,
                      .sample = -1};
    rc = l.m->measure == SS_MEASURE_FORECAST ? eval_forecast(x, l.m, c, holds, w, e)
                                             : eval_places(&l, c->column, holds, w, e);
    ss_sites_release(&l.sites);
    ss_sites_release(&l.all);
    ss_free(l.heads);
    ss_cells_release(&l.cells);
    return rc;
}

static ss_code eval_node(const ss_expression *x, int node, const context *c, bool *holds,
                         ss_witness *w, ss_err *e)
{
    const ss_expression_node *m = &x->nodes[node];
    ss_witness other;
    bool right;
    ss_code rc;

    if (m->kind == SS_NODE_MEASURE)
        return eval_measure(x, node, c, holds, w, e);
    rc = eval_node(x, m->left, c, holds, w, e);
    if (rc == SS_OK && m->kind == SS_NODE_NOT) {
        *holds = !*holds;
        return rc;
    }
    if (rc == SS_OK) /* both sides always: what is missing is said whatever the outcome */
        rc = eval_node(x, m->right, c, &right, &other, e);
    if (rc != SS_OK)
        return rc;
    const bool both = m->kind == SS_NODE_AND ? *holds && right : *holds || right;
    if (*holds != both)
        *w = other;
    *holds = both;
    return SS_OK;
}

ss_code ss_expression_eval(const ss_expression *x, ss_run *r, bool *holds, ss_witness *w, ss_err *e)
{
    return eval_node(x, x->root, &(context){.r = r, .column = -1}, holds, w, e);
}

ss_code ss_expression_eval_column(const ss_expression *x, ss_run *r, int column, bool *holds,
                                  ss_witness *w, ss_err *e)
{
    return eval_node(x, x->root, &(context){.r = r, .column = column}, holds, w, e);
}

ss_code ss_expression_eval_trend(const ss_expression *x, ss_run *r, const ss_trend *t, bool *holds,
                                 ss_witness *w, ss_err *e)
{
    return eval_node(x, x->root, &(context){.r = r, .column = -1, .trend = t, .series = true},
                     holds, w, e);
}

char *ss_witness_name(const ss_run *r, const ss_witness *w, char *out, size_t n)
{
    if (w->layer >= 0)
        snprintf(out, n, "%s, head %d", r->layers[w->layer], w->head);
    else if (w->site.module >= 0)
        ss_site_name(r, w->site, out, n);
    else
        snprintf(out, n, "loss");
    return out;
}
