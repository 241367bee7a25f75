/* half_tensor.h - a stored tensor of F32 as one of F16, its values rounded to nearest, ties to even
 */
#ifndef SS_MODELS_HALF_TENSOR_H
#define SS_MODELS_HALF_TENSOR_H

#include "models/file/stored_tensor.h"

/* Returns t as F16; one of another type as it is. t is borrowed as long as the result is used. Its
 * values are made when they are asked for; a finite one that F16 does not reach is SS_FORMAT then.
 */
ss_stored_tensor ss_stored_half(const ss_stored_tensor *t);

#endif
