/* gather.c - see gather.h
 *
 *   look at each part, and compare it with the first            gather_part.c
 *   sort them; list which share of each noise level is whose, and which are nobody's
 *   copy the first part; put the shares of the others into it   gather_copy.c
 *   mark noise levels and the file as done, flush, rename
 */
#include "runfile/gather.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/unfinished.h"
#include "runfile/gather_copy.h"
#include "runfile/h5.h"
#include "runfile/run_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A stretch of a noise level: whose it is, or who should have it. */
typedef struct {
    ss_gather_share share;
    int owner;       /* index into the sorted parts; -1: it is missing */
    int first, last; /* if it is missing: parts of the run that have it, or one of them */
    int unfinished;  /* if it is missing: the part that is there but lacks it; -1: none */
} stretch;

typedef struct {
    const ss_gather_options *opt;
    ss_gather_part *parts; /* sorted by index */
    int n;
    int64_t level; /* samples of a noise level */
    stretch *list; /* by noise level and sample */
    size_t n_list, cap_list;
    uint8_t *whole; /* [sigma]: nothing is missing */
    ss_run *first;  /* the reader of the part that was looked at first: labels are borrowed */
} gathering;

static int compare_parts(const void *a, const void *b)
{
    const ss_gather_part *x = a, *y = b;

    return x->part.index != y->part.index
               ? (x->part.index > y->part.index) - (x->part.index < y->part.index)
               : strcmp(x->path, y->path);
}

/* Opens all parts. Only the first keeps its reader. */
static ss_code open_parts(gathering *g, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < g->opt->n_parts && rc == SS_OK; i++) {
        ss_gather_part *p = &g->parts[i];

        rc = ss_gather_part_open(p, g->opt->parts[i], e);
        g->n = i + 1;
        if (rc == SS_OK && i)
            rc = ss_gather_part_compare(&g->parts[0], p, e);
        if (rc == SS_OK && i) {
            ss_run_close(p->run);
            p->run = NULL;
            p->inputs = g->parts[0].inputs;
            p->sigmas = g->parts[0].sigmas;
        }
    }
    g->first = g->parts[0].run;
    g->parts[0].run = NULL;
    return rc;
}

static ss_code add(gathering *g, stretch s, ss_err *e)
{
    stretch *list = ss_grow(g->list, &g->cap_list, g->n_list + 1, sizeof *list);

    if (!list)
        return ss_no_memory(e, "parts");
    g->list = list;
    if (s.owner < 0)
        g->whole[s.share.sigma] = 0;
    list[g->n_list++] = s;
    return SS_OK;
}

/* Adds what lies between two parts that are there: parts `first` to `last` have it. */
static ss_code add_gap(gathering *g, int64_t from, int64_t end, int first, int last, ss_err *e)
{
    ss_code rc = SS_OK;

    while (from < end && rc == SS_OK) {
        const int64_t at = from % g->level;
        const int64_t n = g->level - at < end - from ? g->level - at : end - from;

        rc = add(g, (stretch){{(int)(from / g->level), at, at + n}, -1, first, last, -1}, e);
        from += n;
    }
    return rc;
}

/* Adds the shares of parts a to b - 1, which are the same part several times. */
static ss_code add_part(gathering *g, int a, int b, ss_err *e)
{
    const ss_run_part *p = &g->parts[a].part;
    ss_code rc = SS_OK;

    for (int64_t at = p->first; at < p->end && rc == SS_OK;) {
        const int s = (int)(at / g->level);
        stretch x = {{s, 0, 0}, -1, p->index, p->index, a};

        ss_run_part_share(p, g->level, s, &x.share.from, &x.share.end);
        for (int i = a; i < b && x.owner < 0; i++)
            x.owner = g->parts[i].marks[s] ? i : -1;
        rc = add(g, x, e);
        at = s * g->level + x.share.end;
    }
    return rc;
}

