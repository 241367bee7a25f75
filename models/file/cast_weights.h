/* cast_weights.h - weights of dtypes that the engine does not have, with the scales that belong to
 * them
 *
 *   F64                 rounded to F32; how far that is from the stored value is measured and said
 *   F8_E4M3, F8_E5M2    with a scale: F32, w = s v; without: F16, which holds all of their values
 *
 * F32 because s v has more digits than F16 and BF16 do, and what reads such files multiplies in
 * f32 too. The scale of X.weight is one of
 *
 *   X.weight_scale, X.weight_scale_inv    compressed-tensors, ModelOpt; DeepSeek (a factor, too)
 *   X.scale_weight                        ComfyUI, with a marker, scaled_fp8, among the tensors
 *
 * of one value, of one each row [out] or [out,1], or of one each block [out/b,in/c]: blocks of
 * 128x128, cut off at the edges, where the shape allows it, else of whatever divides the weight.
 * X.input_scale and X.scale_input quantise activations, which is not done here; they are left out.
 * X.comfy_quant is a text, {"format": "float8_e4m3fn"}; another format is an error that names it.
 */
#ifndef SS_MODELS_CAST_WEIGHTS_H
#define SS_MODELS_CAST_WEIGHTS_H

#include "models/file/checkpoint_edit.h"

/* Makes the tensors of such dtypes usable, in the list of k, and says how many there are. Reads the
 * values of F64 tensors; others are made when they are used. */
ss_code ss_checkpoint_cast(ss_checkpoint *k, ss_err *e);

/* n values of 8 bits as f32, by OCP's definition: exact. */
void ss_f8_e4m3_to_f32(const unsigned char *v, size_t n, float *out);
void ss_f8_e5m2_to_f32(const unsigned char *v, size_t n, float *out);

#endif
