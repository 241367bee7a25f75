/* health.c - see health.h */
#include "analyze/one/health.h"

#include "analyze/one/not_finite.h"
#include "analyze/one/run_settings.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put(ss_table *t, const char *what, const char *value)
{
    ss_table_row(t);
    ss_table_text(t, what);
    ss_table_text(t, *value ? value : "-");
}

/* "80, 10, 0.5": the values, or the outer ones of many. */
static void list_sigmas(const ss_run *r, const int *order, ss_str *b)
{
    enum { MANY = 12 };
    const int n = r->n_done;

    for (int k = 0; k < n; k++) {
        if (n > MANY && k == MANY / 2) {
            ss_str_add(b, " ...");
            k = n - MANY / 2;
        }
        ss_str_addf(b, "%s%g", k ? " " : "", r->sigmas[order[k]]);
    }
}

/* Lists settings that are not at their defaults and have no row of their own. */
static void put_settings(ss_table *t, const ss_run_settings *x)
{
    static const char *const rows[] = {
        "precision", "precision_map", "precision_scope", "class",
        "classes",   "inputs",        "samples",         "sigmas",
    };

    for (int i = 0; i < x->n; i++) {
        const ss_run_setting *s = &x->list[i];
        bool own = s->usual || !s->known[0];

        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
            own |= strcmp(rows[k], s->key) == 0;
        if (!own)
            put(t, s->name, s->values[0]);
    }
    if (x->n_foreign)
        put(t, "settings", "not recorded: the run was not made by sigmascope");
}

ss_code ss_summary_table(ss_run *r, ss_table *t, ss_err *e)
{
    char text[128];
    ss_str inputs = {0}, sigmas = {0};
    int *order = ss_sigma_order(r);
    ss_run_settings settings = {0};
    ss_code rc =
        order ? ss_run_settings_find(&(ss_run *){r}, 1, &settings, e) : ss_no_memory(e, "health");

    if (rc == SS_OK)
        rc = ss_table_init(t, "run", e);

    if (rc != SS_OK)
        goto out;
    for (int i = 0; i < r->n_inputs; i++)
        ss_str_addf(&inputs, "%s%s", i ? ", " : "", r->inputs[i]);
    list_sigmas(r, order, &sigmas);
    ss_table_column(t, "what", SS_COL_TEXT, NULL);
    ss_table_column(t, "value", SS_COL_TEXT, NULL);
    put(t, "file", r->path);
    put(t, "model", r->model_path);
    put(t, "family", r->family);
    if (!ss_run_is_text(r) && !ss_run_is_vae(r)) {
        put(t, "prediction", r->prediction_type);
        put(t, "schedule", r->schedule);
        put(t, "condition", r->condition);
    }
    put(t, "precision", r->precision);
    if (*r->ignored_tensors)
        put(t, "ignored tensors", r->ignored_tensors);
    if (*r->weight_notes)
        put(t, "weights", r->weight_notes);
    put_settings(t, &settings);
    put(t, ss_run_is_text(r) ? "prompts" : "inputs", inputs.s ? inputs.s : "");
    if (!ss_run_is_text(r))
        put(t, "sigmas", sigmas.s ? sigmas.s : "");
    snprintf(text, sizeof text, "%s", r->complete ? "complete" : "NOT complete");
    if (r->part.count > 1)
        snprintf(text, sizeof text, "part %d of %d", r->part.index, r->part.count);
    if (!ss_run_is_text(r))
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 ", %d of %d noise levels finished", r->n_done, r->n_sigmas);
    put(t, "state", text);
    snprintf(text, sizeof text, "%d modules, %d %ss, %d attention layers, %lld parameters",
             r->n_real, r->n_samples, ss_run_sample_word(r), r->n_layers,
             (long long)r->n_parameters);
    put(t, "size", text);
out:
    ss_run_settings_release(&settings);
    ss_str_release(&inputs);
    ss_str_release(&sigmas);
    ss_free(order);
    return rc;
}

ss_code ss_loss_find(ss_run *r, double *mean, bool *any, ss_err *e)
{
    float *loss;
    ss_code rc = ss_losses_read(r, &loss, e);

    *any = false;
    for (int i = 0; i < r->n_inputs && rc == SS_OK; i++) {
        for (int s = 0; s < r->n_sigmas; s++) {
            const int64_t at = (int64_t)i * r->n_sigmas + s;
            double sum = 0;
            int count = 0;

            for (int n = 0; loss && n < r->n_samples; n++) {
                const float v = loss[at * r->n_samples + n];

                if (!isnan(v)) {
                    sum += v;
                    count++;
                }
            }
            mean[at] = count ? sum / count : NAN;
            *any |= count > 0;
        }
    }
    ss_free(loss);
    return rc;
}

ss_code ss_loss_table(ss_run *r, ss_table *t, ss_err *e)
{
    bool any, bad = false;
    int *order = ss_sigma_order(r);
    double *mean = ss_alloc((size_t)r->n_inputs * (size_t)r->n_sigmas, sizeof *mean);
    ss_code rc = !order || !mean ? ss_no_memory(e, r->path) : ss_loss_find(r, mean, &any, e);

    if (rc == SS_OK)
        rc = ss_table_init(t, "loss", e);
    if (rc != SS_OK)
        goto out;
    ss_table_column(t, "input", SS_COL_TEXT, NULL);
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "loss", SS_COL_NUMBER, "%.4g");
    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < r->n_done; k++) {
            const double loss = mean[(int64_t)i * r->n_sigmas + order[k]];

            if (isnan(loss))
                continue;
            bad |= isinf(loss);
            ss_table_row(t);
            ss_table_text(t, r->inputs[i]);
            ss_table_number(t, r->sigmas[order[k]]);
            ss_table_number(t, loss);
        }
    }
    ss_table_note(t, ss_run_is_text(r)  ? "a text encoder has no loss"
                     : ss_run_is_vae(r) ? "an autoencoder has no denoising loss"
                     : any && bad       ? "denoising loss, mean over samples; inf: INF OR NaN"
                     : any              ? "denoising loss, mean over samples"
                                        : "no input has a known clean picture");
out:
    ss_free(order);
    ss_free(mean);
    return rc;
}
