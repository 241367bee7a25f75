/* not_finite.c - see not_finite.h; not_finite_say.c puts it into words */
#include "analyze/one/not_finite.h"

#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* A run while it is examined. */
typedef struct {
    ss_run *r;
    ss_not_finite *x;
    int *order; /* [n] finished columns: noise levels, lowest sigma first, or steps */
    int n;
    ss_cell *cells; /* [n_cells] of these columns, in that order, without empty bins */
    size_t n_cells;
    ss_sites all; /* every port */
    const float *absmax;
    const uint64_t *nonfinite; /* NULL: not recorded */
} look;

static const ss_cell nowhere = {-1, -1, -1};

/* True for a file that the program itself made: there a NaN was NaN, and is not left out. */
static bool is_own(const ss_run *r)
{
    return strncmp(r->tool, "sigmascope", strlen("sigmascope")) == 0;
}

/* ---- cells ---- */

/* Lists the cells, lowest noise level first. A bin into which no sample of a step fell is none. */
static ss_code list_cells(look *l, ss_err *e)
{
    const size_t samples = (size_t)l->r->n_samples, inputs = (size_t)l->r->n_inputs;

    if (!(l->cells = ss_alloc((size_t)l->n * inputs * samples, sizeof *l->cells)))
        return ss_no_memory(e, l->r->path);
    for (size_t i = 0; i < (size_t)l->n * inputs * samples; i++) {
        const ss_cell c = {.sigma = l->order[i / (samples * inputs)],
                           .input = (int)(i / samples % inputs),
                           .sample = (int)(i % samples)};

        if (ss_run_count(l->r, c.sigma, c.sample) > 0)
            l->cells[l->n_cells++] = c;
    }
    return SS_OK;
}

static size_t site_cell(const ss_run *r, ss_site s, ss_cell c)
{
    return ss_run_at(r, s.module, s.port, c.input, c.sigma, c.sample);
}

/* Counts the values at a site that are known not to be finite. */
static uint64_t count_at(const look *l, ss_site s, ss_cell c)
{
    const size_t at = site_cell(l->r, s, c);

    if (l->nonfinite && l->nonfinite[at])
        return l->nonfinite[at];
    return isinf(l->absmax[at]) ? 1 : 0;
}

static void add_bad(ss_bad_samples *b, ss_cell c)
{
    if (b->count++ == 0)
        b->first = c;
}

static int module_named(const ss_run *r, const char *path)
{
    for (int m = 0; m < r->n_modules; m++) {
        if (strcmp(r->modules[m], path) == 0)
            return m;
    }
    return -1;
}

/* ---- weights ---- */

static ss_code find_weights(look *l, ss_err *e)
{
    ss_run *r = l->r;
    ss_not_finite *x = l->x;
    const float *absmax;
    const uint64_t *counts;
    ss_code rc = ss_run_weights(r, "absmax", &absmax, e);

    if (rc == SS_OK)
        rc = ss_run_weights_nonfinite(r, &counts, e);
    if (rc != SS_OK || (!absmax && !counts))
        return rc;
    if (!(x->weights = ss_calloc((size_t)r->n_parameters, sizeof *x->weights)))
        return ss_no_memory(e, r->path);
    x->weights_counted = counts != NULL;
    for (int64_t i = 0; i < r->n_parameters; i++) {
        const uint64_t n = counts ? counts[i] : 0;

        if (n || (!counts && !isfinite(absmax[i])))
            x->weights[x->n_weights++] = (ss_bad_weight){i, n};
        x->weight_values += n;
    }
    return SS_OK;
}

/* ---- modules ---- */

static bool is_folded(const ss_run *r, ss_site s)
{
    return ss_fold_origin(r, s).module != s.module;
}

