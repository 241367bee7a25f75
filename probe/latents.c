/* latents.c - see latents.h */
#include "probe/latents.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/pipeline.h"

struct ss_latents {
    ss_model *vae;
    ss_ctx *c;
    ss_sample_size latent, picture;
    bool decodes_videos; /* the decoder sees the frames of a video together */
};

/* The VAE of the pipeline, or NULL; one of a class that cannot be opened is said. */
static const ss_component *find_vae(const ss_pipeline *p)
{
    for (int i = 0; i < p->n; i++) {
        if (p->list[i].role != SS_VAE)
            continue;
        if (p->list[i].known)
            return &p->list[i];
        ss_note_once("%s: autoencoders of class %s cannot be opened: latents stay latents",
                     p->list[i].name, SS_SHOW(p->list[i].class_name));
    }
    return NULL;
}

/* Opens the VAE, in the variant that the denoiser has if there is such. */
static ss_code open_vae(const char *pipeline, const char *name, const char *variant, ss_model **m,
                        ss_err *e)
{
    ss_model_options opt = {.weights.variant = variant, .places.component = name};

    if (variant && ss_model_open(pipeline, &opt, m, NULL) == SS_OK)
        return SS_OK;
    opt.weights.variant = NULL;
    return ss_model_open(pipeline, &opt, m, e);
}

/* Takes the VAE into use if its latents are those of the denoiser. */
static ss_code make(ss_model *vae, ss_sample_size latent, const ss_ctx_options *device,
                    ss_latents **out, ss_err *e)
{
    const ss_network_info *about = &ss_model_about(vae)->net;
    const int factor = (int)about->latent_factor;

    if (about->latent_channels != latent.channels) {
        ss_note_once("the VAE makes latents of %lld channels, the denoiser takes %d: latents stay "
                     "latents",
                     (long long)about->latent_channels, latent.channels);
        ss_model_close(vae);
        return SS_OK;
    }
    ss_latents *l = ss_calloc(1, sizeof *l);
    if (!l) {
        ss_model_close(vae);
        return ss_no_memory(e, "a VAE");
    }
    *l = (ss_latents){
        .vae = vae,
        .latent = latent,
        .decodes_videos = about->decodes_videos,
        .picture = {.frames = latent.frames,
                    .height = latent.height * factor,
                    .width = latent.width * factor,
                    .channels = (int)about->out_channels},
    };
    ss_code rc = ss_ctx_new(device, &l->c, e);
    if (rc == SS_OK)
        rc = ss_model_bind(vae, l->c, e);
    if (rc != SS_OK)
        ss_latents_close(l);
    else
        *out = l;
    return rc;
}

ss_code ss_latents_open(const ss_model *denoiser, const char *variant, ss_sample_size latent,
                        const ss_ctx_options *device, ss_latents **l, ss_err *e)
{
    const char *pipeline = ss_model_about(denoiser)->pipeline;
    ss_pipeline p = {0};
    ss_model *vae = NULL;
    ss_code rc = pipeline ? ss_pipeline_find(pipeline, &p, e) : SS_OK;
    const ss_component *c = rc == SS_OK ? find_vae(&p) : NULL;

    *l = NULL;
    if (c)
        rc = open_vae(pipeline, c->name, variant, &vae, e);
    if (rc == SS_OK && vae)
        rc = make(vae, latent, device, l, e);
    ss_pipeline_release(&p);
    return rc;
}

void ss_latents_close(ss_latents *l)
{
    if (!l)
        return;
    ss_model_close(l->vae);
    ss_ctx_free(l->c);
    ss_free(l);
}

ss_sample_size ss_latents_picture(const ss_latents *l)
{
    return l->picture;
}

/* Runs one half of the VAE on one sample, of the size FROM has, from host to host. */
static ss_code run_one(ss_latents *l, bool encode, ss_sample_size size, const float *from,
                       float *to, ss_err *e)
{
    ss_tensor *x = ss_upload(l->c, ss_sample_batch(1, size), from);
    ss_tensor *y = encode ? ss_model_encode(l->c, l->vae, x) : ss_model_decode(l->c, l->vae, x);
    ss_code rc = ss_ctx_finish(l->c, e);

    if (rc == SS_OK)
        rc = ss_download(l->c, y, to, e);
    ss_release(x);
    ss_release(y);
    return rc;
}

/* Runs one half of the VAE: frame by frame, unless it sees them together. */
static ss_code run(ss_latents *l, bool encode, const float *from, float *to, ss_err *e)
{
    ss_sample_size size = encode ? l->picture : l->latent, out = encode ? l->latent : l->picture;
    const int frames = ss_sample_frames(size);
    ss_code rc = SS_OK;

    if (!encode && l->decodes_videos)
        return run_one(l, encode, size, from, to, e);
    size.frames = out.frames = 0;
    for (int f = 0; f < frames && rc == SS_OK; f++)
        rc = run_one(l, encode, size, from + f * ss_sample_values(size),
                     to + f * ss_sample_values(out), e);
    return rc;
}

ss_code ss_latents_encode(ss_latents *l, const float *picture, float *latent, ss_err *e)
{
    return run(l, true, picture, latent, e);
}

ss_code ss_latents_decode(ss_latents *l, const float *latent, float *picture, ss_err *e)
{
    return run(l, false, latent, picture, e);
}
