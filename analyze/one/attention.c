/* attention.c - see attention.h */
#include "analyze/one/attention.h"

#include "attn/entropy.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The data of attention that a run has; any set may be NULL. */
typedef struct {
    ss_run *r;
    const float *entropy, *entropy_min, *max_logit, *sink, *keys, *rms;
    int input0, input1; /* which inputs take part */
    const ss_not_finite *bad;
} source;

static ss_code open_source(ss_run *r, int input, const ss_not_finite *bad, source *s, ss_err *e)
{
    ss_code rc;

    *s = (source){.r = r,
                  .bad = bad,
                  .input0 = input == SS_ALL ? 0 : input,
                  .input1 = input == SS_ALL ? r->n_inputs : input + 1};
    if (!r->n_layers)
        return ss_fail(e, SS_FORMAT,
                       "%s: no attention was recorded: the model has none, --modules left "
                       "out the attention modules, or the hooks that wrote the file record none",
                       r->path);
    if ((rc = ss_run_attention(r, "entropy", &s->entropy, e)) != SS_OK ||
        (rc = ss_run_attention(r, "entropy_min", &s->entropy_min, e)) != SS_OK ||
        (rc = ss_run_attention(r, "max_logit", &s->max_logit, e)) != SS_OK ||
        (rc = ss_run_attention(r, "sink", &s->sink, e)) != SS_OK ||
        (rc = ss_run_attention_keys(r, &s->keys, e)) != SS_OK ||
        (rc = ss_run_stat(r, "rms", &s->rms, e)) != SS_OK)
        return rc;
    if (!s->entropy && !s->max_logit && !s->sink)
        return ss_fail(e, SS_FORMAT,
                       "%s: has attention layers, but none of /attention/entropy, max_logit, sink",
                       r->path);
    return SS_OK;
}

static double keys_of(const source *s, int layer)
{
    return s->keys ? (double)s->keys[layer] : NAN;
}

static double value_at(const source *s, const float *x, int layer, int head, int input, int sigma,
                       int sample)
{
    return x ? (double)x[ss_run_attention_at(s->r, layer, head, input, sigma, sample)] : NAN;
}

/* Counts the samples, of the inputs that take part, in which a head is not finite. */
static int count_bad(const source *s, int layer, int head)
{
    for (int i = 0; s->bad && i < s->bad->n_heads; i++) {
        const ss_bad_head *b = &s->bad->heads[i];

        if (b->layer == layer && (b->head == head || b->head < 0))
            return ss_bad_head_count(s->bad, b, s->input0, s->input1);
    }
    return 0;
}

/* Mean over samples; NaN when none was seen. */
static double sample_mean(const source *s, const float *x, int layer, int head, int input,
                          int sigma)
{
    double sum = 0;
    int n = 0;

    for (int k = 0; k < s->r->n_samples; k++) {
        const double v = value_at(s, x, layer, head, input, sigma, k);

        if (!isnan(v)) {
            sum += v;
            n++;
        }
    }
    return n ? sum / n : NAN;
}

/* Fills a head's numbers and its row of the matrix; false when it was never seen. */
static bool look_at_head(const source *s, const ss_attn *a, ss_attn_head *h, double *row)
{
    const double keys = h->keys = keys_of(s, h->layer);
    bool seen = false;

    h->least = h->max_logit = h->sink = NAN;
    h->least_sigma = h->least_input = h->sink_sigma = h->sink_input = -1;
    for (int l = 0; l < a->n_levels; l++) {
        const int sigma = a->order[l];
        double sum = 0;
        int n = 0;

        for (int i = s->input0; i < s->input1; i++) {
            const double raw = sample_mean(s, s->entropy, h->layer, h->head, i, sigma);
            const double mean = ss_entropy_normalised(raw, keys);
            const double sink = sample_mean(s, s->sink, h->layer, h->head, i, sigma);

            seen |= !isnan(raw) || !isnan(sink);
            if (!isnan(mean)) {
                sum += mean;
                n++;
            }
            if (!isnan(mean) && !(mean >= h->least)) {
                h->least = mean;
                h->least_sigma = sigma;
                h->least_input = i;
            }
            if (!isnan(sink) && !(sink <= h->sink)) {
                h->sink = sink;
                h->sink_sigma = sigma;
                h->sink_input = i;
            }
            for (int k = 0; k < s->r->n_samples; k++)
                h->max_logit =
                    fmax(h->max_logit, value_at(s, s->max_logit, h->layer, h->head, i, sigma, k));
        }
        row[l] = n ? sum / n : NAN;
    }
    h->collapsed = ss_entropy_collapsed(h->least);
    h->has_sink = ss_attention_sink(h->sink, keys);
    h->bad = count_bad(s, h->layer, h->head);
    return seen || !isnan(h->max_logit) || h->bad;
}

