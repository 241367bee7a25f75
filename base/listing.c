/* listing.c - see listing.h */
#include "base/listing.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ss_listing_release(ss_listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        ss_free(l->name[i]);
    ss_free(l->name);
    *l = (ss_listing){0};
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ss_code add(ss_listing *l, const char *folder, const char *name, ss_err *e)
{
    char **grown = ss_grow(l->name, &l->cap, l->n + 1, sizeof *grown);

    if (grown)
        l->name = grown;
    if (l->n == SS_LISTING_MAX)
        return ss_fail(e, SS_UNSUPPORTED, "%s: more than %d files", folder, SS_LISTING_MAX);
    if (!grown || !(l->name[l->n] = ss_strdup(name)))
        return ss_no_memory(e, folder);
    l->n++;
    return SS_OK;
}

ss_code ss_listing_read(const char *folder, ss_listing *l, ss_err *e)
{
    const struct dirent *entry;
    DIR *d = opendir(folder);
    ss_code rc = SS_OK;

    *l = (ss_listing){0};
    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    while (rc == SS_OK && (entry = readdir(d))) {
        if (entry->d_name[0] != '.')
            rc = add(l, folder, entry->d_name, e);
    }
    closedir(d);
    if (rc != SS_OK)
        ss_listing_release(l);
    else if (l->n)
        qsort(l->name, l->n, sizeof *l->name, by_bytes);
    return rc;
}
