/* conditioning.c - see conditioning.h */
#include "analyze/several/conditioning.h"

#include "analyze/one/run_settings.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = SS_N_STAGES + 1 };

/* Reads "..., timestep 6, told 495" of every level. */
static void read_levels(json_t *levels, ss_told *t)
{
    bool own = true, same = true;
    json_t *level;
    size_t i;

    json_array_foreach(levels, i, level)
    {
        const char *text = json_string_value(level),
                   *at = text ? strstr(text, ", timestep ") : NULL;
        double timestep, told;

        if (!at || sscanf(at, ", timestep %lf, told %lf", &timestep, &told) != 2)
            return;
        own &= told == timestep;
        same &= i == 0 || told == t->value;
        t->value = told;
    }
    if (json_array_size(levels) > 0 && (own || same))
        t->kind = own ? SS_TOLD_OWN : SS_TOLD_FIXED;
}

ss_code ss_told_of(const ss_run *r, ss_told *t, ss_err *e)
{
    ss_err ignored = {0}; /* a plan that is not ours is no failure */
    ss_json j;
    ss_code rc = ss_json_parse(&j, r->path, r->plan, strlen(r->plan), &ignored);

    *t = (ss_told){.kind = SS_TOLD_UNKNOWN};
    if (rc == SS_NOMEM)
        return ss_fail(e, rc, "%s", ignored.msg);
    if (rc != SS_OK)
        return SS_OK;
    const char *given = ss_json_string(&j, "condition_sigma", NULL);

    if (given) {
        t->kind = SS_TOLD_FIXED;
        if (!ss_parse_double(given, &t->value)) /* none */
            t->value = 0;
        snprintf(t->text, sizeof t->text, "%s", given);
    } else {
        read_levels(ss_json_get(&j, "levels"), t);
        snprintf(t->text, sizeof t->text, "t %g", t->value);
    }
    if (t->kind == SS_TOLD_OWN) {
        t->value = INFINITY;
        snprintf(t->text, sizeof t->text, "own");
    }
    ss_json_release(&j);
    return SS_OK;
}

/* True when two runs differ in nothing that matters but in the noise level that the network was
 * told. Inputs, samples and noise levels need not be the same: the runs are aligned later. */
static ss_code same_otherwise(ss_run *a, ss_run *b, bool *same, ss_err *e)
{
    static const char *const may[] = {
        "condition_sigma", "levels",     "sigmas",  "timesteps", "inputs",
        "samples",         "batch",      "modules", "dump",      "channels",
        "no_histogram",    "dump_dtype", "version", "device",    NULL};
    ss_run *const runs[] = {a, b};
    ss_run_settings x;
    ss_str differ = {0};
    ss_code rc = ss_run_settings_find(runs, 2, &x, e);

    if (rc != SS_OK)
        return rc;
    ss_run_settings_describe(&x, may, &differ);
    *same = !differ.len && x.n_foreign == 0 && strcmp(a->model_sha256, b->model_sha256) == 0 &&
            strcmp(a->precision, b->precision) == 0 && strcmp(a->condition, b->condition) == 0;
    if (differ.failed)
        rc = ss_no_memory(e, "conditioning");
    ss_str_release(&differ);
    ss_run_settings_release(&x);
    return rc;
}

/* Sorts the run in by the noise level that its network was told; false where another run has the
 * same one. */
static bool insert(ss_conditioning *c, ss_run *r, const ss_told *told)
{
    int at = c->n_runs;

    for (int i = 0; i < c->n_runs; i++) {
        if (c->told[i].value == told->value && c->told[i].kind == told->kind)
            return false;
    }
    for (; at > 0 && c->told[at - 1].value > told->value; at--) {
        c->told[at] = c->told[at - 1];
        c->runs[at] = c->runs[at - 1];
    }
    c->told[at] = *told;
    c->runs[at] = r;
    c->n_runs++;
    c->n_told += told->kind == SS_TOLD_FIXED;
    return true;
}

static ss_code choose(ss_run *const *runs, int n_runs, ss_conditioning *c, ss_err *e)
{
    ss_run *first = NULL; /* the first run with a fixed level */
    ss_told told;
    ss_code rc = SS_OK;

    for (int i = 0; i < n_runs && !first && rc == SS_OK; i++) {
        rc = ss_told_of(runs[i], &told, e);
        first = told.kind == SS_TOLD_FIXED ? runs[i] : NULL;
    }
    for (int i = 0; i < n_runs && first && rc == SS_OK; i++) {
        bool same = false;

        rc = ss_told_of(runs[i], &told, e);
        if (rc == SS_OK && told.kind != SS_TOLD_UNKNOWN)
            rc = same_otherwise(first, runs[i], &same, e);
        if (rc == SS_OK && !(same && insert(c, runs[i], &told)))
            c->n_left_out++;
    }
    return rc;
}

/* The values that are compared: y is [run][sigma][input and sample][place], ln of the largest |x|.
 */
