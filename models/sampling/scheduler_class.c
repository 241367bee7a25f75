/* scheduler_class.c - see scheduler_class.h; the defaults are diffusers 0.42's */
#include "models/sampling/scheduler_class.h"

#include <string.h>

#define PLAIN .betas = SS_BETAS_LINEAR, .beta_start = 1e-4, .beta_end = 0.02, .snr_shift = 1
/* the defaults of k-diffusion: Stable Diffusion's betas, but linear */
#define LATENT .betas = SS_BETAS_LINEAR, .beta_start = 0.00085, .beta_end = 0.012, .snr_shift = 1
#define SCALED \
    .betas = SS_BETAS_SCALED_LINEAR, .beta_start = 0.00085, .beta_end = 0.012, .snr_shift = 1
#define LEADING .spacing = SS_SPACING_LEADING
#define LINSPACE .spacing = SS_SPACING_LINSPACE
#define NO_SAMPLER .sampler = -1
#define OTHER(what) .kind = SS_SCHEDULER_##what, PLAIN, LINSPACE, NO_SAMPLER

static const ss_scheduler_class classes[] = {
    {"DDPMScheduler", PLAIN, LEADING, .clip = true, .alpha_to_one = true,
     .sampler = SS_SAMPLER_DDPM},
    {"DDPMParallelScheduler", PLAIN, LEADING, .clip = true, .alpha_to_one = true,
     .sampler = SS_SAMPLER_DDPM},
    {"DDIMScheduler", PLAIN, LEADING, .clip = true, .alpha_to_one = true,
     .sampler = SS_SAMPLER_DDIM},
    {"DDIMParallelScheduler", PLAIN, LEADING, .clip = true, .alpha_to_one = true,
     .sampler = SS_SAMPLER_DDIM},
    {"DDIMInverseScheduler", PLAIN, LEADING, .clip = true, .alpha_to_one = true, NO_SAMPLER},
    {"RePaintScheduler", PLAIN, LEADING, .clip = true, .alpha_to_one = true, NO_SAMPLER},
    {"UnCLIPScheduler", .betas = SS_BETAS_COSINE, .beta_start = 1e-4, .beta_end = 0.02,
     .snr_shift = 1, LINSPACE, .clip = true, .alpha_to_one = true, NO_SAMPLER},
    {"PNDMScheduler", PLAIN, LEADING, NO_SAMPLER},
    {"LMSDiscreteScheduler", PLAIN, LINSPACE, .alpha_to_one = true, NO_SAMPLER},
    {"EulerDiscreteScheduler", PLAIN, LINSPACE, .tiny_end = true, .alpha_to_one = true,
     .sampler = SS_SAMPLER_EULER},
    {"EulerAncestralDiscreteScheduler", PLAIN, LINSPACE, .tiny_end = true, .alpha_to_one = true,
     NO_SAMPLER},
    {"HeunDiscreteScheduler", LATENT, LINSPACE, .alpha_to_one = true, .sampler = SS_SAMPLER_HEUN},
    {"KDPM2DiscreteScheduler", LATENT, LINSPACE, .alpha_to_one = true, NO_SAMPLER},
    {"KDPM2AncestralDiscreteScheduler", LATENT, LINSPACE, .alpha_to_one = true, NO_SAMPLER},
    {"DPMSolverSDEScheduler", LATENT, LINSPACE, .alpha_to_one = true, NO_SAMPLER},
    {"DPMSolverMultistepScheduler", PLAIN, LINSPACE, .tiny_end = true, .takes_flow = true,
     .alpha_to_one = true, NO_SAMPLER},
    {"DPMSolverMultistepInverseScheduler", PLAIN, LINSPACE, .takes_flow = true,
     .alpha_to_one = true, NO_SAMPLER},
    {"DPMSolverSinglestepScheduler", PLAIN, LINSPACE, .takes_flow = true, .alpha_to_one = true,
     NO_SAMPLER},
    {"UniPCMultistepScheduler", PLAIN, LINSPACE, .tiny_end = true, .takes_flow = true,
     .alpha_to_one = true, NO_SAMPLER},
    {"DEISMultistepScheduler", PLAIN, LINSPACE, .takes_flow = true, .alpha_to_one = true,
     NO_SAMPLER},
    {"SASolverScheduler", PLAIN, LINSPACE, .takes_flow = true, .alpha_to_one = true, NO_SAMPLER},
    {"LCMScheduler", SCALED, LEADING, .alpha_to_one = true, NO_SAMPLER},
    {"TCDScheduler", SCALED, LEADING, .alpha_to_one = true, NO_SAMPLER},
    {"CogVideoXDDIMScheduler", .betas = SS_BETAS_SCALED_LINEAR, .beta_start = 0.00085,
     .beta_end = 0.012, .snr_shift = 3, LEADING, .clip = true, .alpha_to_one = true, NO_SAMPLER},
    {"CogVideoXDPMScheduler", .betas = SS_BETAS_SCALED_LINEAR, .beta_start = 0.00085,
     .beta_end = 0.012, .snr_shift = 3, LEADING, .clip = true, .alpha_to_one = true, NO_SAMPLER},

    {"ScoreSdeVeScheduler", OTHER(SCORE)},
    {"EDMEulerScheduler", OTHER(EDM)},
    {"EDMDPMSolverMultistepScheduler", OTHER(EDM)},
    {"CMStochasticIterativeScheduler", OTHER(CONSISTENCY)},
    {"FlowMatchEulerDiscreteScheduler", OTHER(FLOW)},
    {"FlowMatchHeunDiscreteScheduler", OTHER(FLOW)},
    {"FlowMatchLCMScheduler", OTHER(FLOW)},
};

