/* single_tensors.h - tensors that are a part of a stored tensor, or lie the other way
 *
 * Nothing is copied before the values are wanted: a part of mapped bytes is mapped bytes.
 */
#ifndef SS_MODELS_SINGLE_TENSORS_H
#define SS_MODELS_SINGLE_TENSORS_H

#include "models/file/checkpoint_edit.h"

/* Makes rows of part i of n equal parts of t [rows][...] a tensor of their own. SS_SHAPE where t
 * has no such parts. Both functions' tensors live as long as the checkpoint. */
const ss_stored_tensor *ss_stored_part(ss_checkpoint *k, const ss_stored_tensor *t,
                                       const char *name, int i, int n, ss_err *e);
/* Makes t [a][b] a tensor [b][a]; SS_SHAPE where it is no matrix. */
const ss_stored_tensor *ss_stored_transposed(ss_checkpoint *k, const ss_stored_tensor *t,
                                             const char *name, ss_err *e);
/* Makes t [out][in][1]...[1] a matrix [out][in]; one of rank 2 or less stays as it is. SS_SHAPE for
 * a convolution with a kernel. */
const ss_stored_tensor *ss_stored_matrix(ss_checkpoint *k, const ss_stored_tensor *t,
                                         const char *name, ss_err *e);

#endif
