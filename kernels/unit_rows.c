/* unit_rows.c - see step.h */
#include "kernels/step.h"

#include <math.h>

void ss_unit_rows(float *w, int64_t n, int64_t row)
{
    for (int64_t i = 0; row && i < n; i += row) {
        double sum = 0;

        for (int64_t j = i; j < i + row; j++)
            sum += (double)w[j] * w[j];
        const double k = 1 / (1e-4 + sqrt(sum / (double)row));
        for (int64_t j = i; j < i + row; j++)
            w[j] = (float)(k * w[j]);
    }
}