const ss_scheduler_class *ss_scheduler_class_find(const char *name)
{
    if (!name)
        return &classes[0];
    if (strncmp(name, "Flax", 4) == 0)
        name += 4;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strcmp(name, classes[i].name) == 0)
            return &classes[i];
    }
    return NULL;
}

const ss_scheduler_class *ss_scheduler_class_read(ss_json *j)
{
    return ss_scheduler_class_find(ss_json_string(j, "_class_name", NULL));
}

static const char *const noise_keys[] = {
    "beta_schedule",          "beta_start",      "beta_end",        "num_train_timesteps",
    "trained_betas",          "prediction_type", "predict_epsilon", "timestep_type",
    "rescale_betas_zero_snr", "snr_shift_scale", "use_flow_sigmas", "sigma_data",
    "invert_sigmas",          "shift",           "flow_shift",      NULL};

static const char *const sampler_keys[] = {"clip_sample",
                                           "clip_sample_range",
                                           "thresholding",
                                           "dynamic_thresholding_ratio",
                                           "sample_max_value",
                                           "timestep_spacing",
                                           "steps_offset",
                                           "set_alpha_to_one",
                                           "variance_type",
                                           "use_karras_sigmas",
                                           "use_exponential_sigmas",
                                           "use_beta_sigmas",
                                           "sigma_min",
                                           "sigma_max",
                                           "final_sigmas_type",
                                           "interpolation_type",
                                           NULL};

/* Keys of steps, solvers and corrections of samplers that are not here, and keys of diffusers
 * before 0.10 that mean nothing any more. */
static const char *const other_keys[] = {"skip_prk_steps",
                                         "tensor_format",
                                         "format",
                                         "timestep_values",
                                         "timesteps",
                                         "dtype",
                                         "solver_order",
                                         "solver_type",
                                         "solver_p",
                                         "algorithm_type",
                                         "predictor_order",
                                         "corrector_order",
                                         "tau_func",
                                         "predict_x0",
                                         "disable_corrector",
                                         "lower_order_final",
                                         "euler_at_final",
                                         "lambda_min_clipped",
                                         "use_lu_lambdas",
                                         "denoise_final",
                                         "noise_sampler_seed",
                                         "original_inference_steps",
                                         "timestep_scaling",
                                         "use_dynamic_shifting",
                                         "time_shift_type",
                                         "shift_terminal",
                                         "base_shift",
                                         "max_shift",
                                         "base_image_seq_len",
                                         "max_image_seq_len",
                                         "stochastic_sampling",
                                         "scale_factors",
                                         "upscale_mode",
                                         "sigma_schedule",
                                         "rho",
                                         "s_noise",
                                         "s_churn",
                                         "s_min",
                                         "s_max",
                                         "clip_denoised",
                                         "eta",
                                         "snr",
                                         "sampling_eps",
                                         "correct_steps",
                                         NULL};

static bool listed(const char *const *list, const char *key)
{
    for (int i = 0; list[i]; i++) {
        if (strcmp(list[i], key) == 0)
            return true;
    }
    return false;
}

ss_scheduler_key ss_scheduler_key_of(const char *key)
{
    return listed(noise_keys, key)     ? SS_SCHEDULER_KEY_NOISE
           : listed(sampler_keys, key) ? SS_SCHEDULER_KEY_SAMPLER
           : listed(other_keys, key)   ? SS_SCHEDULER_KEY_OTHER
                                       : SS_SCHEDULER_KEY_UNKNOWN;
}
