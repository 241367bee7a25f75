/* movement.c - see movement.h */
#include "analyze/video/movement.h"

#include "analyze/math/median.h"
#include "analyze/video/field.h"
#include "analyze/video/flow.h"
#include "base/mem.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

void ss_movement_release(ss_movement *m)
{
    ss_free(m->flow);
    ss_free(m->hidden);
    ss_free(m->speed);
    *m = (ss_movement){0};
}

const char *ss_movement_bin(int bin)
{
    static const char *const names[SS_SPEED_BINS] = {"below 0.25", "0.25 to 0.5", "0.5 to 1",
                                                     "1 to 2",     "2 to 4",      "4 to 8",
                                                     "8 to 16",    "16 to 32",    "above 32"};

    return names[bin];
}

static int bin_of(double speed)
{
    int bin = 0;

    for (double edge = 0.25; speed >= edge && bin + 1 < SS_SPEED_BINS; edge *= 2)
        bin++;
    return bin;
}

/* Numbers of a pair from its flow; size [H W] is room. */
static void summarise(ss_movement *m, int t, double *size)
{
    const int64_t n = (int64_t)m->height * m->width, top = n / 20 ? n / 20 : 1;
    const float *flow = m->flow + 2 * t * n;

    for (int64_t i = 0; i < n; i++) {
        size[i] = hypot(flow[2 * i], flow[2 * i + 1]);
        m->u[t] += flow[2 * i] / (double)n;
        m->v[t] += flow[2 * i + 1] / (double)n;
        m->speed[t] += size[i] / (double)n;
    }
    qsort(size, (size_t)n, sizeof *size, ss_rising);
    for (int64_t i = n - top; i < n; i++)
        m->top[t] += size[i] / (double)top;
}

/* One pair: both flows, what is hidden, the warping error. */
static ss_code find_pair(const ss_video *v, ss_movement *m, int t, ss_err *e)
{
    const int h = m->height, w = m->width;
    const ptrdiff_t n = (ptrdiff_t)h * w;
    float *room = ss_alloc((size_t)n, 4 * sizeof *room), *flow = m->flow + 2 * t * n;
    uint8_t *hidden = m->hidden + t * n;
    double *size = ss_alloc((size_t)n, sizeof *size);
    ss_code rc = room && size ? SS_OK : ss_no_memory(e, "optical flow");

    if (rc == SS_OK) {
        float *a = room, *b = room + n, *back = b + n;

        ss_field_gray(ss_video_frame(v, t), h, w, v->size.channels, a);
        ss_field_gray(ss_video_frame(v, t + 1), h, w, v->size.channels, b);
        rc = ss_flow_find(a, b, h, w, flow, e);
        if (rc == SS_OK)
            rc = ss_flow_find(b, a, h, w, back, e);
        if (rc == SS_OK) {
            m->gone[t] = (double)ss_flow_hidden(flow, back, h, w, hidden) / (double)n;
            rc = ss_flow_warping_error(ss_video_frame(v, t), ss_video_frame(v, t + 1), h, w,
                                       v->size.channels, flow, hidden, &m->warping[t], e);
        }
        summarise(m, t, size);
    }
    ss_free(room);
    ss_free(size);
    return rc;
}

ss_code ss_movement_find(const ss_video *v, ss_movement *m, ss_err *e)
{
    const int pairs = v->size.frames - 1;
    const size_t n = (size_t)ss_sample_area(v->size), all = n * (size_t)pairs;
    ss_code rc = SS_OK;

    *m = (ss_movement){.pairs = pairs, .height = v->size.height, .width = v->size.width};
    m->threshold = 6.0 / 256 * (m->height < m->width ? m->height : m->width);
    m->needed = (int)fmax(1, rint(4 * (v->size.frames / 16.0)));
    m->flow = ss_alloc(all, 2 * sizeof *m->flow);
    m->hidden = ss_alloc(all, sizeof *m->hidden);
    m->speed = ss_calloc((size_t)pairs, 6 * sizeof *m->speed);
    if (!m->flow || !m->hidden || !m->speed) {
        ss_movement_release(m);
        return ss_no_memory(e, "optical flow");
    }
    m->top = m->speed + pairs;
    m->u = m->top + pairs;
    m->v = m->u + pairs;
    m->gone = m->v + pairs;
    m->warping = m->gone + pairs;
#pragma omp parallel for schedule(dynamic)
    for (int t = 0; t < pairs; t++) {
        ss_err own = {0};
        const ss_code found = find_pair(v, m, t, &own);

        if (found != SS_OK) {
#pragma omp critical(ss_movement)
            {
                rc = found;
                if (e)
                    *e = own;
            }
        }
    }
    for (int t = 0; t < pairs; t++)
        m->moving += m->top[t] > m->threshold;
    for (size_t i = 0; i < all; i++)
        m->speeds[bin_of(hypot(m->flow[2 * i], m->flow[2 * i + 1]))]++;
    if (rc != SS_OK)
        ss_movement_release(m);
    return rc;
}
