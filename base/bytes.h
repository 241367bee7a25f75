/* bytes.h - numbers of bytes as people write them: "500M", "10 GB" */
#ifndef SS_BASE_BYTES_H
#define SS_BASE_BYTES_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Reads digits, with a fraction or without ("1.5G"), and a unit in either case: none or B, or K, M,
 * G, T (powers of 1000), or Ki, Mi, Gi, Ti (of 1024), each with or without a B after it. SS_USAGE
 * for anything else and for what 64 bits do not hold. A part of a byte is dropped. */
ss_code ss_bytes_parse(const char *text, uint64_t *bytes, ss_err *e);

/* Writes "0 bytes", "812 bytes", "41 MB", "1.5 GB": in powers of 1000, two digits at least. Returns
 * out. */
char *ss_bytes_text(uint64_t bytes, char *out, size_t n);

#endif
