/* run_made.h - run files whose modules, axes and numbers a test chooses
 *
 *   made_run m = {.modules = names, .n_modules = 3, ..., .stats = my_stats};
 *   make_run(in_tmp("a.h5"), &m);
 *
 * Indices that a function gets are those of the lists, so runs with other orders of modules or
 * noise levels can share one function that goes by the names and values.
 */
#ifndef SS_TESTS_RUN_MADE_H
#define SS_TESTS_RUN_MADE_H

#include "runfile/run_file.h"
#include "tests/ss_test.h"

enum { MADE_MAX = 16 };

typedef struct made_run {
    const char *model_path, *sha256;
    const char *const *modules; /* outputs only */
    int n_modules;
    const char *const *inputs;
    int n_inputs;
    const double *sigmas;
    int n_sigmas, n_samples;
    double factor; /* for the functions: what differs between runs */
    /* absmax, rms and nonfinite of an output */
    void (*stats)(const struct made_run *m, int module, int input, int sigma, int sample,
                  ss_stats *s);
    /* The rest is left out where it is NULL or 0. */
    const ss_run_layer *layers;
    int n_layers;
    ss_attention_stats (*attention)(const struct made_run *m, int layer, int head, int input,
                                    int sigma, int sample);
    double (*loss)(const struct made_run *m, int input, int sigma, int sample);
    int n_radii;
    double (*psd)(const struct made_run *m, int input, int sigma, int radius);
    const ss_run_parameter *parameters;
    int n_parameters;
    int unfinished;                      /* how many of the last noise levels are not written */
    const char *precision, *plan, *tool; /* NULL: fp32, none, none */
    const char *prediction_type;
    const char *const *pictures; /* [n_inputs][n_samples] */
    const ss_structure_row *structure;
    int n_structure;
} made_run;

static inline void fill_column(const made_run *m, ss_run_column *col, int s)
{
    for (int i = 0; i < m->n_inputs; i++) {
        for (int n = 0; n < m->n_samples; n++) {
            double psd[MADE_MAX];

            for (int k = 0; k < m->n_modules; k++) {
                ss_stats st = {.count = 100};

                m->stats(m, k, i, s, n, &st);
                ss_run_put_stats(col, k, SS_PORT_OUTPUT, i, n, &st);
            }
            for (int l = 0; l < m->n_layers; l++) {
                for (int h = 0; h < m->layers[l].heads; h++) {
                    ss_attention_stats a = m->attention(m, l, h, i, s, n);
                    ss_run_put_attention(col, l, h, i, n, &a);
                }
            }
            for (int k = 0; k < m->n_radii; k++)
                psd[k] = m->psd(m, i, s, k);
            if (m->n_radii)
                ss_run_put_psd(col, i, n, psd);
            if (m->loss)
                ss_run_put_loss(col, i, n, m->loss(m, i, s, n));
        }
    }
}

static inline void make_run(const char *path, const made_run *m)
{
    ss_run_module modules[MADE_MAX];
    const ss_run_spec spec = {
        .histogram = true,
        .family = "UNet2DModel",
        .model_path = m->model_path,
        .model_sha256 = m->sha256,
        .precision = m->precision ? m->precision : "fp32",
        .plan = m->plan,
        .tool = m->tool,
        .prediction_type = m->prediction_type,
        .pictures = m->pictures,
        .modules = modules,
        .n_modules = m->n_modules,
        .inputs = m->inputs,
        .n_inputs = m->n_inputs,
        .sigmas = m->sigmas,
        .n_sigmas = m->n_sigmas,
        .n_samples = m->n_samples,
        .layers = m->layers,
        .n_layers = m->n_layers,
        .parameters = m->parameters,
        .n_parameters = m->n_parameters,
        .n_radii = m->n_radii,
        .loss = m->loss != NULL,
        .structure = m->structure,
        .n_structure = m->n_structure,
    };
    ss_err e = {0};
    ss_run_writer *w;
    ss_run_column *col;

    for (int k = 0; k < m->n_modules; k++)
        modules[k] = (ss_run_module){m->modules[k], NULL, false};
    if (ss_run_create(path, &spec, true, &w, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int s = 0; s < m->n_sigmas - m->unfinished; s++) {
        assert_int_equal(ss_run_column_new(w, s, &col, &e), SS_OK);
        fill_column(m, col, s);
        assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    }
    if (m->unfinished)
        ss_run_abandon(w);
    else
        assert_int_equal(ss_run_finish(w, &e), SS_OK);
}

#endif
