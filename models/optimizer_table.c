/* optimizer_table.c - see optimizer_table.h */
#include "models/optimizer_table.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/adam_owners.h"

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

/* Sets *path to the folder of torch.distributed.checkpoint that the weights are in, where it has
 * moments of Adam. */
static ss_code find_in_dcp(const ss_model *m, char **path, ss_err *e)
{
    const ss_checkpoint *k = ss_model_checkpoint(m);
    ss_err why = {0};

    if (!k || strcmp(ss_checkpoint_format(k), ss_dcp_format.name) != 0)
        return SS_OK;
    if (ss_adam_is_in_dcp(ss_checkpoint_name(k), &why) &&
        !(*path = ss_strdup(ss_checkpoint_name(k))))
        return ss_no_memory(e, ss_checkpoint_name(k));
    return why.code == SS_NOMEM ? ss_no_memory(e, ss_checkpoint_name(k)) : SS_OK;
}

ss_code ss_optimizer_find(const ss_model *m, char **path, ss_err *e)
{
    static const char *const names[] = {
        "optimizer.bin",   "optimizer.pt",     "optimizer.pth",           "../optimizer.bin",
        "../optimizer.pt", "../optimizer.pth", "../optimizer_0/.metadata"};
    const char *folder = ss_model_about(m)->folder;

    *path = NULL;
    if (find_in_dcp(m, path, e) != SS_OK)
        return e->code;
    for (size_t i = 0; i < sizeof names / sizeof *names && folder && !*path; i++) {
        char *p = ss_path_join(folder, names[i]);

        if (!p)
            return ss_no_memory(e, folder);
        if (ss_file_exists(p) && !ss_is_dir(p))
            *path = p;
        else
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
    ss_adam_owner *owners = NULL;
    row *rows = NULL;
    int weights;
    ss_code rc = ss_adam_state_open(path, &s, e);

    if (rc != SS_OK)
        return rc;
    ss_model_weights(m, &weights);
    const size_t n = (size_t)weights;
    owners = ss_calloc(n, sizeof *owners);
    rows = ss_calloc(n, sizeof *rows);
    rc = owners && rows ? ss_adam_owners(m, &s, path, owners, e) : ss_no_memory(e, path);
    for (size_t i = 0; i < n && rc == SS_OK; i++) {
        rows[i] = (row){.w = owners[i].w, .moment = owners[i].moment};
        rc = measure(&rows[i], e);
    }
    if (rc == SS_OK)
        qsort(rows, n, sizeof *rows, worst_first);
    if (rc == SS_OK)
        rc = ss_table_init(t, "optimizer", e);
    if (rc == SS_OK) {
        char *text = say(rows, n);

        fill(t, rows, n, top);
        ss_table_note(t,
                      "%s Staleness at least: one of the last gradients was so many times what "
                      "Adam's second moment has, or more",
                      text ? text : "");
        ss_free(text);
    }
    ss_free(rows);
    ss_free(owners);
    ss_adam_state_close(&s);
    return rc;
}