static void find_heads(const source *s, const bool *wanted, ss_attn *a)
{
    for (int layer = 0; layer < s->r->n_layers; layer++) {
        for (int head = 0; head < s->r->n_heads && wanted[layer]; head++) {
            ss_attn_head *h = &a->heads[a->n_heads];
            double *row = a->matrix + (size_t)a->n_heads * (size_t)a->n_levels;

            *h = (ss_attn_head){.layer = layer, .head = head, .low = NAN, .mid = NAN, .high = NAN};
            if (!look_at_head(s, a, h, row))
                continue;
            if (a->n_levels) {
                h->low = row[0];
                h->mid = row[a->n_levels / 2];
                h->high = row[a->n_levels - 1];
            }
            a->n_collapsed += h->collapsed;
            a->n_sinks += h->has_sink;
            a->n_bad += h->bad > 0;
            a->n_finite += !h->bad || !isnan(h->least) || !isnan(h->max_logit);
            a->n_heads++;
        }
    }
}

/* The modules around a layer, and the ports to look at; -1 where the run has none. */
typedef struct {
    int layer, to_q, to_k, input, output;
} around;

static int module_named(const ss_run *r, const char *layer, const char *child)
{
    const size_t n = strlen(layer);

    for (int m = 0; m < r->n_modules; m++) {
        const char *path = r->modules[m];

        if (strncmp(path, layer, n) == 0 &&
            (*child ? path[n] == '.' && strcmp(path + n + 1, child) == 0 : path[n] == '\0'))
            return m;
    }
    return -1;
}

/* The first of the children of a layer that is there, by the names that libraries give it; -1. */
static int child_named(const ss_run *r, const char *layer, const char *const *names, int n)
{
    int m = -1;

    for (int i = 0; i < n && m < 0; i++)
        m = module_named(r, layer, names[i]);
    return m;
}

static around look_around(const ss_run *r, int layer)
{
    static const char *const q[] = {"to_q", "q_proj", "q"};
    static const char *const k[] = {"to_k", "add_k_proj", "k_proj", "k"};
    const char *name = r->layers[layer];
    around a = {
        .layer = module_named(r, name, ""),
        .to_q = child_named(r, name, q, 3),
        .to_k = child_named(r, name, k, 4),
        .input = ss_run_port(r, "input"),
        .output = ss_run_port(r, "output"),
    };

    return a;
}

/* A text encoder's attention is of all tokens together, and so is the RMS beside it. */
static double rms_at(const source *s, int module, int port, int input, int sigma, int sample)
{
    if (s->rms && module >= 0 && port >= 0 && ss_run_is_text(s->r))
        return ss_site_rms(s->r, s->rms, (ss_site){module, port}, input, sigma);
    return s->rms && module >= 0 && port >= 0
               ? (double)s->rms[ss_run_at(s->r, module, port, input, sigma, sample)]
               : NAN;
}

/* The sizes of one cell. */
typedef struct {
    double q, k, x, xk; /* RMS of q, k and of what they are made from */
} sizes;

static sizes sizes_at(const source *s, const around *m, int input, int sigma, int sample)
{
    const double own = rms_at(s, m->layer, m->input, input, sigma, sample);
    sizes z = {
        .q = rms_at(s, m->to_q, m->output, input, sigma, sample),
        .k = rms_at(s, m->to_k, m->output, input, sigma, sample),
        .x = rms_at(s, m->to_q, m->input, input, sigma, sample),
        .xk = rms_at(s, m->to_k, m->input, input, sigma, sample),
    };

    z.x = isnan(z.x) ? own : z.x;
    z.xk = isnan(z.xk) ? own : z.xk;
    return z;
}

