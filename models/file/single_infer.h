/* single_infer.h - configurations inferred from names and shapes of tensors
 *
 * A network's file says by its shapes most of what its config.json would: how many blocks, how
 * wide, where attention is. The rest is what all models of that kind have in common. Each value
 * that is inferred keeps its reason, so that a user can judge it:
 *
 *   in_channels      4       conv_in.weight [320,4,3,3]
 *   norm_num_groups  32      all models of latent diffusion have it
 *
 * Tensors have diffusers' names here (single_names.h translates others).
 */
#ifndef SS_MODELS_SINGLE_INFER_H
#define SS_MODELS_SINGLE_INFER_H

#include "models/file/checkpoint.h"

#include <jansson.h>
#include <stdbool.h>

/* A value that was inferred; texts belong to the list. */
typedef struct {
    char *key, *value, *from;
} ss_single_inferred;

/* An inference under way. {.k = k, .config = json_object()} begins one; the rest is filled. */
typedef struct {
    const ss_checkpoint *k;
    json_t *config;
    ss_single_inferred *rows;
    size_t n, cap;
    ss_err err; /* the first failure; later steps go on with zeros */
} ss_inference;

/* Sets a value of the config (stolen) with its reason. */
void ss_infer_set(ss_inference *x, const char *key, json_t *value, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds a reason alone, for a value that is no key of the config. */
void ss_infer_say(ss_inference *x, const char *key, const char *value, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Sets values that all models of a kind have in common. */
typedef struct {
    const char *key, *value; /* JSON */
} ss_infer_common;
void ss_infer_set_common(ss_inference *x, const ss_infer_common *list, const char *from);

/* Finds a tensor; NULL where there is none. */
const ss_stored_tensor *ss_infer_find(const ss_inference *x, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Returns a tensor's dimension d. A tensor that is missing (NULL; name is for the message) or has
 * no such dimension is a failure, and 1. */
int64_t ss_infer_dim(ss_inference *x, const ss_stored_tensor *t, const char *name, int d);
/* Counts the tensors before + 0 + after, before + 1 + after, ... up to the first that is not there,
 * or 64. */
int ss_infer_count(const ss_inference *x, const char *before, const char *after);
/* Records a failure. */
void ss_infer_fail(ss_inference *x, ss_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Returns "conv_in.weight [320,4,3,3]" in out. */
char *ss_infer_evidence(const ss_stored_tensor *t, char *out, size_t n);
void ss_inference_release(ss_inference *x); /* {0} is fine */

/* The versions of Stable Diffusion, which share what no shape says. */
typedef enum { SS_SD_OTHER, SS_SD_1, SS_SD_2, SS_SD_XL, SS_N_SD } ss_sd_version;
/* Names a version: "Stable Diffusion 1.x". */
const char *ss_sd_version_name(ss_sd_version v);

/* The configurations of each kind of component, and _class_name or architectures in it. */
void ss_infer_unet(ss_inference *x);
/* version is that of the file that the VAE is in; SS_SD_OTHER where it is alone. */
void ss_infer_vae(ss_inference *x, ss_sd_version version);
/* open_clip: the file has OpenCLIP's names. */
void ss_infer_clip(ss_inference *x, bool open_clip);

#endif