static void look_at_site(look *l, ss_site s, bool *seen_nonzero)
{
    ss_not_finite *x = l->x;
    ss_bad_site row = {.site = s, .first = nowhere, .nothing_finite = true};

    for (size_t i = 0; i < l->n_cells; i++) {
        const ss_cell c = l->cells[i];
        const double v = l->absmax[site_cell(l->r, s, c)];
        const uint64_t n = count_at(l, s, c);

        if (n && !row.count)
            row.first = c;
        row.count += n;
        row.nothing_finite &= !isfinite(v);
        *seen_nonzero |= v > 0;
    }
    x->nothing_finite &= row.nothing_finite;
    if (!row.count)
        return;
    if (ss_site_is_whole(l->r, l->absmax, l->nonfinite, s))
        row.first.sample = -1;
    x->values += row.count;
    x->sites[x->n_sites++] = row;
}

/* Without counts: modules at which some largest value is NaN, or all of them. */
static void count_unclear(look *l)
{
    const ss_run *r = l->r;

    for (int m = 0; m < r->n_modules && !l->nonfinite; m++) {
        bool nan = false, seen = false;

        for (int p = 0; p < r->n_ports; p++) {
            const ss_site s = {m, p};
            size_t n = 0;

            for (size_t i = 0; i < l->n_cells; i++)
                n += isnan(l->absmax[site_cell(r, s, l->cells[i])]);
            /* of several ports a module has some, and the others are NaN throughout */
            nan |= n > 0 && n < l->n_cells;
            seen |= n < l->n_cells;
        }
        l->x->unclear += nan || !seen;
    }
}

static ss_code find_sites(look *l, ss_err *e)
{
    ss_not_finite *x = l->x;
    bool seen_nonzero = false;

    if (!(x->sites = ss_calloc((size_t)l->all.n, sizeof *x->sites)))
        return ss_no_memory(e, l->r->path);
    x->counted = l->nonfinite != NULL;
    x->nothing_finite = l->all.n > 0;
    for (int i = 0; i < l->all.n; i++) {
        if (is_folded(l->r, l->all.site[i]))
            continue;
        x->of_sites++;
        look_at_site(l, l->all.site[i], &seen_nonzero);
    }
    x->nothing_nonzero = l->all.n > 0 && !seen_nonzero && x->n_sites == 0;
    count_unclear(l);
    return SS_OK;
}

/* ---- attention ---- */

/* Recorded statistics of heads; any may be NULL. */
typedef struct {
    const float *set[4];
    const float *heads;
} head_sets;

static ss_code open_heads(ss_run *r, head_sets *h, ss_err *e)
{
    static const char *const names[] = {"entropy", "entropy_min", "max_logit", "sink"};
    ss_code rc = ss_run_attention_heads(r, &h->heads, e);

    for (int k = 0; k < 4 && rc == SS_OK; k++)
        rc = ss_run_attention(r, names[k], &h->set[k], e);
    return rc;
}

/* True when anything is recorded of a head, at any finished noise level. */
static bool head_is_seen(const ss_run *r, const head_sets *h, int layer, int head)
{
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < r->n_inputs && h->set[k]; i++) {
            for (int s = 0; s < r->n_sigmas; s++) {
                for (int n = 0; n < r->n_samples; n++) {
                    if (!isnan(h->set[k][ss_run_attention_at(r, layer, head, i, s, n)]))
                        return true;
                }
            }
        }
    }
    return false;
}

static int heads_of(const ss_run *r, const head_sets *h, int layer)
{
    int n = 0;

    if (h->heads)
        return h->heads[layer] >= 1 && h->heads[layer] <= (float)r->n_heads ? (int)h->heads[layer]
                                                                            : r->n_heads;
    for (int head = 0; head < r->n_heads; head++) {
        if (head_is_seen(r, h, layer, head))
            n = head + 1;
    }
    return n;
}

ss_code ss_layer_heads(ss_run *r, int layer, int *n, ss_err *e)
{
    head_sets h;
    ss_code rc = open_heads(r, &h, e);

    *n = rc == SS_OK ? heads_of(r, &h, layer) : 0;
    return rc;
}

