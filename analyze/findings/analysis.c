/* analysis.c - see analysis.h */
#include "analyze/findings/analysis.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The last parts of a path whose end "unet" does not count: "step-06000" of
 * ".../baseline/step-06000/unet", "baseline/step-06000" where two are wanted. */
static void last_parts(const char *path, int parts, char *out, size_t n)
{
    size_t end = strlen(path), begin, first;

    for (;;) {
        while (end > 0 && path[end - 1] == '/')
            end--;
        for (begin = end; begin > 0 && path[begin - 1] != '/';)
            begin--;
        if (begin == 0 || end - begin != strlen("unet") || strncmp(path + begin, "unet", 4) != 0)
            break;
        end = begin;
    }
    for (first = begin; parts > 1 && first > 0; parts--) {
        for (first--; first > 0 && path[first - 1] != '/';)
            first--;
    }
    snprintf(out, n, "%.*s", (int)(end - first), path + first);
}

/* True for two runs whose names would be the same. */
static bool have_twins(const ss_analysis *x, int n)
{
    for (int i = 1; i < n; i++) {
        for (int k = 0; k < i; k++) {
            if (strcmp(x[i].name, x[k].name) == 0)
                return true;
        }
    }
    return false;
}

void ss_analysis_name(ss_analysis *x, int n)
{
    for (int parts = 1; parts <= 2; parts++) {
        for (int i = 0; i < n; i++) {
            bool alone = *x[i].run->model_path != '\0';

            for (int k = 0; k < n && alone; k++)
                alone = k == i || strcmp(x[k].run->model_path, x[i].run->model_path) != 0;
            last_parts(alone ? x[i].run->model_path : x[i].run->path, parts, x[i].name,
                       sizeof x[i].name);
        }
        if (!have_twins(x, n))
            return;
    }
}

/* Finds the rows of figures: block outputs in forward order; where the file does not say which are
 * some, or they are too many, those with the largest peaks. */
static ss_code choose_rows(ss_analysis *x, ss_err *e)
{
    const ss_run *r = x->run;
    const int output = ss_run_port(r, "output");
    const size_t n = (size_t)x->produced.n;
    bool *chosen = ss_calloc(n, sizeof *chosen);
    int count = 0;

    x->rows.site = ss_alloc(n, sizeof *x->rows.site);
    if (!chosen || !x->rows.site) {
        ss_free(chosen);
        return ss_no_memory(e, r->path);
    }
    for (int i = 0; i < x->produced.n; i++) {
        const ss_site s = x->produced.site[i];

        chosen[i] = s.port == output && ss_fold_is_block(r, s);
        count += chosen[i];
    }
    if (count == 0 || count > SS_FIGURE_ROWS) {
        const bool any = count == 0;

        /* growth.rows are sorted by peak */
        for (int i = 0, kept = 0; i < x->growth.n; i++) {
            for (int k = 0; k < x->produced.n; k++) {
                if (x->produced.site[k].module == x->growth.rows[i].site.module &&
                    x->produced.site[k].port == x->growth.rows[i].site.port)
                    chosen[k] = (any || chosen[k]) && kept++ < SS_FIGURE_ROWS;
            }
        }
    }
    for (int i = 0; i < x->produced.n; i++) {
        if (chosen[i])
            x->rows.site[x->rows.n++] = x->produced.site[i];
    }
    if (count)
        x->rows_are =
            x->rows.n < count ? "the block outputs with the largest peaks" : "block outputs";
    else
        x->rows_are =
            x->rows.n < x->produced.n ? "the modules with the largest peaks" : "all modules";
    ss_free(chosen);
    return SS_OK;
}

static ss_code find_attention(ss_analysis *x, ss_err *e)
{
    ss_code rc;

    if (x->run->n_layers == 0 || x->n == 0)
        return SS_OK;
    if ((rc = ss_attn_find(x->run, &x->bad, NULL, 0, SS_ALL, &x->attention, e)) != SS_OK)
        return rc == SS_FORMAT ? SS_OK : rc; /* layers are named, and nothing is known of them */
    x->has_attention = x->attention.n_heads > 0;
    if ((rc = ss_frame_attention_find(x->run, NULL, 0, SS_ALL, &x->frames, e)) != SS_OK)
        return rc;
    if (!(x->attention_sentence = ss_attn_sentence(&x->attention)))
        rc = ss_no_memory(e, x->run->path);
    return rc;
}

