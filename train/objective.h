/* objective.h - what a training step asks of the network, and the loss of its answer
 *
 * A sample is noised to x_t = a x0 + s n, and the network answers F(c_in x_t, timestep):
 *
 *   prediction      a, s            target of F                x0 from F          k = |dx0/dF|
 *   epsilon         a^2 + s^2 = 1   n                          (x_t - s F) / a    s / a
 *   v_prediction    a^2 + s^2 = 1   a n - s x0                 a x_t - s F        s
 *   sample          a^2 + s^2 = 1   x0                         F                  1
 *   edm             a = 1, s =      (x0 - c_skip x_t) / c_out  c_skip x_t + c_out F   c_out
 *                   sigma
 *
 * with c_in = 1 for all but edm (Karras et al. 2022, table 1; d = sigma_data):
 *
 *   c_skip = d^2 / (sigma^2 + d^2)          c_out = sigma d / sqrt(sigma^2 + d^2)
 *   c_in   = 1 / sqrt(sigma^2 + d^2)        timestep = c_noise = ln(sigma) / 4
 *
 * The loss is the mean over samples of weight * mean((F - target)^2). A weighting of the error
 * of x0, lambda, is one of F with weight lambda k^2:
 *
 *   none       weight = 1
 *   min_snr    lambda = min(SNR, gamma), SNR = a^2 / s^2         (Hang et al. 2023)
 *   edm        lambda = (sigma^2 + d^2) / (sigma d)^2            (Karras et al. 2022)
 *
 * so that edm weighting of an edm prediction is weight 1.
 *
 * The prediction `autoencoder` is that of an autoencoder, which is given x0 without noise and
 * answers it: its loss is in autoencoder.h, and its level sigma = 0. The prediction `depth` is that
 * of a network that is shown a picture without noise, at timestep 0, and answers the inverse depth
 * of each of its pixels (probe/depth.h): the target comes with the data.
 *
 * Noise levels: `timesteps` are those of a diffusers schedule, uniform; `cosine` is continuous,
 * u uniform in (0,1), log SNR = -2 ln tan(pi u / 2) clipped to +-15, timestep 1000 u;
 * `lognormal` has ln sigma ~ N(p_mean, p_std^2) and goes with the edm prediction.
 *
 * Neighbouring pixels of a large picture say the same, so that more noise leaves as much of it to
 * be seen. A shift of 2 ln(base_size / size) is added to the log SNR of each level that is drawn,
 * which gives pictures of any size the noise of base_size, averaged down to it (Hoogeboom et al.
 * 2023, section 3.1). The network is told the timestep of the level that results: what a timestep
 * means, in training and afterwards, stays as it is.
 */
#ifndef SS_TRAIN_OBJECTIVE_H
#define SS_TRAIN_OBJECTIVE_H

#include "models/sampling/schedule.h"

#define SS_OBJECTIVES(X)            \
    X(EPSILON, "epsilon")           \
    X(V_PREDICTION, "v_prediction") \
    X(SAMPLE, "sample")             \
    X(EDM, "edm")                   \
    X(AUTOENCODER, "autoencoder")   \
    X(DEPTH, "depth")
#define X(name, text) SS_OBJECTIVE_##name,
typedef enum { SS_OBJECTIVES(X) SS_N_OBJECTIVES } ss_objective_kind;
#undef X

#define SS_LEVEL_LAWS(X)      \
    X(TIMESTEPS, "timesteps") \
    X(COSINE, "cosine")       \
    X(LOGNORMAL, "lognormal")
#define X(name, text) SS_LEVELS_##name,
typedef enum { SS_LEVEL_LAWS(X) SS_N_LEVEL_LAWS } ss_level_law;
#undef X

#define SS_WEIGHTINGS(X)  \
    X(NONE, "none")       \
    X(MIN_SNR, "min_snr") \
    X(EDM, "edm")
#define X(name, text) SS_WEIGHTING_##name,
typedef enum { SS_WEIGHTINGS(X) SS_N_WEIGHTINGS } ss_weighting;
#undef X