/* Lists whose each stretch is. */
static ss_code list_stretches(gathering *g, ss_err *e)
{
    const ss_gather_part *p = g->parts;
    const int count = p->part.count;
    int64_t at = 0;
    int next = 0;
    ss_code rc = SS_OK;

    memset(g->whole, 1, (size_t)p->n_sigmas);
    for (int a = 0, b; a < g->n && rc == SS_OK; a = b) {
        for (b = a + 1; b < g->n && p[b].part.index == p[a].part.index; b++)
            if (p[b].part.first != p[a].part.first || p[b].part.end != p[a].part.end)
                return ss_fail(e, SS_USAGE, "%s and %s are both part %d, with other samples",
                               p[a].path, p[b].path, p[a].part.index);
        if (p[a].part.first < at || (next == p[a].part.index && p[a].part.first > at))
            return ss_fail(e, SS_FORMAT, "%s: has samples from %lld on, where part %d ends at %lld",
                           p[a].path, (long long)p[a].part.first, next - 1, (long long)at);
        rc = add_gap(g, at, p[a].part.first, next, p[a].part.index - 1, e);
        if (rc == SS_OK)
            rc = add_part(g, a, b, e);
        at = p[a].part.end;
        next = p[a].part.index + 1;
    }
    if (rc == SS_OK && next == count && at < g->level * p->n_sigmas)
        return ss_fail(e, SS_FORMAT, "%s: ends at sample %lld of %lld, but is the last part",
                       p[g->n - 1].path, (long long)at, (long long)(g->level * p->n_sigmas));
    return rc == SS_OK ? add_gap(g, at, g->level * p->n_sigmas, next, count - 1, e) : rc;
}

/* ---- what is missing ---- */

static bool same_holder(const stretch *a, const stretch *b)
{
    return a->first == b->first && a->last == b->last && a->unfinished == b->unfinished;
}

static void say_holder(const gathering *g, const stretch *s, ss_str *out)
{
    const ss_gather_part *p = s->unfinished >= 0 ? &g->parts[s->unfinished] : NULL;
    const int count = g->parts[0].part.count;

    if (p)
        ss_str_addf(out, "part %d of %d (%s) is not finished%s", s->first, count, p->path,
                    p->locked ? ", a process is writing it" : "");
    else if (s->first == s->last)
        ss_str_addf(out, "part %d of %d is missing", s->first, count);
    else
        ss_str_addf(out, "parts %d to %d of %d are missing", s->first, s->last, count);
}

/* Says which inputs of a noise level, or which of their samples, a stretch has. */
static void say_inputs(const gathering *g, const ss_gather_share *s, ss_str *out)
{
    const ss_gather_part *p = &g->parts[0];
    const int64_t samples = p->n_samples;

    for (int64_t i = s->from / samples; i * samples < s->end; i++) {
        int64_t a = s->from - i * samples, b = s->end - i * samples;

        a = a > 0 ? a : 0;
        b = b < samples ? b : samples;
        ss_str_addf(out, "%s%s", i * samples > s->from ? ", " : "", SS_SHOW(p->inputs[i]));
        if (b - a < samples)
            ss_str_addf(out, " (samples %lld to %lld)", (long long)a, (long long)b - 1);
    }
}

/* Finds the missing stretches after list[i] that differ from it in the noise level alone; returns
 * the index after the last. */
static size_t same_inputs(const gathering *g, size_t i)
{
    const stretch *s = &g->list[i];
    size_t k = i + 1;

    while (k < g->n_list && g->list[k].owner < 0 && same_holder(s, &g->list[k]) &&
           g->list[k].share.from == s->share.from && g->list[k].share.end == s->share.end)
        k++;
    return k;
}

