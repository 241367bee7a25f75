/* npy.h - arrays in files as numpy.save writes them
 *
 *   bytes 0..5   93 'N' 'U' 'M' 'P' 'Y'
 *   bytes 6, 7   version 1, 2 or 3, and 0
 *   n            length of the header: 2 bytes in version 1, else 4; little-endian
 *   n bytes      {'descr': '<f4', 'fortran_order': False, 'shape': (100, 400), } and spaces
 *   the rest     the values
 *
 * Numbers may be '<f2', '<f4', '<f8', '|u1', '|i1' and '<i2', '<i4', '<i8'; an array in Fortran's
 * order, or of another type, is SS_UNSUPPORTED, and the message says how to save it again.
 *
 * Source: NEP 1, "A simple file format for NumPy arrays".
 */
#ifndef SS_MODELS_NPY_H
#define SS_MODELS_NPY_H

#include "models/file/safetensors.h"

/* Reads a file; *a is the caller's to release. A double that float cannot hold is SS_FORMAT. */
ss_code ss_npy_load_f32(const char *path, ss_array *a, ss_err *e);

/* Reads NAME.npy, or a tensor of a safetensors file, FILE#NAME. */
ss_code ss_array_load_f32(const char *file, ss_array *a, ss_err *e);

#endif
