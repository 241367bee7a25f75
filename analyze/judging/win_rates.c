/* win_rates.c - see win_rates.h */
#include "analyze/judging/win_rates.h"

#include "analyze/math/binomial.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>

enum { CATEGORIES = SS_VOTE_NONE };

static ss_win_rate rate_of(int a, int b, int same)
{
    ss_win_rate r = {a, b, same, NAN, NAN, NAN, NAN};

    if (a + b > 0) {
        r.rate = (double)a / (a + b);
        ss_binomial_interval(a, a + b, &r.low, &r.high);
        r.p = ss_binomial_fair(a, a + b);
    }
    return r;
}

static ss_vote vote_of(const ss_votes *v, int judge, int pair, int aspect)
{
    return v->ballots[judge].vote[(size_t)pair * SS_N_ASPECTS + (size_t)aspect];
}

/* count: [pairs][CATEGORIES] */
static void measure(const ss_votes *v, int aspect, int *count, ss_aspect_result *r)
{
    int all[CATEGORIES] = {0}, won[CATEGORIES] = {0};

    for (int i = 0; i < v->key->n; i++) {
        int *c = count + (ptrdiff_t)i * CATEGORIES;

        for (int k = 0; k < CATEGORIES; k++)
            c[k] = 0;
        for (int j = 0; j < v->n; j++) {
            const ss_vote vote = vote_of(v, j, i, aspect);

            if (vote != SS_VOTE_NONE) {
                c[vote]++;
                all[vote]++;
            }
        }
        if (c[SS_VOTE_A] + c[SS_VOTE_B] + c[SS_VOTE_SAME])
            won[c[SS_VOTE_A] > c[SS_VOTE_B]   ? SS_VOTE_A
                : c[SS_VOTE_A] < c[SS_VOTE_B] ? SS_VOTE_B
                                              : SS_VOTE_SAME]++;
    }
    r->votes = rate_of(all[SS_VOTE_A], all[SS_VOTE_B], all[SS_VOTE_SAME]);
    r->pairs = rate_of(won[SS_VOTE_A], won[SS_VOTE_B], won[SS_VOTE_SAME]);
    r->agreement = ss_fleiss_kappa(count, v->key->n, CATEGORIES);
}

/* Lists the votes of a judge on an aspect, or on all if it is SS_N_ASPECTS, as categories. */
static int list_votes(const ss_votes *v, int judge, int aspect, int *out)
{
    int n = 0;

    for (int i = 0; i < v->key->n; i++) {
        for (int a = 0; a < SS_N_ASPECTS; a++) {
            if (a == aspect || aspect == SS_N_ASPECTS) {
                const ss_vote vote = vote_of(v, judge, i, a);

                out[n++] = vote == SS_VOTE_NONE ? -1 : (int)vote;
            }
        }
    }
    return n;
}

/* Compares two judges; room: [2][pairs][SS_N_ASPECTS]. */
static ss_agreement compare(const ss_votes *v, int first, int second, int aspect, int *room)
{
    int *other = room + (ptrdiff_t)v->key->n * SS_N_ASPECTS;
    const int n = list_votes(v, first, aspect, room);

    list_votes(v, second, aspect, other);
    return ss_cohen_kappa(room, other, n, CATEGORIES);
}

static int *make_room(const ss_votes *v, ss_err *e)
{
    int *room = ss_alloc((size_t)v->key->n, 2 * SS_N_ASPECTS * sizeof *room);

    if (!room)
        ss_no_memory(e, "votes");
    return room;
}

ss_code ss_win_rates_of(const ss_votes *v, ss_win_rates *w, ss_err *e)
{
    int *room = make_room(v, e);

    if (!room)
        return e->code;
    for (int a = 0; a < SS_N_ASPECTS; a++) {
        ss_aspect_result *r = &w->aspects[a];

        r->asked = v->key->asked[a];
        measure(v, a, room, r);
        if (v->n == 2)
            r->agreement = compare(v, 0, 1, a, room);
    }
    ss_free(room);
    return SS_OK;
}

static void add_rate_columns(ss_table *t)
{
    ss_table_column(t, "A wins", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "B wins", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "same", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "rate of A", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "low", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "high", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "p", SS_COL_NUMBER, "%.2g");
}

static void add_rate(ss_table *t, const char *name, const ss_win_rate *r)
{
    ss_table_row(t);
    ss_table_text(t, name);
    ss_table_number(t, r->a);
    ss_table_number(t, r->b);
    ss_table_number(t, r->same);
    ss_table_number(t, r->rate);
    ss_table_number(t, r->low);
    ss_table_number(t, r->high);
    ss_table_number(t, r->p);
}

