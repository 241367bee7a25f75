/* channels.h - outlier channels, which are much larger than the others, and dead ones, which are
 * about zero
 *
 * Of a site with at least SS_OUTLIER_MIN channels, at one noise level and input, a channel is
 * an outlier when its RMS or its largest |x| is at least SS_OUTLIER times the median over the
 * site's channels of the same. Where the median is 0, or nothing finite, no channel is. Small
 * formats lose the others: one scale for a tensor has to fit the outlier.
 *
 * Dettmers, Lewis, Belkada, Zettlemoyer 2022, "LLM.int8()", arXiv 2208.07339, call features
 * of 6 and more outliers where usual ones are about 1, and find them in the same channels of
 * most layers and tokens; hence `share`.
 *
 * A channel is dead when its RMS is at most SS_DEAD times that median at every finished noise level
 * and input: it takes part in nothing. Where the median is 0, channels with RMS 0 are dead.
 * Channels with values that are not finite are not dead.
 */
#ifndef SS_ANALYZE_CHANNELS_H
#define SS_ANALYZE_CHANNELS_H

#include "analyze/one/sites.h"
#include "base/table.h"

#define SS_DEAD 1e-3

enum { SS_OUTLIER = 6, SS_OUTLIER_MIN = 8 };

typedef struct {
    ss_site site;
    int64_t channel;
    double rms_ratio, absmax_ratio; /* the largest over finished noise levels and inputs */
    int sigma, input;               /* where the larger of the two is */
    double absmax;                  /* largest |x| of the channel anywhere */
    double share;                   /* of finished noise levels and inputs at which it is one */
} ss_channel_row;

/* The dead channels of one site. */
typedef struct {
    ss_site site;
    int64_t n, n_channels; /* how many, and of how many */
    char list[64];         /* the first of them, "3, 17, 20, ..." */
} ss_dead_row;

typedef struct {
    ss_channel_row *rows; /* largest |x| first: those bring a format to its limit */
    size_t n;
    int n_sites, n_sites_with; /* that have channel statistics; and outliers */
    int64_t n_channels;        /* of them, together */
    ss_dead_row *dead;         /* most dead ones first */
    size_t n_dead_sites;
    int64_t n_dead; /* channels, together */
} ss_channels;

/* n_sites is 0 where the run has no channel statistics (probe --channels). */
ss_code ss_channels_find(ss_run *r, const ss_sites *sites, ss_channels *k, ss_err *e);
void ss_channels_release(ss_channels *k); /* {0} is fine */

ss_code ss_channels_table(const ss_run *r, const ss_channels *k, int top, ss_table *t, ss_err *e);
ss_code ss_dead_table(const ss_run *r, const ss_channels *k, int top, ss_table *t, ss_err *e);

#endif
