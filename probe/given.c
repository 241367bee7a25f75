/* given.c - see given.h */
#include "probe/given.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/input.h"
#include "probe/latents.h"
#include "probe/picture.h"

/* Fills x with sample i, from -1 to 1, as pictures of this size. */
typedef ss_code fill(const void *from, ss_sample_size size, int i, float *x, ss_err *e);

static ss_code from_frames(const void *from, ss_sample_size size, int i, float *x, ss_err *e)
{
    const ss_frames *f = from;
    const int64_t one = ss_sample_area(size) * size.channels;
    ss_code rc = SS_OK;

    for (int k = 0; k < ss_sample_frames(size) && rc == SS_OK; k++)
        rc = ss_frames_fit(f, i, f->frames == 1 ? 0 : k, size.height, size.width, size.channels,
                           x + k * one, e);
    return rc;
}

static ss_code from_input(const void *from, ss_sample_size size, int i, float *x, ss_err *e)
{
    (void)size;
    return ss_input_sample(from, i, ss_rng_stream(0, "unused", 0, 0), x, e);
}

/* Encodes every sample by the VAE. */
static ss_code encode_all(fill *fn, const void *from, ss_latents *vae, ss_sample_size size,
                          int samples, float *x, ss_err *e)
{
    const ss_sample_size picture = ss_latents_picture(vae);
    float *y = ss_alloc((size_t)ss_sample_values(picture), sizeof *y);
    ss_code rc = y ? SS_OK : ss_no_memory(e, "pictures");

    for (int i = 0; i < samples && rc == SS_OK; i++) {
        rc = fn(from, picture, i, y, e);
        if (rc == SS_OK)
            rc = ss_latents_encode(vae, y, x + i * ss_sample_values(size), e);
    }
    ss_free(y);
    return rc;
}

static ss_code fill_all(fill *fn, const void *from, const ss_network *net, ss_sample_size size,
                        int samples, float *x, ss_err *e)
{
    const int64_t n = ss_sample_values(size);
    ss_code rc = SS_OK;

    for (int i = 0; i < samples && rc == SS_OK; i++)
        rc = fn(from, size, i, x + i * n, e);
    if (rc == SS_OK && ss_model_about(net->model)->net.starts_at_zero) {
        for (int64_t k = 0; k < samples * n; k++)
            x[k] = (x[k] + 1) / 2;
    }
    return rc;
}

static ss_code check_frames(const ss_frames *f, ss_sample_size size, ss_err *e)
{
    if (size.frames > f->frames && f->frames != 1)
        return ss_fail(e, SS_USAGE, "videos of %d frames, %d are needed", f->frames, size.frames);
    if (f->height != size.height || f->width != size.width)
        ss_note("frames of %d x %d pixels (height x width) are resampled to %d x %d", f->height,
                f->width, size.height, size.width);
    return ss_picture_check_channels(size.channels, e);
}

ss_code ss_given_videos(const ss_frames *f, const ss_network *net, const ss_ctx_options *device,
                        ss_sample_size size, int samples, float *x, ss_err *e)
{
    ss_latents *vae = NULL;
    ss_code rc = ss_latents_open(net->model, net->variant, size, device, &vae, e);

    if (rc == SS_OK)
        rc = check_frames(f, vae ? ss_latents_picture(vae) : size, e);
    if (rc == SS_OK)
        rc = vae ? encode_all(from_frames, f, vae, size, samples, x, e)
                 : fill_all(from_frames, f, net, size, samples, x, e);
    ss_latents_close(vae);
    return rc;
}

/* The same of pictures that an input reads. */
static ss_code load_pictures(const char *path, const ss_network *net, const ss_ctx_options *device,
                             ss_sample_size size, int samples, float *x, ss_err *e)
{
    ss_latents *vae = NULL;
    ss_input *in = NULL;
    ss_str spec = {0};
    ss_code rc = ss_latents_open(net->model, net->variant, size, device, &vae, e);

    ss_str_addf(&spec, "images:%s", path);
    if (rc == SS_OK)
        rc = spec.failed ? ss_no_memory(e, path) : ss_input_parse(spec.s, &in, e);
    if (rc == SS_OK)
        rc = ss_input_open(in, vae ? ss_latents_picture(vae) : size, samples, e);
    if (rc == SS_OK)
        rc = vae ? encode_all(from_input, in, vae, size, samples, x, e)
                 : fill_all(from_input, in, net, size, samples, x, e);
    ss_str_release(&spec);
    ss_input_free(in);
    ss_latents_close(vae);
    return rc;
}

ss_code ss_given_load(const char *path, const ss_network *net, const ss_ctx_options *device,
                      ss_sample_size size, int samples, float **x, ss_err *e)
{
    ss_frames f = {0};
    ss_code rc = SS_OK;

    *x = ss_alloc((size_t)samples, (size_t)ss_sample_values(size) * sizeof **x);
    if (!*x)
        return ss_no_memory(e, "pictures");
    if (size.frames) {
        rc = ss_frames_read(path, &f, e);
        if (rc == SS_OK)
            rc = ss_given_videos(&f, net, device, size, samples, *x, e);
    } else {
        rc = load_pictures(path, net, device, size, samples, *x, e);
    }
    ss_frames_release(&f);
    if (rc != SS_OK) {
        ss_free(*x);
        *x = NULL;
    }
    return rc;
}
