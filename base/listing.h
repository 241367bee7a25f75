/* listing.h - the names in a folder, sorted */
#ifndef SS_BASE_LISTING_H
#define SS_BASE_LISTING_H

#include "base/err.h"

#include <stddef.h>

enum { SS_LISTING_MAX = 1 << 20 }; /* names in a folder */

typedef struct {
    char **name; /* [n], sorted by their bytes */
    size_t n, cap;
} ss_listing;

/* Lists a folder without hidden entries, whose names begin with a dot: some systems keep "._a.png"
 * beside a.png. SS_IO if it cannot be read. */
ss_code ss_listing_read(const char *folder, ss_listing *l, ss_err *e);
void ss_listing_release(ss_listing *l); /* {0} is fine */

#endif
