/* growing_folder.c - see growing_folder.h */
#include "models/growing_folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "models/file/weight_files.h"
#include "models/model_paths.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { DEEPEST = 6 }; /* folders below a checkpoint: optimizer/shard_0/..., with room */

static bool begins_with_any(const char *name, const char *const *words)
{
    for (; *words; words++) {
        if (strncasecmp(name, *words, strlen(*words)) == 0)
            return true;
    }
    return false;
}

static bool ends_with_any(const char *name, const char *const *ends)
{
    for (; *ends; ends++) {
        const size_t n = strlen(name), k = strlen(*ends);

        if (n > k && strcasecmp(name + n - k, *ends) == 0)
            return true;
    }
    return false;
}

/* True for the name of something that is still written, or was left half-written. */
static bool is_unfinished(const char *name)
{
    static const char *const begins[] = {".", "tmp-", "tmp_", "temp-", NULL};
    static const char *const ends[] = {".tmp",      ".part",       ".partial", ".incomplete",
                                       ".download", ".crdownload", "~",        NULL};

    return begins_with_any(name, begins) || ends_with_any(name, ends) || ss_outdir_leftover(name);
}

/* "model-00001-of-00002.safetensors" */
static bool is_shard(const char *name)
{
    const char *of = strstr(name, "-of-");

    return of && of > name && isdigit((unsigned char)of[-1]) && isdigit((unsigned char)of[4]);
}

/* True for a file that is a checkpoint by itself, by its name. */
static bool is_weight_file(const char *name)
{
    static const char *const beside[] = {"optimizer",     "optim_",        "scheduler", "rng_state",
                                         "random_states", "training_args", "scaler",    NULL};
    static const char *const ends[] = {".json", NULL};

    return ss_weight_file_named(name) && !is_shard(name) && !begins_with_any(name, beside) &&
           !ends_with_any(name, ends);
}

/* Reads the number at the end of a name, which may be followed by an ending: "step-500", "500",
 * "epoch=3-step=500.ckpt". */
static bool number_of(const char *name, int64_t *number)
{
    const char *dot = strrchr(name, '.');
    size_t end =
        dot && dot > name && isalpha((unsigned char)dot[1]) ? (size_t)(dot - name) : strlen(name);
    size_t at = end;
    char digits[24];

    while (at > 0 && isdigit((unsigned char)name[at - 1]))
        at--;
    if (at == end || end - at >= sizeof digits)
        return false;
    memcpy(digits, name + at, end - at);
    digits[end - at] = '\0';
    return ss_parse_i64(digits, number);
}

/* True for a folder that may be a checkpoint, by its name. */
static bool is_checkpoint_name(const char *name)
{
    static const char *const words[] = {"last",       "latest", "best", "final",
                                        "checkpoint", "step",   NULL};
    int64_t number;

    return number_of(name, &number) || begins_with_any(name, words);
}

/* True if a folder, or one in it, has what only checkpoints have. */
static bool has_weights(const char *folder, int deep)
{
    DIR *d = opendir(folder);
    bool has = false;

    if (!d)
        return false;
    for (struct dirent *f; !has && (f = readdir(d));) {
        if (f->d_name[0] == '.' && strcmp(f->d_name, ".metadata") != 0)
            continue;
        has = strcmp(f->d_name, ".metadata") == 0 || strcmp(f->d_name, "config.json") == 0 ||
              strcmp(f->d_name, "model_index.json") == 0 || ss_weight_file_named(f->d_name);
        char *path = has || !deep ? NULL : ss_path_join(folder, f->d_name);
        if (path && ss_is_dir(path))
            has = has_weights(path, deep - 1);
        ss_free(path);
    }
    closedir(d);
    return has;
}

/* ---- looks ---- */

/* Adds bytes to a sum; FNV-1a, 64 bits: enough to see that a file has changed. */
static uint64_t add_bytes(uint64_t sum, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        sum = (sum ^ p[i]) * 0x100000001b3u;
    return sum;
}

static uint64_t sum_of_file(const char *name, const struct stat *st)
{
    uint64_t sum = add_bytes(0xcbf29ce484222325u, name, strlen(name));

    sum = add_bytes(sum, &st->st_size, sizeof st->st_size);
    sum = add_bytes(sum, &st->st_mtim.tv_sec, sizeof st->st_mtim.tv_sec);
    sum = add_bytes(sum, &st->st_mtim.tv_nsec, sizeof st->st_mtim.tv_nsec);
    return add_bytes(sum, &st->st_ino, sizeof st->st_ino);
}

/* Adds up all files below a folder, in whatever order they come; names: the path in the
 * checkpoint. */
