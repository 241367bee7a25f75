/* absmax.c - largest activation of every block of a network, at one noise level
 *
 *   cc absmax.c $(pkg-config --cflags --libs sigmascope) -o absmax
 *   ./absmax demo/fashion-mnist/step-06000 80
 *
 * The network is told that level. Its input is white noise, which at the highest levels is what
 * pictures look like; the class is the null class.
 */
#include <sigmascope/base/rng.h>
#include <sigmascope/kernels/context.h>
#include <sigmascope/kernels/results.h>
#include <sigmascope/models/model.h>
#include <sigmascope/models/sampling/schedule_config.h>
#include <stdio.h>
#include <stdlib.h>

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self;
    return m->block && p == SS_PORT_OUTPUT;
}

static void take(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_stats *s, int n)
{
    (void)self, (void)c, (void)p, (void)n;
    printf("%-45s %9.4g\n", m->path, (double)s->absmax);
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    ss_ask_stats(c, x, false, m, p, take, self); /* comes with ss_ctx_finish, in this order */
}

static ss_code run(const char *folder, double sigma, ss_ctx *c, ss_model *m, ss_err *e)
{
    const ss_model_info *about = ss_model_about(m);
    const ss_condition_needs *needs = &about->net.needs;
    const ss_hooks hooks = {.wants = wants, .see = see};
    ss_setup setup = {.hooks = &hooks};
    ss_schedule *schedule = NULL;
    ss_code rc = ss_schedule_load(about->scheduler, &schedule, e);

    if (rc != SS_OK)
        return rc;
    const float t = (float)ss_schedule_nearest(schedule, sigma);
    const ss_shape shape =
        ss_shape_of(1, about->net.sample_h, about->net.sample_w, about->net.in_channels);
    const size_t n = (size_t)ss_shape_numel(shape);
    float *noise = calloc(n, sizeof *noise);
    float *text = calloc((size_t)(needs->table_tokens * needs->text_width) + 1, sizeof *text);
    ss_condition told = {
        .encoder_hidden_states = text, .tokens = needs->table_tokens, .width = needs->text_width};

    setup.modules = ss_model_modules(m, &setup.n_modules);
    if (!noise || !text)
        rc = ss_fail(e, SS_NOMEM, "%s: an input of %zu values", folder, n);
    if (rc == SS_OK && needs->table_classes)
        rc = ss_model_class_embedding(m, -1, text, e);
    if (rc == SS_OK && (rc = ss_model_bind(m, c, e)) == SS_OK)
        rc = ss_ctx_setup(c, &setup, e);
    if (rc == SS_OK) {
        ss_rng_normals((ss_rng){.seed = 0}, 0, noise, n);
        ss_tensor *x = ss_upload(c, shape, noise);

        ss_release(ss_model_forward(c, m, x, &t, needs->table_classes ? &told : NULL));
        ss_release(x);
        rc = ss_ctx_finish(c, e); /* calls take; the first error of any operation above */
    }
    free(noise);
    free(text);
    ss_schedule_free(schedule);
    return rc;
}

int main(int argc, char **argv)
{
    ss_err e = {0};
    ss_ctx *c = NULL;
    ss_model *m = NULL;

    if (argc != 3) {
        fprintf(stderr, "usage: absmax MODEL SIGMA\n");
        return 2;
    }
    ss_code rc = ss_ctx_new(&(ss_ctx_options){.device = "cpu"}, &c, &e);
    if (rc == SS_OK && (rc = ss_model_open(argv[1], NULL, &m, &e)) == SS_OK)
        rc = run(argv[1], strtod(argv[2], NULL), c, m, &e);
    if (rc != SS_OK)
        fprintf(stderr, "absmax: %s\n", e.msg);
    ss_model_close(m);
    ss_ctx_free(c);
    return rc == SS_OK ? 0 : 1;
}