typedef struct {
    const ss_conditioning *c;
    int n_sigmas, n_points, n_samples;
    double *y;
} data;

static double *at(const data *d, int run, int sigma, int point)
{
    return d->y +
           ((size_t)(run * d->n_sigmas + sigma) * (size_t)d->n_points + (size_t)point) * PLACES;
}

/* Reads the values of one run. list: [n_sites] of scratch. */
static ss_code load_run(const data *d, int run, ss_site *list, ss_err *e)
{
    const ss_aligned *a = &d->c->aligned;
    ss_run *r = a->runs[run];
    const ss_sites sites = {list, a->n_sites};
    const float *absmax;
    ss_code rc = ss_run_stat(r, "absmax", &absmax, e);

    for (int i = 0; i < a->n_sites; i++)
        list[i] = ss_align_site(a, i, run);
    for (int s = 0; s < d->n_sigmas && rc == SS_OK; s++) {
        double largest = NAN;

        for (int k = 0; k < d->n_points; k++) {
            double *y = at(d, run, s, k);

            ss_stage_peaks(r, &sites, absmax, ss_align_input(a, k / d->n_samples, run),
                           ss_align_sigma(a, s, run), k % d->n_samples, y);
            largest = fmax(largest, y[SS_N_STAGES]);
            for (int p = 0; p < PLACES; p++)
                y[p] = log(y[p]);
        }
        d->c->largest[run * d->n_sigmas + s] = largest;
    }
    return rc;
}

/* True when a point has a finite value in every run that counts and at every noise level. */
static bool counts(const data *d, int point, int place)
{
    for (int t = 0; t < d->c->n_told; t++) {
        for (int s = 0; s < d->n_sigmas; s++) {
            if (!isfinite(at(d, t, s, point)[place]))
                return false;
        }
    }
    return true;
}

/* Mean over the points that count of run t and noise level s, either of which may be SS_ALL. */
static double mean(const data *d, int place, int t, int s)
{
    double sum = 0;
    int n = 0;

    for (int k = 0; k < d->n_points; k++) {
        if (!counts(d, k, place))
            continue;
        for (int i = t == SS_ALL ? 0 : t; i < (t == SS_ALL ? d->c->n_told : t + 1); i++) {
            for (int j = s == SS_ALL ? 0 : s; j < (s == SS_ALL ? d->n_sigmas : s + 1); j++) {
                sum += at(d, i, j, k)[place];
                n++;
            }
        }
    }
    return n ? sum / n : NAN;
}

/* A variance of ln x that the rounding of x to f32 may make. */
static const double f32_noise = 1e-14;

static double square(double x)
{
    return x * x;
}

static ss_effects effects_of(const data *d, int place)
{
    const double all = mean(d, place, SS_ALL, SS_ALL);
    double told = 0, sigma = 0, both = 0, content = 0;
    double told_low = INFINITY, told_high = -INFINITY, sigma_low = INFINITY, sigma_high = -INFINITY;
    ss_effects f = {0};

    for (int k = 0; k < d->n_points; k++)
        f.n += counts(d, k, place);
    for (int t = 0; t < d->c->n_told; t++) {
        const double m_t = mean(d, place, t, SS_ALL);

        told_low = fmin(told_low, m_t);
        told_high = fmax(told_high, m_t);
        for (int s = 0; s < d->n_sigmas; s++) {
            const double m_s = mean(d, place, SS_ALL, s), m_ts = mean(d, place, t, s);

            sigma_low = fmin(sigma_low, m_s);
            sigma_high = fmax(sigma_high, m_s);
            told += f.n * square(m_t - all);
            sigma += f.n * square(m_s - all);
            both += f.n * square(m_ts - m_t - m_s + all);
            for (int k = 0; k < d->n_points; k++) {
                if (counts(d, k, place))
                    content += square(at(d, t, s, k)[place] - m_ts);
            }
        }
    }
    double sum = told + sigma + both + content;

    if (sum <= f32_noise * d->c->n_told * d->n_sigmas * f.n)
        sum = NAN; /* nothing varies */

    f.told = told / sum;
    f.sigma = sigma / sum;
    f.both = both / sum;
    f.content = content / sum;
    f.told_ratio = exp(told_high - told_low);
    f.sigma_ratio = exp(sigma_high - sigma_low);
    return f;
}

static ss_code compare(ss_conditioning *c, ss_err *e)
{
    data d = {.c = c, .n_sigmas = c->aligned.n_sigmas, .n_samples = c->runs[0]->n_samples};
    ss_site *list = ss_alloc((size_t)c->aligned.n_sites, sizeof *list);
    ss_code rc = SS_OK;

    for (int i = 0; i < c->n_runs; i++)
        d.n_samples = c->runs[i]->n_samples < d.n_samples ? c->runs[i]->n_samples : d.n_samples;
    d.n_points = c->aligned.n_inputs * d.n_samples;

    const size_t cells = (size_t)c->n_runs * (size_t)d.n_sigmas;
    c->largest = ss_alloc(cells, sizeof *c->largest);
    d.y = ss_alloc(cells, (size_t)d.n_points * PLACES * sizeof *d.y);
    if (!list || !c->largest || !d.y)
        rc = ss_fail(e, SS_NOMEM, "%d runs: out of memory", c->n_runs);
    for (int i = 0; i < c->n_runs && rc == SS_OK; i++)
        rc = load_run(&d, i, list, e);
    for (int p = 0; p < PLACES && rc == SS_OK; p++)
        c->effects[p] = effects_of(&d, p);
    ss_free(list);
    ss_free(d.y);
    return rc;
}