/* A cell of ss_logits_explain, and the head that has its largest logit, -1 without any. */
static ss_logit_cell cell_at(const source *s, const around *m, int layer, int input, int sigma,
                             int sample, int *head)
{
    const sizes z = sizes_at(s, m, input, sigma, sample);
    ss_logit_cell c = {NAN, NAN, z.q * z.k, z.x * z.xk};

    *head = -1;
    for (int h = 0; h < s->r->n_heads; h++) {
        const double v = value_at(s, s->max_logit, layer, h, input, sigma, sample);

        if (!isnan(v) && !(v <= c.max_logit)) {
            c.max_logit = v;
            *head = h;
        }
    }
    if (*head >= 0)
        c.normalised = ss_entropy_normalised(
            value_at(s, s->entropy, layer, *head, input, sigma, sample), keys_of(s, layer));
    if (isnan(c.size))
        c.size = c.input;
    return c;
}

/* cells: room for all cells of a layer. */
static ss_attn_layer explain(const source *s, const ss_attn *a, int layer, ss_logit_cell *cells)
{
    const around m = look_around(s->r, layer);
    const int samples = s->r->n_samples, inputs = s->input1 - s->input0;
    ss_attn_layer out = {.layer = layer,
                         .keys = keys_of(s, layer),
                         .sigma = -1,
                         .input = -1,
                         .head = -1,
                         .q = NAN,
                         .k = NAN,
                         .x = NAN,
                         .spread = NAN};
    int n = 0, head;

    for (int l = 0; l < a->n_levels; l++)
        for (int i = s->input0; i < s->input1; i++)
            for (int k = 0; k < samples; k++)
                cells[n++] = cell_at(s, &m, layer, i, a->order[l], k, &head);
    out.logits = ss_logits_explain(cells, n);
    for (int h = 0; h < s->r->n_heads; h++) {
        if (count_bad(s, layer, h)) { /* what made the finite ones large is not the question */
            out.logits.verdict = SS_LOGITS_NONFINITE;
            out.logits.from_size = out.logits.from_input = false;
        }
    }
    if (out.logits.peak < 0)
        return out;

    const int sample = out.logits.peak % samples;
    out.input = s->input0 + out.logits.peak / samples % inputs;
    out.sigma = a->order[out.logits.peak / samples / inputs];
    cell_at(s, &m, layer, out.input, out.sigma, sample, &out.head);

    const sizes z = sizes_at(s, &m, out.input, out.sigma, sample);
    out.q = z.q;
    out.k = z.k;
    out.x = z.x;
    out.spread = ss_entropy_spread(
        value_at(s, s->entropy_min, layer, out.head, out.input, out.sigma, sample),
        keys_of(s, layer));
    return out;
}

static ss_code select_layers(const ss_run *r, const char *const *globs, int n_globs, bool *wanted,
                             ss_err *e)
{
    for (int g = 0; g < n_globs; g++) {
        bool hit = false;

        if (ss_glob_check(globs[g], e) != SS_OK)
            return ss_fail_prefix(e, "--layers");
        for (int l = 0; l < r->n_layers; l++) {
            if (ss_glob_module(globs[g], r->layers[l]))
                wanted[l] = hit = true;
        }
        if (!hit)
            return ss_fail(e, SS_USAGE, "%s: no attention layer matches '%s'; the first is '%s'",
                           r->path, globs[g], r->layers[0]);
    }
    for (int l = 0; l < r->n_layers && n_globs == 0; l++)
        wanted[l] = true;
    return SS_OK;
}

static char *title_of(const char *table, const char *input)
{
    ss_str s = {0};

    ss_str_addf(&s, "%s%s%s", table, *input ? " " : "", input);
    return ss_str_detach(&s);
}

