/* edm.c - see edm.h */
#include "models/edm.h"

#include "base/json.h"

#include <math.h>
#include <string.h>

ss_edm ss_edm_at(double sigma, double d)
{
    const double norm = sqrt(sigma * sigma + d * d);

    return (ss_edm){.c_skip = d * d / (norm * norm),
                    .c_out = sigma * d / norm,
                    .c_in = 1 / norm,
                    .c_noise = log(sigma) / 4};
}

ss_code ss_edm_load(const char *path, double *sigma_data, ss_err *e)
{
    static const char *const predictions[] = {"epsilon", NULL};
    ss_json j = {0};
    ss_code rc;

    *sigma_data = 0;
    if (!path)
        return SS_OK;
    if ((rc = ss_json_load(&j, path, e)) != SS_OK)
        return rc;
    const char *name = ss_json_string(&j, "_class_name", "");
    if (strcmp(name, "EDMEulerScheduler") == 0 ||
        strcmp(name, "EDMDPMSolverMultistepScheduler") == 0) {
        ss_json_choice(&j, "prediction_type", predictions, 0);
        *sigma_data = ss_json_double(&j, "sigma_data", 0.5);
        if (!(*sigma_data > 0) || isinf(*sigma_data))
            ss_json_complain(&j, SS_FORMAT, "sigma_data", "expected a finite number over 0");
        rc = ss_json_done(&j, e);
    }
    ss_json_release(&j);
    return rc;
}
