/* inventory.h - what is in a checkpoint, as tables: for `sigmascope inspect` */
#ifndef SS_MODELS_INVENTORY_H
#define SS_MODELS_INVENTORY_H

#include "base/table.h"
#include "models/structure.h"

/* Each fills a fresh table.
 *
 * about:    property, value: family, files, sizes, dtypes, what it takes and gives; of a denoiser
 *           conditions and schedule
 * options:  option, value: config.json, without what begins with '_'; where it was inferred, all
 *           values, those of the schedule too, and each one's reason
 * modules:  module, kind, inside, parameters, absmax, rms, nonfinite: each module with
 *           everything below it, inside: how many modules; depth limits how deep the tree
 *           is shown (0: all)
 * weights:  parameter, shape, dtype, absmax, rms, nonfinite: the `top` largest by absmax, those
 *           with inf or NaN first (0: all)
 */
ss_code ss_inventory_about(const ss_model *m, ss_table *t, ss_err *e);
ss_code ss_inventory_options(const ss_model *m, ss_table *t, ss_err *e);

typedef struct ss_inventory ss_inventory;

/* Reads every weight once. */
ss_code ss_inventory_new(ss_ctx *c, const ss_model *m, ss_inventory **v, ss_err *e);
void ss_inventory_free(ss_inventory *v); /* NULL is fine */
/* Counts the weights that are inf or NaN. */
uint64_t ss_inventory_bad(const ss_inventory *v);
/* Prints in one line whether all weights are finite, the largest, or the first that is not; in a
 * second one, which are over the largest number of fp16; and an empty line. */
void ss_inventory_say(const ss_inventory *v, FILE *f);
ss_code ss_inventory_modules(const ss_inventory *v, int depth, ss_table *t, ss_err *e);
ss_code ss_inventory_weights(const ss_inventory *v, int top, ss_table *t, ss_err *e);
/* Lists what lets activations grow (structure.h), with the ends of branches that are zero. */
ss_code ss_inventory_structure(const ss_inventory *v, ss_structure **s, ss_err *e);

#endif
