/* input_latents.c - reads the latents that a denoiser's run made, for the VAE that decodes them */
#include "probe/input_source.h"
#include "runfile/run_reader.h"

#define SET "/outputs/denoised"

/* The lowest noise level. */
static int lowest(const ss_run *r)
{
    int best = 0;

    for (int s = 1; s < r->n_sigmas; s++) {
        if (r->sigmas[s] < r->sigmas[best])
            best = s;
    }
    return best;
}

/* Checks that the run has enough latents of the size. */
static ss_code check(const ss_input *in, ss_run *r, ss_err *e)
{
    ss_run_shape shape;
    ss_sample_size found;
    const ss_sample_size s = in->size;
    char text[96];

    if (!r->sigmas || !ss_run_has_pictures(r, SET, &shape))
        return ss_fail(e, SS_USAGE, "%s has no " SET ": it is no run of a denoiser", in->path);
    if (!ss_sample_size_of(shape.rank, shape.dim, &found) ||
        !ss_shape_equal(ss_sample_shape(found), ss_sample_shape(s)))
        return ss_fail(e, SS_SHAPE,
                       SET " of %s does not have samples of %s, as the VAE's latents are", in->path,
                       ss_shape_text(ss_sample_shape(s), text, sizeof text));
    if ((int64_t)r->n_inputs * r->n_samples < in->samples)
        return ss_fail(e, SS_USAGE, "%s has %d samples, %d are asked for", in->path,
                       r->n_inputs * r->n_samples, in->samples);
    return SS_OK;
}

static ss_code load(ss_input *in, ss_err *e)
{
    ss_run *r;
    ss_code rc = ss_run_open(in->path, &r, e);

    if (rc != SS_OK)
        return rc;
    rc = check(in, r, e);
    if (rc == SS_OK)
        rc = ss_input_allocate(in, in->samples, e);
    for (int i = 0; i < in->samples && rc == SS_OK; i++)
        rc = ss_run_picture(r, SET, i / r->n_samples, lowest(r), i % r->n_samples,
                            ss_input_picture(in, i), e);
    ss_run_close(r);
    return rc;
}

const ss_input_source ss_source_latents = {
    .name = SS_INPUT_LATENTS,
    .form = "RUN.h5",
    .kind = SS_INPUT_CLEAN,
    .parse = ss_input_parse_path,
    .load = load,
};
