/* input_tensor.c - tensors of a safetensors file: clean (tensor:) or as they are (raw:) */
#include "models/file/safetensors.h"
#include "probe/input_source.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static ss_code parse_tensor(ss_input *in, const char *arg, ss_err *e)
{
    const char *hash = strrchr(arg, '#');

    if (!hash || hash == arg || !hash[1])
        return ss_fail(e, SS_USAGE,
                       "expected %s:FILE#NAME, a safetensors file and the name of a tensor in it",
                       in->source->name);
    return ss_input_parse_path(in, arg, e);
}

static ss_code check_shape(const ss_input *in, const ss_array *a, ss_err *e)
{
    char found[128] = "";
    size_t at = 0;

    for (int i = 0; i < a->rank && at < sizeof found; i++)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%lld", i ? "," : "",
                               (long long)a->dim[i]);
    if (a->rank != 4 || a->dim[1] != in->c || a->dim[2] != in->h || a->dim[3] != in->w)
        return ss_fail(e, SS_SHAPE, "the tensor is [%s], the network takes [N,%d,%d,%d]", found,
                       in->c, in->h, in->w);
    if (a->dim[0] != 1 && a->dim[0] < in->samples)
        return ss_fail(e, SS_USAGE,
                       "the tensor is [%s], %d samples are asked for: N must be as many, or 1 to "
                       "serve them all",
                       found, in->samples);
    return SS_OK;
}

/* [C][H][W], as PyTorch has it, to [H][W][C]. */
static void channels_last(const float *from, float *to, int c, ptrdiff_t pixels)
{
    for (ptrdiff_t i = 0; i < pixels; i++) {
        for (int k = 0; k < c; k++)
            *to++ = from[k * pixels + i];
    }
}

static ss_code load_tensor(ss_input *in, ss_err *e)
{
    const ptrdiff_t pixels = (ptrdiff_t)in->h * in->w;
    ss_array a;
    ss_code rc = ss_safetensors_load_f32(in->path, &a, e);

    if (rc != SS_OK)
        return rc;
    rc = check_shape(in, &a, e);
    if (rc == SS_OK)
        rc = ss_input_allocate(in, a.dim[0] == 1 ? 1 : in->samples, e);
    for (int i = 0; i < in->n_pictures && rc == SS_OK; i++)
        channels_last(a.values + i * pixels * in->c, ss_input_picture(in, i), in->c, pixels);
    ss_array_release(&a);
    return rc;
}

const ss_input_source ss_source_tensor = {
    .name = "tensor",
    .form = "FILE#NAME",
    .kind = SS_INPUT_CLEAN,
    .parse = parse_tensor,
    .load = load_tensor,
};

const ss_input_source ss_source_raw = {
    .name = "raw",
    .form = "FILE#NAME",
    .kind = SS_INPUT_RAW,
    .parse = parse_tensor,
    .load = load_tensor,
};
