/* edm.h - EDM's preconditioning: what a network sees and what its answer means
 *
 *   x0 ~ D(x; sigma) = c_skip x + c_out F(c_in x, c_noise),   x = x0 + sigma n
 *
 *   c_skip = d^2 / (sigma^2 + d^2)        c_out = sigma d / sqrt(sigma^2 + d^2)
 *   c_in   = 1 / sqrt(sigma^2 + d^2)      c_noise = ln(sigma) / 4,      d = sigma_data
 *
 * so F, the network itself, should answer (x0 - c_skip x) / c_out.
 * Source: Karras et al. 2022, table 1.
 */
#ifndef SS_MODELS_EDM_H
#define SS_MODELS_EDM_H

typedef struct {
    double c_skip, c_out, c_in, c_noise;
} ss_edm;

/* sigma and sigma_data are positive. */
ss_edm ss_edm_at(double sigma, double sigma_data);

#endif
