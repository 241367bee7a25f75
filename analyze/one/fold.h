/* fold.h - containers that repeat what a module inside of them puts out
 *
 * A container often returns its last module's output unchanged, and hands its input to its first:
 * up_blocks.0, up_blocks.0.upsamplers.0 and up_blocks.0.upsamplers.0.conv then have the same
 * numbers, and are one row of each table and one line of each figure. A container's site is folded
 * into that of a module directly inside of it, at the same port, where absmax, rms and the count of
 * non-finite values are the same, bit for bit, at each input, noise level and sample, and some
 * absmax is neither 0 nor NaN; of several such modules into the first at the ports "input" and
 * "skip", into the last at others. Nothing is folded in a file without absmax or rms.
 *
 *                  up_blocks.0                       outermost
 *                  up_blocks.0.upsamplers.0
 *   the origin     up_blocks.0.upsamplers.0.conv     stands for all three, in PyTorch's name
 */
#ifndef SS_ANALYZE_FOLD_H
#define SS_ANALYZE_FOLD_H

#include "base/table.h"
#include "runfile/run_reader.h"

typedef struct {
    int module, port; /* indices into the run's axes */
} ss_site;

/* True when the module is inside of `outer`, at any depth, or outer is the whole model. */
bool ss_module_inside(const char *path, const char *outer);

/* True at ports that come before what is inside of the module. Unknown ones of other people's files
 * come after. */
bool ss_port_is_before(const char *port);

/* Finds what is folded, once for a run; without that nothing is. */
ss_code ss_fold_find(ss_run *r, ss_err *e);

/* Makes several runs fold alike, so that a site has one name in all: a container is folded where no
 * run that has it shows another value, and one shows the same: a run in which all is NaN shows
 * neither. */
ss_code ss_fold_alike(ss_run *const *runs, int n, ss_err *e);

/* The site whose values this one repeats; itself if it is not folded. */
ss_site ss_fold_origin(const ss_run *r, ss_site s);

/* The container next around the site's module that is folded into it, or -1. */
int ss_fold_around(const ss_run *r, ss_site s);

/* True when the run says that the site's module, or a container folded into it, is a block. */
bool ss_fold_is_block(const ss_run *r, ss_site s);

/* The module of which the run has a dump of the site's values: its own, or a container folded into
 * it; -1: none. */
ss_code ss_fold_dumped(ss_run *r, ss_site s, int *module, ss_err *e);

/* The site as a row is called, "up_blocks.0 = .upsamplers.0 = .conv": each piece appended to the
 * former gives the paths, outermost first; at another port than output with " (input)". Returns
 * out. */
char *ss_fold_name(const ss_run *r, ss_site s, char *out, size_t n);

/* The columns "module" and "port" of a table, and a row's cells in them. As text the port is shown
 * only where some row has another than output. */
void ss_fold_columns(ss_table *t);
void ss_fold_cells(ss_table *t, const ss_run *r, ss_site s);
/* The same with other names, and cells without a site. */
void ss_fold_columns_named(ss_table *t, const char *module, const char *port);
void ss_fold_no_cells(ss_table *t);
/* The cells of parameters of a module, whose port reads "weights". */
void ss_fold_weights_cells(ss_table *t, const ss_run *r, ss_site s);
/* The cell of a module alone, under a column of kind SS_COL_MODULE: that of its output. */
void ss_fold_module(ss_table *t, const ss_run *r, int module);

#endif
