/* reel.c - see reel.h */
#include "probe/reel.h"

#include "base/mem.h"
#include "probe/given.h"

#include <string.h>

int64_t ss_reel_frame_values(const ss_reel *f)
{
    return ss_sample_area(f->window) * f->window.channels;
}

ss_code ss_reel_mode_of(const ss_reel_options *o, ss_reel_mode *mode, ss_err *e)
{
    *mode = o->keep           ? SS_REEL_EXTRAPOLATE
            : o->interpolate  ? SS_REEL_INTERPOLATE
            : o->upscale_from ? SS_REEL_UPSCALE
                              : SS_REEL_PLAIN;
    if ((o->keep > 0) + (o->interpolate > 0) + (o->upscale_from != NULL) > 1)
        return ss_fail(e, SS_USAGE, "--keep, --interpolate and --upscale-from exclude each other");
    if ((o->keep || o->interpolate) && !o->init)
        return ss_fail(e, SS_USAGE, "%s needs --init FRAMES", o->keep ? "--keep" : "--interpolate");
    if (o->length && (o->interpolate || o->upscale_from))
        return ss_fail(e, SS_USAGE, "--length: the frames of %s decide it",
                       o->interpolate ? "--init" : "--upscale-from");
    if (o->overlap >= 0 && (o->keep || o->interpolate))
        return ss_fail(e, SS_USAGE, "--overlap: %s decides it",
                       o->keep ? "--keep" : "--interpolate");
    return SS_OK;
}

ss_code ss_reel_window(const ss_reel_options *o, int *frames, ss_err *e)
{
    const int want = o->interpolate + 2;

    if (!o->interpolate)
        return SS_OK;
    if (*frames && *frames != want)
        return ss_fail(e, SS_USAGE, "--frames %d: windows of --interpolate %d have %d", *frames,
                       o->interpolate, want);
    *frames = want;
    return SS_OK;
}

/* Chooses join and noise: by name, or by the mode. */
static ss_code choose(const ss_reel_options *o, ss_reel *f, ss_err *e)
{
    static const ss_join joins[SS_N_FILM_MODES] = {SS_JOIN_PYRAMID, SS_JOIN_SEQUENCE,
                                                   SS_JOIN_SEPARATE, SS_JOIN_STATES};
    ss_code rc = SS_OK;

    f->join = joins[f->mode];
    if (o->join)
        rc = ss_join_parse(o->join, &f->join, e);
    if (rc != SS_OK)
        return ss_fail_prefix(e, "--join");
    if ((f->join == SS_JOIN_SEQUENCE) != (f->mode == SS_REEL_EXTRAPOLATE) ||
        (f->mode == SS_REEL_INTERPOLATE && f->join != SS_JOIN_SEPARATE))
        return ss_fail(e, SS_USAGE,
                       "--join: windows of --keep are a sequence, those of "
                       "--interpolate separate, and no others a sequence");
    const bool averaged = f->join == SS_JOIN_FLAT || f->join == SS_JOIN_PYRAMID;
    f->noise = f->mode == SS_REEL_INTERPOLATE         ? SS_NOISE_REPEATED
               : f->mode == SS_REEL_PLAIN && averaged ? SS_NOISE_SHUFFLED
                                                      : SS_NOISE_FRESH;
    if (o->noise)
        rc = ss_frame_noise_parse(o->noise, &f->noise, e);
    return rc == SS_OK ? rc : ss_fail_prefix(e, "--frame-noise");
}

/* Checks that the network takes what the mode gives. */
static ss_code check_channels(const ss_network *net, ss_reel *f, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(net->model)->net.needs;

    if (!needs->reference_channels && f->mode == SS_REEL_PLAIN)
        return SS_OK;
    f->masked = needs->reference_channels > 0;
    if ((f->masked ? needs->reference_channels : needs->concat_channels) == f->window.channels &&
        (f->masked || f->mode == SS_REEL_UPSCALE))
        return SS_OK;
    return ss_fail(e, SS_USAGE,
                   "%s takes no frames that are given (\"reference\" in \"motion\" of config.json)",
                   ss_model_about(net->model)->path);
}

/* Lays windows over the video, whose length the frames of files decide, if there are some. */
static ss_code lay(const ss_reel_options *o, const ss_frames *frames, ss_reel *f, ss_err *e)
{
    const int size = ss_sample_frames(f->window), keep = o->keep;
    int length = o->length ? o->length : size, overlap = o->overlap >= 0 ? o->overlap : size / 2;

    switch (f->mode) {
    case SS_REEL_PLAIN: break;
    case SS_REEL_EXTRAPOLATE:
        if (keep > frames->frames || keep >= size)
            return ss_fail(e, SS_USAGE,
                           "--keep %d: init has %d frames, a window %d; expected at "
                           "most %d",
                           keep, frames->frames, size,
                           frames->frames < size ? frames->frames : size - 1);
        if (o->length && o->length <= frames->frames)
            return ss_fail(e, SS_USAGE, "--length %d: init alone has %d frames", o->length,
                           frames->frames);
        f->before = frames->frames - keep;
        f->video.frames = o->length ? o->length : f->before + size;
        overlap = keep;
        length = f->video.frames - f->before;
        /* whole windows, each given `keep` frames; the last is cut */
        if (length < size)
            length = size;
        length = size + (length - size + size - keep - 1) / (size - keep) * (size - keep);
        break;
    case SS_REEL_INTERPOLATE:
        if (frames->frames < 2)
            return ss_fail(e, SS_USAGE, "--interpolate: init has %d frame; expected 2 or more",
                           frames->frames);
        overlap = 1;
        length = (frames->frames - 1) * (o->interpolate + 1) + 1;
        break;
    case SS_REEL_UPSCALE:
        length = frames->frames;
        overlap = o->overlap >= 0 ? o->overlap : size > 1;
        break;
    case SS_N_FILM_MODES: break;
    }
    if (f->mode != SS_REEL_EXTRAPOLATE)
        f->video.frames = f->window.frames ? length : 0;
    if (length != size && !f->window.frames)
        return ss_fail(e, SS_USAGE, "--length: the network takes pictures, not videos");
    if (length < size)
        return ss_fail(e, SS_USAGE,
                       "a video of %d frames, and the network sees %d at once: give "
                       "--frames %d or fewer",
                       length, size, length);
    return ss_windows_make(length, size, overlap < size ? overlap : size - 1, &f->windows, e);
}

