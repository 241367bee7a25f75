/* optimizer_table.c - see optimizer_table.h */
#include "models/optimizer_table.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/adam_state.h"
#include "models/torch_order.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STALE 2.3 /* analyze/training/updates.h */

typedef struct {
    ss_weight *w;
    const ss_adam_moment *moment;
    double bound, ratio, m, v, weight;
    uint64_t bad; /* values of the moments that are inf or NaN */
} row;

ss_code ss_optimizer_find(const ss_model *m, char **path, ss_err *e)
{
    static const char *const names[] = {"optimizer.bin",    "optimizer.pt",    "optimizer.pth",
                                        "../optimizer.bin", "../optimizer.pt", "../optimizer.pth"};
    const char *folder = ss_model_about(m)->folder;

    *path = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && folder; i++) {
        char *p = ss_path_join(folder, names[i]);

        if (!p)
            return ss_no_memory(e, folder);
        if (ss_file_exists(p) && !ss_is_dir(p)) {
            *path = p;
            return SS_OK;
        }
        ss_free(p);
    }
    return SS_OK;
}

double ss_adam_limit(double beta1, double beta2, double step)
{
    const double q = beta1 * beta1 / beta2;
    const double terms = q == 1 ? step : (1 - pow(q, step)) / (1 - q);

    return (1 - beta1) / (1 - pow(beta1, step)) *
           sqrt((1 - pow(beta2, step)) / (1 - beta2) * terms);
}

/* --- which state is of which parameter --- */

static bool fits(const ss_adam_moment *a, const ss_weight *w)
{
    if (!a->m)
        return true; /* it was never updated, and has no shape */
    if (a->m->rank != w->shape.rank)
        return false;
    for (int i = 0; i < a->m->rank; i++) {
        if (a->m->dim[i] != w->shape.dim[i])
            return false;
    }
    return true;
}

static ss_code say_misfit(const char *path, const ss_weight *w, ss_err *e)
{
    char shape[SS_SHOWN];

    return ss_fail(e, SS_SHAPE,
                   "%s: in no group of parameters the next state has the shape of %s, %s: it is of "
                   "another network, or of a part of this one",
                   path, SS_SHOW(w->name), ss_shape_text(w->shape, shape, sizeof shape));
}

/* Deals the parameters out to the groups: each group lists its own in PyTorch's order. next
 * [groups] is scratch. */
static ss_code deal(const ss_adam_state *s, const char *path, row *rows, size_t *next, ss_err *e)
{
    size_t from = 0;

    for (int g = 0; g < s->n_groups; g++) {
        next[g] = from;
        while (from < s->n && s->list[from].group == g)
            from++;
    }
    for (size_t i = 0; i < s->n; i++) {
        int taken = -1;

        for (int g = 0; g < s->n_groups; g++) {
            const bool left = next[g] < s->n && s->list[next[g]].group == g;

            if (!left || !fits(&s->list[next[g]], rows[i].w))
                continue;
            if (taken >= 0)
                return ss_fail(
                    e, SS_SHAPE,
                    "%s: %s may be in group %d or %d of the optimizer, whose next states "
                    "have its shape; which it is is not in the file",
                    path, SS_SHOW(rows[i].w->name), taken, g);
            taken = g;
        }
        if (taken < 0)
            return say_misfit(path, rows[i].w, e);
        rows[i].moment = &s->list[next[taken]++];
    }
    return SS_OK;
}

static ss_code match(const ss_model *m, const ss_adam_state *s, const char *path, row *rows,
                     ss_err *e)
{
    int n;
    ss_weight *const *w = ss_model_weights(m, &n);
    ss_weight **order = ss_calloc((size_t)n, sizeof *order);
    size_t *next = ss_calloc((size_t)s->n_groups, sizeof *next);
    ss_code rc = order && next ? SS_OK : ss_no_memory(e, path);

    if (rc == SS_OK && s->n != (size_t)n)
        rc = ss_fail(e, SS_SHAPE,
                     "%s: it has %zu parameters and the network %d, so only a part was trained, or "
                     "another network",
                     path, s->n, n);
    if (rc == SS_OK) {
        memcpy(order, w, (size_t)n * sizeof *order);
        if (ss_torch_order(order, (size_t)n, e) != SS_OK)
            rc = ss_fail_prefix(e, "%s", path);
    }
    for (int i = 0; i < n && rc == SS_OK; i++)
        rows[i].w = order[i];
    if (rc == SS_OK)
        rc = deal(s, path, rows, next, e);
    ss_free(next);
    ss_free(order);
    return rc;
}

/* --- what it says --- */

/* Reads a tensor as f32, the caller's to ss_free; NULL after an error. */
static float *values_of(const ss_stored_tensor *t, ss_err *e)
{
    const size_t n = t->bytes / ss_dtype_size(t->dtype);
    float *values = ss_alloc(n, sizeof *values);
    void *raw = ss_alloc(t->bytes, 1);
    ss_code rc = values && raw ? ss_stored_read(t, raw, e) : ss_no_memory(e, t->file);

    if (rc == SS_OK)
        ss_values_to_f32(t->dtype, raw, n, values);
    ss_free(raw);
    if (rc == SS_OK)
        return values;
    ss_free(values);
    return NULL;
}

static double rms_of(const ss_weight *w, const void *data, ss_err *e)
{
    const size_t n = (size_t)ss_shape_numel(w->shape);
    float *values = ss_alloc(n, sizeof *values);
    double sum = 0;

    if (!values) {
        ss_no_memory(e, w->name);
        return NAN;
    }
    ss_values_to_f32(w->dtype, data, n, values);
    for (size_t i = 0; i < n; i++)
        sum += (double)values[i] * (double)values[i];
    ss_free(values);
    return sqrt(sum / (double)n);
}

