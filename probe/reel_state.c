/* reel_state.c - see reel_state.h */
#include "probe/reel_state.h"

#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

struct ss_reel_state {
    ss_reel *reel;
    const ss_sampler *sampler;
    int samples;
    uint64_t seed;
    uint32_t draw;
    bool shared; /* one state for each frame, whatever windows it is in */
    int64_t one; /* values of a frame */

    int units, frames; /* states and frames of each: [samples] videos, or [samples][windows] */
    float *x;          /* [units][frames][H][W][C] */
    float *memory;     /* [units][2][frames][H][W][C], the sampler's */
    float *answer;     /* shared: as x, the averages; else NULL */
    float *variance;   /* likewise */
    bool has_variance;
    float *noise, *clean; /* [frames][H][W][C] */
    float *video;         /* [samples][video.frames][H][W][C] */
};

static int64_t unit_values(const ss_reel_state *s)
{
    return s->frames * s->one;
}

static int unit_of(const ss_reel_state *s, int sample, int k)
{
    return s->shared ? sample : sample * s->reel->windows.n + k;
}

ss_code ss_reel_state_new(ss_reel *reel, const ss_sampler *sampler, int samples, uint64_t seed,
                          ss_reel_state **out, ss_err *e)
{
    const ss_windows *w = &reel->windows;
    const bool shared = reel->join != SS_JOIN_SEPARATE && reel->join != SS_JOIN_SEQUENCE;
    ss_reel_state *s = ss_calloc(1, sizeof *s);

    if (!s)
        return ss_no_memory(e, "states");
    *s = (ss_reel_state){
        .reel = reel,
        .sampler = sampler,
        .samples = samples,
        .seed = seed,
        .shared = shared,
        .one = ss_reel_frame_values(reel),
        .units = shared ? samples : samples * w->n,
        .frames = shared ? w->length : w->size,
    };
    const size_t n = (size_t)unit_values(s), units = (size_t)s->units;
    const size_t video = (size_t)(ss_sample_frames(reel->video) * s->one);
    s->x = ss_alloc(units, n * sizeof(float));
    s->memory = ss_alloc(units, 2 * n * sizeof(float));
    s->answer = shared ? ss_alloc(units, n * sizeof(float)) : NULL;
    s->variance = shared ? ss_alloc(units, n * sizeof(float)) : NULL;
    s->noise = ss_alloc(n, sizeof(float));
    s->clean = ss_alloc(n, sizeof(float));
    s->video = ss_alloc((size_t)samples, video * sizeof(float));
    if (!s->x || !s->memory || (shared && (!s->answer || !s->variance)) || !s->noise || !s->clean ||
        !s->video) {
        ss_reel_state_free(s);
        return ss_fail(e, SS_NOMEM, "no memory for %d samples of %zu values", samples, video);
    }
    *out = s;
    return SS_OK;
}

void ss_reel_state_free(ss_reel_state *s)
{
    if (!s)
        return;
    ss_free(s->x);
    ss_free(s->memory);
    ss_free(s->answer);
    ss_free(s->variance);
    ss_free(s->noise);
    ss_free(s->clean);
    ss_free(s->video);
    ss_free(s);
}

/* Draws the normal numbers of window k, or of the whole video where the state is shared. first: the
 * noise that sampling begins from, whose frames may be those of others. */
static void draw_noise(const ss_reel_state *s, ss_rng r, bool first, int k, float *out)
{
    const ss_reel *f = s->reel;
    const int from = s->shared ? 0 : f->windows.from[k];
    const bool repeated = !s->shared && f->noise == SS_NOISE_REPEATED;

    for (int j = 0; j < s->frames; j++) {
        const int frame = repeated ? j : first ? f->source[from + j] : from + j;

        ss_rng_normals(r, (uint64_t)frame * (uint64_t)s->one, out + j * s->one, (size_t)s->one);
    }
}

static void clear_answers(ss_reel_state *s)
{
    const size_t n = (size_t)s->units * (size_t)unit_values(s) * sizeof *s->answer;

    memset(s->answer, 0, n);
    memset(s->variance, 0, n);
    s->has_variance = false;
}

void ss_reel_state_begin(ss_reel_state *s, const float *init, uint32_t draw)
{
    const ss_windows *w = &s->reel->windows;
    const double scale = ss_sampler_start(s->sampler);
    const int64_t n = unit_values(s);

    s->draw = draw;
    for (int u = 0; u < s->units; u++) {
        const int sample = s->shared ? u : u / w->n, k = s->shared ? 0 : u % w->n;
        float *x = s->x + u * n;

        draw_noise(s, ss_rng_stream(s->seed, "noise", (uint64_t)sample, draw), true, k, x);
        if (init) {
            const int64_t from = (int64_t)sample * w->length + (s->shared ? 0 : w->from[k]);

            ss_sampler_noised(s->sampler, init + from * s->one, x, n, x);
            continue;
        }
        for (int64_t i = 0; i < n; i++)
            x[i] = (float)(scale * x[i]);
    }
    if (s->shared)
        clear_answers(s);
    for (int i = 0; s->reel->mode == SS_REEL_EXTRAPOLATE && i < w->length; i++)
        s->reel->is_given[i] = i < w->size - w->stride;
}

