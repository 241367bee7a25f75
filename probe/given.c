/* given.c - see given.h */
#include "probe/given.h"

#include "base/log.h"
#include "base/mem.h"
#include "probe/latents.h"
#include "probe/picture.h"

#include <string.h>

/* x = sample i of f in pictures of this size, from -1 to 1. */
static ss_code fit_sample(const ss_frames *f, ss_sample_size size, int i, float *x, ss_err *e)
{
    const int64_t one = ss_sample_area(size) * size.channels;
    const int all = f->videos * f->frames;
    ss_code rc = SS_OK;

    if (!size.frames)
        return ss_frames_fit(f, i % all / f->frames, i % all % f->frames, size.height, size.width,
                             size.channels, x, e);
    for (int k = 0; k < size.frames && rc == SS_OK; k++)
        rc = ss_frames_fit(f, i, f->frames == 1 ? 0 : k, size.height, size.width, size.channels,
                           x + k * one, e);
    return rc;
}

static ss_code check(const ss_frames *f, ss_sample_size size, ss_err *e)
{
    if (size.frames > f->frames && f->frames != 1)
        return ss_fail(e, SS_USAGE, "videos of %d frames, %d are needed", f->frames, size.frames);
    if (f->height != size.height || f->width != size.width)
        ss_note("frames of %d x %d pixels (height x width) are cut and resampled to %d x %d",
                f->height, f->width, size.height, size.width);
    return ss_picture_check_channels(size.channels, e);
}

/* Encodes every sample by the VAE. */
static ss_code encode_all(const ss_frames *f, ss_latents *vae, ss_sample_size size, int samples,
                          float *x, ss_err *e)
{
    const ss_sample_size picture = ss_latents_picture(vae);
    const int64_t n = ss_sample_values(picture);
    float *y = ss_alloc((size_t)n, sizeof *y);
    ss_code rc = y ? check(f, picture, e) : ss_no_memory(e, "pictures");

    for (int i = 0; i < samples && rc == SS_OK; i++) {
        rc = fit_sample(f, picture, i, y, e);
        if (rc == SS_OK)
            rc = ss_latents_encode(vae, y, x + i * ss_sample_values(size), e);
    }
    ss_free(y);
    return rc;
}

static ss_code fit_all(const ss_frames *f, const ss_network *net, ss_sample_size size, int samples,
                       float *x, ss_err *e)
{
    const int64_t n = ss_sample_values(size);
    ss_code rc = check(f, size, e);

    for (int i = 0; i < samples && rc == SS_OK; i++)
        rc = fit_sample(f, size, i, x + i * n, e);
    if (rc == SS_OK && ss_model_about(net->model)->net.starts_at_zero) {
        for (int64_t k = 0; k < samples * n; k++)
            x[k] = (x[k] + 1) / 2;
    }
    return rc;
}

ss_code ss_given_samples(const ss_frames *f, const ss_network *net, const ss_ctx_options *device,
                         ss_sample_size size, int samples, float **x, ss_err *e)
{
    ss_latents *vae = NULL;
    ss_code rc = ss_latents_open(net->model, net->variant, size, device, &vae, e);

    *x = NULL;
    if (rc == SS_OK)
        *x = ss_alloc((size_t)samples, (size_t)ss_sample_values(size) * sizeof **x);
    if (rc == SS_OK && !*x)
        rc = ss_no_memory(e, "pictures");
    if (rc == SS_OK)
        rc = vae ? encode_all(f, vae, size, samples, *x, e) : fit_all(f, net, size, samples, *x, e);
    ss_latents_close(vae);
    if (rc != SS_OK) {
        ss_free(*x);
        *x = NULL;
    }
    return rc;
}
