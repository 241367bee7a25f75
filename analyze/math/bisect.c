/* bisect.c - see bisect.h */
#include "analyze/math/bisect.h"

#include "base/mem.h"

#include <stdlib.h>

typedef struct {
    ss_bisection *b;
    ss_bisect_try *try;
    void *ctx;
    ss_err *e;
} search;

/* Tries i, unless it was tried or does not exist. */
static ss_code try_one(search *s, int i)
{
    ss_bisection *b = s->b;

    if (i < 0 || i >= b->n || b->verdict[i] != SS_UNTRIED)
        return SS_OK;
    b->n_tried++;
    return s->try(s->ctx, i, &b->verdict[i], s->e);
}

static ss_code try_each(search *s, const int *list, int n)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = try_one(s, list[i]);
    return rc;
}

/* The boundary that is known so far. */
static void settle(ss_bisection *b)
{
    b->first_bad = -1;
    b->last_good = -1;
    b->n_between = 0;
    b->monotone = true;
    for (int i = 0; i < b->n; i++) {
        if (b->first_bad >= 0) {
            b->monotone &= b->verdict[i] != SS_GOOD;
        } else if (b->verdict[i] == SS_BAD) {
            b->first_bad = i;
        } else if (b->verdict[i] == SS_GOOD) {
            b->last_good = i;
            b->n_between = 0;
        } else {
            b->n_between += b->verdict[i] == SS_SKIP;
        }
    }
}

/* The untried one between the good and the bad one that is nearest to their middle, or -1. */
static int next_between(const ss_bisection *b)
{
    const int middle = (b->last_good + b->first_bad) / 2;
    int best = -1;

    for (int i = b->last_good + 1; i < b->first_bad; i++) {
        if (b->verdict[i] == SS_UNTRIED && (best < 0 || abs(i - middle) < abs(best - middle)))
            best = i;
    }
    return best;
}

static ss_code narrow(search *s)
{
    ss_code rc = SS_OK;

    settle(s->b);
    for (int i; rc == SS_OK && s->b->first_bad >= 0 && (i = next_between(s->b)) >= 0;) {
        rc = try_one(s, i);
        settle(s->b);
    }
    return rc;
}

/* Tries from i on by `step`, until one can be judged. */
static ss_code try_end(search *s, int i, int step)
{
    ss_code rc = try_one(s, i);

    while (rc == SS_OK && s->b->verdict[i] == SS_SKIP && i + step >= 0 && i + step < s->b->n)
        rc = try_one(s, i += step);
    return rc;
}

static ss_code search_all(search *s)
{
    ss_bisection *b = s->b;
    const int n = b->n;
    ss_code rc = try_end(s, n - 1, -1);

    if (rc == SS_OK)
        rc = try_end(s, 0, 1);
    settle(b);
    if (rc == SS_OK && b->first_bad < 0)
        rc = try_each(s, (int[]){n / 2, n / 4, 3 * n / 4}, 3);
    for (int tried = -1; rc == SS_OK && tried != b->n_tried;) {
        rc = narrow(s);
        tried = b->n_tried;
        if (rc == SS_OK && b->first_bad >= 0) {
            const int good = b->last_good, bad = b->first_bad;
            const int doubts[] = {good - 1, bad + 1, good / 2, (bad + n) / 2};

            rc = try_each(s, doubts, (int)(sizeof doubts / sizeof *doubts));
        }
    }
    return rc;
}

ss_code ss_bisect_search(int n, bool exhaustive, ss_bisect_try *try, void *ctx, ss_bisection *b,
                         ss_err *e)
{
    search s = {b, try, ctx, e};
    ss_code rc = SS_OK;

    *b = (ss_bisection){.verdict = ss_calloc((size_t)n, sizeof *b->verdict), .n = n};
    if (!b->verdict)
        return ss_no_memory(e, "bisecting");
    for (int i = 0; exhaustive && i < n && rc == SS_OK; i++)
        rc = try_one(&s, i);
    if (!exhaustive)
        rc = search_all(&s);
    settle(b);
    if (rc != SS_OK)
        ss_bisection_release(b);
    return rc;
}

void ss_bisection_release(ss_bisection *b)
{
    ss_free(b->verdict);
    *b = (ss_bisection){0};
}