/* Puts the frames where they are given. */
static ss_code give(const ss_reel_options *o, const ss_frames *frames, const ss_network *net,
                    const ss_ctx_options *device, int samples, ss_reel *f, ss_err *e)
{
    const size_t one = (size_t)ss_reel_frame_values(f), length = (size_t)f->windows.length;
    ss_sample_size all = f->window;
    float *x;
    ss_code rc;

    f->is_given = ss_calloc(length, sizeof *f->is_given);
    f->given = ss_calloc((size_t)samples * length, one * sizeof *f->given);
    if (!f->is_given || !f->given)
        return ss_no_memory(e, "given frames");
    if (f->mode == SS_REEL_PLAIN)
        return SS_OK;
    all.frames = frames->frames;
    x = ss_alloc((size_t)samples * (size_t)all.frames, one * sizeof *x);
    f->start = ss_alloc((size_t)samples * (size_t)f->before, one * sizeof *f->start);
    rc = x && f->start ? ss_given_videos(frames, net, device, all, samples, x, e)
                       : ss_no_memory(e, "given frames");
    const int apart = f->mode == SS_REEL_INTERPOLATE ? o->interpolate + 1 : 1;
    for (int i = 0; i < samples && rc == SS_OK; i++) {
        const float *from = x + (size_t)i * (size_t)all.frames * one;

        memcpy(f->start + (size_t)i * (size_t)f->before * one, from,
               (size_t)f->before * one * sizeof *x);
        for (int k = f->before; k < all.frames; k++) {
            const size_t to = (size_t)((k - f->before) * apart);

            f->is_given[to] = true;
            memcpy(f->given + ((size_t)i * length + to) * one, from + (size_t)k * one,
                   one * sizeof *x);
        }
    }
    ss_free(x);
    return rc;
}

ss_code ss_reel_open(const ss_reel_options *o, const ss_network *net, const ss_ctx_options *device,
                     ss_sample_size window, int samples, uint64_t seed, ss_reel *f, ss_err *e)
{
    ss_frames frames = {0};
    ss_code rc;

    *f = (ss_reel){.window = window, .video = window};
    rc = ss_reel_mode_of(o, &f->mode, e);
    if (rc == SS_OK)
        rc = choose(o, f, e);
    if (rc == SS_OK)
        rc = check_channels(net, f, e);
    if (rc == SS_OK && f->mode != SS_REEL_PLAIN)
        rc = ss_frames_read(o->upscale_from ? o->upscale_from : o->init, &frames, e);
    if (rc == SS_OK)
        rc = lay(o, &frames, f, e);
    if (rc == SS_OK && (f->masked || f->mode != SS_REEL_PLAIN))
        rc = give(o, &frames, net, device, samples, f, e);
    ss_frames_release(&frames);
    if (rc != SS_OK)
        return rc;
    f->share = ss_alloc((size_t)f->windows.n * (size_t)f->windows.size, sizeof *f->share);
    f->source = ss_alloc((size_t)f->windows.length, sizeof *f->source);
    if (!f->share || !f->source)
        return ss_no_memory(e, "windows");
    ss_windows_share(&f->windows, f->join, f->share);
    return ss_windows_noise(&f->windows, f->noise, seed, f->source, e);
}

void ss_reel_release(ss_reel *f)
{
    ss_windows_release(&f->windows);
    ss_free(f->start);
    ss_free(f->is_given);
    ss_free(f->given);
    ss_free(f->share);
    ss_free(f->source);
    *f = (ss_reel){0};
}

bool ss_reel_gives(const ss_reel *f, int k, int i)
{
    return f->is_given && f->is_given[f->windows.from[k] + i];
}

void ss_reel_put(const ss_reel *f, int sample, int k, const float *picture, float *out)
{
    const int64_t c = f->window.channels, area = ss_sample_area(f->window), one = area * c;
    const int64_t first = (int64_t)sample * f->windows.length + f->windows.from[k];
    const float *given = f->given + first * one;

    for (int i = 0; i < f->windows.size; i++) {
        const float mask = ss_reel_gives(f, k, i) ? 1 : 0;

        for (int64_t p = 0; p < area; p++) {
            memcpy(out, picture, (size_t)c * sizeof *out);
            memcpy(out + c, given, (size_t)c * sizeof *out);
            if (f->masked)
                out[2 * c] = mask;
            out += 2 * c + f->masked;
            picture += c;
            given += c;
        }
    }
}
