/* train_folder.c - see train_folder.h */
#include "train/train_folder.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "base/version.h"
#include "runfile/training_files.h"
#include "train/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char lock_file[] = "lock", model_file[] = "config.json";

char *ss_train_folder_file(const ss_train_folder *f, const char *name)
{
    return ss_path_join(f->path, name);
}

char *ss_train_folder_step(const ss_train_folder *f, int64_t step, bool ema)
{
    ss_str s = {0};

    ss_str_addf(&s, "%s/step-%06" PRId64 "%s", f->path, step, ema ? "-ema" : "");
    return ss_str_detach(&s);
}

static ss_code lock(ss_train_folder *f, ss_err *e)
{
    char *path = ss_train_folder_file(f, lock_file);

    if (!path)
        return ss_no_memory(e, f->path ? f->path : "training");
    f->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    const bool busy = f->lock >= 0 && flock(f->lock, LOCK_EX | LOCK_NB) != 0;
    const int why = errno;

    ss_free(path);
    if (busy && why == EWOULDBLOCK)
        return ss_fail(e, SS_IO, "%s: another process is training there", f->path);
    return f->lock < 0 || busy ? ss_fail(e, SS_IO, "%s/%s: %s", f->path, lock_file, strerror(why))
                               : SS_OK;
}

static ss_code write_config(const char *path, const json_t *config, ss_err *e)
{
    json_t *all = json_copy((json_t *)config);
    ss_code rc;

    if (!all || json_object_set_new(all, "_version", json_string("sigmascope " SS_VERSION)) != 0)
        rc = ss_no_memory(e, path);
    else
        rc = ss_json_write(path, all, JSON_INDENT(2), e);
    json_decref(all);
    return rc;
}

/* Refuses a folder of another training. What it stores is read as a configuration: keys that the
 * version which wrote it did not know have their defaults. */
static ss_code check_config(ss_train_folder *f, const char *path, const json_t *config, ss_err *e)
{
    char where[400];
    ss_train_config *there = NULL;
    ss_code rc = ss_train_config_read(path, NULL, 0, &there, e);
    json_t *was = rc == SS_OK ? ss_train_config_fixed(there->effective) : NULL,
           *now = ss_train_config_fixed(config);

    if (rc == SS_OK && (!was || !now))
        rc = ss_no_memory(e, path);
    if (rc == SS_OK) {
        if (there->steps != json_integer_value(json_object_get(config, "steps")))
            f->steps = there->steps;
        if (ss_train_config_differs(was, now, where, sizeof where))
            rc = ss_fail(e, SS_USAGE,
                         "%s is of another training: %s; begin from its weights with init.from, "
                         "or give the same configuration",
                         path, where);
    }
    json_decref(was);
    json_decref(now);
    ss_train_config_free(there);
    return rc;
}

/* The step in a checkpoint's name, "step-001000" with only digits after the dash; else -1. */
static int64_t step_of(const char *name)
{
    static const char prefix[] = "step-";
    int64_t step;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return -1;
    name += sizeof prefix - 1;
    return strspn(name, "0123456789") == strlen(name) && ss_parse_i64(name, &step) ? step : -1;
}

/* True for what a killed training left half-written, by names that only a training gives. */
static bool is_leftover(const char *name)
{
    const char *const files[] = {SS_TRAINING_STATISTICS, SS_TRAINING_CONFIG};
    static const char ema[] = "-ema";
    char target[64];
    size_t n = ss_outdir_leftover(name);

    if (n == 0 || n >= sizeof target)
        return false;
    memcpy(target, name, n);
    target[n] = '\0';
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (strcmp(target, files[i]) == 0)
            return true;
    }
    if (n >= sizeof ema && strcmp(target + n - (sizeof ema - 1), ema) == 0)
        target[n - (sizeof ema - 1)] = '\0';
    return step_of(target) >= 0;
}

/* Removes leftovers: each may have the size of a checkpoint, and the disk is often full by then.
 * Only the owner of the lock writes such names. */
static ss_code remove_leftovers(const ss_train_folder *f, ss_err *e)
{
    DIR *d = opendir(f->path);
    const struct dirent *entry;
    ss_code rc = SS_OK;

    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", f->path, strerror(errno));
    while (rc == SS_OK && (entry = readdir(d))) {
        if (!is_leftover(entry->d_name))
            continue;
        char *path = ss_train_folder_file(f, entry->d_name);

        rc = path ? ss_outdir_remove_leftover(path, e)
                  : ss_no_memory(e, f->path ? f->path : "training");
        ss_free(path);
    }
    closedir(d);
    return rc;
}

