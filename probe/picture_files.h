/* picture_files.h - the PNG files of a folder, and the folders in it, in the order of their names
 *
 *   ss_names list = {0};
 *   rc = ss_names_of_pngs("walk", &list, &err);
 *   ...                                  // list.name[0 .. list.n - 1]
 *   ss_names_release(&list);
 */
#ifndef SS_PROBE_PICTURE_FILES_H
#define SS_PROBE_PICTURE_FILES_H

#include "base/err.h"

#include <stddef.h>

typedef struct {
    char **name; /* [n] without the folder */
    size_t n, cap;
} ss_names;

/* Lists the files NAME.png of a folder, or the folders in it, ordered by their names' bytes,
 * whatever the locale. Hidden ones are left out: some systems keep "._a.png" beside a.png. */
ss_code ss_names_of_pngs(const char *folder, ss_names *l, ss_err *e);
ss_code ss_names_of_folders(const char *folder, ss_names *l, ss_err *e);
void ss_names_release(ss_names *l); /* {0} is fine, and so is what a failure left */

#endif
