/* probe.h - the main job: forward passes over noise levels and inputs, watched and stored
 *
 *   ss_probe_options opt = ss_probe_defaults();
 *   opt.network.model = "unet/";
 *   opt.output = "run.h5";
 *   rc = ss_probe_run(&opt, &summary, &err);
 *
 * At noise level sigma a clean picture x0 becomes what the network sees,
 *
 *   x = a x0 + s n,   a = 1 / sqrt(1 + sigma^2),  s = sigma a     (variance preserving)
 *
 * which is sqrt(abar) (x0 + sigma n) with abar = a^2 (Karras et al. 2022, appendix B.3), and
 * the network is told the timestep whose own sigma is nearest in the logarithm. A network
 * that takes sigma itself (NCSN++) sees x0 + sigma n. The noise n depends only on seed and sample:
 * all noise levels and all inputs have the same draws, so they can be compared.
 */
#ifndef SS_PROBE_PROBE_H
#define SS_PROBE_PROBE_H

#include "base/err.h"
#include "probe/network.h"
#include "probe/prompts.h"
#include "probe/shard.h"

#include <stdbool.h>
#include <stdint.h>

enum { SS_MAX_BATCH = 4096 };
#define SS_DEFAULT_SIGMAS "0.02:80:8"
#define SS_DEFAULT_VAE_INPUT "grating:4,30"
#define SS_DEFAULT_VAE_SIGMAS "0.02:0.5:3" /* noise on what a decoder is given */

typedef struct {
    ss_network_options network;
    const char *output;  /* run file */
    const char *command; /* for the record: the command line */

    const char *sigmas;          /* levels.h; NULL: SS_DEFAULT_SIGMAS, or the schedule file's range
                                    (ss_noising_range) */
    const char *timesteps;       /* in place of sigmas */
    const char *condition_sigma; /* a number, "none", or NULL: the input's own level */
    const char *const *inputs;   /* input specs (input.h) */
    int n_inputs;
    int samples; /* per input; 0: 4, and 1 of a VAE, whose pictures are large */
    int batch;   /* samples in one forward pass; 0: chosen from the input's size */

    ss_prompt_options prompts;  /* texts, by the encoders of the pipeline */
    int class_label;            /* -1: none given */
    const char *prompt_embeds;  /* FILE#NAME [N][tokens][width], a stand-in (stand_in.h), or NULL */
    const char *text_embeds;    /* FILE#NAME [N][width] (SDXL), a stand-in, or NULL */
    const char *time_ids;       /* FILE#NAME [N][6] (SDXL), or NULL */
    const char *guidance_embed; /* a scale that a distilled network (LCM) is told, or NULL */
    const char
        *class_embeds; /* FILE#NAME [N][width], a vector in place of a class, a stand-in, or NULL */
    const char *concat; /* channels besides those of the picture (probe/concat.h), or NULL */

    const char *const *modules; /* globs of recorded modules; none: all */
    int n_modules;
    const char *const *dumps; /* globs of modules whose outputs are stored whole */
    int n_dumps;
    bool dump_f16;
    bool channels;  /* statistics of each channel */
    bool histogram; /* of exponents, of each module */

    ss_shard shard; /* {0}: the whole run; else `output` still names the whole run's file */
    bool resume, replace;
    uint64_t seed;
    int threads;
    const char *device;     /* as ss_ctx_options has it */
    const char *arithmetic; /* a name of SS_ARITHMETICS (kernels/context.h) */
} ss_probe_options;

/* Returns the defaults of the list in runfile/plan_list.h. */
ss_probe_options ss_probe_defaults(void);

typedef struct {
    int n_modules, n_sigmas, n_inputs, n_samples;
    int n_resumed;         /* noise levels that were in the file already */
    int n_own;             /* noise levels of which this part of the run has something; else all */
    int64_t samples, all;  /* samples at noise levels: of this part, and of the whole run */
    double seconds;        /* of forward passes, with recording */
    int64_t forward_flops; /* of all forward passes */
    int64_t peak_bytes;    /* activations alive at once */
} ss_probe_summary;

/* Runs the whole plan and completes the run file. After an error, finished noise levels stay in the
 * file. If ss_interrupt (interrupt.h) is the handler of SIGINT and SIGTERM, they end the run after
 * the current batch, with SS_INTERRUPTED. */
ss_code ss_probe_run(const ss_probe_options *opt, ss_probe_summary *summary, ss_err *e);

#endif
