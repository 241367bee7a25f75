/* training_folder.c - see training_folder.h */
#include "models/training_folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reads the number at the end of a name; false if there is none. */
static bool number_of(const char *name, int64_t *number)
{
    size_t at = strlen(name);

    while (at > 0 && isdigit((unsigned char)name[at - 1]))
        at--;
    return at > 0 && name[at] && ss_parse_i64(name + at, number);
}

static int by_number(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int64_t m = 0, n = 0;

    number_of(x, &m);
    number_of(y, &n);
    return m != n ? (m > n) - (m < n) : strcmp(x, y);
}

static bool is_model(const char *path, const ss_model_places *places, bool *failed)
{
    ss_model_paths p = {0};
    ss_err why = {0};
    const bool is = ss_model_paths_find(path, places, &p, &why) == SS_OK;

    *failed |= why.code == SS_NOMEM;
    ss_model_paths_release(&p);
    return is;
}

ss_code ss_checkpoint_folders_list(const char *folder, const ss_model_places *places,
                                   ss_checkpoint_folders *l, ss_err *e)
{
    DIR *d = opendir(folder);
    size_t cap = 0;
    bool failed = false;

    *l = (ss_checkpoint_folders){0};
    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    for (struct dirent *f; !failed && (f = readdir(d));) {
        int64_t number;

        if (!number_of(f->d_name, &number))
            continue;
        char *path = ss_path_join(folder, f->d_name);
        if (!path || !ss_is_dir(path) || !is_model(path, places, &failed)) {
            failed |= !path;
            ss_free(path);
            continue;
        }
        char **grown = ss_grow(l->paths, &cap, (size_t)l->n + 1, sizeof *grown);
        if (!grown) {
            ss_free(path);
            failed = true;
            break;
        }
        l->paths = grown;
        l->paths[l->n++] = path;
    }
    closedir(d);
    if (failed) {
        ss_checkpoint_folders_release(l);
        return ss_no_memory(e, folder);
    }
    if (l->n)
        qsort(l->paths, (size_t)l->n, sizeof *l->paths, by_number);
    return SS_OK;
}

void ss_checkpoint_folders_release(ss_checkpoint_folders *l)
{
    for (int i = 0; i < l->n; i++)
        ss_free(l->paths[i]);
    ss_free(l->paths);
    *l = (ss_checkpoint_folders){0};
}