/* Lists all that is missing, as much as fits into a message. */
static ss_code say_missing(const gathering *g, ss_err *e)
{
    enum { ROOM = 700, SIGMAS = 16 }; /* of the message; of a list */
    const stretch *before = NULL;
    int64_t left = 0;
    ss_str out = {0};

    for (size_t i = 0, end; i < g->n_list; i = end) {
        const stretch *s = &g->list[i];

        end = i + 1;
        if (s->owner >= 0)
            continue;
        if (out.len > ROOM) {
            left += s->share.end - s->share.from;
            continue;
        }
        end = same_inputs(g, i);
        if (!before || !same_holder(before, s)) {
            ss_str_add(&out, before ? "\n" : "");
            say_holder(g, s, &out);
            ss_str_add(&out, ": ");
        } else {
            ss_str_add(&out, "; ");
        }
        ss_str_add(&out, "sigma ");
        for (size_t k = i; k < end && k < i + SIGMAS; k++)
            ss_str_addf(&out, "%s%.4g", k > i ? ", " : "",
                        g->parts[0].sigmas[s[k - i].share.sigma]);
        if (end > i + SIGMAS)
            ss_str_addf(&out, " and %zu more", end - i - SIGMAS);
        ss_str_add(&out, " of ");
        say_inputs(g, &s->share, &out);
        before = s;
    }
    if (left)
        ss_str_addf(&out, "\nand %lld samples more", (long long)left);
    ss_str_add(&out, "\nrun the missing parts, with --resume if they are begun, or gather what is "
                     "there with --partial");
    ss_fail(e, SS_IO, "%s", out.s && !out.failed ? out.s : "parts are missing");
    ss_str_release(&out);
    return SS_IO;
}

/* ---- copying ---- */

/* Opens a part, if it is still the file that was looked at. */
static ss_code open_again(const ss_gather_part *p, int *fd, ss_err *e)
{
    struct stat st;

    *fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, &st) != 0)
        return ss_fail(e, SS_IO, "%s: %s", p->path, strerror(errno));
    if (st.st_dev != p->device || st.st_ino != p->inode || (uint64_t)st.st_size != p->size)
        return ss_fail(e, SS_IO, "%s: has been replaced meanwhile", p->path);
    return SS_OK;
}

/* Copies a file, but not its holes. */
static ss_code copy_file(const ss_gather_part *p, int from, int to, const char *path, char *room,
                         ss_err *e)
{
    const off_t end = (off_t)p->size;
    off_t at = 0, hole;
    ss_code rc =
        ftruncate(to, end) == 0 ? SS_OK : ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));

    while (rc == SS_OK && at < end) {
        const off_t data = lseek(from, at, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            break; /* only a hole is left */
        at = data < 0 ? at : data;
        hole = data < 0 ? end : lseek(from, at, SEEK_HOLE);
        hole = hole < 0 || hole > end ? end : hole;
        while (at < hole && rc == SS_OK) {
            const size_t n = hole - at < SS_GATHER_ROOM ? (size_t)(hole - at) : SS_GATHER_ROOM;

            rc = ss_gather_read(from, p->path, room, n, (uint64_t)at, e);
            if (rc == SS_OK)
                rc = ss_gather_write(to, path, room, n, (uint64_t)at, e);
            at += (off_t)n;
        }
    }
    return rc;
}

/* Where the data sets of a part lie, for those who move values there; ss_free. */
static uint64_t *offsets_of(const ss_gather_part *p)
{
    uint64_t *offsets = ss_alloc(p->n_sets + 1, sizeof *offsets);

    for (size_t i = 0; offsets && i < p->n_sets; i++)
        offsets[i] = p->sets[i].offset;
    return offsets;
}

/* Puts the shares of part i into the file. */
static ss_code put_shares(const gathering *g, ss_gather_files *f, int i, ss_err *e)
{
    const char *differs;
    ss_code rc = SS_OK;
    bool any = false;

    for (size_t k = 0; k < g->n_list && !any; k++)
        any = g->list[k].owner == i && g->whole[g->list[k].share.sigma];
    if (!any)
        return SS_OK;
    f->from = &g->parts[i];
    rc = open_again(f->from, &f->from_fd, e);
    for (size_t k = 0; k < g->n_list && rc == SS_OK; k++)
        if (g->list[k].owner == i && g->whole[g->list[k].share.sigma])
            rc = ss_gather_move(f, g->list[k].share, SS_GATHER_COPY, &differs, e);
    if (f->from_fd >= 0)
        close(f->from_fd);
    f->from_fd = -1;
    return rc;
}

