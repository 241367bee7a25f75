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

/* Writes the shape that a tensor must have, "[N,3,32,32]"; for videos also that of a still one. */
static const char *wanted_text(ss_sample_size s, char *out, size_t n)
{
    if (s.frames)
        snprintf(out, n, "[N,%d,%d,%d,%d], or [N,%d,%d,%d] for the same picture in every frame",
                 s.channels, s.frames, s.height, s.width, s.channels, s.height, s.width);
    else
        snprintf(out, n, "[N,%d,%d,%d]", s.channels, s.height, s.width);
    return out;
}

/* True if the tensor has samples of this size. */
static bool is_of_size(const ss_array *a, ss_sample_size s)
{
    const ss_shape one = ss_sample_torch_shape(s);

    return a->rank == 1 + one.rank &&
           memcmp(a->dim + 1, one.dim, (size_t)one.rank * sizeof *one.dim) == 0;
}

/* Checks the tensor; *each: the size of one of its N entries, which may be a single frame. */
static ss_code check_shape(const ss_input *in, const ss_array *a, ss_sample_size *each, ss_err *e)
{
    char found[128] = "", wanted[160];
    size_t at = 0;

    for (int i = 0; i < a->rank && at < sizeof found; i++)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%lld", i ? "," : "",
                               (long long)a->dim[i]);
    *each = in->size;
    if (!is_of_size(a, *each))
        each->frames = 0;
    if (!is_of_size(a, *each))
        return ss_fail(e, SS_SHAPE, "the tensor is [%s], the network takes %s", found,
                       wanted_text(in->size, wanted, sizeof wanted));
    if (a->dim[0] != 1 && a->dim[0] < in->samples)
        return ss_fail(e, SS_USAGE,
                       "the tensor is [%s], %d samples are asked for: N must be as many, or 1 to "
                       "serve them all",
                       found, in->samples);
    return SS_OK;
}

static ss_code load_tensor(ss_input *in, ss_err *e)
{
    ss_sample_size each;
    ss_array a;
    ss_code rc = ss_safetensors_load_f32(in->path, &a, e);

    if (rc != SS_OK)
        return rc;
    rc = check_shape(in, &a, &each, e);
    if (rc == SS_OK)
        rc = ss_input_allocate(in, a.dim[0] == 1 ? 1 : in->samples, e);
    for (int i = 0; i < in->n_pictures && rc == SS_OK; i++) {
        ss_sample_from_torch(each, a.values + i * ss_sample_values(each), ss_input_picture(in, i));
        if (!each.frames)
            ss_input_hold(in, i);
    }
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
