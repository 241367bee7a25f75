/* votes.h - the figure of win rates */
#ifndef SS_REPORTS_VOTES_H
#define SS_REPORTS_VOTES_H

#include "analyze/judging/win_rates.h"

/* Draws FOLDER/win-rates.png: the share of A in each aspect, by votes
 * and, of several judges, by pairs, with their intervals. Fails as ss_plot_draw does. */
ss_code ss_votes_draw(const ss_votes *v, const ss_win_rates *w, const char *folder, ss_err *e);

#endif
