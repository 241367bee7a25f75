/* group_norm.c - group norm on the device: how samples are cut into blocks, and launches */
#include "kernels/cuda/norm.h"
#include "kernels/cuda/packs.h"

ss_code ss_cuda_norm_parameter(ss_device *d, const ss_tensor *w, const ss_format *f,
                               const float **values, ss_err *e)
{
    *values = w ? ss_cuda_param(d, w, SS_PREPARED_FORWARD, f, SS_CUDA_AS_IS, e) : NULL;
    return w && !*values ? e->code : SS_OK;
}

static int32_t divide_up(int64_t a, int64_t b)
{
    return (int32_t)((a + b - 1) / b);
}

/* At least 1. */
static int32_t divide_down(int32_t a, int32_t b)
{
    return a < b ? 1 : a / b;
}

static int32_t min_i32(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* The fewest groups whose channels are a multiple of four. */
static int32_t groups_of_fours(int32_t group)
{
    return group % 4 == 0 ? 1 : group % 2 == 0 ? 2 : 4;
}

ss_code ss_cuda_cut_channels(const ss_group_norm_args *a, bool aligned, int threads, int most,
                             ss_cuda_cut *c, ss_err *e)
{
    if (a->channels > SS_GROUP_CHANNELS)
        return ss_fail(e, SS_UNSUPPORTED, "group norm of %lld channels: on a GPU %d at most",
                       (long long)a->channels, SS_GROUP_CHANNELS);
    const int32_t C = (int32_t)a->channels, group = C / a->groups, unit = groups_of_fours(group);
    const bool fours = aligned && C % 4 == 0 &&
                       (group > SS_GROUP_WIDTH ? group % 4 == 0 : unit * group <= SS_GROUP_WIDTH);
    const int32_t vector = fours ? 4 : 1, step = fours ? unit * group : group;
    const int32_t widest = min_i32(SS_GROUP_WIDTH, threads * vector);

    *c = (ss_cuda_cut){.positions = a->positions,
                       .channels = C,
                       .groups = a->groups,
                       .group = group,
                       .chunk = (int32_t)(a->positions < INT32_MAX ? a->positions : INT32_MAX),
                       .chunks = 1,
                       .parts = 1,
                       .vector = vector};
    if (group > widest) {
        c->width = divide_up(divide_up(group, divide_up(group, widest)), 4) * 4;
        c->parts = divide_up(group, c->width);
        c->slabs = a->groups * c->parts;
    } else {
        const int32_t steps = C / step, each = divide_down(min_i32(most, widest), step);

        c->width = divide_up(steps, divide_up(steps, each)) * step;
        c->slabs = divide_up(C, c->width);
    }
    c->columns = c->width / vector;
    c->rows = threads / c->columns;
    return SS_OK;
}

void ss_cuda_cut_positions(ss_cuda_cut *c, int values, int chunks, int run)
{
    const int64_t least = divide_up(c->positions, chunks), enough = divide_up(values, c->width);
    const int64_t positions = least > enough ? least : enough, round = (int64_t)c->rows * run;

    c->chunk = (int32_t)((positions + round - 1) / round * round);
    c->chunks = divide_up(c->positions, c->chunk);
}

ss_code ss_cuda_cut_tiles(const ss_group_norm_args *a, bool aligned, int threads, int run,
                          ss_cuda_cut *c, bool *fits, ss_err *e)
{
    *fits = false;
    /* Wider slabs, until each thread has a value and rows are whole lines of memory. */
    for (int most = 8; most <= SS_GROUP_WIDTH; most *= 2) {
        ss_cuda_cut wide;
        const ss_code rc = ss_cuda_cut_channels(a, aligned, threads, most, &wide, e);

        if (rc != SS_OK)
            return rc;
        if (wide.parts > 1 || (int64_t)wide.rows * run < a->positions)
            break;
        *c = wide;
        *fits = true;
        if (wide.width >= 32 && wide.columns * a->positions >= threads)
            break;
    }
    return SS_OK;
}

ss_code ss_cuda_group_moments(ss_device *d, const ss_group_norm_args *a, const ss_cuda_cut *c,
                              double **group, ss_err *e)
{
    const int64_t G = a->groups, sample = a->positions * a->channels;
    const int64_t sums = G * c->chunks * c->parts * 2; /* of a sample */
    const float *x = a->x->data;
    ss_code rc = SS_OK;

    *group = ss_cuda_work(d, (size_t)(a->n * (G * 2 + sums)) * sizeof **group, "group norm", e);
    if (!*group)
        return e->code;
    double *partial = *group + a->n * G * 2;
    for (int64_t s = 0; s < a->n && rc == SS_OK; s += SS_GROUP_SAMPLES) {
        const int64_t n = a->n - s < SS_GROUP_SAMPLES ? a->n - s : SS_GROUP_SAMPLES;
        const ss_cuda_grid_size grid = {.x = n * c->slabs * c->chunks};

        rc = SS_LAUNCH(d, e, group_norm_moments, grid, .x = x + s * sample,
                       .partial = partial + s * sums, .group = *group + s * G * 2, .cut = *c,
                       .eps = a->eps, .torch = a->torch);
    }
    return rc;
}

/* In two launches. */
static ss_code large(ss_device *d, const ss_group_norm_args *a, bool aligned, const float *gamma,
                     const float *beta, ss_err *e)
{
    ss_cuda_cut c;
    double *group = NULL;
    ss_code rc =
        ss_cuda_cut_channels(a, aligned, SS_THREADS_group_norm_moments, SS_GROUP_WIDTH, &c, e);

    if (rc != SS_OK)
        return rc;
    ss_cuda_cut_positions(&c, 8192, 128, 8);
    rc = ss_cuda_group_moments(d, a, &c, &group, e);
    if (rc == SS_OK)
        rc = SS_LAUNCH(d, e, group_norm_apply, (ss_cuda_grid_size){.x = a->n * c.slabs * c.chunks},
                       .x = a->x->data, .y = a->y->data, .plain = ss_cuda_values(a->plain),
                       .gamma = gamma, .beta = beta, .mod = ss_cuda_values(a->mod), .group = group,
                       .cut = c, .act = (int32_t)a->act);
    ss_pool_free(&d->pool, group);
    return rc;
}

ss_code ss_cuda_group_norm(ss_device *d, const ss_group_norm_args *a, ss_err *e)
{
    const bool aligned = ss_cuda_pack(4, a->x->data, a->y->data, ss_cuda_values(a->plain)) == 4;
    const float *gamma, *beta;
    ss_cuda_cut c;
    bool small = false, tile = false;
    ss_code rc = ss_cuda_norm_parameter(d, a->gamma, a->weight_format, &gamma, e);

    if (rc == SS_OK)
        rc = ss_cuda_norm_parameter(d, a->beta, a->weight_format, &beta, e);
    if (rc == SS_OK && a->n * a->positions * a->channels == 0)
        return SS_OK;
    if (rc == SS_OK)
        rc = ss_cuda_cut_tiles(a, aligned, SS_THREADS_group_norm_small, SS_SMALL_ROWS, &c, &small,
                               e);
    if (rc == SS_OK && !small)
        rc = ss_cuda_cut_tiles(a, aligned, SS_THREADS_group_norm_tile, SS_TILE_ROWS, &c, &tile, e);
    if (rc != SS_OK)
        return rc;
    if (!small && !tile)
        return large(d, a, aligned, gamma, beta, e);
#define ARGUMENTS                                                                                 \
    .x = a->x->data, .y = a->y->data, .plain = ss_cuda_values(a->plain), .gamma = gamma,          \
    .beta = beta, .mod = ss_cuda_values(a->mod), .cut = c, .eps = a->eps, .act = (int32_t)a->act, \
    .torch = a->torch
    const ss_cuda_grid_size grid = {.x = a->n * c.slabs};
    return small ? SS_LAUNCH(d, e, group_norm_small, grid, ARGUMENTS)
                 : SS_LAUNCH(d, e, group_norm_tile, grid, ARGUMENTS);
#undef ARGUMENTS
}
