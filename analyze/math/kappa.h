/* kappa.h - do judges agree more than by chance?
 *
 * Several judges put items into categories; n_ij judges put item i into category j, n_i in all.
 *
 *   raw     mean over the items that two or more judged of the share of pairs of judges that agree,
 *           P_i = sum_j n_ij (n_ij - 1) / (n_i (n_i - 1))
 *   kappa   (raw - e) / (1 - e): 1 where all agree, 0 where they agree as by chance, e
 *
 * Fleiss' e is sum_j p_j^2 with p_j the share of category j in all judgements, whoever made them;
 * his items all have the same number of judges, here each item weighs the same in P and by its n_i
 * in p. Cohen's e is sum_j p_j q_j, from the shares of each of the two judges.
 *
 * Sources: Cohen 1960, Educational and Psychological Measurement 20, 37-46; Fleiss 1971,
 * Psychological Bulletin 76, 378-382.
 */
#ifndef SS_ANALYZE_KAPPA_H
#define SS_ANALYZE_KAPPA_H

enum { SS_KAPPA_CATEGORIES = 8 }; /* the most */

typedef struct {
    int items;    /* judged by two or more */
    double raw;   /* NaN without items */
    double kappa; /* NaN without items, and where e is 1: all judgements are of one category */
} ss_agreement;

/* count: [n][categories], judges that put an item into a category. Items of fewer than two judges
 * do not count. */
ss_agreement ss_fleiss_kappa(const int *count, int n, int categories);

/* a, b: [n] the categories that two judges put each item into, -1: not judged. */
ss_agreement ss_cohen_kappa(const int *a, const int *b, int n, int categories);

#endif