static void sum_up(row *r, const float *m, const float *v, size_t n)
{
    const ss_adam_moment *a = r->moment;
    const double c1 = 1 - pow(a->beta1, a->step), c2 = 1 - pow(a->beta2, a->step);
    double bound = 0, update = 0, mm = 0, vv = 0;

    for (size_t i = 0; i < n; i++) {
        const double mean = (double)m[i] / c1, square = (double)v[i] / c2;
        const double step = mean / (sqrt(square) + a->eps);

        if (!isfinite(mean) || !isfinite(square) || square < 0) {
            r->bad++;
            continue;
        }
        bound += mean * mean / fmax(square, a->eps * a->eps);
        update += step * step;
        mm += mean * mean;
        vv += square;
    }
    const double good = (double)(n - r->bad);
    r->bound = sqrt(bound / good);
    r->ratio = a->rate * sqrt(update / good) / r->weight;
    r->m = sqrt(mm / good);
    r->v = sqrt(vv / good);
}

static ss_code measure(row *r, ss_err *e)
{
    const void *data;
    float *m, *v = NULL;

    r->bound = r->ratio = r->m = r->v = r->weight = NAN;
    if (!r->moment->m)
        return SS_OK;
    if (!(data = ss_weight_data(r->w, e)))
        return e->code;
    r->weight = rms_of(r->w, data, e);
    ss_weight_unload(r->w);
    m = values_of(r->moment->m, e);
    v = m ? values_of(r->moment->v, e) : NULL;
    if (v)
        sum_up(r, m, v, (size_t)ss_shape_numel(r->w->shape));
    const bool failed = !v;
    ss_free(m);
    ss_free(v);
    return failed ? e->code : SS_OK;
}

static int worst_first(const void *a, const void *b)
{
    const row *x = a, *y = b;

    if (x->bad != y->bad)
        return x->bad > y->bad ? -1 : 1;
    if (isnan(x->bound) || isnan(y->bound))
        return isnan(x->bound) - isnan(y->bound);
    return x->bound != y->bound ? (x->bound > y->bound ? -1 : 1) : strcmp(x->w->name, y->w->name);
}

static void fill(ss_table *t, const row *rows, size_t n, int top)
{
    ss_table_column(t, "parameter", SS_COL_TEXT, NULL);
    ss_table_column(t, "staleness at least", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "update/weight", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "rms m", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "rms sqrt(v)", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "weight", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "step", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "nonfinite", SS_COL_NUMBER, "%.0f");
    for (size_t i = 0; i < n && (!top || i < (size_t)top); i++) {
        const row *r = &rows[i];

        ss_table_row(t);
        ss_table_text(t, r->w->name);
        ss_table_number(t, r->bound);
        ss_table_number(t, r->ratio);
        ss_table_number(t, r->m);
        ss_table_number(t, r->v);
        ss_table_number(t, r->weight);
        ss_table_number(t, r->moment->m ? r->moment->step : NAN);
        ss_table_number(t, (double)r->bad);
    }
}

/* Says what stands out, in a sentence or two. */
static char *say(const row *rows, size_t n)
{
    const row *largest = NULL;
    size_t stale = 0, bad = 0;
    ss_str s = {0};

    for (size_t i = 0; i < n; i++) {
        stale += rows[i].bound > STALE;
        bad += rows[i].bad > 0;
        if (!isnan(rows[i].ratio) && (!largest || rows[i].ratio > largest->ratio))
            largest = &rows[i];
    }
    if (bad)
        ss_str_addf(&s, "Adam's moments are inf or NaN in %zu of %zu parameters, most in %s. ", bad,
                    n, SS_SHOW(rows[0].w->name));
    if (stale)
        ss_str_addf(&s,
                    "Adam's second moment was stale in %zu of %zu parameters (above %g), most in "
                    "%s. ",
                    stale, n, STALE, SS_SHOW(rows[bad < n ? bad : 0].w->name));
    else if (!bad && largest)
        ss_str_addf(
            &s,
            "No second moment is certain to be stale: the largest bound is %.2g, in %s (the "
            "limit of what moments can show is %.2g; only a gradient shows more). ",
            rows[0].bound, SS_SHOW(rows[0].w->name),
            ss_adam_limit(rows[0].moment->beta1, rows[0].moment->beta2, rows[0].moment->step));
    if (largest)
        ss_str_addf(&s, "The last step changed %s most, by %.2g of its size.",
                    SS_SHOW(largest->w->name), largest->ratio);
    else
        ss_str_add(&s, "No parameter was updated yet.");
    return ss_str_detach(&s);
}

ss_code ss_optimizer_table(const ss_model *m, const char *path, int top, ss_table *t, ss_err *e)
{
    ss_adam_state s;
    row *rows = NULL;
    ss_code rc = ss_adam_state_open(path, &s, e);

    if (rc != SS_OK)
        return rc;
    rows = ss_calloc(s.n, sizeof *rows);
    rc = rows ? match(m, &s, path, rows, e) : ss_no_memory(e, path);
    for (size_t i = 0; i < s.n && rc == SS_OK; i++)
        rc = measure(&rows[i], e);
    if (rc == SS_OK)
        qsort(rows, s.n, sizeof *rows, worst_first);
    if (rc == SS_OK)
        rc = ss_table_init(t, "optimizer", e);
    if (rc == SS_OK) {
        char *text = say(rows, s.n);

        fill(t, rows, s.n, top);
        ss_table_note(t,
                      "%s Staleness at least: one of the last gradients was so many times what "
                      "Adam's second moment has, or more",
                      text ? text : "");
        ss_free(text);
    }
    ss_free(rows);
    ss_adam_state_close(&s);
    return rc;
}