ss_code ss_conditioning_find(ss_run *const *runs, int n_runs, ss_conditioning *c, ss_err *e)
{
    ss_code rc = SS_OK;

    *c = (ss_conditioning){
        .runs = ss_calloc((size_t)n_runs, sizeof *c->runs),
        .told = ss_calloc((size_t)n_runs, sizeof *c->told),
    };
    if (!c->runs || !c->told)
        rc = ss_fail(e, SS_NOMEM, "%d runs: out of memory", n_runs);
    if (rc == SS_OK)
        rc = choose(runs, n_runs, c, e);
    if (rc == SS_OK && c->n_told > 1)
        rc = ss_align(c->runs, c->n_runs, NULL, 0, &c->aligned, e);
    if (rc == SS_OK && c->n_told > 1)
        rc = compare(c, e);
    if (rc != SS_OK)
        ss_conditioning_release(c);
    return rc;
}

void ss_conditioning_release(ss_conditioning *c)
{
    ss_align_release(&c->aligned);
    ss_free(c->runs);
    ss_free(c->told);
    ss_free(c->largest);
    *c = (ss_conditioning){0};
}

ss_code ss_conditioning_table(const ss_conditioning *c, ss_table *t, ss_err *e)
{
    const ss_aligned *a = &c->aligned;
    char name[48];
    ss_code rc = ss_table_init(t, "input and conditioning", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "input sigma", SS_COL_NUMBER, "%g");
    for (int i = 0; i < c->n_runs; i++) {
        snprintf(name, sizeof name, "told %s", c->told[i].text);
        ss_table_column(t, name, SS_COL_NUMBER, "%.4g");
    }
    for (int s = 0; s < a->n_sigmas; s++) {
        ss_table_row(t);
        ss_table_number(t, c->runs[0]->sigmas[ss_align_sigma(a, s, 0)]);
        for (int i = 0; i < c->n_runs; i++)
            ss_table_number(t, c->largest[i * a->n_sigmas + s]);
    }
    snprintf(name, sizeof name, "; %d runs left out", c->n_left_out);
    ss_table_note(
        t,
        "largest |x| of the network, by the noise level of the input and what the network "
        "was told it was%s",
        c->n_left_out ? name : "");
    return SS_OK;
}

char *ss_conditioning_sentence(const ss_conditioning *c, char *out, size_t n)
{
    const ss_effects *f = &c->effects[SS_N_STAGES];
    const double input = f->sigma + f->content;

    if (isnan(f->told))
        snprintf(out, n, "no activation differs, or none is finite in all runs");
    else
        snprintf(
            out, n,
            "%s: of the variance of ln largest |x|, what the network is told explains %.0f %%, "
            "the input's noise level %.0f %%, the two together %.0f %%, inputs and samples "
            "%.0f %% (%d of each)",
            f->told > 0.5 ? "The conditioning does it"
            : input > 0.5 ? "The input does it"
                          : "Neither does it alone",
            100 * f->told, 100 * f->sigma, 100 * f->both, 100 * f->content, f->n);
    return out;
}

ss_code ss_effects_table(const ss_conditioning *c, ss_table *t, ss_err *e)
{
    static const int places[PLACES] = {SS_N_STAGES, SS_STAGE_ENCODER, SS_STAGE_MIDDLE,
                                       SS_STAGE_DECODER};
    static const char *const columns[] = {"told", "sigma", "both", "content"};
    char sentence[400];
    ss_code rc = ss_table_init(t, "what does it", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "stage", SS_COL_TEXT, NULL);
    for (int k = 0; k < 4; k++)
        ss_table_column(t, columns[k], SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "told ratio", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "sigma ratio", SS_COL_NUMBER, "%.2f");
    for (int p = 0; p < PLACES; p++) {
        const ss_effects *f = &c->effects[places[p]];
        const double cells[] = {f->told,    f->sigma,      f->both,
                                f->content, f->told_ratio, f->sigma_ratio};

        if (f->n == 0)
            continue;
        ss_table_row(t);
        ss_table_text(t, p == 0 ? "all" : ss_stage_name((ss_stage)places[p]));
        for (int k = 0; k < 6; k++)
            ss_table_number(t, cells[k]);
    }
    ss_table_note(t, "%s", ss_conditioning_sentence(c, sentence, sizeof sentence));
    return SS_OK;
}