const float *ss_reel_state_window(const ss_reel_state *s, int sample, int k)
{
    const int from = s->shared ? s->reel->windows.from[k] : 0;

    return s->x + unit_of(s, sample, k) * unit_values(s) + from * s->one;
}

static void step(ss_reel_state *s, int i, int sample, int k, const float *answer,
                 const float *variance)
{
    const uint64_t number = (uint64_t)s->draw << 32 | (uint64_t)i;
    const int64_t n = unit_values(s), u = unit_of(s, sample, k);

    if (ss_sampler_at(s->sampler, i)->noisy)
        draw_noise(s, ss_rng_stream(s->seed, "step", (uint64_t)sample, number), false, k, s->noise);
    ss_sampler_step(s->sampler, i, answer, variance, s->noise, n, s->x + u * n,
                    s->memory + 2 * u * n, s->clean);
}

/* sum += share * x in each frame of window k. A frame that a window has for its own gets x itself,
 * bit for bit. */
static void add(const ss_reel_state *s, int k, const float *x, float *sum)
{
    const ss_windows *w = &s->reel->windows;

    for (int j = 0; j < w->size; j++) {
        const float share = s->reel->share[k * w->size + j];
        float *to = sum + (w->from[k] + j) * s->one;
        const float *from = x + j * s->one;

        for (int64_t p = 0; p < s->one && share != 0; p++)
            to[p] = share == 1 ? from[p] : to[p] + share * from[p];
    }
}

void ss_reel_state_answer(ss_reel_state *s, int i, int sample, int k, const float *answer,
                          const float *variance)
{
    const int64_t n = unit_values(s);

    if (!s->shared) {
        step(s, i, sample, k, answer, variance);
        return;
    }
    add(s, k, answer, s->answer + sample * n);
    s->has_variance = variance != NULL;
    if (variance)
        add(s, k, variance, s->variance + sample * n);
}

void ss_reel_state_advance(ss_reel_state *s, int i)
{
    const int64_t n = unit_values(s);

    if (!s->shared)
        return;
    for (int sample = 0; sample < s->samples; sample++)
        step(s, i, sample, 0, s->answer + sample * n,
             s->has_variance ? s->variance + sample * n : NULL);
    clear_answers(s);
}

/* Where frame i of the windows lies in a sample's video; NULL if it was cut off. */
static float *place(const ss_reel_state *s, int sample, int i)
{
    const int frames = ss_sample_frames(s->reel->video), at = s->reel->before + i;

    return at < frames ? s->video + ((int64_t)sample * frames + at) * s->one : NULL;
}

/* Copies the new frames of a window, and given ones as they were given, unless they are what is to
 * be made larger. */
static void finish(ss_reel_state *s, int sample, int k)
{
    ss_reel *f = s->reel;
    const ss_windows *w = &f->windows;
    const float *x = ss_reel_state_window(s, sample, k);
    const size_t bytes = (size_t)s->one * sizeof *x;

    for (int j = ss_window_first_new(w, k); j < w->size; j++) {
        const int i = w->from[k] + j;
        float *to = place(s, sample, i), *given;
        const bool keep = ss_reel_gives(f, k, j) && f->mode != SS_REEL_UPSCALE;

        given = f->given ? f->given + ((int64_t)sample * w->length + i) * s->one : NULL;
        if (to)
            memcpy(to, keep ? given : x + j * s->one, bytes);
        if (f->mode == SS_REEL_EXTRAPOLATE && !keep)
            memcpy(given, x + j * s->one, bytes);
    }
}

void ss_reel_state_finish(ss_reel_state *s, int k, int n)
{
    ss_reel *f = s->reel;
    const size_t before = (size_t)(f->before * s->one);

    for (int sample = 0; sample < s->samples; sample++) {
        if (f->start && before)
            memcpy(s->video + sample * ss_sample_frames(f->video) * s->one,
                   f->start + (size_t)sample * before, before * sizeof *s->video);
        for (int i = k; i < k + n; i++)
            finish(s, sample, i);
    }
    for (int j = 0; f->mode == SS_REEL_EXTRAPOLATE && k + n < f->windows.n &&
                    j < f->windows.size - f->windows.stride;
         j++)
        f->is_given[f->windows.from[k + n] + j] = true;
}

const float *ss_reel_state_video(const ss_reel_state *s, int sample)
{
    return s->video + (int64_t)sample * ss_sample_frames(s->reel->video) * s->one;
}