ss_code ss_train_folder_open(const char *path, const json_t *config, bool resume,
                             ss_train_folder *f, ss_err *e)
{
    char *file;
    ss_code rc;

    *f = (ss_train_folder){.path = ss_strdup(path), .lock = -1};
    if (!f->path || !(file = ss_train_folder_file(f, SS_TRAINING_CONFIG)))
        return ss_no_memory(e, f->path ? f->path : "training");
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    if ((rc = lock(f, e)) != SS_OK)
        goto out;
    if ((rc = remove_leftovers(f, e)) != SS_OK)
        goto out;
    f->fresh = !ss_file_exists(file);
    if (f->fresh)
        rc = write_config(file, config, e);
    else if (resume)
        rc = check_config(f, file, config, e);
    else
        rc = ss_fail(e, SS_IO,
                     "%s holds a training already: go on with --resume, or choose another folder",
                     path);
out:
    ss_free(file);
    return rc;
}

ss_code ss_train_folder_set_config(const ss_train_folder *f, const json_t *config, ss_err *e)
{
    char *path = ss_train_folder_file(f, SS_TRAINING_CONFIG);
    ss_code rc =
        path ? write_config(path, config, e) : ss_no_memory(e, f->path ? f->path : "training");

    ss_free(path);
    return rc;
}

void ss_train_folder_close(ss_train_folder *f)
{
    if (f->lock >= 0)
        close(f->lock);
    ss_free(f->path);
    *f = (ss_train_folder){.lock = -1};
}

/* True if a training can go on from the step's folder: averages cannot be loaded. */
static bool is_checkpoint(const ss_train_folder *f, int64_t step)
{
    char *folder = ss_train_folder_step(f, step, false);
    char *state = folder ? ss_path_join(folder, SS_TRAINING_STATE) : NULL;
    const bool is = state && ss_file_exists(state);

    ss_free(state);
    ss_free(folder);
    return is;
}

static int by_step(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

ss_code ss_train_folder_steps(const ss_train_folder *f, int64_t **steps, size_t *n, ss_err *e)
{
    DIR *d = opendir(f->path);
    const struct dirent *entry;
    size_t cap = 0;
    ss_code rc = SS_OK;

    *steps = NULL;
    *n = 0;
    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", f->path, strerror(errno));
    while (rc == SS_OK && (entry = readdir(d))) {
        const int64_t step = step_of(entry->d_name);

        if (step < 0 || !is_checkpoint(f, step))
            continue;
        int64_t *grown = ss_grow(*steps, &cap, *n + 1, sizeof *grown);
        if (!grown) {
            rc = ss_no_memory(e, f->path ? f->path : "training");
        } else {
            *steps = grown;
            grown[(*n)++] = step;
        }
    }
    closedir(d);
    if (rc != SS_OK) {
        ss_free(*steps);
        *steps = NULL;
        *n = 0;
    } else if (*n) {
        qsort(*steps, *n, sizeof **steps, by_step);
    }
    return rc;
}

static ss_code remove_step(const ss_train_folder *f, int64_t step, bool ema, ss_err *e)
{
    char *path = ss_train_folder_step(f, step, ema);
    ss_code rc = path ? SS_OK : ss_no_memory(e, f->path ? f->path : "training");

    if (rc == SS_OK && (!ema || ss_is_dir(path)))
        rc = ss_outdir_remove(path, model_file, e);
    ss_free(path);
    return rc;
}

ss_code ss_train_folder_prune(const ss_train_folder *f, int64_t keep, ss_train_regular *regular,
                              const void *self, ss_err *e)
{
    int64_t *steps, kept = 0;
    size_t n;
    ss_code rc = ss_train_folder_steps(f, &steps, &n, e);

    for (size_t i = n; i-- > 0 && rc == SS_OK;) {
        const bool is = regular(self, steps[i]);

        kept += is;
        if (i == n - 1 || (is && kept <= keep))
            continue;
        /* averages first: if this is killed between the two, the checkpoint goes the next time */
        rc = remove_step(f, steps[i], true, e);
        if (rc == SS_OK)
            rc = remove_step(f, steps[i], false, e);
    }
    ss_free(steps);
    return rc;
}
