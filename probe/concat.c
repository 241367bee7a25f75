/* concat.c - see concat.h */
#include "probe/concat.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "probe/stand_in.h"

#include <stdio.h>
#include <string.h>

/* Writes the shape that the channels have in a file, "[N,3,32,32]" or "[N,3,16,32,32]"; channels 0:
 * "C". */
static char *shape_text(const ss_network *net, int channels, char *out, size_t n)
{
    const ss_sample_size s = net->size;
    char c[16] = "C", frames[16] = "";

    if (channels)
        snprintf(c, sizeof c, "%d", channels);
    if (s.frames)
        snprintf(frames, sizeof frames, "%d,", s.frames);
    snprintf(out, n, "[N,%s,%s%d,%d]", c, frames, s.height, s.width);
    return out;
}

/* Sets the dimensions of a to those of n samples. */
static void set_shape(ss_array *a, int n, ss_sample_size s)
{
    const ss_shape one = ss_sample_torch_shape(s);

    *a = (ss_array){.rank = 1 + one.rank, .dim = {n}};
    memcpy(a->dim + 1, one.dim, (size_t)one.rank * sizeof *one.dim);
}

static ss_code make_noise(const ss_network *net, int channels, int samples, uint64_t seed,
                          ss_array *a, ss_err *e)
{
    const ss_sample_size size = ss_sample_with_channels(net->size, channels);
    const size_t one = (size_t)ss_sample_values(size);

    set_shape(a, samples, size);
    a->values = ss_alloc((size_t)samples, one * sizeof *a->values);
    if (!a->values)
        return ss_no_memory(e, "concat");
    for (int i = 0; i < samples; i++)
        ss_rng_normals(ss_rng_stream(seed, "concat", (uint64_t)i, 0), 0,
                       a->values + (size_t)i * one, one);
    return SS_OK;
}

/* Zeros, mask and all: no reference frames, or a stand-in. */
static ss_code make_zeros(const ss_network *net, int channels, ss_array *a, ss_err *e)
{
    const ss_sample_size size = ss_sample_with_channels(net->size, channels);

    set_shape(a, 1, size);
    a->values = ss_calloc((size_t)ss_sample_values(size), sizeof *a->values);
    return a->values ? SS_OK : ss_no_memory(e, "concat");
}

/* True if the dimensions after the channels fit. */
static bool has_sides(const ss_array *a, ss_sample_size s)
{
    const ss_shape want = ss_sample_torch_shape(s);

    return a->rank == 1 + want.rank &&
           memcmp(a->dim + 2, want.dim + 1, (size_t)(want.rank - 1) * sizeof *want.dim) == 0;
}

static ss_code load(const char *from, const ss_network *net, int needed, int samples, ss_array *a,
                    ss_err *e)
{
    const int rank = 1 + ss_sample_shape(net->size).rank;
    char text[96];

    if (ss_safetensors_load_f32(from, a, e) != SS_OK)
        return ss_fail_prefix(e, "--concat");
    if (needed && (a->rank != rank || a->dim[1] != needed))
        return ss_fail(e, SS_USAGE,
                       "--concat: %s must be %s: the network takes %d channels besides its picture",
                       from, shape_text(net, needed, text, sizeof text), needed);
    if (!has_sides(a, net->size) || a->dim[1] >= net->size.channels ||
        (a->dim[0] != 1 && a->dim[0] < samples))
        return ss_fail(e, SS_USAGE,
                       "--concat: %s must be %s with N of 1 or at least %d, and C below the "
                       "network's %d channels",
                       from, shape_text(net, 0, text, sizeof text), samples, net->size.channels);
    return SS_OK;
}

/* Lists the reference frames of all samples; the mask is the last channel. */
static ss_code list_references(ss_concat_channels *k, ss_err *e)
{
    ss_str out = {0};
    const int64_t all = ss_sample_pixels(k->picture), frames = k->picture.frames;
    const int64_t extra = k->values.rank ? k->values.dim[1] : 0, each = frames ? all / frames : 0;

    for (int64_t f = 0; extra && f < frames; f++) {
        bool in_all = true;

        for (int64_t n = 0; n < k->values.dim[0]; n++) {
            const float *mask = k->values.values + ((n + 1) * extra - 1) * all + f * each;
            double sum = 0;

            for (int64_t i = 0; i < each; i++)
                sum += mask[i];
            in_all = in_all && sum > 0.5 * (double)each;
        }
        if (in_all)
            ss_str_addf(&out, "%s%lld", out.len ? "," : "", (long long)f);
    }
    k->references = ss_str_detach(&out);
    return k->references ? SS_OK : ss_no_memory(e, "concat");
}

ss_code ss_concat_open(const char *from, const ss_network *net, int samples, uint64_t seed,
                       ss_concat_channels *k, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(net->model)->net.needs;
    const int needed = (int)needs->concat_channels;
    char text[96];
    ss_code rc = SS_OK;

    *k = (ss_concat_channels){0};
    if (!from && needed && !needs->reference_channels)
        return ss_fail(
            e, SS_USAGE,
            "%s takes %d channels, and its picture has %d: the other %d are a condition (a mask, "
            "another picture); give them with --concat FILE#NAME, %s, or noise or zeros in them "
            "with "
            "--concat " SS_CONCAT_NOISE "|" SS_STAND_IN_ZEROS,
            ss_model_about(net->model)->path, net->size.channels, net->size.channels - needed,
            needed, shape_text(net, needed, text, sizeof text));
    if (from && strcmp(from, SS_CONCAT_NOISE) == 0)
        rc = needed ? make_noise(net, needed, samples, seed, &k->values, e)
                    : ss_fail(e, SS_USAGE,
                              "--concat: the network takes no channels besides its "
                              "picture");
    else if (from && strcmp(from, SS_STAND_IN_ZEROS) == 0 && needed)
        rc = make_zeros(net, needed, &k->values, e);
    else if (from)
        rc = load(from, net, needed, samples, &k->values, e);
    else if (needed)
        rc = make_zeros(net, needed, &k->values, e);
    k->picture = ss_sample_with_channels(
        net->size, net->size.channels - (k->values.rank ? (int)k->values.dim[1] : 0));
    if (rc == SS_OK && needs->reference_channels)
        rc = list_references(k, e);
    if (rc != SS_OK)
        ss_concat_release(k);
    return rc;
}

void ss_concat_release(ss_concat_channels *k)
{
    ss_array_release(&k->values);
    ss_free(k->references);
    *k = (ss_concat_channels){0};
}

void ss_concat_put(const ss_concat_channels *k, int sample, const float *picture, float *out)
{
    const int64_t pixels = ss_sample_pixels(k->picture);
    const int64_t c = k->picture.channels, extra = k->values.rank ? k->values.dim[1] : 0;
    const float *behind = NULL; /* [C][pixels] of this sample */

    if (extra)
        behind = k->values.values + sample % k->values.dim[0] * extra * pixels;
    for (int64_t i = 0; i < pixels; i++) {
        memcpy(out, picture + i * c, (size_t)c * sizeof *out);
        for (int64_t j = 0; j < extra; j++)
            out[c + j] = behind[j * pixels + i];
        out += c + extra;
    }
}
