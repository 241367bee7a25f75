/* sites.h - the places that a run recorded: modules and ports, in forward order
 *
 * A site is a port of a module at which at least one finished noise level has statistics.
 * Forward order follows from the order of modules in the file (as they are entered,
 * containers before their children) and their paths: of a module it is
 *
 *     skip, input, everything inside the module, output, residual
 *
 * so the first site that overflows is the deepest one, not the container around it. Inner values
 * (kernels/hooks.h) stand among the modules, where they are made.
 */
#ifndef SS_ANALYZE_SITES_H
#define SS_ANALYZE_SITES_H

#include "analyze/one/fold.h"
#include "runfile/run_reader.h"

typedef struct {
    ss_site *site;
    int n;
} ss_sites;

/* Which: what modules return (all ports but "input" and "skip"); that and stored inner values; that
 * and all inner values; all that is stored (ss_site_is_stored); everything. */
typedef enum {
    SS_SITES_PRODUCED,
    SS_SITES_MADE,
    SS_SITES_COMPUTED,
    SS_SITES_STORED,
    SS_SITES_ALL
} ss_site_ports;

/* Sites in forward order of modules that match any of the globs; no globs: all. A glob that
 * matches nothing is SS_USAGE. Containers that repeat a module inside of them are folded into it
 * (fold.h): its site stands for theirs, also where a glob matches one of them only. */
ss_code ss_sites_find(ss_run *r, const char *const *globs, int n_globs, ss_site_ports ports,
                      ss_sites *out, ss_err *e);
/* The same with each container as a site of its own. */
ss_code ss_sites_find_each(ss_run *r, const char *const *globs, int n_globs, ss_site_ports ports,
                           ss_sites *out, ss_err *e);
void ss_sites_release(ss_sites *s); /* {0} is fine */

/* True when the site's values are stored in the format that is judged, by the PyTorch code that
 * runs (r->as, r->attention): the one list that headroom, overflow, expressions and the keep list
 * read. Not stored are
 *
 *   inputs and skips    under autocast: what stores them is where they come from. But convolutions
 *                       and linear layers cast what they read
 *   norms' outputs, and what is made of them by scale and shift: fp32 under autocast on CUDA, as
 *                       are nearest-neighbour upsampling and a residual block around it
 *   logits              but for the code that does (eager, eager-unscaled; upcast ones only under
 *                       autocast, which casts them back), and the probabilities of sdpa
 *   sums with a value of the sample's type, which is fp32 under autocast
 *
 * A file that does not know its modules' kinds stores everything. */
bool ss_site_is_stored(const ss_run *r, ss_site s);

/* The largest |x| of the parameters that are rounded to the format where the site is stored: those
 * of a module at its output, under autocast of convolutions and linear layers only. NaN: there are
 * none. weights: what ss_run_module_weights gives, or NULL. */
double ss_site_weight(const ss_run *r, const float *weights, ss_site s);

/* True for a site of a text encoder whose values belong to a whole prompt (attention's logits, a
 * pooled state), not to a token: they are at the first sample, and no other has any. */
bool ss_site_is_whole(const ss_run *r, const float *absmax, const uint64_t *nonfinite, ss_site s);

/* The sample with the largest |x| of a site at an input and noise level, or -1 where nothing is
 * finite or the site is of a whole prompt. */
int ss_site_largest_sample(const ss_run *r, const float *absmax, const uint64_t *nonfinite,
                           ss_site s, int input, int sigma);

/* "up_blocks.0", or "up_blocks.0 (residual)" at another port than output, for sentences (rows are
 * called as ss_fold_name says); returns out. */
char *ss_site_name(const ss_run *r, ss_site s, char *out, size_t n);

enum { SS_ALL = -1 }; /* every input, or every noise level */

/* Over samples, and inputs or finished noise levels where these are SS_ALL; NaN entries (never
 * seen, or nothing finite) do not count, and nothing but them gives NaN.
 *   peak  max x
 *   mean_square_root  sqrt(mean x^2): of RMS values of equally many numbers, their RMS
 * x is what ss_run_stat gives. */
double ss_site_peak(const ss_run *r, const float *x, ss_site s, int input, int sigma);
double ss_site_rms(const ss_run *r, const float *x, ss_site s, int input, int sigma);
/* The sum of ss_run_nonfinite, 0 where the file has none (x NULL). */
uint64_t ss_site_count(const ss_run *r, const uint64_t *x, ss_site s, int input, int sigma);

/* Indices of the finished noise levels from lowest to highest sigma (and timestep); [n_done],
 * ss_free. NULL: no memory. */
int *ss_sigma_order(const ss_run *r);

#endif
