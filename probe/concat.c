/* concat.c - see concat.h */
#include "probe/concat.h"

#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

static ss_code make_noise(const ss_network *net, int channels, int samples, uint64_t seed,
                          ss_array *a, ss_err *e)
{
    const size_t one = (size_t)channels * (size_t)net->height * (size_t)net->width;

    *a = (ss_array){.rank = 4, .dim = {samples, channels, net->height, net->width}};
    a->values = ss_alloc((size_t)samples, one * sizeof *a->values);
    if (!a->values)
        return ss_fail(e, SS_NOMEM, "out of memory");
    for (int i = 0; i < samples; i++)
        ss_rng_normals(ss_rng_stream(seed, "concat", (uint64_t)i, 0), 0,
                       a->values + (size_t)i * one, one);
    return SS_OK;
}

static ss_code load(const char *from, const ss_network *net, int needed, int samples, ss_array *a,
                    ss_err *e)
{
    const int64_t *dim = a->dim;

    if (ss_safetensors_load_f32(from, a, e) != SS_OK)
        return ss_fail_prefix(e, "--concat");
    if (needed && (a->rank != 4 || dim[1] != needed))
        return ss_fail(
            e, SS_USAGE,
            "--concat: %s must be [N,%d,%d,%d]: the network takes %d channels beside its "
            "picture",
            from, needed, net->height, net->width, needed);
    if (a->rank != 4 || dim[1] >= net->channels || dim[2] != net->height || dim[3] != net->width ||
        (dim[0] != 1 && dim[0] < samples))
        return ss_fail(e, SS_USAGE,
                       "--concat: %s must be [N,C,%d,%d] with N of 1 or at least %d, and C below "
                       "the network's %d channels",
                       from, net->height, net->width, samples, net->channels);
    return SS_OK;
}

ss_code ss_concat_open(const char *from, const ss_network *net, int samples, uint64_t seed,
                       ss_concat_channels *k, ss_err *e)
{
    const int needed = (int)ss_model_about(net->model)->net.needs.concat_channels;
    ss_code rc = SS_OK;

    *k = (ss_concat_channels){0};
    if (!from && needed)
        return ss_fail(
            e, SS_USAGE,
            "%s takes %d channels, and its picture has %d: the other %d are a condition "
            "(a mask, another picture); give them with --concat FILE#NAME, [N,%d,%d,%d], "
            "or noise in them with --concat " SS_CONCAT_NOISE,
            ss_model_about(net->model)->path, net->channels, net->channels - needed, needed, needed,
            net->height, net->width);
    if (from && strcmp(from, SS_CONCAT_NOISE) == 0)
        rc = needed ? make_noise(net, needed, samples, seed, &k->values, e)
                    : ss_fail(e, SS_USAGE,
                              "--concat: the network takes no channels beside its "
                              "picture");
    else if (from)
        rc = load(from, net, needed, samples, &k->values, e);
    if (rc != SS_OK)
        ss_concat_release(k);
    k->picture = net->channels - (k->values.rank ? (int)k->values.dim[1] : 0);
    return rc;
}

void ss_concat_release(ss_concat_channels *k)
{
    ss_array_release(&k->values);
    *k = (ss_concat_channels){0};
}

void ss_concat_put(const ss_concat_channels *k, int sample, const float *picture, int64_t pixels,
                   float *out)
{
    const int64_t c = k->picture, extra = k->values.rank ? k->values.dim[1] : 0;
    const float *behind = NULL; /* [C][H][W] of this sample */

    if (extra)
        behind = k->values.values + sample % k->values.dim[0] * extra * pixels;
    for (int64_t i = 0; i < pixels; i++) {
        memcpy(out, picture + i * c, (size_t)c * sizeof *out);
        for (int64_t j = 0; j < extra; j++)
            out[c + j] = behind[j * pixels + i];
        out += c + extra;
    }
}
