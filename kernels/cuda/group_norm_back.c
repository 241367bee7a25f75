/* group_norm_back.c - gradients of group norm on the device: sizes and launches */
#include "kernels/cuda/norm.h"
#include "kernels/cuda/packs.h"

static ss_code zero(ss_device *d, const ss_norm_gradients *g, ss_err *e)
{
    ss_tensor *const all[] = {g->dgamma, g->dbeta, g->dmod};
    ss_code rc = SS_OK;

    for (int i = 0; i < 3 && rc == SS_OK; i++)
        if (all[i])
            rc = ss_cuda_fill(d, all[i], 0, e);
    return rc;
}

/* In one launch; tile: of group_norm_back_tile. */
static ss_code in_registers(ss_device *d, const ss_group_norm_args *a, const ss_norm_gradients *g,
                            const ss_cuda_cut *c, bool tile, const float *gamma, const float *beta,
                            ss_err *e)
{
    const ss_cuda_grid_size grid = {.x = a->n * c->slabs};
    double *share = NULL;

    if (g->dgamma || g->dbeta) {
        share = ss_cuda_work(d, (size_t)(a->n * a->channels * 2) * sizeof *share,
                             "gradient of group norm", e);
        if (!share)
            return e->code;
    }
#define ARGUMENTS                                                                         \
    .x = a->x->data, .dy = g->dy->data, .gamma = gamma, .beta = beta,                     \
    .mod = ss_cuda_values(a->mod), .dx = ss_cuda_values(g->dx),                           \
    .dgamma = ss_cuda_values(g->dgamma), .dbeta = ss_cuda_values(g->dbeta),               \
    .dmod = ss_cuda_values(g->dmod), .share = share, .cut = *c, .n = a->n, .eps = a->eps, \
    .act = (int32_t)a->act, .torch = a->torch
    const ss_code rc = tile ? SS_LAUNCH(d, e, group_norm_back_tile, grid, ARGUMENTS)
                            : SS_LAUNCH(d, e, group_norm_back_small, grid, ARGUMENTS);
#undef ARGUMENTS
    ss_pool_free(&d->pool, share);
    return rc;
}

/* work: [n][chunks + 2][C][2] */
static ss_code sums_and_dx(ss_device *d, const ss_group_norm_args *a, const ss_norm_gradients *g,
                           const ss_cuda_cut *c, const double *group, double *work,
                           const float *gamma, const float *beta, ss_err *e)
{
    const float *mod = ss_cuda_values(a->mod);
    const ss_cuda_grid_size chunks = {.x = a->n * c->slabs * c->chunks};
    double *sum = work + a->n * c->chunks * c->channels * 2, *share = sum + a->n * c->channels * 2;
    int32_t width = 32;

    while (width * SS_GROUP_SLABS < c->channels)
        width *= 2;
    width = width < c->channels ? width : c->channels;
    const int32_t slabs = (c->channels + width - 1) / width;
    ss_code rc = SS_LAUNCH(d, e, group_norm_slopes, chunks, .x = a->x->data, .dy = g->dy->data,
                           .gamma = gamma, .beta = beta, .mod = mod, .group = group,
                           .partial = work, .cut = *c, .act = (int32_t)a->act);
    if (rc == SS_OK)
        rc = SS_LAUNCH(d, e, group_norm_slope_sums, (ss_cuda_grid_size){.x = a->n * slabs},
                       .gamma = gamma, .beta = beta, .mod = mod, .partial = work, .sum = sum,
                       .share = g->dgamma || g->dbeta ? share : NULL,
                       .dgamma = ss_cuda_values(g->dgamma), .dbeta = ss_cuda_values(g->dbeta),
                       .dmod = ss_cuda_values(g->dmod), .n = a->n, .channels = c->channels,
                       .chunks = c->chunks, .width = width, .slabs = slabs);
    if (rc == SS_OK && g->dx)
        rc = SS_LAUNCH(d, e, group_norm_dx, chunks, .x = a->x->data, .dy = g->dy->data,
                       .gamma = gamma, .beta = beta, .mod = mod, .group = group, .sum = sum,
                       .dx = g->dx->data, .cut = *c, .act = (int32_t)a->act);
    return rc;
}

static ss_code large(ss_device *d, const ss_group_norm_args *a, const ss_norm_gradients *g,
                     bool aligned, const float *gamma, const float *beta, ss_err *e)
{
    ss_cuda_cut c;
    double *group = NULL, *work = NULL;
    ss_code rc =
        ss_cuda_cut_channels(a, aligned, SS_THREADS_group_norm_moments, SS_GROUP_WIDTH, &c, e);

    if (rc != SS_OK)
        return rc;
    ss_cuda_cut_positions(&c, 8192, 128, 8);
    rc = ss_cuda_group_moments(d, a, &c, &group, e);
    if (rc == SS_OK) {
        work = ss_cuda_work(d, (size_t)(a->n * (c.chunks + 2) * c.channels * 2) * sizeof *work,
                            "gradient of group norm", e);
        rc = work ? sums_and_dx(d, a, g, &c, group, work, gamma, beta, e) : e->code;
    }
    ss_pool_free(&d->pool, work);
    ss_pool_free(&d->pool, group);
    return rc;
}

ss_code ss_cuda_back_group_norm(ss_device *d, const ss_group_norm_args *a,
                                const ss_norm_gradients *g, ss_err *e)
{
    const bool aligned = ss_cuda_pack(4, a->x->data, g->dy->data, ss_cuda_values(g->dx)) == 4;
    const float *gamma, *beta;
    ss_cuda_cut c;
    bool small = false, tile = false;
    ss_code rc = ss_cuda_norm_parameter(d, a->gamma, a->weight_format, &gamma, e);

    if (rc == SS_OK)
        rc = ss_cuda_norm_parameter(d, a->beta, a->weight_format, &beta, e);
    if (rc == SS_OK && a->n * a->positions * a->channels == 0)
        return zero(d, g, e);
    if (rc == SS_OK)
        rc = ss_cuda_cut_tiles(a, aligned, SS_THREADS_group_norm_back_small, SS_SMALL_ROWS, &c,
                               &small, e);
    if (rc == SS_OK && !small)
        rc = ss_cuda_cut_tiles(a, aligned, SS_THREADS_group_norm_back_tile, SS_BACK_TILE_ROWS, &c,
                               &tile, e);
    if (rc != SS_OK)
        return rc;
    return (small || tile) && c.slabs <= SS_GROUP_SLABS
               ? in_registers(d, a, g, &c, tile, gamma, beta, e)
               : large(d, a, g, aligned, gamma, beta, e);
}
