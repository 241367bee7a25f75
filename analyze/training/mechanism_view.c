/* mechanism_view.c - see mechanism_view.h */
#include "analyze/training/mechanism_view.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool ss_module_ends(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0 && (n == m || path[n - m - 1] == '.');
}

/* True of a convolution that reads the bare stream, by the names of diffusers and of the original
 * code. */
static bool reads_stream(const char *path)
{
    static const char *const ends[] = {"conv_shortcut", "nin_shortcut", "skip_connection",
                                       "conv_in"};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ss_module_ends(path, ends[i]))
            return true;
    }
    return strstr(path, "upsamplers.") || strstr(path, "downsamplers.");
}

static int what_is(const ss_run *r, ss_site s)
{
    const char *port = r->ports[s.port], *path = r->modules[s.module];

    if (strcmp(port, "residual") == 0)
        return SS_IS_STREAM;
    if (strcmp(port, "output") != 0)
        return SS_IS_NOTHING;
    if (r->inner && r->inner[s.module] != SS_INNER_NONE)
        return ss_module_ends(path, "residual_sum") ? SS_IS_STREAM : SS_IS_NOTHING;
    if (strcmp(path, SS_ROOT) == 0)
        return SS_IS_NOTHING;
    if ((r->blocks && r->blocks[s.module] && !ss_module_ends(path, "conv_out")) ||
        reads_stream(path))
        return SS_IS_STREAM;
    /* a container returns what is inside of it */
    for (int m = s.module + 1; m < r->n_modules; m++) {
        if (ss_module_inside(r->modules[m], path))
            return SS_IS_NOTHING;
    }
    return SS_IS_OTHER;
}

/* The module whose input is the noised picture: conv_in; without one, the whole model. */
static int input_module(const ss_run *r)
{
    for (int m = 0; m < r->n_modules; m++) {
        if (ss_module_ends(r->modules[m], "conv_in"))
            return m;
    }
    return 0;
}

static size_t n_all(const ss_run *r)
{
    return (size_t)r->n_samples * (size_t)r->n_inputs * (size_t)r->n_sigmas;
}

static size_t n_scratch(const ss_run *r)
{
    return n_all(r) + (size_t)r->n_parameters;
}

ss_code ss_view_open(ss_run *r, ss_view *view, ss_err *e)
{
    ss_code rc = ss_run_stat(r, "absmax", &view->absmax, e);

    view->r = r;
    if (rc == SS_OK)
        rc = ss_run_stat(r, "rms", &view->rms, e);
    if (rc == SS_OK)
        rc = ss_run_nonfinite(r, &view->nonfinite, e);
    if (rc == SS_OK && r->n_layers)
        rc = ss_run_attention(r, "entropy", &view->entropy, e);
    if (rc == SS_OK && r->n_layers)
        rc = ss_run_attention(r, "max_logit", &view->logit, e);
    if (rc == SS_OK && r->n_layers)
        rc = ss_run_attention_keys(r, &view->keys, e);
    if (rc == SS_OK && r->n_parameters)
        rc = ss_run_weights(r, "rms", &view->weights, e);
    if (rc == SS_OK && view->absmax)
        rc = ss_sites_find_each(r, NULL, 0, SS_SITES_ALL, &view->all, e);
    if (rc == SS_OK && !(view->is = ss_alloc((size_t)view->all.n, sizeof *view->is)))
        rc = ss_no_memory(e, r->path);
    if (rc == SS_OK &&
        !(view->scratch = ss_alloc(n_scratch(r) + 3 * n_all(r), sizeof *view->scratch)))
        rc = ss_no_memory(e, r->path);
    view->cells = view->scratch ? view->scratch + n_scratch(r) : NULL;
    view->in = (ss_site){input_module(r), ss_run_port(r, "input")};
    for (int i = 0; i < view->all.n && rc == SS_OK; i++)
        view->is[i] = (uint8_t)what_is(r, view->all.site[i]);
    return rc;
}

void ss_view_close(ss_view *view)
{
    ss_sites_release(&view->all);
    ss_free(view->is);
    ss_free(view->scratch);
    *view = (ss_view){0};
}

int ss_view_cells(const ss_view *view)
{
    return view->n_columns * view->n_inputs * view->r->n_samples;
}

ss_point_cell ss_view_cell(const ss_view *view, int k)
{
    const int sample = k % view->r->n_samples, rest = k / view->r->n_samples;

    return (ss_point_cell){view->columns[rest / view->n_inputs],
                           view->inputs[rest % view->n_inputs], sample};
}

size_t ss_view_at(const ss_view *view, ss_site s, ss_point_cell c)
{
    return ss_run_at(view->r, s.module, s.port, c.input, c.column, c.sample);
}

double ss_view_sigma(const ss_view *view, ss_point_cell c)
{
    if (view->sigma)
        return view->sigma[(size_t)c.column * (size_t)view->r->n_samples + (size_t)c.sample];
    return view->r->sigmas ? view->r->sigmas[c.column] : NAN;
}
