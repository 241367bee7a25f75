/* win_rates.h - who wins, aspect by aspect, and whether judges agree
 *
 *   rate    A / (A + B) over votes that are not `same`, with its exact 95 % interval
 *           (analyze/math/binomial.h) and the probability of such a count if neither were better
 *   pairs   the same over pairs: each goes to whom more of its judges chose. Votes of several
 * judges on one pair are not independent, pairs are; with one judge both are the same agreement of
 * all judges, Fleiss' kappa, of two, Cohen's, and the share of equal votes (analyze/math/kappa.h);
 * A, B and same are the categories left    share of votes for the side on the left, of those for
 * one side: about a half of a judge who looks
 */
#ifndef SS_ANALYZE_WIN_RATES_H
#define SS_ANALYZE_WIN_RATES_H

#include "analyze/judging/votes.h"
#include "analyze/math/kappa.h"
#include "base/table.h"

typedef struct {
    int a, b, same;
    double rate, low, high; /* NaN without a vote for either */
    double p;
} ss_win_rate;

typedef struct {
    bool asked;
    ss_win_rate votes, pairs;
    ss_agreement agreement;
} ss_aspect_result;

typedef struct {
    ss_aspect_result aspects[SS_N_ASPECTS];
} ss_win_rates;

/* SS_NOMEM is the only failure. */
ss_code ss_win_rates_of(const ss_votes *v, ss_win_rates *w, ss_err *e);

/* Tables, which the caller releases; the titles are literals. */
ss_code ss_win_rates_table(const ss_votes *v, const ss_win_rates *w, ss_table *t, ss_err *e);
ss_code ss_pair_rates_table(const ss_votes *v, const ss_win_rates *w, ss_table *t, ss_err *e);
ss_code ss_agreement_table(const ss_votes *v, const ss_win_rates *w, ss_table *t, ss_err *e);
/* The judges, each with their votes and their share of the left side. */
ss_code ss_judges_table(const ss_votes *v, ss_table *t, ss_err *e);
/* Every two judges, over all aspects. */
ss_code ss_judge_pairs_table(const ss_votes *v, ss_table *t, ss_err *e);

#endif
