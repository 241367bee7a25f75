/* keep.h - which modules have to stay in fp32 while the others run in a smaller format
 *
 * From one run in fp32. Meant is what PyTorch's half() or autocast and `probe --precision-scope
 * ops` do: every operation's output, and the weights, are of the format, so that a value over
 * its limit is inf from there on. A value x overflows when x times 2^margin rounds to more than
 * the format's largest; where, decides who is kept:
 *
 *   produces   a deepest module (one that has no module inside) whose output overflows
 *   reads      a deepest module whose input overflows, and its output does not: in PyTorch it
 *              would cast its input to the format. (Emulation rounds outputs only and does not
 *              need these.)
 *   adds       a container whose output overflows though neither its input nor anything inside
 *              does: its own addition makes the value. It is kept with all that is inside
 *   logits     an attention layer whose logits overflow, kept with all that is inside
 *
 * Containers that such values merely pass through (residual additions, skip concatenations,
 * resampling) are not on the list: PyTorch's type promotion keeps fp32 there as long as what
 * comes in is fp32. For the emulation they are named, with their own operations only:
 * NAME=fp32 and, behind it, NAME.*=FORMAT for what is inside; the whole model, whose path is "",
 * as *=fp32 and ?*=FORMAT.
 *
 * Apart from overflow: deepest modules of whose values a share of SS_KEEP_FLUSH or more would
 * become zero. Those are not kept, for nothing breaks there at once; loss scaling or a wider
 * exponent is the remedy where it matters.
 */
#ifndef SS_ANALYZE_KEEP_H
#define SS_ANALYZE_KEEP_H

#include "analyze/headroom.h"

/* One value in ten: on top of the roughly 1 in 1000 that formats with 4 exponent bits flush of
 * normally distributed activations of RMS 1. */
#define SS_KEEP_FLUSH 0.1

/* In the order of precedence: what a module is found to be never becomes less. */
#define SS_KEEP_REASONS(X) \
    X(NO, "")              \
    X(PASSES, "passes on") \
    X(READS, "reads") X(PRODUCES, "produces") X(ADDS, "adds") X(LOGITS, "logits")
#define X(name, text) SS_KEEP_##name,
typedef enum { SS_KEEP_REASONS(X) SS_N_KEEP_REASONS } ss_keep_reason;
#undef X

typedef struct {
    ss_keep_reason why;
    int round;        /* in which it was found: 0 in the fp32 run, then of ss_keep_grow */
    double peak;      /* largest |x| that was the reason, NaN: it was inf or NaN under emulation */
    int sigma, input; /* where, -1 where not known */
    bool leaf, covered; /* covered: inside of a container that is kept whole */
    double flush;       /* share that would become zero; NaN without histogram */
} ss_keep_module;

typedef struct {
    ss_format format;
    double margin;
    char title[48]; /* of the table: "keep fp32 e4m3" */
    int n_modules;  /* those of the run, in its order */
    ss_keep_module *modules;
    int round;
    int n_kept, n_passing, n_flushed;
    uint64_t nonfinite; /* in the fp32 run itself: no format helps there */
    bool input_over;    /* what the network is given overflows: no list helps there */
} ss_keep;

/* margin in bits. A run that was not in fp32, or the format fp32, is SS_USAGE. */
ss_code ss_keep_find(ss_run *r, const ss_format *f, double margin, ss_keep *k, ss_err *e);
void ss_keep_release(ss_keep *k); /* {0} is fine */

/* Adds what a run under emulation shows, with what k says kept: modules whose values overflow
 * there, and where inf or NaN comes from at each noise level, input and sample. *added: how many
 * modules changed. The run has the same modules, else SS_FORMAT. */
ss_code ss_keep_grow(ss_run *emulated, ss_keep *k, int *added, ss_err *e);

/* True for a module to write on the list. */
bool ss_keep_listed(const ss_keep *k, int module);

/* Keeps of those on the list only the n modules named (indices); the others are as if never found.
 */
void ss_keep_restrict(const ss_run *r, ss_keep *k, const int *modules, int n);

/* "NAME=fp32", "NAME.*=FORMAT" and so on, for --precision-map in this order; the texts and the list
 * are freed by ss_keep_maps_free. */
ss_code ss_keep_maps(const ss_run *r, const ss_keep *k, char ***maps, int *n, ss_err *e);
void ss_keep_maps_free(char **maps, int n);

/* The modules of the list, in forward order of their file; and those that underflow, most
 * first. Titles are borrowed from k. */
ss_code ss_keep_table(const ss_run *r, const ss_keep *k, int top, ss_table *t, ss_err *e);
ss_code ss_keep_flush_table(const ss_run *r, const ss_keep *k, int top, ss_table *t, ss_err *e);

#endif
