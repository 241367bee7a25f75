/* precision_text.h - the names of number formats in the texts of run files
 *
 * "fp16 (half, sdpa), mid_block=bf16" is the attribute precision of a run: a format, the emulated
 * code, and GLOB=FORMAT of each map. A file may hold names of an earlier version (base/format.h).
 */
#ifndef SS_RUNFILE_PRECISION_TEXT_H
#define SS_RUNFILE_PRECISION_TEXT_H

/* The text with today's name of each format; other words stay as they are. The caller frees it with
 * ss_free; NULL: no memory. */
char *ss_precision_text(const char *text);

#endif
