/* edm.c - see edm.h */
#include "models/sampling/edm.h"

#include <math.h>

ss_edm ss_edm_at(double sigma, double d)
{
    const double norm = sqrt(sigma * sigma + d * d);

    return (ss_edm){.c_skip = d * d / (norm * norm),
                    .c_out = sigma * d / norm,
                    .c_in = 1 / norm,
                    .c_noise = log(sigma) / 4};
}
