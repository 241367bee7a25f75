/* picture_files.c - see picture_files.h */
#include "probe/picture_files.h"

#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void ss_names_release(ss_names *l)
{
    for (size_t i = 0; i < l->n; i++)
        ss_free(l->name[i]);
    ss_free(l->name);
    *l = (ss_names){0};
}

static ss_code add_name(ss_names *l, const char *name, ss_err *e)
{
    char **grown = ss_grow(l->name, &l->cap, l->n + 1, sizeof *grown);

    if (grown) {
        l->name = grown;
        l->name[l->n] = ss_strdup(name);
        if (l->name[l->n]) {
            l->n++;
            return SS_OK;
        }
    }
    return ss_no_memory(e, "pictures");
}

/* True for entries of an open folder that are listed. */
typedef bool is_wanted(int folder, const char *name);

static bool is_png(int folder, const char *name)
{
    const size_t n = strlen(name);

    (void)folder;
    return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".png") == 0;
}

static bool is_folder(int folder, const char *name)
{
    struct stat st;

    return name[0] != '.' && fstatat(folder, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ss_code list_folder(const char *folder, is_wanted *wanted, ss_names *l, ss_err *e)
{
    ss_code rc = SS_OK;
    const struct dirent *entry;
    DIR *d = opendir(folder);

    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    while (rc == SS_OK && (entry = readdir(d))) {
        if (wanted(dirfd(d), entry->d_name))
            rc = add_name(l, entry->d_name, e);
    }
    closedir(d);
    if (rc == SS_OK && l->n > 0)
        qsort(l->name, l->n, sizeof *l->name, by_bytes);
    return rc;
}

ss_code ss_names_of_pngs(const char *folder, ss_names *l, ss_err *e)
{
    return list_folder(folder, is_png, l, e);
}

ss_code ss_names_of_folders(const char *folder, ss_names *l, ss_err *e)
{
    return list_folder(folder, is_folder, l, e);
}
