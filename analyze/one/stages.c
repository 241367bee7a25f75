/* stages.c - see stages.h */
#include "analyze/one/stages.h"

#include "analyze/math/median.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *first; /* part of the path */
    ss_stage stage;
} parts[] = {
    {"conv_in", SS_STAGE_ENCODER},       {"down_blocks", SS_STAGE_ENCODER},
    {"input_blocks", SS_STAGE_ENCODER},  {"encoder", SS_STAGE_ENCODER},
    {"time_proj", SS_STAGE_ENCODER},     {"time_embedding", SS_STAGE_ENCODER},
    {"time_embed", SS_STAGE_ENCODER},    {"time_text_embed", SS_STAGE_ENCODER},
    {"add_embedding", SS_STAGE_ENCODER}, {"class_embedding", SS_STAGE_ENCODER},
    {"label_emb", SS_STAGE_ENCODER},     {"encoder_hid_proj", SS_STAGE_ENCODER},
    {"mid_block", SS_STAGE_MIDDLE},      {"middle_block", SS_STAGE_MIDDLE},
    {"middle", SS_STAGE_MIDDLE},         {"up_blocks", SS_STAGE_DECODER},
    {"output_blocks", SS_STAGE_DECODER}, {"conv_norm_out", SS_STAGE_DECODER},
    {"conv_out", SS_STAGE_DECODER},      {"out", SS_STAGE_DECODER},
    {"decoder", SS_STAGE_DECODER},
};

ss_stage ss_stage_of(const char *path)
{
    const size_t n = strcspn(path, ".");

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strlen(parts[i].first) == n && memcmp(parts[i].first, path, n) == 0)
            return parts[i].stage;
    }
    return SS_STAGE_NONE;
}

const char *ss_stage_name(ss_stage s)
{
#define X(name, text) text,
    static const char *const names[] = {SS_STAGES(X) "none"};
#undef X

    return names[s];
}

void ss_stage_peaks(const ss_run *r, const ss_sites *sites, const float *absmax, int input,
                    int sigma, int sample, double peaks[SS_N_STAGES + 1])
{
    for (int k = 0; k <= SS_N_STAGES; k++)
        peaks[k] = NAN;
    for (int i = 0; i < sites->n; i++) {
        const ss_site s = sites->site[i];
        const double v = absmax[ss_run_at(r, s.module, s.port, input, sigma, sample)];
        const ss_stage stage = ss_stage_of(r->modules[s.module]);

        peaks[SS_N_STAGES] = fmax(peaks[SS_N_STAGES], v);
        if (stage != SS_STAGE_NONE)
            peaks[stage] = fmax(peaks[stage], v);
    }
}

static void fill_row(const ss_run *r, const ss_sites *sites, const float *absmax, const float *rms,
                     int input, double *scratch, ss_stage_row *row)
{
    for (int stage = 0; stage <= SS_N_STAGES; stage++) {
        int n = 0;

        row->absmax[stage] = NAN;
        for (int i = 0; i < sites->n; i++) {
            const ss_site s = sites->site[i];

            if (stage < SS_N_STAGES && (int)ss_stage_of(r->modules[s.module]) != stage)
                continue;
            row->absmax[stage] =
                fmax(row->absmax[stage], ss_site_peak(r, absmax, s, input, row->sigma));
            scratch[n++] = rms ? ss_site_rms(r, rms, s, input, row->sigma) : NAN;
        }
        row->rms[stage] = ss_median(scratch, n);
    }
    row->absmax_ratio = row->absmax[SS_STAGE_DECODER] / row->absmax[SS_STAGE_ENCODER];
    row->rms_ratio = row->rms[SS_STAGE_DECODER] / row->rms[SS_STAGE_ENCODER];
}

ss_code ss_stages_find(ss_run *r, const ss_sites *sites, int input, ss_stages *out, ss_err *e)
{
    const float *absmax, *rms;
    int *order = ss_sigma_order(r);
    double *scratch = ss_alloc((size_t)sites->n, sizeof *scratch);
    ss_code rc = ss_run_stat(r, "absmax", &absmax, e);

    *out = (ss_stages){.rows = ss_calloc((size_t)r->n_done, sizeof *out->rows)};
    if (rc == SS_OK)
        rc = ss_run_stat(r, "rms", &rms, e);
    if (rc == SS_OK && (!order || !scratch || !out->rows))
        rc = ss_no_memory(e, r->path);
    for (int i = 0; i < sites->n; i++)
        out->n_sites[ss_stage_of(r->modules[sites->site[i].module])]++;
    for (int k = 0; k < r->n_done && rc == SS_OK; k++) {
        out->rows[k].sigma = order[k];
        fill_row(r, sites, absmax, rms, input, scratch, &out->rows[out->n++]);
    }
    ss_free(order);
    ss_free(scratch);
    if (rc != SS_OK)
        ss_stages_release(out);
    return rc;
}

void ss_stages_release(ss_stages *s)
{
    ss_free(s->rows);
    *s = (ss_stages){0};
}

bool ss_stages_named(const ss_stages *s)
{
    return s->n_sites[SS_STAGE_ENCODER] + s->n_sites[SS_STAGE_MIDDLE] +
               s->n_sites[SS_STAGE_DECODER] >
           0;
}

static void table_of_all(const ss_run *r, const ss_stages *s, ss_table *t)
{
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "all modules", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "rms", SS_COL_NUMBER, "%.4g");
    for (int i = 0; i < s->n; i++) {
        const ss_stage_row *x = &s->rows[i];

        ss_table_row(t);
        ss_table_number(t, r->sigmas[x->sigma]);
        ss_table_number(t, x->absmax[SS_N_STAGES]);
        ss_table_number(t, x->rms[SS_N_STAGES]);
    }
    ss_table_note(t,
                  "largest |x| and median RMS of all %d places: no module's path names an encoder, "
                  "a middle or a decoder, so there are none to compare",
                  s->n_sites[SS_STAGE_NONE]);
}

ss_code ss_stages_table(const ss_run *r, const ss_stages *s, ss_table *t, ss_err *e)
{
    char name[64];
    ss_code rc = ss_table_init(t, "stages", e);

    if (rc != SS_OK)
        return rc;
    if (!ss_stages_named(s)) {
        table_of_all(r, s, t);
        return SS_OK;
    }
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    for (int k = 0; k < SS_N_STAGES; k++)
        ss_table_column(t, ss_stage_name((ss_stage)k), SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "ratio", SS_COL_NUMBER, "%.3g");
    for (int k = 0; k < SS_N_STAGES; k++) {
        snprintf(name, sizeof name, "%s rms", ss_stage_name((ss_stage)k));
        ss_table_column(t, name, SS_COL_NUMBER, "%.4g");
    }
    ss_table_column(t, "rms ratio", SS_COL_NUMBER, "%.3g");
    for (int i = 0; i < s->n; i++) {
        const ss_stage_row *x = &s->rows[i];

        ss_table_row(t);
        ss_table_number(t, r->sigmas[x->sigma]);
        for (int k = 0; k < SS_N_STAGES; k++)
            ss_table_number(t, x->absmax[k]);
        ss_table_number(t, x->absmax_ratio);
        for (int k = 0; k < SS_N_STAGES; k++)
            ss_table_number(t, x->rms[k]);
        ss_table_number(t, x->rms_ratio);
    }
    ss_table_note(t,
                  "largest |x| and median RMS, ratio of decoder to encoder; %d, %d, %d places, %d "
                  "in no stage",
                  s->n_sites[0], s->n_sites[1], s->n_sites[2], s->n_sites[SS_STAGE_NONE]);
    return SS_OK;
}
