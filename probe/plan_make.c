/* plan_make.c - makes a plan (plan.h), which the subject of the network's role resolves */
#include "probe/subject.h"

const ss_subject *ss_subject_of(ss_role r)
{
    static const ss_subject *const of[SS_N_ROLES] = {
        [SS_DENOISER] = &ss_subject_denoiser,
        [SS_VAE] = &ss_subject_vae,
        [SS_TEXT] = &ss_subject_text,
    };

    return of[r];
}

ss_code ss_plan_make(const ss_probe_options *opt, ss_plan *out, ss_err *e)
{
    ss_plan p = {.samples = opt->samples};
    ss_code rc = ss_network_open(&opt->network, &p.net, e);

    if (rc == SS_OK)
        rc = ss_subject_of(ss_model_about(p.net.model)->role)->plan(opt, &p, e);
    if (rc == SS_OK)
        rc = ss_network_identify(&p.net, e);
    if (rc == SS_OK)
        rc = ss_plan_write(opt, &p, e);
    if (rc != SS_OK)
        ss_plan_release(&p);
    else
        *out = p;
    return rc;
}
