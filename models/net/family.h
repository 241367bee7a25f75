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
 */
#ifndef SS_MODELS_FAMILY_H
#define SS_MODELS_FAMILY_H

#include "models/net/condition.h"
#include "models/net/loader.h"
#include "models/net/structure_list.h"

/* Inputs and outputs of a network, by its configuration. */
typedef struct {
    int64_t in_channels, out_channels;
    int64_t sample_frames;      /* 0: it takes pictures, [N,H,W,C]; else videos, [N,F,H,W,C] */
    int64_t sample_h, sample_w; /* 0 where the configuration does not say */
    bool takes_sigma;    /* takes sigma in place of a timestep and answers -n/sigma (NCSN++) */
    bool starts_at_zero; /* pictures go from 0 to 1, not from -1 to 1 */
    bool like_stable_diffusion; /* takes a text and latents of four channels, as Stable Diffusion
                                   does */
    ss_condition_needs needs;
    const ss_remedies *remedies; /* all zero where there are none */
} ss_network_info;

typedef struct {
    const char *class_name; /* _class_name in config.json */
    const char *folder;     /* folder of such a network in a pipeline: "unet" */

    /* Reads config.json into a new block of memory, *config, the caller's to ss_free. An option
     * that is not known or not supported is an error that names it. */
    ss_code (*read)(ss_json *j, void **config, ss_err *e);
    /* Fills *info, which borrows from config. */
    void (*info)(const void *config, ss_network_info *info);
    /* Makes the layers in n, which owns them; config is borrowed while n lives. A failure is kept
     * by n: ss_net_finish returns it. */
    void *(*build)(ss_net *n, const void *config);
    /* Runs the network: x [N,H,W,in] or [N,F,H,W,in] and timesteps [N] on the host give the same
     * shape with out channels, the caller's. cond is not NULL; a condition that is missing or does
     * not fit is SS_USAGE. NULL after an error, which the context has. */
    ss_tensor *(*run)(ss_ctx *c, const void *network, const ss_tensor *x, const float *timesteps,
                      const ss_condition *cond);
    /* Adds what lets activations grow to l, which has the network's modules and weights. */
    void (*structure)(const void *config, ss_structure_list *l);
} ss_family;

#endif
