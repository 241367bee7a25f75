/* windows.c - see windows.h */
#include "probe/windows.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <stdbool.h>
#include <string.h>

static ss_code parse(const char *const *names, int n, const char *name, int *at, ss_err *e)
{
    ss_str list = {0};

    for (*at = 0; *at < n; (*at)++) {
        if (strcmp(name, names[*at]) == 0)
            return SS_OK;
    }
    for (int i = 0; i < n; i++)
        ss_str_addf(&list, "%s%s", i ? ", " : "", names[i]);
    ss_fail(e, SS_USAGE, "'%s' is none of %s", SS_SHOW(name), list.s ? list.s : "them");
    ss_str_release(&list);
    return SS_USAGE;
}

#define X(name, text) text,
ss_code ss_join_parse(const char *name, ss_join *join, ss_err *e)
{
    static const char *const names[] = {SS_JOINS(X)};
    int at;
    const ss_code rc = parse(names, SS_N_JOINS, name, &at, e);

    *join = rc == SS_OK ? (ss_join)at : SS_JOIN_SEPARATE;
    return rc;
}

ss_code ss_frame_noise_parse(const char *name, ss_frame_noise *noise, ss_err *e)
{
    static const char *const names[] = {SS_FRAME_NOISES(X)};
    int at;
    const ss_code rc = parse(names, SS_N_FRAME_NOISES, name, &at, e);

    *noise = rc == SS_OK ? (ss_frame_noise)at : SS_NOISE_FRESH;
    return rc;
}
#undef X

ss_code ss_windows_make(int length, int size, int overlap, ss_windows *w, ss_err *e)
{
    *w = (ss_windows){.length = length, .size = size, .stride = size - overlap};
    if (size < 1 || size > length)
        return ss_fail(e, SS_USAGE, "windows of %d frames in a video of %d; expected 1 to %d", size,
                       length, length);
    if (overlap < 0 || overlap >= size)
        return ss_fail(e, SS_USAGE, "windows of %d frames overlap by %d; expected 0 to %d", size,
                       overlap, size - 1);
    w->n = 1 + (length - size + w->stride - 1) / w->stride;
    w->from = ss_calloc((size_t)w->n, sizeof *w->from);
    if (!w->from)
        return ss_no_memory(e, "windows");
    for (int k = 0; k < w->n; k++)
        w->from[k] = k * w->stride < length - size ? k * w->stride : length - size;
    return SS_OK;
}

void ss_windows_release(ss_windows *w)
{
    ss_free(w->from);
    *w = (ss_windows){0};
}

int ss_window_first_new(const ss_windows *w, int k)
{
    const int end = k ? w->from[k - 1] + w->size : 0; /* of the earlier windows */

    return end > w->from[k] ? end - w->from[k] : 0;
}

static float weight(ss_join join, int size, int i)
{
    const int near = i < size - 1 - i ? i : size - 1 - i; /* of both ends, the distance */

    return join == SS_JOIN_PYRAMID ? (float)(near + 1) : 1;
}

void ss_windows_share(const ss_windows *w, ss_join join, float *share)
{
    const bool averaged = join == SS_JOIN_FLAT || join == SS_JOIN_PYRAMID;

    for (int k = 0; k < w->n; k++) {
        /* a last window that was moved back gives its new frames alone, as in diffusers */
        const bool moved = k > 0 && w->from[k] - w->from[k - 1] < w->stride;
        const int from = averaged && !moved ? 0 : ss_window_first_new(w, k);

        for (int i = 0; i < w->size; i++)
            share[k * w->size + i] = i < from ? 0 : averaged ? weight(join, w->size, i) : 1;
    }
    for (int f = 0; f < w->length; f++) {
        double sum = 0;

        for (int k = 0; k < w->n; k++) {
            const int i = f - w->from[k];

            sum += i >= 0 && i < w->size ? share[k * w->size + i] : 0;
        }
        for (int k = 0; k < w->n; k++) {
            const int i = f - w->from[k];

            if (i >= 0 && i < w->size)
                share[k * w->size + i] = (float)(share[k * w->size + i] / sum);
        }
    }
}

/* Shuffles n numbers (Fisher and Yates). */
static void shuffle(ss_rng r, int *x, int n)
{
    for (int i = n - 1; i > 0; i--) {
        const int j = (int)(ss_rng_u32(r, (uint64_t)i) % (uint32_t)(i + 1)), old = x[i];

        x[i] = x[j];
        x[j] = old;
    }
}

ss_code ss_windows_noise(const ss_windows *w, ss_frame_noise noise, uint64_t seed, int *source,
                         ss_err *e)
{
    int *block = ss_calloc((size_t)w->stride, sizeof *block);

    if (!block)
        return ss_no_memory(e, "windows");
    for (int f = 0; f < w->length; f++)
        source[f] = noise == SS_NOISE_REPEATED ? f % w->size : f;
    for (int f = w->size; noise == SS_NOISE_SHUFFLED && f < w->length; f += w->stride) {
        const int left = w->length - f, n = left < w->stride ? left : w->stride;

        memcpy(block, source + f - w->size, (size_t)w->stride * sizeof *block);
        shuffle(ss_rng_stream(seed, "shuffle", (uint64_t)f, 0), block, w->stride);
        memcpy(source + f, block, (size_t)n * sizeof *block);
    }
    ss_free(block);
    return SS_OK;
}
