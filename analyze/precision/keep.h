/* keep.h - which modules have to stay in fp32 while the others run in a smaller format
 *
 * The list is what a user pastes into PyTorch, so it depends on how the network is run there
 * (r->as, ss_site_is_stored), and is emulated exactly so. A value x overflows where it is stored in
 * the format and x times 2^margin rounds to more than the format's largest.
 *
 * Under autocast a listed module runs with autocast off, on x.float(), and what it returns stays
 * fp32: a sum with it is fp32, too, by PyTorch's promotion of types. So the list has
 *
 *   produces  a deepest module (one with no module inside) whose output overflows, or weights do
 *   reads     a convolution or linear layer whose input overflows when autocast casts it
 *   adds      the module that gives the last term of a sum, product or other value that overflows
 *             in a container: the residual sum, conv1(h) + temb, GEGLU's product
 *   holds     an attention module with all that is inside, where logits, queries, keys or values
 *             overflow, which its own operation stores or casts
 *
 * A model in half precision takes halves back from each listed module: module.float() on x.float(),
 * then y.half(). Nothing but a container helps there, around the value and everything that it turns
 * into until it fits again; of each value the smallest container whose own output fits is listed:
 *
 *   holds     a container with all that is inside; the whole network, whose path is "", where what
 *             overflows is never small again, or goes over a skip connection
 *
 * Apart from overflow: deepest modules of whose values a share of SS_KEEP_FLUSH or more would
 * become zero. Those are not kept, for nothing breaks there at once; loss scaling or a wider
 * exponent is the remedy where it matters.
 */
#ifndef SS_ANALYZE_KEEP_H
#define SS_ANALYZE_KEEP_H

#include "analyze/one/headroom.h"

/* One value in ten: on top of the roughly 1 in 1000 that formats with 4 exponent bits flush of
 * normally distributed activations of RMS 1. */
#define SS_KEEP_FLUSH 0.1

/* In the order of precedence: what a module is found to be never becomes less. */
#define SS_KEEP_REASONS(X) \
    X(NO, "") X(READS, "reads") X(ADDS, "adds to") X(PRODUCES, "produces") X(HOLDS, "holds")
#define X(name, text) SS_KEEP_##name,
typedef enum { SS_KEEP_REASONS(X) SS_N_KEEP_REASONS } ss_keep_reason;
#undef X

typedef struct {
    ss_keep_reason why;
    ss_site value;      /* the value that overflows */
    int round;          /* in which it was found: 0 in the fp32 run, then of ss_keep_grow */
    double peak;        /* its largest |x|, NaN: it was inf or NaN under emulation */
    int sigma, input;   /* where, -1 where not known */
    bool leaf, covered; /* covered: inside of a container that is kept whole */
    double flush;       /* share that would become zero; NaN without histogram */
} ss_keep_module;

typedef struct {
    ss_format format;
    double margin;
    char title[48]; /* of the table: "keep fp32 e4m3-ieee" */
    int n_modules;  /* those of the run, in its order */
    ss_keep_module *modules;
    int round;
    int n_kept, n_flushed;
    uint64_t nonfinite; /* in the fp32 run itself: no format helps there */
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

/* A module's path as PyTorch has it: "" for the whole network. */
const char *ss_keep_path(const ss_run *r, int module);

/* Keeps of those on the list only the n modules named (indices); the others are as if never found.
 */
void ss_keep_restrict(const ss_run *r, ss_keep *k, const int *modules, int n);

/* "NAME=fp32" of each, for --precision-map; the texts and the list are freed by
 * ss_keep_maps_free. */
ss_code ss_keep_maps(const ss_run *r, const ss_keep *k, char ***maps, int *n, ss_err *e);
void ss_keep_maps_free(char **maps, int n);

/* The modules of the list, in forward order of their file; and those that underflow, most
 * first. Titles are borrowed from k. */
ss_code ss_keep_table(const ss_run *r, const ss_keep *k, int top, ss_table *t, ss_err *e);
ss_code ss_keep_flush_table(const ss_run *r, const ss_keep *k, int top, ss_table *t, ss_err *e);

#endif
