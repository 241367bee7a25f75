/* keep_paste.h - the list of what stays in fp32 as texts that are complete where they are pasted
 *
 *   torch      a list of names and a Python function for any torch.nn.Module, called once: under
 *              torch.autocast it lets the listed modules run in fp32; as model.half() it converts
 *              the model but for their weights. Inputs, also in tuples, dicts and dataclasses that
 *              PyTorch's pytree knows, are cast; the output of half() comes back in half precision
 *   diffusers  how a network of a pipeline gets them. _keep_in_fp32_modules does not: it only
 *              stores weights in fp32, and a UNet's forward then stops at two dtypes. "" for
 *              a run whose family is no class
 *   map        lines GLOB=fp32 for --precision-map @FILE of this program
 *
 * k is one of r (ss_keep_find); r->as decides which function. The caller frees a text with ss_free;
 * NULL is no memory. tests/golden/keep_fp32.py runs all three.
 */
#ifndef SS_ANALYZE_KEEP_PASTE_H
#define SS_ANALYZE_KEEP_PASTE_H

#include "analyze/precision/keep.h"

char *ss_keep_paste_torch(const ss_run *r, const ss_keep *k);
char *ss_keep_paste_diffusers(const ss_run *r, const ss_keep *k);
char *ss_keep_paste_map(const ss_run *r, const ss_keep *k);

#endif
