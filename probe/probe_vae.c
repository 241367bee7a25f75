/* probe_vae.c - an autoencoder is probed: pictures become latents, latents with noise become
 * pictures (subject.h)
 *
 *   z = encode(x)                    where the input is a picture
 *   y = decode(z + sigma n)          z as the denoiser has it, scaled to a variance of about one
 *
 * So sigma is the noise of what the decoder is given: at a low one it sees what a perfect sampler
 * would hand over, at a high one what is left of a bad one. Inputs that are tensors or noise are
 * latents already, and then only the decoder runs. A decoder that sees frames together takes videos
 * of --frames N, else pictures. In the run file /inputs/x is what the decoder
 * saw, and /outputs/denoised the picture that it made.
 */
#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "probe/levels.h"
#include "probe/subject.h"

#include <math.h>

static ss_code make_levels(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    double *sigmas;

    if (opt->timesteps || opt->condition_sigma)
        return ss_fail(e, SS_USAGE, "--%s: an autoencoder is not told a noise level: use --sigmas",
                       opt->timesteps ? "timesteps" : "condition-sigma");
    ss_code rc = ss_levels_parse_sigmas(opt->sigmas ? opt->sigmas : SS_DEFAULT_VAE_SIGMAS, &sigmas,
                                        &p->n_levels, e);
    if (rc != SS_OK)
        return rc;
    p->levels = ss_calloc((size_t)p->n_levels, sizeof *p->levels);
    if (!p->levels)
        rc = ss_no_memory(e, "a plan");
    for (int i = 0; i < p->n_levels && rc == SS_OK; i++) {
        if (isinf(sigmas[i]))
            rc = ss_fail(e, SS_USAGE, "--sigmas: a decoder cannot be given noise of sigma inf");
        p->levels[i].sigma = sigmas[i];
        p->levels[i].level = (ss_noise_level){.a = 1, .s = sigmas[i]};
    }
    ss_free(sigmas);
    return rc;
}

static ss_code plan(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    const ss_network_info *about = &ss_model_about(p->net.model)->net;
    const int factor = (int)about->latent_factor;

    p->samples = opt->samples ? opt->samples : 1;
    p->picture = p->net.size;
    p->latent = (ss_sample_size){.frames = p->picture.frames,
                                 .height = p->picture.height / factor,
                                 .width = p->picture.width / factor,
                                 .channels = (int)about->latent_channels};
    p->batch = 1; /* a picture of full size is work enough, and inputs differ in what runs */
    const ss_code rc = make_levels(opt, p, e);
    return rc == SS_OK ? ss_plan_open_inputs(opt, p, e) : rc;
}

static ss_code allocate(ss_probing *p, ss_err *e)
{
    const ss_plan *k = &p->plan;
    const size_t latent = (size_t)ss_sample_values(k->latent);
    const size_t picture = (size_t)ss_sample_pixels(k->picture);
    const int rings = ss_spectrum_rings(k->latent.height, k->latent.width);

    p->x = ss_alloc(latent, sizeof(float));
    p->noise = ss_alloc(latent, sizeof(float));
    p->clean = ss_alloc(picture * (size_t)k->picture.channels, sizeof(float));
    p->y = ss_alloc(picture * (size_t)k->net.out_channels, sizeof(float));
    p->psd = ss_alloc((size_t)rings, sizeof *p->psd);
    if (!p->x || !p->noise || !p->clean || !p->y || !p->psd)
        return ss_no_memory(e, "probing");
    return ss_spectrum_new(k->latent.height, k->latent.width, &p->spectrum, e);
}

static void describe(const ss_probing *p, ss_run_spec *spec)
{
    const ss_plan *k = &p->plan;

    spec->x = ss_sample_shape(k->latent);
    spec->n_radii = ss_spectrum_rings(k->latent.height, k->latent.width);
    spec->denoised = ss_sample_shape(ss_sample_with_channels(k->picture, k->net.out_channels));
}

