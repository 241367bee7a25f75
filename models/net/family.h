/* family.h - a family of networks, as the rest of the program sees it
 *
 * A family is one class of networks: it reads their config.json, builds them with the names that
 * their checkpoints use, says what they take and give, and runs them. models/families.c lists all
 * families; outside that list and the family's own folder nothing knows one by name.
 *
 *   rc = family->read(&json, &config, &err);
 *   family->info(config, &info);
 *   network = family->build(net, config);     // the layers, in a net under construction (loader.h)
 *   rc = ss_net_finish(net, &err);
 *   y = family->run(ctx, network, x, t, &condition);
 *   ss_free(config);                          // after the net
 *
 * Families differ by their role in a pipeline: a denoiser has `run`, an autoencoder `encode` and
 * `decode`, a text encoder `embed`; the others are NULL.
 */
#ifndef SS_MODELS_FAMILY_H
#define SS_MODELS_FAMILY_H

#include "models/net/condition.h"
#include "models/net/loader.h"
#include "models/net/motion_config.h"
#include "models/net/rotary.h"
#include "models/net/structure_list.h"
#include "models/net/text_states.h"

typedef enum { SS_DENOISER, SS_TEXT, SS_VAE, SS_N_ROLES } ss_role;

/* Inputs and outputs of a network, by its configuration. Of a text encoder only text and remedies
 * are filled. */
typedef struct {
    int64_t in_channels, out_channels; /* of a VAE: of its pictures */
    int64_t sample_frames;      /* 0: it takes pictures, [N,H,W,C]; else videos, [N,F,H,W,C] */
    int64_t sample_h, sample_w; /* 0 where the configuration does not say */
    bool takes_sigma;        /* takes sigma in place of a timestep and answers -n/sigma (NCSN++) */
    bool starts_at_zero;     /* pictures go from 0 to 1, not from -1 to 1 */
    bool has_motion_modules; /* of AnimateDiff, whose group norms may see frames one by one */
    bool like_stable_diffusion; /* takes a text and latents of four channels, as Stable Diffusion
                                   does */
    ss_condition_needs needs;
    const ss_remedies *remedies;    /* all zero where there are none */
    const ss_motion_config *motion; /* NULL where the family has no motion blocks; frames 0: none */

    /* Part that names of a network of videos have more than those of the network of pictures that
     * it extends: ".spatial_res_block"; NULL: there is none. */
    const char *spatial_part;

    int64_t latent_channels; /* of a VAE */
    bool decodes_videos;     /* of a VAE: its decoder sees the frames of a video together */
    int64_t latent_factor;   /* pictures are this much higher and wider than its latents */
    ss_text_info text;
} ss_network_info;

/* Draws latents of an autoencoder from their moments: means, then logarithms of variances, [..., 2
 * latent], borrowed, to [..., latent], the caller's; NULL after an error, which the context has. */
typedef ss_tensor *ss_latent_draw(void *self, ss_ctx *c, const ss_tensor *moments);

typedef struct {
    const char *class_name; /* _class_name in config.json, or the first of its "architectures" */
    const char *folder;     /* folder of such a network in a pipeline: "unet" */
    ss_role role;

    /* Reads config.json into a new block of memory, *config, the caller's to ss_free. An option
     * that is not known or not supported is an error that names it. */
    ss_code (*read)(ss_json *j, void **config, ss_err *e);
    /* Fills *info, which borrows from config. */
    void (*info)(const void *config, ss_network_info *info);
    /* Makes the layers in n, which owns them; config is borrowed while n lives. A failure is kept
     * by n: ss_net_finish returns it. */
    void *(*build)(ss_net *n, const void *config);
    /* Runs a denoiser: x [N,H,W,in] or [N,F,H,W,in] and timesteps [N] on the host give the same
     * shape with out channels, the caller's. cond is not NULL; a condition that is missing or does
     * not fit is SS_USAGE. NULL after an error, which the context has. */
    ss_tensor *(*run)(ss_ctx *c, const void *network, const ss_tensor *x, const float *timesteps,
                      const ss_condition *cond);
    /* Encodes pictures x [N,H,W,in] to the mean of their latents [N,h,w,latent], as the denoiser
     * has them: (mean - shift_factor) scaling_factor. H and W are multiples of latent_factor. */
    ss_tensor *(*encode)(ss_ctx *c, const void *network, const ss_tensor *x);
    /* Decodes latents z [N,h,w,latent] ([N,F,h,w,latent] where the decoder sees frames together),
     * as the denoiser has them, to pictures [N,H,W,out]. */
    ss_tensor *(*decode)(ss_ctx *c, const void *network, const ss_tensor *z);
    /* Runs an autoencoder through, as its training does: the moments of pictures x, in the
     * network's own unit, go to draw, and what that makes of them is decoded. */
    ss_tensor *(*reconstruct)(ss_ctx *c, const void *network, const ss_tensor *x,
                              ss_latent_draw *draw, void *self);
    /* Encodes prompts (text_states.h). False after an error, which the context has. */
    bool (*embed)(ss_ctx *c, const void *network, const ss_text_tokens *tokens,
                  ss_text_states *states);
    /* Adds what lets activations grow to l, which has the network's modules and weights; NULL where
     * the family has no such list. */
    void (*structure)(const void *config, ss_structure_list *l);
    /* Sets how positions of frames are extended beyond the trained number (rotary.h); the built
     * network obeys. SS_USAGE where it has none. NULL: the family has none. */
    ss_code (*extend)(void *config, const ss_extension *x, ss_err *e);
} ss_family;

#endif