static ss_code find_spectra(ss_analysis *x, ss_err *e)
{
    ss_code rc;

    if (x->run->n_radii == 0 || x->n == 0)
        return SS_OK;
    rc = ss_spectra_find(x->run, &x->produced, SS_DEFAULT_CUTOFF, "", &x->spectra, e);
    x->has_spectra = rc == SS_OK;
    return rc == SS_FORMAT ? SS_OK : rc; /* rings are named, and no spectrum is there */
}

static ss_code find_loss(ss_analysis *x, ss_err *e)
{
    bool any = false;
    ss_code rc;

    x->loss = ss_alloc((size_t)x->run->n_inputs * (size_t)x->run->n_sigmas, sizeof *x->loss);
    if (!x->loss)
        return ss_no_memory(e, x->run->path);
    rc = ss_loss_find(x->run, x->loss, &any, e);
    if (!any) {
        ss_free(x->loss);
        x->loss = NULL;
    }
    return rc;
}

ss_code ss_analysis_make(ss_run *r, const char *const *globs, int n_globs, const ss_format *formats,
                         int n_formats, ss_analysis *x, ss_err *e)
{
    ss_code rc = SS_OK;

    *x = (ss_analysis){.run = r, .format = formats, .n_formats = n_formats, .n = r->n_done};
    ss_analysis_name(x, 1);
    if (!(x->order = ss_sigma_order(r)))
        rc = ss_no_memory(e, r->path);
    if (rc == SS_OK)
        rc = ss_run_stat(r, "absmax", &x->absmax, e);
    if (rc == SS_OK)
        rc = ss_run_stat(r, "rms", &x->rms, e);
    if (rc == SS_OK)
        rc = ss_sites_find(r, globs, n_globs, SS_SITES_ALL, &x->all, e);
    if (rc == SS_OK)
        rc = ss_sites_find(r, globs, n_globs, SS_SITES_PRODUCED, &x->produced, e);
    if (rc == SS_OK)
        rc = ss_not_finite_find(r, &x->bad, e);
    if (rc == SS_OK)
        rc = ss_growth_find(r, &x->produced, SS_ALL, &x->growth, e);
    if (rc == SS_OK)
        rc = ss_headroom_find(r, &x->all, formats, n_formats, &x->headroom, e);
    for (int i = 0; i < n_formats && rc == SS_OK; i++)
        rc = ss_overflow_find(r, &x->all, &formats[i], &x->overflow[i], e);
    if (rc == SS_OK)
        rc = ss_stages_find(r, &x->produced, SS_ALL, &x->stages, e);
    if (rc == SS_OK)
        rc = ss_weights_find(r, &x->produced, &x->weights, e);
    if (rc == SS_OK)
        rc = find_attention(x, e);
    if (rc == SS_OK && x->n > 0)
        rc = ss_blobs_find(r, &x->produced, &x->blobs, e);
    if (rc == SS_OK && x->n > 0)
        rc = ss_channels_find(r, &x->produced, &x->channels, e);
    if (rc == SS_OK && x->n > 0)
        rc = ss_tokens_find(r, &x->produced, &x->tokens, e);
    if (rc == SS_OK)
        rc = find_spectra(x, e);
    if (rc == SS_OK)
        rc = find_loss(x, e);
    if (rc == SS_OK)
        rc = choose_rows(x, e);
    if (rc != SS_OK)
        ss_analysis_release(x);
    return rc;
}

void ss_analysis_release(ss_analysis *x)
{
    ss_sites_release(&x->all);
    ss_sites_release(&x->produced);
    ss_sites_release(&x->rows);
    ss_free(x->order);
    ss_not_finite_release(&x->bad);
    ss_growth_release(&x->growth);
    ss_headroom_release(&x->headroom);
    for (int i = 0; i < SS_MAX_FORMATS; i++)
        ss_overflow_release(&x->overflow[i]);
    ss_stages_release(&x->stages);
    ss_weights_release(&x->weights);
    ss_attn_release(&x->attention);
    ss_free(x->attention_sentence);
    ss_frame_attention_release(&x->frames);
    ss_blobs_release(&x->blobs);
    ss_channels_release(&x->channels);
    ss_tokens_release(&x->tokens);
    ss_spectra_release(&x->spectra);
    ss_free(x->loss);
    *x = (ss_analysis){0};
}

double ss_analysis_peak(const ss_analysis *x, ss_site s, int k)
{
    return x->absmax ? ss_site_peak(x->run, x->absmax, s, SS_ALL, x->order[k]) : NAN;
}
