/* single_schedule.c - what a single file says about the schedule that its denoiser was trained with
 *
 * Latent diffusion stores its betas or the sums made of them; files of later trainers have keys
 * without content, v_pred and ztsnr, that say what was changed. What a network predicts is in no
 * shape. Stable Diffusion 2.x was published in both kinds, so that one is asked for.
 */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/single.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 1000 };

static const double BETA_START = 0.00085, BETA_END = 0.012;

static int by_name(const void *key, const void *item)
{
    return strcmp(key, (*(const ss_stored_tensor *const *)item)->name);
}

/* Finds a tensor of the whole file. */
static const ss_stored_tensor *in_whole(const ss_stored_tensor *const *whole, size_t n,
                                        const char *name)
{
    const ss_stored_tensor *const *hit = n ? bsearch(name, whole, n, sizeof *whole, by_name) : NULL;

    return hit ? *hit : NULL;
}

static const char *class_of(ss_sd_version v)
{
    return v == SS_SD_XL  ? "EulerDiscreteScheduler"
           : v == SS_SD_2 ? "DDIMScheduler"
                          : "PNDMScheduler";
}

/* The beta of a step, by Stable Diffusion's schedule. */
static double scaled_linear(int t)
{
    const double a = sqrt(BETA_START), b = sqrt(BETA_END), root = a + (b - a) * t / (STEPS - 1);

    return root * root;
}

/* Reads the betas in the file; NULL where there are none that can be read. The caller's to ss_free.
 */
static float *stored_betas(ss_inference *x, const ss_stored_tensor *t)
{
    float *betas;

    if (!t || t->rank != 1 || t->dim[0] != STEPS || !t->usable || t->dtype != SS_F32)
        return NULL;
    betas = ss_alloc(STEPS, sizeof *betas);
    if (!betas)
        ss_infer_fail(x, SS_NOMEM, "out of memory");
    else if (ss_stored_read(t, betas, &x->err) == SS_OK)
        return betas;
    ss_free(betas);
    return NULL;
}

/* Sets the betas: those of the file where it has other ones than Stable Diffusion. */
static void set_betas(ss_inference *x, json_t *schedule, const ss_stored_tensor *t)
{
    static const char key[] = "trained_betas";
    float *betas = stored_betas(x, t);
    double worst = 0;

    for (int i = 0; betas && i < STEPS; i++) {
        const double d = fabs(betas[i] / scaled_linear(i) - 1);

        worst = d <= worst ? worst : d; /* a NaN is the worst, too */
        if (isnan(d))
            worst = INFINITY;
    }
    if (!betas || worst < 1e-4) {
        ss_infer_say(x, "beta_schedule", "scaled_linear, 0.00085 to 0.012", "%s",
                     betas ? "betas [1000] in the file agree" : "convention of Stable Diffusion");
    } else {
        json_t *list = json_array();
        bool fine = list;

        for (int i = 0; i < STEPS && fine; i++)
            fine = isfinite(betas[i]) && betas[i] > 0 && betas[i] < 1 &&
                   json_array_append_new(list, json_real(betas[i])) == 0;
        if (fine)
            json_object_set(schedule, key, list);
        ss_infer_say(x, fine ? key : "beta_schedule",
                     fine ? "as in the file" : "scaled_linear, 0.00085 to 0.012",
                     fine
                         ? "betas [1000] in the file differ from Stable Diffusion's"
                         : "convention of Stable Diffusion; betas [1000] in the file are no betas");
        json_decref(list);
    }
    ss_free(betas);
}

/* Sets what the network predicts, or why that is not known. */
static void set_prediction(ss_inference *x, ss_single *s, bool v_pred, bool edm)
{
    const int64_t in = json_integer_value(json_object_get(x->config, "in_channels"));
    const bool upscaler = json_object_get(x->config, "num_class_embeds");
    const char *prediction = v_pred || upscaler ? "v_prediction" : "epsilon";

    if (edm) {
        snprintf(s->ask_prediction, sizeof s->ask_prediction,
                 "edm_mean and edm_std in the file say that it was trained as EDM, as Playground "
                 "v2.5: name its scheduler_config.json by --scheduler");
        ss_infer_say(x, "prediction_type", "not known", "edm_mean is in the file");
        return;
    }
    if (s->version == SS_SD_2 && in == 4 && !v_pred && !upscaler) {
        snprintf(s->ask_prediction, sizeof s->ask_prediction,
                 "the file does not say what the network predicts: Stable Diffusion 2.x has base "
                 "models (--prediction epsilon) and models of 768x768 pixels (--prediction "
                 "v_prediction)");
        ss_infer_say(x, "prediction_type", "not known",
                     "Stable Diffusion 2.x has both: name it by --prediction");
        return;
    }
    ss_infer_say(x, "prediction_type", prediction,
                 v_pred     ? "v_pred is in the file"
                 : upscaler ? "convention of the upscaler"
                            : "convention of %s%s",
                 v_pred || upscaler ? "" : ss_sd_version_name(s->version),
                 v_pred || upscaler ? "" : "; a fine-tune that predicts v needs --prediction");
    if (s->scheduler &&
        json_object_set_new(s->scheduler, "prediction_type", json_string(prediction)) != 0)
        ss_infer_fail(x, SS_NOMEM, "out of memory");
}

ss_code ss_single_schedule(ss_inference *x, ss_single *s, const ss_stored_tensor *const *whole,
                           size_t n)
{
    const bool v_pred = in_whole(whole, n, "v_pred"), zero = in_whole(whole, n, "ztsnr");
    const bool edm = in_whole(whole, n, "edm_mean") || in_whole(whole, n, "edm_std");

    if (s->has_vae) {
        s->scheduler = json_pack("{s:s, s:f, s:f, s:s, s:i, s:b, s:b, s:i, s:s}", "_class_name",
                                 class_of(s->version), "beta_start", BETA_START, "beta_end",
                                 BETA_END, "beta_schedule", "scaled_linear", "num_train_timesteps",
                                 STEPS, "clip_sample", 0, "set_alpha_to_one", 0, "steps_offset", 1,
                                 "timestep_spacing", zero ? "trailing" : "leading");
        if (s->scheduler && strcmp(class_of(s->version), "PNDMScheduler") == 0)
            json_object_set_new(s->scheduler, "skip_prk_steps", json_true());
        if (!s->scheduler)
            ss_infer_fail(x, SS_NOMEM, "out of memory");
        else
            set_betas(x, s->scheduler, in_whole(whole, n, "betas"));
    }
    set_prediction(x, s, v_pred, edm);
    if (zero && s->scheduler)
        json_object_set_new(s->scheduler, "rescale_betas_zero_snr", json_true());
    if (zero)
        ss_infer_say(x, "rescale_betas_zero_snr", "true", "ztsnr is in the file");
    return x->err.code;
}