static uint64_t sum_of_folder(const char *folder, const char *names, int deep)
{
    DIR *d = opendir(folder);
    uint64_t sum = 0;

    if (!d)
        return 0;
    for (struct dirent *f; (f = readdir(d));) {
        struct stat st;

        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
            continue;
        char *path = ss_path_join(folder, f->d_name), *name = ss_path_join(names, f->d_name);
        if (path && name && stat(path, &st) == 0) {
            if (!S_ISDIR(st.st_mode))
                sum += sum_of_file(name, &st);
            else if (deep < DEEPEST)
                sum += sum_of_folder(path, name, deep + 1);
        }
        ss_free(path);
        ss_free(name);
    }
    closedir(d);
    return sum;
}

void ss_growing_look(const char *path, char look[SS_GROWING_LOOK])
{
    struct stat st;

    if (stat(path, &st) != 0)
        *look = '\0';
    else
        snprintf(look, SS_GROWING_LOOK, "%016llx",
                 (unsigned long long)(S_ISDIR(st.st_mode) ? sum_of_folder(path, "", 0)
                                                          : sum_of_file("", &st)));
}

/* ---- the list ---- */

static int by_number(const void *a, const void *b)
{
    const ss_growing_entry *x = a, *y = b;
    int64_t m = INT64_MAX, n = INT64_MAX;

    number_of(strrchr(x->path, '/') + 1, &m);
    number_of(strrchr(y->path, '/') + 1, &n);
    return m != n ? (m > n) - (m < n) : strcmp(x->path, y->path);
}

/* Adds an entry, unless one of the same place is there: then the one that is no link stays. */
static ss_code add(ss_growing *g, size_t *cap, const char *path, ss_err *e)
{
    char real[PATH_MAX];
    struct stat st;
    ss_growing_entry x = {0};

    if (!realpath(path, real))
        return SS_OK; /* gone, or a link that leads nowhere */
    ss_growing_look(path, x.look);
    const bool is_link = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
    for (int i = 0; i < g->n && *x.look; i++) {
        if (strcmp(g->list[i].real, real) != 0)
            continue;
        char *name = is_link ? NULL : ss_strdup(path);
        if (!is_link && !name)
            return ss_no_memory(e, path);
        if (name) {
            ss_free(g->list[i].path);
            g->list[i].path = name;
        }
        return SS_OK;
    }
    if (!*x.look)
        return SS_OK;
    ss_growing_entry *grown = ss_grow(g->list, cap, (size_t)g->n + 1, sizeof *grown);
    if (grown)
        g->list = grown;
    x.path = ss_strdup(path);
    x.real = ss_strdup(real);
    if (!grown || !x.path || !x.real) {
        ss_free(x.path);
        ss_free(x.real);
        return ss_no_memory(e, path);
    }
    g->list[g->n++] = x;
    return SS_OK;
}

static bool is_model(const char *path)
{
    ss_model_paths p = {0};
    const bool is = ss_model_paths_find(path, NULL, &p, NULL) == SS_OK;

    ss_model_paths_release(&p);
    return is;
}

ss_code ss_growing_list(const char *folder, ss_growing *g, ss_err *e)
{
    DIR *d = opendir(folder);
    size_t cap = 0;
    ss_code rc = SS_OK;

    *g = (ss_growing){0};
    if (!d)
        return errno == ENOENT ? SS_OK : ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    for (struct dirent *f; rc == SS_OK && (f = readdir(d));) {
        if (is_unfinished(f->d_name))
            continue;
        char *path = ss_path_join(folder, f->d_name);
        if (!path)
            rc = ss_no_memory(e, folder);
        else if (ss_is_dir(path) ? is_checkpoint_name(f->d_name) && has_weights(path, 1)
                                 : is_weight_file(f->d_name))
            rc = add(g, &cap, path, e);
        ss_free(path);
    }
    closedir(d);
    if (rc == SS_OK && is_model(folder)) { /* its own files of weights are parts of it */
        bool files = true;

        for (int i = 0; i < g->n; i++)
            files &= !ss_is_dir(g->list[i].path);
        if (files) {
            ss_growing_release(g);
            cap = 0;
            rc = add(g, &cap, folder, e);
        }
    }
    if (rc != SS_OK)
        ss_growing_release(g);
    else if (g->n)
        qsort(g->list, (size_t)g->n, sizeof *g->list, by_number);
    return rc;
}

void ss_growing_release(ss_growing *g)
{
    for (int i = 0; i < g->n; i++) {
        ss_free(g->list[i].path);
        ss_free(g->list[i].real);
    }
    ss_free(g->list);
    *g = (ss_growing){0};
}
