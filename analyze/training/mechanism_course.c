/* mechanism_course.c - see mechanism_course.h */
#include "analyze/training/mechanism_course.h"

#include "analyze/math/median.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>

/* So many points are enough for a slope, and their pairs are few. */
enum { MOST_LATE = 64 };

ss_code ss_course_make(ss_run *const *runs, const int64_t *steps, int n, ss_course *c, ss_err *e)
{
    ss_code rc;

    *c = (ss_course){.end = -1, .broken = -1};
    if ((rc = ss_mechanism_points_find(runs, steps, n, &c->p, e)) != SS_OK)
        return rc;
    c->scratch = ss_alloc((size_t)c->p.n + MOST_LATE * MOST_LATE, sizeof *c->scratch);
    if (!c->scratch) {
        ss_course_release(c);
        return ss_no_memory(e, runs[0]->path);
    }
    for (int i = 0; i < c->p.n && c->end < 0; i++) {
        if (c->p.points[i].bad)
            c->end = i;
    }
    c->to = c->end < 0 ? c->p.n : c->end;
    c->from = c->p.training && c->to > 0 ? 1 : 0;
    return SS_OK;
}

void ss_course_release(ss_course *c)
{
    ss_free(c->scratch);
    ss_mechanism_points_release(&c->p);
    *c = (ss_course){0};
}

void ss_course_end_at_break(ss_course *c)
{
    double before = NAN;

    for (int i = c->from; i < c->to && c->p.training; i++) {
        if (i - c->from >= SS_MECHANISM_POINTS &&
            c->p.points[i].stream >= SS_MECHANISM_BREAKS * before) {
            c->to = c->broken = i;
            return;
        }
        before = fmax(before, c->p.points[i].stream);
    }
}

int ss_course_n(const ss_course *c)
{
    return c->to - c->from;
}

bool ss_course_enough(const ss_course *c)
{
    return ss_course_n(c) >= (c->p.training ? SS_MECHANISM_POINTS : 2);
}

double ss_course_stream(const ss_course *c, int i, int layer)
{
    (void)layer;
    return c->p.points[i].stream;
}

double ss_course_weights(const ss_course *c, int i, int layer)
{
    (void)layer;
    return c->p.points[i].weights;
}

const ss_mechanism_layer *ss_course_layer(const ss_course *c, int i, int layer)
{
    return &c->p.layers[(size_t)i * (size_t)c->p.n_layers + (size_t)layer];
}

double ss_course_logit(const ss_course *c, int i, int layer)
{
    return ss_course_layer(c, i, layer)->logit;
}

double ss_course_projection(const ss_course *c, int i, int layer)
{
    const ss_mechanism_layer *y = ss_course_layer(c, i, layer);

    return y->product / y->input;
}

/* The median over points that have a value above 0. */
static double median_over(ss_course *c, ss_course_value *f, int layer, int from, int to)
{
    int n = 0;

    for (int i = from; i < to; i++) {
        const double v = f(c, i, layer);

        if (v > 0 && isfinite(v))
            c->scratch[n++] = v;
    }
    return ss_median(c->scratch, n);
}

/* Length of a third of the points, one at least. */
static int third(const ss_course *c)
{
    return ss_course_n(c) < 6 ? 1 : ss_course_n(c) / 3;
}

double ss_course_first(ss_course *c, ss_course_value *f, int layer)
{
    return median_over(c, f, layer, c->from, c->from + third(c));
}

double ss_course_last(ss_course *c, ss_course_value *f, int layer)
{
    return median_over(c, f, layer, c->to - third(c), c->to);
}

double ss_course_growth(ss_course *c, ss_course_value *f, int layer)
{
    return ss_course_enough(c) ? ss_course_last(c, f, layer) / ss_course_first(c, f, layer) : NAN;
}

int ss_course_late_from(const ss_course *c)
{
    const int n = third(c) < SS_MECHANISM_LATE ? SS_MECHANISM_LATE : third(c);

    return c->to - n > c->from ? c->to - n : c->from;
}

double ss_course_late_growth(ss_course *c, ss_course_value *f, int layer)
{
    const int from = ss_course_late_from(c), every = 1 + (c->to - from - 1) / MOST_LATE;
    int n = 0;

    for (int a = from; a < c->to && ss_course_enough(c); a += every) {
        for (int b = a + every; b < c->to; b += every) {
            const double rise = log(f(c, b, layer) / f(c, a, layer)) / (b - a);

            if (isfinite(rise))
                c->scratch[n++] = rise;
        }
    }
    return n ? exp(ss_median(c->scratch, n) * (c->to - 1 - from)) : NAN;
}

int ss_course_largest(const ss_course *c, ss_course_value *f, int from, int to)
{
    int most = -1;

    for (int i = from; i < to; i++) {
        if (!isnan(f(c, i, 0)) && (most < 0 || f(c, i, 0) > f(c, most, 0)))
            most = i;
    }
    return most;
}

double ss_course_reach(ss_course *c)
{
    if (c->p.n == 0)
        return NAN;
    const int from = ss_course_n(c) > 0 ? c->from : 0, last = c->end < 0 ? c->p.n - 1 : c->end;
    const double first = ss_course_n(c) > 0 ? ss_course_first(c, ss_course_stream, 0)
                                            : median_over(c, ss_course_stream, 0, 0, 1);
    const int most = ss_course_largest(c, ss_course_stream, from, last + 1);

    return most < 0 ? NAN : c->p.points[most].stream / first;
}

static double loss_of(const ss_course *c, int i, int layer)
{
    (void)layer;
    return c->p.points[i].loss;
}

/* The largest of f at a point and in the steps that a spike takes, over the largest at the points
 * from `from` on before. */
static double jump_of(const ss_course *c, ss_course_value *f, int from, int at)
{
    double before = NAN, after = NAN;

    for (int i = from; i < at; i++)
        before = fmax(before, f(c, i, 0));
    for (int i = at;
         i < c->p.n && c->p.points[i].step <= c->p.points[at].step + SS_MECHANISM_SPIKE_STEPS; i++)
        after = fmax(after, f(c, i, 0));
    return before > 0 ? after / before : NAN;
}

double ss_course_jump(const ss_course *c, int at)
{
    const double loss = jump_of(c, loss_of, 0, at);

    return at - c->from < SS_MECHANISM_POINTS
               ? loss
               : fmax(loss, jump_of(c, ss_course_stream, c->from, at));
}

const char *ss_course_step_name(const ss_course *c, int point, char *out, size_t n)
{
    const ss_mechanism_point *p = &c->p.points[point];

    if (isnan(p->step))
        snprintf(out, n, "run %d of %d", point + 1, c->p.n);
    else
        snprintf(out, n, "step %.0f", p->step);
    return out;
}

const char *ss_course_site_name(const ss_course *c, int point, char *out, size_t n)
{
    const ss_mechanism_point *p = &c->p.points[point];

    snprintf(out, n, "-");
    return p->at.module < 0 ? out : ss_site_name(ss_mechanism_run(&c->p, point), p->at, out, n);
}
