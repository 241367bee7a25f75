/* deforum.c - see deforum.h */
#include "probe/deforum.h"

#include "base/mem.h"
#include "probe/color_match.h"
#include "probe/warp.h"

#include <math.h>
#include <string.h>

struct ss_deforum {
    const ss_deforum_plan *plan;
    ss_trajectory_options later; /* of the frames after the first */
    ss_trajectory *first, *next;
    ss_depth *depth;
    ss_sample_size size; /* of a frame */
    float *video;        /* [samples][F][H][W][C] */
    float *init;         /* [samples][H][W][C] */
    float *z;            /* [H][W] */

    ss_trajectory_tick tick;
    void *self;
    int done; /* evaluations of earlier frames */
};

static int64_t frame_values(const ss_deforum *d)
{
    return ss_sample_values(d->size);
}

static float *frame_of(const ss_deforum *d, int sample, int frame)
{
    return d->video + ((int64_t)sample * d->plan->frames + frame) * frame_values(d);
}

static ss_code check_model(const ss_deforum *d, ss_err *e)
{
    const ss_model_info *about = ss_model_about(ss_trajectory_network(d->first)->model);

    if (d->size.frames)
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s makes videos by itself; --deforum makes them of a model of pictures",
                       d->later.network.model);
    if (about->has_vae || (d->size.channels != 1 && d->size.channels != 3))
        return ss_fail(e, SS_UNSUPPORTED,
                       "%s works on latents; --deforum warps pictures, and needs a model of them",
                       d->later.network.model);
    return SS_OK;
}

ss_code ss_deforum_open(const ss_deforum_plan *plan, const ss_trajectory_options *opt,
                        ss_deforum **out, ss_err *e)
{
    ss_deforum *d = ss_calloc(1, sizeof *d);
    const ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    ss_code rc;

    if (!d)
        return ss_no_memory(e, "a video");
    d->plan = plan;
    d->later = *opt;
    d->later.strength = nearbyint((1 - plan->strength) * 1e9) / 1e9; /* 1 - 0.9 is 0.1 */
    rc = ss_trajectory_open(opt, &d->first, e);
    if (rc == SS_OK) {
        d->size = ss_trajectory_size(d->first);
        rc = check_model(d, e);
    }
    if (rc == SS_OK && (rc = ss_trajectory_open(&d->later, &d->next, e)) != SS_OK)
        ss_fail_prefix(e, "frames after the first");
    if (rc == SS_OK)
        rc = ss_depth_open(&plan->depth, d->size, &device, &d->depth, e);
    if (rc == SS_OK) {
        const size_t one = (size_t)frame_values(d) * sizeof(float), n = (size_t)opt->samples;

        d->video = ss_alloc(n * (size_t)plan->frames, one);
        d->init = ss_alloc(n, one);
        d->z = ss_alloc((size_t)ss_sample_area(d->size), sizeof *d->z);
        if (!d->video || !d->init || !d->z)
            rc = ss_fail(e, SS_NOMEM, "no memory for %d videos of %d frames", opt->samples,
                         plan->frames);
    }
    if (rc == SS_OK)
        *out = d;
    else
        ss_deforum_close(d);
    return rc;
}

void ss_deforum_close(ss_deforum *d)
{
    if (!d)
        return;
    ss_trajectory_close(d->first);
    ss_trajectory_close(d->next);
    ss_depth_close(d->depth);
    ss_free(d->video);
    ss_free(d->init);
    ss_free(d->z);
    ss_free(d);
}

ss_trajectory *ss_deforum_first(const ss_deforum *d)
{
    return d->first;
}

int ss_deforum_evaluations(const ss_deforum *d)
{
    return ss_trajectory_evaluations(d->first) +
           (d->plan->frames - 1) * ss_trajectory_evaluations(d->next);
}

ss_sample_size ss_deforum_size(const ss_deforum *d)
{
    ss_sample_size size = d->size;

    size.frames = d->plan->frames;
    return size;
}

const float *ss_deforum_video(const ss_deforum *d, int sample)
{
    return frame_of(d, sample, 0);
}

/* Makes what frame k of each sample begins from. */
static ss_code move_camera(ss_deforum *d, int k, ss_err *e)
{
    const ss_deforum_plan *p = d->plan;
    const int h = d->size.height, w = d->size.width, c = d->size.channels;
    const double *t = p->translation + 3 * k, *r = p->rotation + 3 * k;
    const ss_camera_move move = {{t[0], t[1], t[2]}, {r[0], r[1], r[2]}, p->fov, p->rays};
    ss_code rc = SS_OK;

    for (int i = 0; i < d->later.samples && rc == SS_OK; i++) {
        const float *before = frame_of(d, i, k - 1);
        float *x = d->init + i * frame_values(d);

        rc = ss_depth_of(d->depth, before, k - 1, d->z, e);
        if (rc == SS_OK)
            ss_warp(before, d->z, h, w, c, &move, x);
        if (rc == SS_OK && p->color_match)
            rc = ss_color_match(x, frame_of(d, i, 0), (int64_t)h * w, c, e);
    }
    return rc;
}

static void tick(void *self, int evaluation)
{
    ss_deforum *d = self;

    if (d->tick)
        d->tick(d->self, d->done + evaluation);
}

static void keep(ss_deforum *d, const ss_trajectory *t, int k)
{
    for (int i = 0; i < d->later.samples; i++)
        memcpy(frame_of(d, i, k), ss_trajectory_picture(t, i),
               (size_t)frame_values(d) * sizeof(float));
    d->done += ss_trajectory_evaluations(t);
}

ss_code ss_deforum_run(ss_deforum *d, ss_ctx *c, ss_trajectory_tick told, void *self, ss_err *e)
{
    ss_code rc;

    d->tick = told;
    d->self = self;
    d->done = 0;
    rc = ss_trajectory_run(d->first, c, tick, d, e);
    if (rc == SS_OK)
        keep(d, d->first, 0);
    for (int k = 1; k < d->plan->frames && rc == SS_OK; k++) {
        rc = move_camera(d, k, e);
        if (rc == SS_OK)
            rc = ss_trajectory_run_from(
                d->next, c, &(ss_trajectory_start){.init = d->init, .draw = (uint32_t)k}, tick, d,
                e);
        if (rc == SS_OK)
            keep(d, d->next, k);
    }
    return rc;
}
