/* precision_map.h - rules of --precision-map in a file
 *
 *   # stay in fp32
 *   up_blocks.0.upsamplers.0.conv=fp32
 *
 * One GLOB=FMT in a line; blanks around it do not count. Empty lines and those that begin with #
 * are skipped. Plans and run files have the rules as if each had been given by itself.
 */
#ifndef SS_PROBE_PRECISION_MAP_H
#define SS_PROBE_PRECISION_MAP_H

#include "base/err.h"

enum { SS_PRECISION_MAP_BYTES = 1 << 24 };

/* Reads the rules of a file, checked. The caller frees each text and the list with ss_free.
 * SS_IO; SS_FORMAT or SS_USAGE, with the line, for what is no rule. On failure *n is 0. */
ss_code ss_precision_map_read(const char *path, char ***rules, int *n, ss_err *e);

#endif