static bool head_is_bad(const ss_run *r, const head_sets *h, int layer, int head, ss_cell c)
{
    const size_t at = ss_run_attention_at(r, layer, head, c.input, c.sigma, c.sample);

    for (int k = 0; k < 4; k++) {
        if (h->set[k] && !isfinite(h->set[k][at]))
            return true;
    }
    return false;
}

bool ss_attention_is_due(ss_run *r, int layer, ss_cell c)
{
    const float *absmax;
    const uint64_t *nonfinite;
    ss_site s = {module_named(r, r->layers[layer]), 0};

    if (ss_run_is_text(r))
        return c.sample == 0;
    if ((!ss_run_is_vae(r) && !r->steps) || s.module < 0 ||
        ss_run_stat(r, "absmax", &absmax, NULL) != SS_OK ||
        ss_run_nonfinite(r, &nonfinite, NULL) != SS_OK || !absmax)
        return true;
    for (; s.port < r->n_ports; s.port++) {
        const size_t at = site_cell(r, s, c);

        if (!isnan(absmax[at]) || (nonfinite && nonfinite[at]))
            return true;
    }
    return false;
}

static void look_at_head(look *l, const head_sets *h, int layer, int head)
{
    ss_bad_head row = {.layer = layer, .head = head, .first = nowhere};

    row.by_input = l->x->head_inputs + (ptrdiff_t)l->x->n_heads * l->r->n_inputs;

    for (size_t i = 0; i < l->n_cells; i++) {
        ss_cell c = l->cells[i];

        if (!ss_attention_is_due(l->r, layer, c))
            continue;
        row.of++;
        /* all heads of a layer: not one was seen */
        if (head >= 0 && !head_is_bad(l->r, h, layer, head, c))
            continue;
        if (ss_run_is_text(l->r))
            c.sample = -1;
        if (row.count++ == 0)
            row.first = c;
        row.by_input[c.input]++;
    }
    if (row.count)
        l->x->heads[l->x->n_heads++] = row;
}

static ss_code find_heads(look *l, ss_err *e)
{
    ss_run *r = l->r;
    head_sets h = {0};
    ss_code rc = open_heads(r, &h, e);

    if (rc != SS_OK || (!h.set[0] && !h.set[1] && !h.set[2] && !h.set[3]))
        return rc;
    l->x->heads = ss_calloc((size_t)r->n_layers * (size_t)(r->n_heads + 1), sizeof *l->x->heads);
    l->x->head_inputs = ss_calloc((size_t)r->n_layers * (size_t)(r->n_heads + 1),
                                  (size_t)r->n_inputs * sizeof *l->x->head_inputs);
    if (!l->x->heads || !l->x->head_inputs)
        return ss_no_memory(e, r->path);
    l->x->heads_certain = h.heads || is_own(r);
    for (int layer = 0; layer < r->n_layers; layer++) {
        const int n = heads_of(r, &h, layer);

        for (int head = 0; head < n; head++)
            look_at_head(l, &h, layer, head);
        if (n == 0)
            look_at_head(l, &h, layer, -1);
        l->x->of_heads += n ? n : 1;
    }
    return SS_OK;
}

/* ---- what goes in, and what comes out ---- */

static bool spectrum_is_bad(const ss_run *r, const float *psd, ss_cell c)
{
    const size_t at =
        ((size_t)c.input * (size_t)r->n_sigmas + (size_t)c.sigma) * (size_t)r->n_samples +
        (size_t)c.sample;

    for (int k = 0; k < r->n_radii; k++) {
        if (!isfinite(psd[at * (size_t)r->n_radii + (size_t)k]))
            return true;
    }
    return false;
}