ss_code ss_attn_find(ss_run *r, const ss_not_finite *bad, const char *const *globs, int n_globs,
                     int input, ss_attn *a, ss_err *e)
{
    source s;
    bool *wanted = NULL;
    ss_logit_cell *cells = NULL;
    ss_code rc = open_source(r, input, bad, &s, e);

    *a = (ss_attn){.input = input, .low = -1, .mid = -1, .high = -1};
    if (rc != SS_OK)
        return rc;
    const size_t layers = (size_t)r->n_layers, rows = layers * (size_t)r->n_heads;
    const char *label = input == SS_ALL ? "" : r->inputs[input];

    a->title[0] = title_of("heads", label);
    a->title[1] = title_of("logits", label);
    a->title[2] = title_of("shares", label);
    a->has_keys = s.keys != NULL;
    a->order = ss_sigma_order(r);
    a->n_levels = r->n_done;
    a->heads = ss_calloc(rows, sizeof *a->heads);
    a->matrix = ss_alloc(rows * (size_t)r->n_done, sizeof *a->matrix);
    a->layers = ss_calloc(layers, sizeof *a->layers);
    wanted = ss_calloc(layers, sizeof *wanted);
    cells = ss_alloc((size_t)r->n_done * (size_t)r->n_inputs * (size_t)r->n_samples, sizeof *cells);
    if (!a->title[0] || !a->title[1] || !a->title[2] || !a->order || !a->heads || !a->matrix ||
        !a->layers || !wanted || !cells)
        rc = ss_no_memory(e, r->path);
    else
        rc = select_layers(r, globs, n_globs, wanted, e);
    if (rc != SS_OK)
        goto out;

    if (a->n_levels) {
        a->low = a->order[0];
        a->mid = a->order[a->n_levels / 2];
        a->high = a->order[a->n_levels - 1];
    }
    find_heads(&s, wanted, a);
    for (int l = 0; l < r->n_layers; l++) {
        if (!wanted[l])
            continue;
        const ss_attn_layer *x = &a->layers[a->n_layers++];

        a->layers[a->n_layers - 1] = explain(&s, a, l, cells);
        a->n_verdict[x->logits.verdict]++;
        a->n_from_input += x->logits.from_input;
    }
out:
    ss_free(wanted);
    ss_free(cells);
    if (rc != SS_OK)
        ss_attn_release(a);
    return rc;
}

void ss_attn_release(ss_attn *a)
{
    ss_free(a->title[0]);
    ss_free(a->title[1]);
    ss_free(a->title[2]);
    ss_free(a->order);
    ss_free(a->heads);
    ss_free(a->matrix);
    ss_free(a->layers);
    *a = (ss_attn){0};
}

double ss_attn_at(const ss_attn *a, int head, int level)
{
    return a->matrix[(size_t)head * (size_t)a->n_levels + (size_t)level];
}

static int lower_first(const void *a, const void *b)
{
    const ss_attn_head *x = *(ss_attn_head *const *)a, *y = *(ss_attn_head *const *)b;

    if (!x->bad != !y->bad)
        return x->bad ? -1 : 1;
    if (isnan(x->least) || isnan(y->least)) {
        if (isnan(x->least) != isnan(y->least))
            return isnan(x->least) - isnan(y->least);
    } else if (x->least != y->least) {
        return x->least < y->least ? -1 : 1;
    }
    return (x > y) - (x < y); /* the order of the file */
}

static int larger_first(const void *a, const void *b)
{
    const ss_attn_layer *x = *(ss_attn_layer *const *)a, *y = *(ss_attn_layer *const *)b;
    const double p = x->logits.at.max_logit, q = y->logits.at.max_logit;
    const bool bad = x->logits.verdict == SS_LOGITS_NONFINITE;

    if (bad != (y->logits.verdict == SS_LOGITS_NONFINITE))
        return bad ? -1 : 1;
    if (isnan(p) || isnan(q)) {
        if (isnan(p) != isnan(q))
            return isnan(p) - isnan(q);
    } else if (p != q) {
        return p < q ? 1 : -1;
    }
    return (x > y) - (x < y);
}

/* Pointers to the n items of an array, sorted; ss_free. */
static void *sorted(const void *items, int n, size_t size,
                    int (*compare)(const void *, const void *))
{
    const void **p = ss_alloc((size_t)n, sizeof *p);

    for (int i = 0; p && i < n; i++)
        p[i] = (const char *)items + (size_t)i * size;
    if (p)
        qsort(p, (size_t)n, sizeof *p, compare);
    return p;
}

static void put_sigma(const ss_run *r, int sigma, ss_table *t)
{
    ss_table_number(t, sigma >= 0 ? r->sigmas[sigma] : NAN);
}

static void heads_note(const ss_run *r, const ss_attn *a, int shown, ss_table *t)
{
    char bad[96] = "", levels[96] = "";

    if (a->low >= 0 && !ss_run_is_text(r))
        snprintf(levels, sizeof levels, " at sigma %g, %g, %g, and the least of all",
                 r->sigmas[a->low], r->sigmas[a->mid], r->sigmas[a->high]);
    if (a->n_bad)
        snprintf(bad, sizeof bad, "; %d of %d heads NOT FINITE, numbers are of the finite samples",
                 a->n_bad, a->n_heads);
    if (a->low < 0)
        ss_table_note(t, "no noise level is finished");
    else if (!a->has_keys)
        ss_table_note(t,
                      "%d of %d heads; the run does not say how many keys there are "
                      "(/attention/keys), so entropy cannot be normalised and neither collapse "
                      "nor sinks can be found%s",
                      shown, a->n_heads, bad);
    else
        ss_table_note(
            t,
            "entropy / ln keys%s; 1 is uniform, below %g is collapsed; sink: share of the "
            "heaviest key; one key: all queries collapsed on the same; %d of %d heads shown%s",
            levels, SS_COLLAPSED_BELOW, shown, a->n_heads, bad);
}