ss_code ss_win_rates_table(const ss_votes *v, const ss_win_rates *w, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "win rates by votes", e);

    if (rc != SS_OK)
        return rc;
    ss_table_note(t,
                  "A: %s, B: %s; %d pairs; judges: %d; rate: A of A and B, with its exact 95 %% "
                  "interval; p: of such a count if neither were better",
                  SS_SHOW(v->key->a), SS_SHOW(v->key->b), v->key->n, v->n);
    ss_table_column(t, "aspect", SS_COL_TEXT, NULL);
    add_rate_columns(t);
    for (int a = 0; a < SS_N_ASPECTS; a++) {
        if (w->aspects[a].asked)
            add_rate(t, ss_aspect_names[a], &w->aspects[a].votes);
    }
    return SS_OK;
}

ss_code ss_pair_rates_table(const ss_votes *v, const ss_win_rates *w, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "win rates by pairs", e);

    (void)v;
    if (rc != SS_OK)
        return rc;
    ss_table_note(t,
                  "a pair goes to whom more of its judges chose; pairs are independent, votes of "
                  "several judges on one pair are not");
    ss_table_column(t, "aspect", SS_COL_TEXT, NULL);
    add_rate_columns(t);
    for (int a = 0; a < SS_N_ASPECTS; a++) {
        if (w->aspects[a].asked)
            add_rate(t, ss_aspect_names[a], &w->aspects[a].pairs);
    }
    return SS_OK;
}

ss_code ss_agreement_table(const ss_votes *v, const ss_win_rates *w, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "agreement of judges", e);

    if (rc != SS_OK)
        return rc;
    ss_table_note(t, "equal: share of equal votes; kappa: %s, 1 if all agree, 0 if as by chance",
                  v->n == 2 ? "Cohen's" : "Fleiss'");
    ss_table_column(t, "aspect", SS_COL_TEXT, NULL);
    ss_table_column(t, "pairs", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "equal", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "kappa", SS_COL_NUMBER, "%.3f");
    for (int a = 0; a < SS_N_ASPECTS; a++) {
        if (!w->aspects[a].asked)
            continue;
        ss_table_row(t);
        ss_table_text(t, ss_aspect_names[a]);
        ss_table_number(t, w->aspects[a].agreement.items);
        ss_table_number(t, w->aspects[a].agreement.raw);
        ss_table_number(t, w->aspects[a].agreement.kappa);
    }
    return SS_OK;
}

/* Counts the votes of a judge for one side: on the left, and in all. */
static void count_sides(const ss_votes *v, int judge, int *left, int *all)
{
    const ss_ballot *b = &v->ballots[judge];

    *left = *all = 0;
    for (int i = 0; i < v->key->n; i++) {
        for (int a = 0; a < SS_N_ASPECTS; a++) {
            const ss_vote vote = vote_of(v, judge, i, a);

            if (vote == SS_VOTE_A || vote == SS_VOTE_B) {
                *left += (int)vote == b->left[i];
                ++*all;
            }
        }
    }
}

ss_code ss_judges_table(const ss_votes *v, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "judges", e);

    if (rc != SS_OK)
        return rc;
    ss_table_note(t, "left: share of the left side in votes for one side, with its exact 95 %% "
                     "interval; sides were drawn at random");
    ss_table_column(t, "judge", SS_COL_TEXT, NULL);
    ss_table_column(t, "votes", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "left", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "low", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "high", SS_COL_NUMBER, "%.3f");
    for (int j = 0; j < v->n; j++) {
        int left, all;

        count_sides(v, j, &left, &all);
        const ss_win_rate r = rate_of(left, all - left, 0);
        ss_table_row(t);
        ss_table_text(t, SS_SHOW(v->ballots[j].judge));
        ss_table_number(t, v->ballots[j].n);
        ss_table_number(t, r.rate);
        ss_table_number(t, r.low);
        ss_table_number(t, r.high);
    }
    return SS_OK;
}

ss_code ss_judge_pairs_table(const ss_votes *v, ss_table *t, ss_err *e)
{
    int *room = make_room(v, e);
    ss_code rc = room ? ss_table_init(t, "every two judges", e) : e->code;

    if (rc == SS_OK) {
        ss_table_note(t, "over all aspects; kappa: Cohen's");
        ss_table_column(t, "judge", SS_COL_TEXT, NULL);
        ss_table_column(t, "other judge", SS_COL_TEXT, NULL);
        ss_table_column(t, "questions", SS_COL_NUMBER, "%.0f");
        ss_table_column(t, "equal", SS_COL_NUMBER, "%.3f");
        ss_table_column(t, "kappa", SS_COL_NUMBER, "%.3f");
    }
    for (int i = 0; i < v->n && rc == SS_OK; i++) {
        for (int j = i + 1; j < v->n; j++) {
            const ss_agreement k = compare(v, i, j, SS_N_ASPECTS, room);

            ss_table_row(t);
            ss_table_text(t, SS_SHOW(v->ballots[i].judge));
            ss_table_text(t, SS_SHOW(v->ballots[j].judge));
            ss_table_number(t, k.items);
            ss_table_number(t, k.raw);
            ss_table_number(t, k.kappa);
        }
    }
    ss_free(room);
    return rc;
}