/* Compares the shares of two files that are the same part. */
static ss_code compare_twins(const gathering *g, ss_gather_files *f, int a, int b, ss_err *e)
{
    const ss_gather_part *x = &g->parts[a], *y = &g->parts[b];
    uint64_t *offsets = offsets_of(y);
    const char *differs = NULL;
    ss_code rc = offsets ? SS_OK : ss_no_memory(e, "parts");

    *f = (ss_gather_files){x, y->path, offsets, -1, -1, f->room, f->other};
    if (rc == SS_OK && (rc = open_again(x, &f->from_fd, e)) == SS_OK)
        rc = open_again(y, &f->to_fd, e);
    for (int s = 0; s < x->n_sigmas && rc == SS_OK; s++) {
        ss_gather_share share = {.sigma = s};

        if (!x->marks[s] || !y->marks[s] ||
            !ss_run_part_share(&x->part, g->level, s, &share.from, &share.end))
            continue;
        rc = ss_gather_move(f, share, SS_GATHER_COMPARE, &differs, e);
        if (rc == SS_OK && differs)
            rc = ss_fail(e, SS_USAGE,
                         "%s and %s are both part %d of %d, but differ in %s at sigma %.4g",
                         x->path, y->path, x->part.index, x->part.count, differs, x->sigmas[s]);
    }
    if (f->from_fd >= 0)
        close(f->from_fd);
    if (f->to_fd >= 0)
        close(f->to_fd);
    ss_free(offsets);
    return rc;
}

/* Marks what is done, at first without HDF5, and then the attributes, of which only HDF5 knows
 * where they are. */
static ss_code finish(const gathering *g, const char *path, int fd, bool complete, ss_err *e)
{
    const ss_gather_part *p = &g->parts[0];
    const int64_t part[SS_RUN_PART_VALUES] = {0, 1, 0, g->level * p->n_sigmas};
    ss_h5_failure first = {0};
    ss_code rc = ss_gather_write(fd, path, g->whole, (size_t)p->n_sigmas, p->done_offset, e);
    hid_t file = rc == SS_OK ? ss_h5_open(path, true, e) : -1;

    if (rc != SS_OK || file < 0)
        return SS_IO;
    ss_h5_watch(&first);
    hid_t a = H5Aopen(file, SS_RUN_PART, H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT64, part);
    H5Aclose(a);
    a = H5Aopen(file, "complete", H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT, &(int){complete});
    H5Aclose(a);
    H5Fclose(file);
    ss_h5_watch(NULL);
    if (first.any)
        return ss_fail(e, SS_IO, "%s: cannot be marked complete: %s", path, first.why);
    return fsync(fd) == 0 ? SS_OK : ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
}

/* Makes the whole run at the path. */
static ss_code fill(const gathering *g, ss_gather_files *f, const char *path, bool complete,
                    ss_err *e)
{
    uint64_t *offsets = offsets_of(&g->parts[0]);
    ss_code rc = offsets ? SS_OK : ss_no_memory(e, "parts");

    *f = (ss_gather_files){&g->parts[0], path, offsets, -1, -1, f->room, f->other};
    if (rc == SS_OK && (rc = open_again(f->from, &f->from_fd, e)) == SS_OK) {
        f->to_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        rc = f->to_fd < 0 ? ss_fail(e, SS_IO, "%s: %s", path, strerror(errno))
                          : copy_file(f->from, f->from_fd, f->to_fd, path, f->room, e);
    }
    if (f->from_fd >= 0)
        close(f->from_fd);
    f->from_fd = -1;
    for (int i = 1; i < g->n && rc == SS_OK; i++) /* the first part's own are there */
        rc = put_shares(g, f, i, e);
    if (rc == SS_OK)
        rc = finish(g, path, f->to_fd, complete, e);
    if (f->to_fd >= 0 && close(f->to_fd) != 0 && rc == SS_OK)
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    ss_free(offsets);
    return rc;
}

