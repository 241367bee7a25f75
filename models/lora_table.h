/* lora_table.h - what --lora changed, as a table: for `sigmascope inspect` */
#ifndef SS_MODELS_LORA_TABLE_H
#define SS_MODELS_LORA_TABLE_H

#include "base/table.h"
#include "models/model.h"

/* Fills a fresh table with a row for each layer that was merged: layer, kind, rank, alpha, scale,
 * change (|dW| / |W|, L2 norms); the `top` largest changes first (0: all). Reads their weights. */
ss_code ss_lora_table(ss_ctx *c, const ss_model *m, int top, ss_table *t, ss_err *e);

#endif