/* True if the encoder of a VAE made what its decoder saw, and that is not finite. */
static bool encoder_is_bad(const look *l, ss_cell c)
{
    static const char *const last[] = {"encoder", "quant_conv"};
    const int output = ss_run_port(l->r, "output");
    bool bad = false;

    for (size_t i = 0; i < sizeof last / sizeof *last && ss_run_is_vae(l->r); i++) {
        const ss_site s = {module_named(l->r, last[i]), output};

        bad |= s.module >= 0 && s.port >= 0 && l->absmax && count_at(l, s, c);
    }
    return bad;
}

static ss_code find_inputs(look *l, ss_err *e)
{
    const ss_site s = {module_named(l->r, SS_RUN_ROOT), ss_run_port(l->r, "input")};
    const bool port = s.module >= 0 && s.port >= 0;
    const float *psd;
    ss_bad_samples *b = &l->x->inputs;
    ss_code rc = ss_run_psd(l->r, &psd, e);

    if (rc != SS_OK || (!psd && !port))
        return rc;
    psd = psd && is_own(l->r) ? psd : NULL; /* of others, NaN may be what was not looked at */
    for (size_t i = 0; i < l->n_cells; i++) {
        const ss_cell c = l->cells[i];

        b->of++;
        if ((psd && spectrum_is_bad(l->r, psd, c) && !encoder_is_bad(l, c)) ||
            (port && count_at(l, s, c)))
            add_bad(b, c);
    }
    return SS_OK;
}

/* Site of the whole network's output; module -1 where it was not watched. */
static ss_site answer_of(const look *l)
{
    const ss_site root = {module_named(l->r, SS_RUN_ROOT), ss_run_port(l->r, "output")};

    for (int i = l->all.n - 1; i >= 0 && root.module >= 0; i--) {
        if (l->all.site[i].port == root.port && l->all.site[i].module == root.module)
            return root;
    }
    return (ss_site){-1, -1};
}

/* At sigma = inf there is no picture to get back to for some predictions. */
static ss_code find_denoised(look *l, ss_site answer, ss_err *e)
{
    static const char set[] = "/outputs/denoised";
    ss_run_shape shape;
    ss_code rc = SS_OK;

    for (int k = 0; k < l->n; k++)
        l->x->n_infinite += l->r->sigmas && isinf(l->r->sigmas[l->order[k]]);
    if (!l->x->n_infinite || !ss_run_has_pictures(l->r, set, &shape))
        return SS_OK;
    float *picture = ss_alloc((size_t)shape.n, sizeof *picture);
    if (!picture)
        return ss_no_memory(e, l->r->path);
    for (size_t i = 0; i < l->n_cells && rc == SS_OK; i++) {
        const ss_cell c = l->cells[i];
        bool bad = false;

        if (!isinf(l->r->sigmas[c.sigma]) || (answer.module >= 0 && count_at(l, answer, c)))
            continue;
        rc = ss_run_picture(l->r, set, c.input, c.sigma, c.sample, picture, e);
        for (int64_t p = 0; p < shape.n && rc == SS_OK; p++)
            bad |= !isfinite(picture[p]);
        l->x->denoised.of++;
        if (bad)
            add_bad(&l->x->denoised, c);
    }
    ss_free(picture);
    return rc;
}

static ss_code find_outputs(look *l, ss_err *e)
{
    const ss_site answer = answer_of(l);

    for (size_t i = 0; i < l->n_cells && answer.module >= 0; i++) {
        const ss_cell c = l->cells[i];

        l->x->outputs.of++;
        if (count_at(l, answer, c))
            add_bad(&l->x->outputs, c);
    }
    return find_denoised(l, answer, e);
}

/* True when the clean picture of an input is known, so that a NaN loss was computed as NaN. Since
 * layout version 1.2 such a loss is stored as inf; before, the label of the input decides. */
static bool has_loss(const ss_run *r, const float *loss, int input)
{
    static const char *const not_clean[] = {"noise:", "raw:", "lowpass:", "highpass:"};

    for (int i = 0; i < r->n_sigmas * r->n_samples; i++) {
        if (!isnan(loss[(int64_t)input * r->n_sigmas * r->n_samples + i]))
            return true;
    }
    if (r->minor >= 2 || !is_own(r))
        return false;
    for (size_t i = 0; i < sizeof not_clean / sizeof *not_clean; i++) {
        if (strncmp(r->inputs[input], not_clean[i], strlen(not_clean[i])) == 0)
            return false;
    }
    return true;
}

