/* outdir.c - see outdir.h */
#include "base/outdir.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/unfinished.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

/* Deletes a folder and what is in it; links are deleted, not followed. */
static int remove_tree(const char *path)
{
    enum { OPEN_FOLDERS = 16 };

    return nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

static void release(ss_outdir *o)
{
    ss_free(o->path);
    ss_free(o->tmp);
    *o = (ss_outdir){0};
}

/* True when the target may be replaced. */
static ss_code check_target(const char *path, const char *mark, bool replace, ss_err *e)
{
    struct stat st;
    char *inside;
    bool ours;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? SS_OK : ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return ss_fail(e, SS_IO, "%s exists and is not a folder", path);
    if (!(inside = ss_path_join(path, mark)))
        return ss_no_memory(e, path);
    ours = ss_file_exists(inside);
    ss_free(inside);
    if (ours && replace)
        return SS_OK;
    if (ours)
        return ss_fail(e, SS_IO, "%s exists; --force replaces it", path);
    /* rmdir succeeds on an empty folder only, which is no loss */
    if (rmdir(path) == 0)
        return SS_OK;
    return ss_fail(e, SS_IO,
                   "%s exists and has no %s, so it is not ours to replace; choose another name",
                   path, mark);
}

ss_code ss_outdir_open(ss_outdir *o, const char *path, const char *mark, bool replace, ss_err *e)
{
    ss_str p = {0}, tmp = {0};
    size_t n = strlen(path);
    ss_code rc;

    *o = (ss_outdir){0};
    while (n > 1 && path[n - 1] == '/')
        n--;
    ss_str_addn(&p, path, n);
    ss_str_addn(&tmp, path, n);
    ss_str_addf(&tmp, ".tmp-%ld", (long)getpid());
    o->path = ss_str_detach(&p);
    o->tmp = ss_str_detach(&tmp);
    if (!o->path || !o->tmp)
        rc = ss_no_memory(e, path);
    else if ((rc = check_target(o->path, mark, replace, e)) == SS_OK) {
        remove_tree(o->tmp); /* left by a killed process that had our number */
        ss_unfinished_add(o->tmp);
        if (mkdir(o->tmp, 0777) != 0) {
            rc = ss_fail(e, SS_IO, "%s: %s", o->tmp, strerror(errno));
            ss_unfinished_drop(o->tmp);
        }
    }
    if (rc != SS_OK)
        release(o);
    return rc;
}

/* Where the file system cannot exchange names: for a moment nothing has the name. */
static ss_code replace_in_two_steps(const ss_outdir *o, ss_err *e)
{
    ss_str old = {0};
    ss_code rc = SS_OK;

    ss_str_addf(&old, "%s.old-%ld", o->path, (long)getpid());
    if (old.failed) {
        rc = ss_no_memory(e, o->path);
        goto out;
    }
    remove_tree(old.s);
    if (rename(o->path, old.s) != 0 && errno != ENOENT) {
        rc = ss_fail(e, SS_IO, "%s: %s", o->path, strerror(errno));
    } else if (rename(o->tmp, o->path) != 0) {
        rc = ss_fail(e, SS_IO, "%s: %s", o->path, strerror(errno));
        rename(old.s, o->path); /* what was there comes back */
    } else {
        remove_tree(old.s);
    }
out:
    ss_str_release(&old);
    return rc;
}

ss_code ss_outdir_commit(ss_outdir *o, ss_err *e)
{
    ss_code rc = SS_OK;

    ss_unfinished_hold();
    /* From here the replaced folder has the temporary name, until it is deleted. */
    if (renameat2(AT_FDCWD, o->tmp, AT_FDCWD, o->path, RENAME_EXCHANGE) != 0) {
        if (errno == EINVAL || errno == ENOSYS)
            rc = replace_in_two_steps(o, e);
        else if (errno != ENOENT || rename(o->tmp, o->path) != 0)
            rc = ss_fail(e, SS_IO, "%s: %s", o->path, strerror(errno));
    }
    remove_tree(o->tmp); /* what was replaced, or could not be put in place */
    ss_unfinished_let_go(o->tmp);
    if (rc == SS_OK)
        ss_detail("the folder %s is in its place", o->path);
    release(o);
    return rc;
}

void ss_outdir_discard(ss_outdir *o)
{
    if (o->tmp) {
        remove_tree(o->tmp);
        ss_unfinished_drop(o->tmp);
    }
    release(o);
}

ss_code ss_outdir_remove(const char *path, const char *mark, ss_err *e)
{
    char *inside = ss_path_join(path, mark);
    const bool ours = inside && ss_file_exists(inside);
    ss_str aside = {0};
    ss_code rc = SS_OK;

    ss_free(inside);
    if (!ours)
        return ss_fail(e, SS_IO, "%s: no %s in it, so it is not ours to delete", path, mark);
    ss_str_addf(&aside, "%s.old-%ld", path, (long)getpid()); /* never half a folder of that name */
    if (aside.failed)
        rc = ss_no_memory(e, path);
    else if (rename(path, aside.s) != 0 || remove_tree(aside.s) != 0)
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    ss_str_release(&aside);
    return rc;
}

size_t ss_outdir_leftover(const char *name)
{
    static const char tmp[] = ".tmp-", old[] = ".old-";
    const size_t n = strlen(name);
    size_t digits = 0;

    while (digits < n && strchr("0123456789", name[n - 1 - digits]))
        digits++;
    if (!digits || n - digits < sizeof tmp)
        return 0;
    const char *suffix = name + n - digits - (sizeof tmp - 1);

    return strncmp(suffix, tmp, sizeof tmp - 1) == 0 || strncmp(suffix, old, sizeof old - 1) == 0
               ? (size_t)(suffix - name)
               : 0;
}

ss_code ss_outdir_remove_leftover(const char *path, ss_err *e)
{
    if (!ss_outdir_leftover(path))
        return ss_fail(e, SS_IO, "%s: not the name of something temporary", path);
    if (remove_tree(path) != 0 && errno != ENOENT)
        return ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    return SS_OK;
}