/* Gives the file its name. */
static ss_code give_name(const gathering *g, const char *tmp, ss_err *e)
{
    const char *path = g->opt->output;
    const int how = g->opt->replace ? 0 : RENAME_NOREPLACE;

    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, how) == 0)
        return SS_OK;
    if (how && (errno == EINVAL || errno == ENOSYS) && access(path, F_OK) != 0 &&
        rename(tmp, path) == 0) /* the file system cannot do it */
        return SS_OK;
    return ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
}

static ss_code write_whole(const gathering *g, ss_gather_files *f, bool complete, ss_err *e)
{
    const char *path = g->opt->output;
    char *tmp = ss_textf("%s.tmp-%ld", path, (long)getpid());
    ss_code rc;

    if (!tmp)
        return ss_no_memory(e, path);
    unlink(tmp); /* left by a killed process with our process id */
    ss_unfinished_add(tmp);
    rc = fill(g, f, tmp, complete, e);
    ss_unfinished_hold();
    if (rc == SS_OK)
        rc = give_name(g, tmp, e);
    if (rc != SS_OK)
        unlink(tmp);
    ss_unfinished_let_go(tmp);
    ss_free(tmp);
    return rc;
}

/* Refuses an output that is there, or that another process is writing. */
static ss_code check_output(const ss_gather_options *opt, ss_err *e)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat st;

    if (stat(opt->output, &st) != 0)
        return SS_OK;
    if (!S_ISREG(st.st_mode))
        return ss_fail(e, SS_IO, "%s: is not a regular file", opt->output);
    if (!opt->replace)
        return ss_fail(e, SS_IO, "%s: exists already; --force replaces it", opt->output);
    const int fd = open(opt->output, O_RDONLY | O_CLOEXEC);
    const bool busy = fd >= 0 && fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;

    if (fd >= 0)
        close(fd);
    return busy ? ss_fail(e, SS_IO, "%s: another process is writing it", opt->output) : SS_OK;
}

static ss_code gather(gathering *g, ss_gather_files *f, ss_gather_summary *sum, ss_err *e)
{
    ss_code rc = open_parts(g, e);
    bool complete = true;

    if (rc != SS_OK)
        return rc;
    qsort(g->parts, (size_t)g->n, sizeof *g->parts, compare_parts);
    const ss_gather_part *p = g->parts;
    g->level = (int64_t)p->n_inputs * p->n_samples;
    g->whole = ss_alloc((size_t)p->n_sigmas, 1);
    if (!g->whole)
        return ss_no_memory(e, "parts");
    rc = list_stretches(g, e);
    for (int i = 1; i < g->n && rc == SS_OK; i++)
        if (p[i].part.index == p[i - 1].part.index)
            rc = compare_twins(g, f, i - 1, i, e);
    if (rc != SS_OK)
        return rc;
    *sum = (ss_gather_summary){p->part.count, p->n_sigmas, 0, p->n_inputs, p->n_samples};
    for (int s = 0; s < p->n_sigmas; s++) {
        sum->n_done += g->whole[s];
        complete &= g->whole[s];
    }
    if (!complete && !g->opt->partial)
        return say_missing(g, e);
    return write_whole(g, f, complete, e);
}

ss_code ss_run_gather(const ss_gather_options *opt, ss_gather_summary *sum, ss_err *e)
{
    gathering g = {.opt = opt};
    ss_gather_files f = {.room = ss_alloc(SS_GATHER_ROOM, 1), .other = ss_alloc(SS_GATHER_ROOM, 1)};
    ss_code rc = check_output(opt, e);

    g.parts = ss_calloc((size_t)opt->n_parts, sizeof *g.parts);
    if (rc == SS_OK && (!g.parts || !f.room || !f.other))
        rc = ss_no_memory(e, "parts");
    if (rc == SS_OK)
        rc = gather(&g, &f, sum, e);
    for (int i = 0; i < g.n; i++)
        ss_gather_part_release(&g.parts[i]);
    ss_run_close(g.first);
    ss_free(g.parts);
    ss_free(g.list);
    ss_free(g.whole);
    ss_free(f.room);
    ss_free(f.other);
    return rc;
}