ss_code ss_losses_read(ss_run *r, float **out, ss_err *e)
{
    const int64_t n = (int64_t)r->n_sigmas * r->n_samples;
    const float *loss;
    ss_code rc = ss_run_loss(r, &loss, e);

    *out = NULL;
    if (rc != SS_OK || !loss)
        return rc;
    if (!(*out = ss_alloc((size_t)(r->n_inputs * n), sizeof **out)))
        return ss_no_memory(e, r->path);
    for (int i = 0; i < r->n_inputs; i++) {
        const bool known = has_loss(r, loss, i);

        for (int64_t k = 0; k < n; k++) {
            const float v = loss[i * n + k];
            const bool done = r->done[k / r->n_samples];

            (*out)[i * n + k] = isfinite(v) ? v : done && (isinf(v) || known) ? INFINITY : NAN;
        }
    }
    return SS_OK;
}

static ss_code find_losses(look *l, ss_err *e)
{
    const ss_run *r = l->r;
    float *loss;
    ss_code rc = ss_losses_read(l->r, &loss, e);

    for (size_t i = 0; i < l->n_cells && loss; i++) {
        const ss_cell c = l->cells[i];
        const float v = loss[((int64_t)c.input * r->n_sigmas + c.sigma) * r->n_samples + c.sample];

        l->x->losses.of += !isnan(v);
        if (isinf(v))
            add_bad(&l->x->losses, c);
    }
    ss_free(loss);
    return rc;
}

/* ---- limits ---- */

/* At most this share of the values of a site's module is as large as the limit: those that share
 * its power of two, for none is larger. */
static double share_at(look *l, ss_site s, double limit, uint64_t *hist)
{
    const int bin = 127 + ilogb(limit), per = SS_N_EXPONENTS;
    double most = 0;

    if (!hist || ss_run_hist(l->r, s.module, hist, NULL) != SS_OK)
        return NAN;
    for (int i = 0; i < l->n * l->r->n_inputs; i++) {
        const ss_cell c = {.sigma = l->order[i / l->r->n_inputs], .input = i % l->r->n_inputs};
        const uint64_t *h = hist + (((size_t)s.port * (size_t)l->r->n_inputs + (size_t)c.input) *
                                        (size_t)l->r->n_sigmas +
                                    (size_t)c.sigma) *
                                       (size_t)per;
        double all = 0;

        for (int k = 0; k < per; k++)
            all += (double)h[k];
        if (all > 0)
            most = fmax(most, (double)h[bin] / all);
    }
    return most;
}

/* Sites whose modules match the glob (NULL: all) with a largest value of exactly the limit. */
static ss_code add_limit(look *l, const char *what, double limit, const char *glob, ss_err *e)
{
    ss_not_finite *x = l->x;
    const int skip = ss_run_port(l->r, "input"), skip2 = ss_run_port(l->r, "skip");
    ss_at_limit a = {.limit = limit, .share = NAN};
    uint64_t *hist = NULL;

    if (x->n_limits == SS_MAX_LIMITS || !(limit > 0))
        return SS_OK;
    if (ss_run_has_hist(l->r) &&
        !(hist = ss_alloc((size_t)l->r->n_ports * (size_t)l->r->n_inputs * (size_t)l->r->n_sigmas,
                          SS_N_EXPONENTS * sizeof *hist)))
        return ss_no_memory(e, l->r->path);
    ss_printable(what, a.what, sizeof a.what);
    for (int i = 0; i < l->all.n; i++) {
        const ss_site s = l->all.site[i];
        bool hit = false;

        if (s.port == skip || s.port == skip2 || is_folded(l->r, s) ||
            (glob && !ss_glob_match(glob, l->r->modules[s.module])))
            continue;
        a.of++;
        for (size_t k = 0; k < l->n_cells && !hit; k++) {
            const ss_cell c = l->cells[k];

            hit = l->absmax[site_cell(l->r, s, c)] == (float)limit;
            if (hit && a.n_sites == 0) {
                a.first = s;
                a.cell = c;
                if (ss_site_is_whole(l->r, l->absmax, l->nonfinite, s))
                    a.cell.sample = -1;
            }
        }
        if (hit)
            a.share = fmax(a.share, share_at(l, s, limit, hist));
        a.n_sites += hit;
    }
    ss_free(hist);
    if (a.n_sites)
        x->limits[x->n_limits++] = a;
    return SS_OK;
}