/* The encoder is known to run if some input is a picture. */
static ss_code infer(ss_probing *p, ss_err *e)
{
    const ss_plan *k = &p->plan;
    static const int first = 0;
    ss_tensor *x = NULL, *z = NULL, *y = NULL;
    bool encodes = false;

    for (int i = 0; i < k->n_inputs; i++)
        encodes |= ss_input_makes_pictures(k->inputs[i]);
    ss_recorder_begin(p->recorder, NULL, 1, &first, &first);
    ss_ctx_set_shapes_only(p->ctx, true);
    if (encodes) {
        x = ss_tensor_new(p->ctx, ss_sample_batch(1, k->picture));
        z = ss_model_encode(p->ctx, k->net.model, x);
        ss_release(z);
    }
    z = ss_tensor_new(p->ctx, ss_sample_batch(1, k->latent));
    y = ss_model_decode(p->ctx, k->net.model, z);
    const ss_code rc = ss_ctx_check(p->ctx, e);
    ss_release(x);
    ss_release(z);
    ss_release(y);
    ss_ctx_set_shapes_only(p->ctx, false);
    ss_ctx_usage_reset(p->ctx);
    return rc;
}

/* Encodes the picture in p->clean into the latents p->x. */
static ss_code encode(ss_probing *p, ss_err *e)
{
    ss_tensor *x = ss_upload(p->ctx, ss_sample_batch(1, p->plan.picture), p->clean);
    ss_tensor *z = ss_model_encode(p->ctx, p->plan.net.model, x);
    ss_code rc = ss_ctx_finish(p->ctx, e);

    if (rc == SS_OK)
        rc = ss_download(p->ctx, z, p->x, e);
    ss_release(x);
    ss_release(z);
    return rc;
}

/* Makes the decoder's input p->x: latents with noise. */
static ss_code make_latents(ss_probing *p, const ss_plan_level *l, int input, int sample, ss_err *e)
{
    const ss_input *in = p->plan.inputs[input];
    const ss_rng rng = ss_rng_stream(p->opt->seed, "noise", (uint64_t)sample, 0);
    const int64_t n = ss_sample_values(p->plan.latent);
    const bool picture = ss_input_makes_pictures(in);
    ss_code rc = ss_input_sample(in, sample, rng, picture ? p->clean : p->x, e);

    if (rc == SS_OK && picture)
        rc = ss_input_filter(in, p->clean, e);
    if (rc == SS_OK && picture)
        rc = encode(p, e);
    if (rc != SS_OK)
        return rc;
    ss_rng_normals(rng, 0, p->noise, (size_t)n);
    switch (ss_input_kind_of(in)) {
    case SS_INPUT_CLEAN: ss_add_noise(l->level, p->x, p->noise, n, p->x); break;
    case SS_INPUT_NOISE:
        for (int64_t i = 0; i < n; i++)
            p->x[i] = (float)(l->level.s * p->x[i]);
        break;
    case SS_INPUT_RAW: break;
    }
    return picture ? SS_OK : ss_input_filter(in, p->x, e);
}

static ss_code run(ss_probing *p, ss_run_column *col, const ss_plan_level *l, int n,
                   const int *input, const int *sample, ss_err *e)
{
    const ss_plan *k = &p->plan;

    ss_recorder_begin(p->recorder, col, n, input, sample);
    ss_code rc = make_latents(p, l, *input, *sample, e);
    if (rc != SS_OK)
        return rc;
    ss_tensor *z = ss_upload(p->ctx, ss_sample_batch(n, k->latent), p->x);
    ss_tensor *y = ss_model_decode(p->ctx, k->net.model, z);
    rc = ss_ctx_finish(p->ctx, e);
    if (rc == SS_OK)
        rc = ss_recorder_check(p->recorder, e);
    if (rc == SS_OK)
        rc = ss_download(p->ctx, y, p->y, e);
    ss_release(z);
    ss_release(y);
    if (rc != SS_OK)
        return rc;
    ss_run_put_x(col, *input, *sample, p->x);
    ss_spectrum_radial(p->spectrum, p->x, ss_sample_frames(k->latent), k->latent.channels, p->psd);
    ss_run_put_psd(col, *input, *sample, p->psd);
    ss_run_put_denoised(col, *input, *sample, p->y);
    return SS_OK;
}

const ss_subject ss_subject_vae = {
    .plan = plan,
    .allocate = allocate,
    .describe = describe,
    .infer = infer,
    .run = run,
};
