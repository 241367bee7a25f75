/* backend.c - the table of the CUDA device (kernels/backend.h) */
#include "kernels/cuda/cuda.h"

static int one_thread(const ss_device *d)
{
    (void)d;
    return 1;
}

static const char *text_of(const ss_device *d)
{
    return d->text;
}

static ss_code alloc(ss_device *d, size_t bytes, void **p, ss_err *e)
{
    const ss_code rc = ss_cuda_enter(d, e);

    if (rc != SS_OK)
        return rc;
    *p = ss_cuda_work(d, bytes, "a tensor", e);
    return *p ? SS_OK : e->code;
}

static void give_back(ss_device *d, void *p)
{
    ss_pool_free(&d->pool, p);
}

static ss_code upload(ss_device *d, void *to, const void *host, size_t bytes, ss_err *e)
{
    const ss_code rc = ss_cuda_enter(d, e);

    return rc == SS_OK ? ss_cuda_copy_in(d, to, host, bytes, e) : rc;
}

static ss_code adopt(ss_device *d, const void *host, size_t bytes, ss_buffer *b, ss_err *e)
{
    const ss_code rc = alloc(d, bytes, &b->data, e);

    b->bytes = bytes;
    if (rc != SS_OK)
        return rc;
    return ss_cuda_copy_in(d, b->data, host, bytes, e);
}

/* f16 and bf16 become f32 on the device first. */
static ss_code download(ss_device *d, const ss_tensor *x, float *host, ss_err *e)
{
    const int64_t n = ss_shape_numel(x->shape);
    ss_code rc = ss_cuda_enter(d, e);

    if (rc != SS_OK || x->dtype == SS_F32)
        return rc == SS_OK ? ss_cuda_copy_out(d, x->data, host, (size_t)n * sizeof *host, e) : rc;
    float *wide = ss_cuda_work(d, (size_t)n * sizeof *wide, "values as f32", e);

    if (!wide)
        return e->code;
    rc = ss_cuda_widen(d, x->data, x->dtype, NULL, wide, n, e);
    if (rc == SS_OK)
        rc = ss_cuda_copy_out(d, wide, host, (size_t)n * sizeof *host, e);
    ss_pool_free(&d->pool, wide);
    return rc;
}

static ss_code finish(ss_device *d, ss_err *e)
{
    const ss_code rc = ss_cuda_enter(d, e);

    return rc == SS_OK ? ss_cuda_later_finish(d, e) : rc;
}

const ss_backend ss_backend_cuda = {
    .name = "cuda",
    .numbered = true,
    .open = ss_cuda_open,
    .close = ss_cuda_close,
    .threads = one_thread,
    .describe = text_of,
    .alloc = alloc,
    .free = give_back,
    .upload = upload,
    .adopt = adopt,
    .download = download,
    .finish = finish,
    .linear = ss_cuda_linear,
    .attention = ss_cuda_attention,
    .back_attention = ss_cuda_back_attention,
    .fill = ss_cuda_fill,
    .stats = ss_cuda_stats,
    .squared_error = ss_cuda_squared_error,
    .optimizer_step = ss_cuda_optimizer_step,
    .sum_squares = ss_cuda_sum_squares,
    .back_sum_rows = ss_cuda_back_sum_rows,
    .back_dot = ss_cuda_back_dot,
    .channel_stats = ss_cuda_channel_stats,
    .modulated_stats = ss_cuda_modulated_stats,
    .affine = ss_cuda_affine,
    .gain = ss_cuda_gain,
    .clamp = ss_cuda_clamp,
    .round = ss_cuda_round,
    .add = ss_cuda_add,
    .scale_samples = ss_cuda_scale_samples,
    .add_channels = ss_cuda_add_channels,
    .activate = ss_cuda_activate,
    .copy_rows = ss_cuda_copy_rows,
    .permute = ss_cuda_permute,
    .upsample_nearest = ss_cuda_upsample_nearest,
    .avg_pool2 = ss_cuda_avg_pool2,
    .fir_resample = ss_cuda_fir_resample,
    .mean_tokens = ss_cuda_mean_tokens,
    .embedding = ss_cuda_embedding,
    .back_activate = ss_cuda_back_activate,
    .back_clamp = ss_cuda_back_clamp,
    .back_upsample_nearest = ss_cuda_back_upsample_nearest,
    .back_avg_pool2 = ss_cuda_back_avg_pool2,
    .back_fir_resample = ss_cuda_back_fir_resample,
    .back_mean_tokens = ss_cuda_back_mean_tokens,
    .back_embedding = ss_cuda_back_embedding,
    .conv2d = ss_cuda_conv2d,
    .back_conv2d_data = ss_cuda_back_conv2d_data,
    .back_conv2d_weights = ss_cuda_back_conv2d_weights,
    .group_norm = ss_cuda_group_norm,
    .back_group_norm = ss_cuda_back_group_norm,
    .layer_norm = ss_cuda_layer_norm,
    .back_layer_norm = ss_cuda_back_layer_norm,
    .unit_rms = ss_cuda_unit_rms,
    .back_unit_rms = ss_cuda_back_unit_rms,
    .modulate = ss_cuda_modulate,
    .back_modulate = ss_cuda_back_modulate,
    .geglu = ss_cuda_geglu,
    .back_geglu = ss_cuda_back_geglu,
};
