/* layer_norm.c - layer norm and RMS norm on the device: sizes and launches */
#include "kernels/cuda/norm.h"
#include "kernels/cuda/packs.h"

enum { COLUMNS = 32, COLUMN_ROUND = 32, MOST_CHUNKS = 128 };

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

ss_code ss_cuda_layer_norm(ss_device *d, const ss_layer_norm_args *a, ss_err *e)
{
    const float *gamma, *beta;
    ss_code rc = ss_cuda_norm_parameter(d, a->gamma, a->weight_format, &gamma, e);

    if (rc == SS_OK)
        rc = ss_cuda_norm_parameter(d, a->beta, a->weight_format, &beta, e);
    if (rc != SS_OK || a->channels == 0)
        return rc;
    const int vector = min_int(ss_cuda_pack(a->channels, a->x->data, a->y->data, gamma),
                               ss_cuda_pack(a->channels, beta, NULL, NULL));
    return SS_LAUNCH_ROWS(d, e, layer_norm, a->rows, a->channels, vector, .x = a->x->data,
                          .y = a->y->data, .gamma = gamma, .beta = beta, .rows = a->rows,
                          .channels = a->channels, .eps = a->eps, .torch = a->torch,
                          .vector = vector, .rms = a->rms, .rounds = a->stored != NULL,
                          .to = ss_cuda_rounding_of(a->stored));
}

/* dgamma and dbeta, from the moments of rows. */
static ss_code columns(ss_device *d, const ss_layer_norm_args *a, const ss_norm_gradients *g,
                       const float *moments, ss_err *e)
{
    const float *x = a->x->data, *dy = g->dy->data;
    float *dgamma = ss_cuda_values(g->dgamma), *dbeta = ss_cuda_values(g->dbeta);
    const int vector = ss_cuda_pack(a->channels, x, dy, NULL);
    const int64_t least = (a->rows + MOST_CHUNKS - 1) / MOST_CHUNKS;
    const int64_t chunk = (least + COLUMN_ROUND - 1) / COLUMN_ROUND * COLUMN_ROUND;
    const int64_t chunks = (a->rows + chunk - 1) / chunk, slab = COLUMNS * vector;
    const int64_t slabs = (a->channels + slab - 1) / slab;
    double *partial = ss_cuda_work(d, (size_t)(chunks * a->channels * 2) * sizeof *partial,
                                   "gradient of layer norm", e);
    ss_code rc = partial ? SS_OK : e->code;

    if (slabs > SS_COLUMN_SLABS)
        rc = ss_fail(e, SS_UNSUPPORTED, "gradient of layer norm: %lld channels are too many",
                     (long long)a->channels);
    if (rc == SS_OK)
        rc = SS_LAUNCH(d, e, layer_norm_columns, (ss_cuda_grid_size){.x = slabs * chunks}, .x = x,
                       .dy = dy, .moments = moments, .partial = partial, .dgamma = dgamma,
                       .dbeta = dbeta, .rows = a->rows, .channels = a->channels, .chunk = chunk,
                       .chunks = (int32_t)chunks, .vector = vector);
    ss_pool_free(&d->pool, partial);
    return rc;
}

static ss_code fill_parameters(ss_device *d, const ss_norm_gradients *g, ss_err *e)
{
    ss_code rc = g->dgamma ? ss_cuda_fill(d, g->dgamma, 0, e) : SS_OK;

    return rc == SS_OK && g->dbeta ? ss_cuda_fill(d, g->dbeta, 0, e) : rc;
}

ss_code ss_cuda_back_layer_norm(ss_device *d, const ss_layer_norm_args *a,
                                const ss_norm_gradients *g, ss_err *e)
{
    const bool parameters = g->dgamma || g->dbeta;
    float *dx = ss_cuda_values(g->dx), *moments = NULL;
    const float *gamma;
    ss_code rc = ss_cuda_norm_parameter(d, a->gamma, a->weight_format, &gamma, e);

    if (rc == SS_OK && a->rows * a->channels == 0)
        return fill_parameters(d, g, e);
    if (rc == SS_OK && parameters) {
        moments =
            ss_cuda_work(d, (size_t)(a->rows * 3) * sizeof *moments, "gradient of layer norm", e);
        rc = moments ? SS_OK : e->code;
    }
    if (rc != SS_OK)
        return rc;
    const int vector = min_int(ss_cuda_pack(a->channels, a->x->data, g->dy->data, gamma),
                               ss_cuda_pack(a->channels, dx, NULL, NULL));
    rc = SS_LAUNCH_ROWS(d, e, layer_norm_back, a->rows, a->channels, vector, .x = a->x->data,
                        .dy = g->dy->data, .gamma = gamma, .dx = dx, .moments = moments,
                        .rows = a->rows, .channels = a->channels, .eps = a->eps, .torch = a->torch,
                        .vector = vector, .rms = a->rms);
    if (rc == SS_OK && parameters)
        rc = columns(d, a, g, moments, e);
    ss_pool_free(&d->pool, moments);
    return rc;
}