const char *ss_objective_name(ss_objective_kind k); /* "v_prediction" */

typedef struct {
    ss_objective_kind prediction;
    ss_level_law levels;
    ss_weighting weighting;
    const ss_schedule *schedule; /* of `timesteps`; borrowed */
    double gamma;                /* of min_snr */
    double sigma_data;           /* of edm */
    double p_mean, p_std;        /* of lognormal */
    double base_size;            /* side in pixels to which levels are shifted; 0: they are not */
    double shift;                /* of log SNR; ss_objective_fit sets it */
    double l1_weight, kl_weight, frame_weight; /* of autoencoder */
    bool blind; /* the network is told timestep 0 at every noise level, and has to see the level */
    uint64_t seed;
} ss_objective;

/* v_prediction, cosine, none; gamma 5, sigma_data 0.5, p_mean -1.2, p_std 1.2, no shift, seed 0; of
 * autoencoder's weights kl_weight is 1e-6, the others 0. */
ss_objective ss_objective_defaults(void);

/* SS_USAGE if parts do not go together, or if a number is out of its range. */
ss_code ss_objective_check(const ss_objective *o, ss_err *e);

/* Shifts the levels for pictures of h x w pixels, whose size is sqrt(h w). */
void ss_objective_fit(ss_objective *o, int h, int w);

/* One sample's noise level and all that follows from it. */
typedef struct {
    double a, s, sigma;         /* sigma = s / a; infinite if a = 0 */
    double c_in, c_skip, c_out; /* 1, 0, 1 but for edm */
    double weight;
    float timestep; /* what the network is told */
} ss_level;

/* Draws the level of sample i of a step; it depends on (seed, step, i) alone. */
ss_level ss_objective_draw(const ss_objective *o, int64_t step, int64_t i);
/* Draws noise [n] ~ N(0, 1) of sample i of a step, from other numbers than the level. */
void ss_objective_noise(const ss_objective *o, int64_t step, int64_t i, int64_t n, float *noise);

/* The level at a timestep (`timesteps`, rounded), at u in (0,1) (`cosine`), or at sigma
 * (`lognormal`). */
ss_level ss_objective_level(const ss_objective *o, double at);

/* The network's input and target of n values. input and target may overlap neither x0 nor noise. */
void ss_objective_prepare(const ss_objective *o, ss_level l, const float *x0, const float *noise,
                          int64_t n, float *input, float *target);

/* The loss of n samples of `each` values, from the sums of squared errors, sum_j (F_ij -
 * target_ij)^2 (kernels/loss.h), and the slope of scale * loss,
 *
 *   loss[i] = weight_i squares_i / each                    returned: mean_i loss[i]
 *   slope_i = scale 2 weight_i / (n each)                  by which F_ij - target_ij is multiplied
 *
 * loss [n] may be NULL, and may be squares. */
double ss_objective_loss(const ss_level *l, int64_t n, int64_t each, const double *squares,
                         double *loss);
double ss_objective_slope(const ss_level *l, int64_t n, int64_t each, double scale);

/* The loss by noise level: `n` bins between sigma lo and hi, even in ln sigma; the outermost take
 * what lies beyond. Each keeps a running mean, m += (1 - decay) (loss - m), which begins with the
 * first loss. Plain data: it can be saved and read back as it is. */
enum { SS_LOSS_MAX_BINS = 64 };
typedef struct {
    int n;
    double lo, hi, decay;
    int64_t count[SS_LOSS_MAX_BINS];
    double mean[SS_LOSS_MAX_BINS];
} ss_loss_bins;

int ss_loss_bin(const ss_loss_bins *b, double sigma);
double ss_loss_bin_center(const ss_loss_bins *b, int bin); /* in sigma, geometric */
/* Adds a loss; one that is not finite is counted, but does not enter the mean. */
void ss_loss_bins_add(ss_loss_bins *b, double sigma, double loss);

#endif