/* Removes what is along the noise levels from the table of a text encoder, which has none. */
static void drop_levels(const ss_run *r, ss_table *t)
{
    static const char *const columns[] = {"low", "mid", "high", "sigma"};

    for (size_t i = 0; i < sizeof columns / sizeof *columns && ss_run_is_text(r); i++)
        ss_table_drop(t, columns[i]);
}

ss_code ss_attn_heads_table(const ss_run *r, const ss_attn *a, int top, ss_table *t, ss_err *e)
{
    const int shown = top < a->n_heads ? top : a->n_heads;
    ss_attn_head **h = sorted(a->heads, a->n_heads, sizeof *a->heads, lower_first);
    ss_code rc = h ? ss_table_init(t, a->title[0], e) : ss_no_memory(e, "attention");

    if (rc != SS_OK) {
        ss_free(h);
        return rc;
    }
    ss_table_column(t, "layer", SS_COL_TEXT, NULL);
    ss_table_column(t, "head", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "low", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "mid", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "high", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "least", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "sink", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "logit", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "finding", SS_COL_TEXT, NULL);
    for (int i = 0; i < shown; i++) {
        ss_table_row(t);
        ss_table_text(t, r->layers[h[i]->layer]);
        ss_table_number(t, h[i]->head);
        ss_table_number(t, h[i]->low);
        ss_table_number(t, h[i]->mid);
        ss_table_number(t, h[i]->high);
        ss_table_number(t, h[i]->least);
        put_sigma(r, h[i]->least_sigma, t);
        ss_table_text(t, h[i]->least_input >= 0 ? r->inputs[h[i]->least_input] : "-");
        ss_table_number(t, h[i]->sink);
        ss_table_number(t, h[i]->max_logit);
        ss_table_text(t, h[i]->bad         ? "NOT FINITE"
                         : h[i]->collapsed ? h[i]->has_sink ? "one key" : "collapsed"
                         : h[i]->has_sink  ? "sink"
                                           : "");
    }
    drop_levels(r, t);
    heads_note(r, a, shown, t);
    ss_free(h);
    return SS_OK;
}

ss_code ss_attn_logits_table(const ss_run *r, const ss_attn *a, int top, ss_table *t, ss_err *e)
{
    const int shown = top < a->n_layers ? top : a->n_layers;
    ss_attn_layer **l = sorted(a->layers, a->n_layers, sizeof *a->layers, larger_first);
    ss_code rc = l ? ss_table_init(t, a->title[1], e) : ss_no_memory(e, "attention");

    if (rc != SS_OK)
        goto out;
    ss_table_column(t, "layer", SS_COL_TEXT, NULL);
    ss_table_column(t, "keys", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "logit", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "head", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "entropy", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "spread", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "verdict", SS_COL_TEXT, NULL);
    ss_table_column(t, "from", SS_COL_TEXT, NULL);
    for (int i = 0; i < shown; i++) {
        const ss_logits *g = &l[i]->logits;

        ss_table_row(t);
        ss_table_text(t, r->layers[l[i]->layer]);
        ss_table_number(t, l[i]->keys);
        ss_table_number(t, g->at.max_logit);
        put_sigma(r, l[i]->sigma, t);
        ss_table_number(t, l[i]->head >= 0 ? l[i]->head : NAN);
        ss_table_number(t, g->at.normalised);
        ss_table_number(t, l[i]->spread);
        ss_table_text(t, ss_logit_verdict_text(g->verdict));
        ss_table_text(t, !g->from_size ? "" : g->from_input ? "x" : "to_q, to_k");
    }
    drop_levels(r, t);
    ss_table_note(t,
                  "the largest logit of each layer, entropy / ln keys of its head there, and "
                  "the least spread of logits that explains the lowest entropy; large is %g and "
                  "more; %d of %d layers shown%s",
                  SS_LARGE_LOGIT, shown, a->n_layers,
                  a->has_keys ? "" : "; no /attention/keys, so no entropy");
out:
    ss_free(l);
    return rc;
}

