/* run_part.h - a run file that several processes write in parts
 *
 * The samples of a run stand in the order [sigma][input][sample]. A part has those from `first` up
 * to, but not including, `end`; parts do not overlap. Its run file is laid out as that of the whole
 * run, byte for byte, and what other parts have is not there: so a part can be analysed and resumed
 * as any run that is not complete, and gather.h joins parts by copying bytes.
 *
 * The share of a part in a noise level is what it has of it: all, some samples, or nothing.
 */
#ifndef SS_RUN_PART_H
#define SS_RUN_PART_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int index, count; /* part `index`, from 0, of `count`; the whole run is 0 of 1 */
    int64_t first, end;
} ss_run_part;

/* Marks of a noise level in /axes/done. */
enum {
    SS_RUN_NOT_DONE = 0,
    SS_RUN_DONE = 1,
    SS_RUN_SHARE_DONE = 2 /* the share of this part is in the file, but that is not all of it */
};

/* Finds the share in noise level s, of which each has `level` samples: from *first to *end, as
 * positions in that level. False: it is empty. */
bool ss_run_part_share(const ss_run_part *p, int64_t level, int s, int64_t *first, int64_t *end);

/* The mark of noise level s once the share is in the file. */
int ss_run_part_mark(const ss_run_part *p, int64_t level, int s);

#endif