/* "fp8-e4m3-sat (half, sdpa)" or "GLOB=fp8-e4m3-sat", n bytes of it: one that saturates. */
static ss_code add_saturated(look *l, const char *part, size_t n, ss_err *e)
{
    ss_str glob = {0};
    ss_format f;
    ss_code rc = SS_OK;

    ss_str_addn(&glob, part, n);
    if (glob.failed)
        return ss_no_memory(e, l->r->path);
    char *equals = strrchr(glob.s, '='), *scope = strstr(glob.s, " (");
    const char *name = equals ? equals + 1 : glob.s;

    if (equals)
        *equals = '\0';
    else if (scope)
        *scope = '\0';
    if (ss_format_parse(name, &f, NULL) == SS_OK && f.saturate)
        rc = add_limit(l, f.name, f.max,
                       equals && ss_glob_check(glob.s, NULL) == SS_OK ? glob.s : NULL, e);
    ss_str_release(&glob);
    return rc;
}

/* "fp8-e4m3-sat (half, sdpa), {down,mid}_block*=fp16": each part between commas that a blank
 * follows. */
static ss_code find_saturated(look *l, ss_err *e)
{
    const char *p = l->r->precision;
    ss_code rc = SS_OK;

    while (*p && rc == SS_OK) {
        const char *end = strstr(p, ", ");

        rc = add_saturated(l, p, end ? (size_t)(end - p) : strlen(p), e);
        p = end ? end + 2 : p + strlen(p);
    }
    return rc;
}

/* "clamp:V@GLOB": V and where the glob begins, or NULL. */
static const char *parse_clamp(const char *text, double *value)
{
    static const char begin[] = "clamp:";
    const char *at = text ? strchr(text, '@') : NULL;
    char number[64];

    if (!at || strncmp(text, begin, strlen(begin)) != 0)
        return NULL;
    snprintf(number, sizeof number, "%.*s", (int)(at - text - (ptrdiff_t)strlen(begin)),
             text + strlen(begin));
    return ss_parse_double(number, value) && ss_glob_check(at + 1, NULL) == SS_OK ? at + 1 : NULL;
}

/* The interventions of the plan that clamp. */
static ss_code find_clamps(look *l, ss_err *e)
{
    json_t *plan = json_loads(l->r->plan, 0, NULL), *list, *item;
    size_t i;
    ss_code rc = SS_OK;

    list = json_object_get(plan, "interventions");
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);
        double value;
        const char *glob = parse_clamp(text, &value);

        if (rc == SS_OK && glob)
            rc = add_limit(l, text, value, glob, e);
    }
    json_decref(plan);
    return rc;
}

/* Finds the one format of a run; false: several, or none that is known. */
static bool only_format(const ss_run *r, ss_format *f)
{
    const size_t n = strcspn(r->precision, " ,");
    const char *rest = r->precision + n; /* " (half, sdpa)", then ", GLOB=FORMAT" of each map */
    char name[64];

    if (strncmp(rest, " (", 2) == 0)
        rest += strcspn(rest, ")") + 1;
    snprintf(name, sizeof name, "%.*s", (int)n, r->precision);
    return *name && !*rest && ss_format_parse(name, f, NULL) == SS_OK;
}

