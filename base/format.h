/* format.h - low-precision number formats, emulated on f32 values
 *
 * A format has one sign bit, x exponent bits with bias b = 2^(x-1) - 1 and y fraction
 * bits; the smallest exponent holds the subnormals. Three conventions for the largest:
 *
 *   IEEE       all ones is inf and NaN          bf16 = e8m7, fp16 = e5m10, tf32 = e8m10,
 *                                               fp8-e5m2 = e5m2, e4m3-ieee (max 240), any eXmY
 *   OCP e4m3   all ones is a number, except     fp8-e4m3, max 448, which saturates as PyTorch's
 *              when the fraction is all ones,   cast to float8_e4m3fn does since 2.12;
 *              which is NaN; no inf             fp8-e4m3-nan, whose overflow is NaN
 *
 * Equal numbers have one name, whichever was given: e5m10-sat is fp16-sat. Where OCP defines other
 * numbers for the same bits (e4m3, and e2m1, e2m3, e3m2 of its microscaling formats), the name ends
 * in "-ieee"; e4m3 alone is still read.
 *
 * Rounding is to nearest, ties to even, with gradual underflow. An overflow, that is a
 * value whose rounding with unbounded exponent exceeds the largest finite one, gives inf
 * (NaN in fp8-e4m3-nan), or the largest finite value when the name ends in "-sat" (or is
 * fp8-e4m3). inf stays inf (or saturates), NaN stays NaN, the sign of zero is kept.
 *
 * Sources: IEEE 754-2019; OCP 8-bit Floating Point Specification (OFP8) 1.0, 2023; OCP
 * Microscaling Formats (MX) 1.0, 2023.
 */
#ifndef SS_BASE_FORMAT_H
#define SS_BASE_FORMAT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { SS_FORMAT_NAME = 24 };

typedef struct {
    char name[SS_FORMAT_NAME]; /* the one name of these numbers */
    int exp_bits;              /* 2..8 */
    int man_bits;              /* 1..23 */
    bool saturate;
    bool no_inf; /* OCP e4m3 */
    /* derived */
    double max;           /* largest finite value */
    double min_normal;    /* 2^(1-bias) */
    double min_subnormal; /* 2^(1-bias-man_bits) */
} ss_format;

/* "fp32", "bf16", "fp16", "tf32", "fp8-e4m3", "fp8-e4m3-nan", "fp8-e5m2", "eXmY" or "eXmY-ieee" (2
 * <= X <= 8, 1 <= Y <= 23), each but fp32 with "-sat" after it if wanted. A name that OCP uses for
 * other numbers, such as e4m3, is noted once on stderr. SS_USAGE with the list of names otherwise.
 */
ss_code ss_format_parse(const char *name, ss_format *f, ss_err *e);

/* The same for a name that a file of an earlier version may hold, without the note. False if it is
 * no format. */
bool ss_format_read(const char *name, ss_format *f);

/* The format with the same numbers whose overflow shows as inf or NaN: where a saturating one
 * loses. */
ss_format ss_format_overflowing(const ss_format *f);

/* True for the format that changes nothing. */
bool ss_format_is_f32(const ss_format *f);

/* The value rounded to the format. This is the definition; backends have faster forms
 * that a test compares with it over every bit pattern. */
float ss_format_round(const ss_format *f, float x);

/* Where the histogram of exponents (stats.h) decides: a value whose f32 exponent is e
 * (2^e <= |x| < 2^(e+1)) certainly overflows when e >= over_from; and certainly does not
 * when e < over_from - 1. */
int ss_format_over_from(const ss_format *f);

#endif
