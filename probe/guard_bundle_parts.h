/* guard_bundle_parts.h - inside of guard_bundle.h: the modules of torch.nn that the engine computes
 */
#ifndef SS_PROBE_GUARD_BUNDLE_PARTS_H
#define SS_PROBE_GUARD_BUNDLE_PARTS_H

#include "base/format.h"
#include "kernels/context.h"
#include "probe/guard_bundle.h"

/* Computes the module of a bundle from input.0, in PyTorch's layout; out->values is the caller's to
 * release. Operands and output are rounded to the format, sums are in fp32. Of a module that is not
 * computed *unknown says why (ss_free), and out is left. */
ss_code ss_guard_module_compute(const ss_guard_bundle *b, ss_ctx *c, const ss_format *format,
                                ss_array *out, char **unknown, ss_err *e);

#endif