ss_code ss_attn_shares_table(const ss_run *r, const ss_attn *a, int top, ss_table *t, ss_err *e)
{
    static const char *const columns[] = {"rms x", "rms q", "rms k", "varies"};
    const int shown = top < a->n_layers ? top : a->n_layers;
    ss_attn_layer **l = sorted(a->layers, a->n_layers, sizeof *a->layers, larger_first);
    ss_code rc = l ? ss_table_init(t, a->title[2], e) : ss_no_memory(e, "attention");

    if (rc != SS_OK)
        goto out;
    ss_table_column(t, "layer", SS_COL_TEXT, NULL);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ss_table_column(t, columns[i], SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "share q k", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "share x", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "r entropy", SS_COL_NUMBER, "%.2f");
    for (int i = 0; i < shown; i++) {
        const ss_logits *g = &l[i]->logits;
        const double cells[] = {l[i]->x,       l[i]->q,        l[i]->k,        g->varies,
                                g->size_share, g->input_share, g->entropy_corr};

        ss_table_row(t);
        ss_table_text(t, r->layers[l[i]->layer]);
        for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
            ss_table_number(t, cells[k]);
    }
    ss_table_note(t,
                  "at the largest logit, RMS of what enters to_q, of q and k; over noise levels, "
                  "inputs and samples: largest logit / smallest, shares of the variance of its "
                  "logarithm that RMS q RMS k and x account for (meant where it varies by %g "
                  "and more), its correlation with entropy; %d of %d layers shown",
                  SS_LOGIT_VARIES, shown, a->n_layers);
out:
    ss_free(l);
    return rc;
}

/* ", 3 because their inputs are": one reason, where it holds anywhere. */
static void add_reason(ss_str *s, const char **between, int n, const char *reason)
{
    if (!n)
        return;
    ss_str_addf(s, "%s %d %s", *between, n, reason);
    *between = ",";
}

char *ss_attn_sentence(const ss_attn *a)
{
    const int *n = a->n_verdict;
    const int from_size = n[SS_LOGITS_INPUTS] + n[SS_LOGITS_BOTH];
    const int large = from_size + n[SS_LOGITS_COLLAPSED] + n[SS_LOGITS_ALIGNED];
    const char *between = ":";
    ss_str s = {0};

    if (a->n_bad) {
        ss_str_addf(&s, "Of %d heads %d %s NOT FINITE: entropy or logits are inf or NaN. ",
                    a->n_heads, a->n_bad, a->n_bad == 1 ? "is" : "are");
        if (n[SS_LOGITS_NONFINITE] == a->n_layers) {
            ss_str_addf(&s,
                        "%s such a head, so nothing is said of collapse and of the size of "
                        "logits.",
                        a->n_layers == 1 ? "The only layer has" : "Every layer has");
            return ss_str_detach(&s);
        }
        ss_str_add(&s, "Where they are finite: ");
    }
    if (a->has_keys)
        ss_str_addf(&s, "%d of %d heads collapse (entropy below %g ln keys), %d have a sink. ",
                    a->n_collapsed, a->n_finite, SS_COLLAPSED_BELOW, a->n_sinks);
    ss_str_addf(&s, "Logits are large (%g and more) in %d of %d layers%s", SS_LARGE_LOGIT, large,
                a->n_layers - n[SS_LOGITS_NONFINITE],
                n[SS_LOGITS_NONFINITE] ? " without such a head" : "");
    add_reason(&s, &between, n[SS_LOGITS_INPUTS], "because q and k are, without collapse");
    add_reason(&s, &between, n[SS_LOGITS_COLLAPSED], "because entropy collapsed");
    add_reason(&s, &between, n[SS_LOGITS_BOTH], "because q and k are, and entropy collapsed");
    add_reason(&s, &between, n[SS_LOGITS_ALIGNED], "because q and k align, without collapse");
    ss_str_add(&s, ".");
    if (n[SS_LOGITS_UNKNOWN])
        ss_str_addf(&s, " Of %d layers too little was recorded to decide.", n[SS_LOGITS_UNKNOWN]);
    if (from_size)
        ss_str_addf(&s,
                    " Of the %d with large q and k, the layer's input is large in %d, the "
                    "projections enlarge it in %d.",
                    from_size, a->n_from_input, from_size - a->n_from_input);
    return ss_str_detach(&s);
}
