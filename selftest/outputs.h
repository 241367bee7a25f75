/* outputs.h - results of one run of a case, and how far two runs are apart; private to selftest/
 *
 * The error of a value is |got - want| / max(|want|, S), S the RMS of the finite numbers of its
 * output below 1e15, or the largest finite one where that is asked for; 0 where both are the same
 * number, or NaN both. A value that is NaN or inf on one side only, or an inf of another sign, has
 * the error inf. Counts are compared exactly.
 */
#ifndef SS_SELFTEST_OUTPUTS_H
#define SS_SELFTEST_OUTPUTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    char name[32];
    bool gradient, count;
    int64_t n;
    float *values; /* owned */
} ss_output;

enum { SS_MAX_OUTPUTS = 48 };
typedef struct {
    ss_output list[SS_MAX_OUTPUTS];
    int n;
    bool failed; /* no memory, or too many */
} ss_outputs;

/* Adds an output of n values, zeros at first; NULL after setting failed. */
float *ss_outputs_add(ss_outputs *o, const char *name, int64_t n, bool gradient, bool count);
/* Adds one value to an output, which is made if there is none. */
void ss_outputs_put(ss_outputs *o, const char *name, double value, bool count);
void ss_outputs_release(ss_outputs *o); /* {0} is fine */

typedef struct {
    double worst;   /* error; inf also where the outputs are not the same ones */
    char where[96]; /* "dw[17]: 0.25, expected 0.5" */
} ss_difference;

/* How runs are compared: gradients, or all else. */
typedef struct {
    bool gradient;
    bool to_largest; /* errors are relative to the largest number */
    double floor; /* error that any value may have, absolutely: some smallest numbers of a format */
} ss_comparison;
ss_difference ss_outputs_compare(const ss_outputs *got, const ss_outputs *want,
                                 const ss_comparison *how);

/* True when both have the same bits. */
bool ss_outputs_same_bits(const ss_outputs *a, const ss_outputs *b);

/* 16 hex digits of the SHA-256 of all values, where every NaN is the same one. */
ss_code ss_outputs_hash(const ss_outputs *o, char hex[17], ss_err *e);

#endif
