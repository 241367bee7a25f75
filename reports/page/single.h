/* single.h - the pages of a folder as one HTML file that needs nothing beside it
 *
 * index.html comes first, then the pages that it leads to, each a section with an anchor of its
 * own; links between pages become links to anchors, pictures and other files data: URIs, and ids
 * are made unique by the page's name ("run-1--growth"). Reads pages of our own making: attributes
 * are quoted, and text is escaped.
 *
 * A file that would be larger than the limit leaves out pictures: those for dark ground first, then
 * files that are only linked to, then the largest. The page and the counts say so.
 */
#ifndef SS_REPORTS_SINGLE_H
#define SS_REPORTS_SINGLE_H

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>

enum { SS_SINGLE_LIMIT = 20000000 }; /* bytes that mail still carries */

typedef struct {
    int n_files, n_left_out; /* pictures and other files that pages name; of them left out */
    int64_t bytes;           /* of the whole file */
} ss_single_summary;

/* Writes the folder's pages to f. Errors of writing show when f is closed. SS_IO: a page or picture
 * cannot be read; SS_FORMAT: a page is not of our making. */
ss_code ss_single_write(const char *folder, FILE *f, int64_t limit, ss_single_summary *sum,
                        ss_err *e);

#endif