bool ss_run_format(const ss_run *r, ss_format *f)
{
    return only_format(r, f) && !ss_format_is_f32(f);
}

bool ss_run_is_f32(const ss_run *r)
{
    ss_format f;

    return !*r->precision || (only_format(r, &f) && ss_format_is_f32(&f));
}

/* ---- all of it ---- */

/* Finished steps of a training run, in their order. */
static int *step_order(const ss_run *r)
{
    int *order = ss_alloc((size_t)r->n_sigmas, sizeof *order), n = 0;

    for (int s = 0; s < r->n_sigmas && order; s++) {
        if (r->done[s])
            order[n++] = s;
    }
    return order;
}

ss_code ss_not_finite_find(ss_run *r, ss_not_finite *x, ss_err *e)
{
    look l = {.r = r, .x = x, .n = r->n_done};
    ss_code rc;

    *x = (ss_not_finite){.run = r};
    l.order = r->steps ? step_order(r) : ss_sigma_order(r);
    rc = l.order ? list_cells(&l, e) : ss_no_memory(e, r->path);
    if (rc == SS_OK)
        rc = ss_run_stat(r, "absmax", &l.absmax, e);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &l.nonfinite, e);
    if (rc == SS_OK && l.absmax)
        rc = ss_sites_find_each(r, NULL, 0, SS_SITES_ALL, &l.all, e);
    if (rc == SS_OK)
        rc = find_weights(&l, e);
    if (rc == SS_OK && l.absmax)
        rc = find_sites(&l, e);
    if (rc == SS_OK)
        rc = find_heads(&l, e);
    if (rc == SS_OK && l.absmax)
        rc = find_inputs(&l, e);
    if (rc == SS_OK && l.absmax)
        rc = find_outputs(&l, e);
    if (rc == SS_OK)
        rc = find_losses(&l, e);
    if (rc == SS_OK)
        rc = find_saturated(&l, e);
    if (rc == SS_OK)
        rc = find_clamps(&l, e);
    ss_sites_release(&l.all);
    ss_free(l.order);
    ss_free(l.cells);
    if (rc != SS_OK)
        ss_not_finite_release(x);
    return rc;
}

void ss_not_finite_release(ss_not_finite *x)
{
    ss_free(x->weights);
    ss_free(x->sites);
    ss_free(x->heads);
    ss_free(x->head_inputs);
    *x = (ss_not_finite){0};
}

int ss_bad_head_count(const ss_not_finite *x, const ss_bad_head *h, int from, int to)
{
    int n = 0;

    for (int i = from; i < to && i < x->run->n_inputs; i++)
        n += h->by_input[i];
    return n;
}

bool ss_not_finite_any(const ss_not_finite *x)
{
    return x->n_weights || x->n_sites || x->n_heads || x->inputs.count || x->outputs.count ||
           x->losses.count || x->denoised.count;
}

char *ss_cell_name(const ss_run *r, ss_cell c, char *out, size_t n)
{
    char sample[160];

    ss_run_sample_name(r, c.sigma, c.input, c.sample, sample, sizeof sample);
    if (ss_run_is_text(r) && c.sample < 0)
        snprintf(out, n, "prompt \"%.120s\"", r->inputs[c.input]);
    else if (ss_run_is_text(r))
        snprintf(out, n, "%s of prompt \"%.120s\"", sample, r->inputs[c.input]);
    else if (r->binned && (c.sample < 0 || isnan(ss_run_level(r, c.sigma, c.sample))))
        snprintf(out, n, "step %lld", (long long)r->steps[c.sigma]);
    else if (r->steps)
        snprintf(out, n, "step %lld, %s", (long long)r->steps[c.sigma], sample);
    else
        snprintf(out, n, "sigma %g, input %.120s, %s", r->sigmas[c.sigma], r->inputs[c.input],
                 sample);
    return out;
}
