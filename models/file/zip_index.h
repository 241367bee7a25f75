/* zip_index.h - where the entries of a zip archive lie, without a copy of them
 *
 * torch.save stores its entries uncompressed so that a mapped file has them in place. libzip and
 * zlib's minizip read entries through a buffer and do not give their places, which is why the few
 * records that say so are read here.
 *
 *   per entry       local header "PK\3\4": sizes (or 0, with a descriptor after the data), name,
 *                   extra field; then the data
 *   central         one "PK\1\2" an entry: method, size, place of the local header, name, extra
 *                   field (ZIP64: 64-bit numbers where the 32-bit ones are ffffffff)
 *   end             [ZIP64 end "PK\6\6", its locator "PK\6\7"], "PK\5\6": place of the central
 *                   directory and number of entries
 *
 * Source: PKWARE, APPNOTE.TXT 6.3.9, sections 4.3.7 to 4.5.3.
 */
#ifndef SS_MODELS_ZIP_INDEX_H
#define SS_MODELS_ZIP_INDEX_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *name; /* in the archive, no NUL follows */
    size_t n_name;
    const void *data;
    size_t bytes;
} ss_zip_entry;

typedef struct {
    ss_zip_entry *entries; /* in the order of their names */
    size_t n;
} ss_zip_index;

/* True where the n bytes begin as an archive does. */
bool ss_zip_begins(const void *data, size_t n);
/* Reads the index of an archive of n bytes; data is borrowed by the index, path is for messages.
 * Every entry lies within the n bytes. A compressed one is SS_UNSUPPORTED. */
ss_code ss_zip_open(const char *path, const void *data, size_t n, ss_zip_index *z, ss_err *e);
void ss_zip_close(ss_zip_index *z); /* {0} is fine */
/* The entry FOLDER/NAME, folder being n_folder bytes; NULL where there is none. */
const ss_zip_entry *ss_zip_find(const ss_zip_index *z, const char *folder, size_t n_folder,
                                const char *name, size_t n_name);

#endif
