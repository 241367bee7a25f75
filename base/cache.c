/* cache.c - see cache.h */
#include "base/cache.h"

#include "base/file.h"
#include "base/listing.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    const char *name;
    uint64_t bytes;
    struct timespec used;
} entry;

/* Opens the file of locks; -1 where that fails: in a folder that may only be read, nothing is made.
 */
static int open_locks(const char *dir)
{
    char *path = ss_path_join(dir, "lock");
    const int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;

    ss_free(path);
    return fd;
}

ss_code ss_cache_open(ss_cache *c, const char *dir, bool (*is_ours)(const char *name), bool locks,
                      ss_err *e)
{
    *c = (ss_cache){.is_ours = is_ours, .lock = -1};
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return ss_fail(e, SS_IO, "%s: %s", SS_SHOW(dir), strerror(errno));
    if (!(c->dir = ss_strdup(dir)))
        return ss_no_memory(e, "kept files");
    if (locks)
        c->lock = open_locks(dir);
    return SS_OK;
}

void ss_cache_forget(ss_cache *c)
{
    for (size_t i = 0; i < c->n_held; i++)
        ss_free(c->held[i]);
    c->n_held = 0;
}

void ss_cache_close(ss_cache *c)
{
    if (!c->dir)
        return;
    ss_cache_forget(c);
    ss_free(c->held);
    ss_free(c->dir);
    if (c->lock >= 0)
        close(c->lock);
    *c = (ss_cache){.lock = -1};
}

/* Finds the byte that stands for a name (FNV-1a). Two names may have the same one: their users wait
 * for each other without need, no more. */
static struct flock byte_of(const char *name, short type)
{
    uint64_t h = 0xcbf29ce484222325;

    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3;
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)(h >> 2), .l_len = 1};
}

bool ss_cache_try(ss_cache *c, const char *name, ss_cache_use use, pid_t *holder)
{
    const short type = use == SS_CACHE_MAKE ? F_WRLCK : F_RDLCK;
    struct flock l = byte_of(name, type);

    *holder = 0;
    if (c->lock < 0 || fcntl(c->lock, F_SETLK, &l) == 0)
        return true;
    if (errno != EAGAIN && errno != EACCES) { /* ENOLCK and others: no locks here */
        ss_warn("%s: files cannot be locked here (%s); let no other bisect use it at this time",
                c->dir, strerror(errno));
        close(c->lock);
        c->lock = -1;
        return true;
    }
    if (fcntl(c->lock, F_GETLK, &l) == 0 && l.l_type != F_UNLCK && l.l_pid > 0)
        *holder = l.l_pid;
    return false;
}

void ss_cache_let_go(ss_cache *c, const char *name)
{
    struct flock l = byte_of(name, F_UNLCK);

    if (c->lock >= 0)
        fcntl(c->lock, F_SETLK, &l);
}

static bool is_held(const ss_cache *c, const char *name)
{
    for (size_t i = 0; i < c->n_held; i++) {
        if (strcmp(c->held[i], name) == 0)
            return true;
    }
    return false;
}

ss_code ss_cache_keep(ss_cache *c, const char *name, ss_err *e)
{
    char *path = ss_path_join(c->dir, name), **grown = NULL;

    if (path)
        utimensat(AT_FDCWD, path, NULL, 0); /* may be refused, then it counts as older */
    ss_free(path);
    if (path && is_held(c, name))
        return SS_OK;
    if (path && (grown = ss_grow(c->held, &c->cap_held, c->n_held + 1, sizeof *grown)))
        c->held = grown;
    if (!grown || !(c->held[c->n_held] = ss_strdup(name)))
        return ss_no_memory(e, "kept files");
    c->n_held++;
    return SS_OK;
}

static int by_use(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const int seconds = (x->used.tv_sec > y->used.tv_sec) - (x->used.tv_sec < y->used.tv_sec);
    const int rest = (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);

    return seconds ? seconds : rest ? rest : strcmp(x->name, y->name);
}

/* Removes a file unless somebody uses it. */
static bool remove_unused(ss_cache *c, const char *name)
{
    char *path = is_held(c, name) ? NULL : ss_path_join(c->dir, name);
    pid_t holder;
    bool gone = false;

    if (path && ss_cache_try(c, name, SS_CACHE_MAKE, &holder)) {
        gone = unlink(path) == 0;
        ss_cache_let_go(c, name);
    }
    ss_free(path);
    return gone;
}

/* Lists the files that count into list [l->n]; returns how many. */
static size_t measure(const ss_cache *c, const ss_listing *l, entry *list)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        char *path = c->is_ours(l->name[i]) ? ss_path_join(c->dir, l->name[i]) : NULL;
        struct stat st;

        if (path && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            list[n++] = (entry){l->name[i], (uint64_t)st.st_size, st.st_mtim};
        ss_free(path);
    }
    return n;
}

ss_cache_size ss_cache_trim(ss_cache *c, uint64_t limit)
{
    ss_cache_size left = {0};
    ss_listing l = {0};
    entry *list = NULL;

    if (!c->dir || ss_listing_read(c->dir, &l, NULL) != SS_OK)
        return left;
    if (l.n && (list = ss_alloc(l.n, sizeof *list))) {
        const size_t n = measure(c, &l, list);

        qsort(list, n, sizeof *list, by_use);
        left.files = (int)n;
        for (size_t i = 0; i < n; i++)
            left.bytes += list[i].bytes;
        for (size_t i = 0; i < n && left.bytes > limit; i++) {
            if (!remove_unused(c, list[i].name))
                continue;
            left.bytes -= list[i].bytes;
            left.files--;
            left.removed++;
        }
    }
    ss_free(list);
    ss_listing_release(&l);
    return left;
}
