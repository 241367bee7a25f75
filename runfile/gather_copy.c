/* gather_copy.c - see gather_copy.h
 *
 * A data set is rows [outer][input] of noise levels, so a share is one piece in each row, at the
 * same distance. Short pieces that lie close together are moved many at a time.
 */
#include "runfile/gather_copy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

ss_code ss_gather_read(int fd, const char *path, void *to, size_t n, uint64_t at, ss_err *e)
{
    for (size_t done = 0; done < n;) {
        const ssize_t k = pread(fd, (char *)to + done, n - done, (off_t)(at + done));

        if (k > 0)
            done += (size_t)k;
        else if (k == 0 || errno != EINTR)
            return ss_fail(e, SS_IO, "%s: %s", path,
                           k ? strerror(errno) : "has become shorter while it was read");
    }
    return SS_OK;
}

ss_code ss_gather_write(int fd, const char *path, const void *from, size_t n, uint64_t at,
                        ss_err *e)
{
    for (size_t done = 0; done < n;) {
        const ssize_t k = pwrite(fd, (const char *)from + done, n - done, (off_t)(at + done));

        if (k > 0)
            done += (size_t)k;
        else if (k == 0 || errno != EINTR)
            return ss_fail(e, SS_IO, "%s: %s", path, strerror(k ? errno : ENOSPC));
    }
    return SS_OK;
}

/* Describes the move of one data set. */
typedef struct {
    const ss_gather_files *f;
    const ss_gather_set *set;
    uint64_t to; /* offset in the other file */
    ss_gather_share share;
    ss_gather_what what;
    bool differs;
    ss_err *e;
} move;

/* Finds the piece of input i in a row, as bytes from the beginning of the noise level; false: the
 * share has nothing of it. *more: the input is begun in another share. */
static bool piece_of(const move *m, int64_t i, size_t *at, size_t *n, bool *more)
{
    const int64_t samples = m->f->from->n_samples;
    int64_t a = m->share.from - i * samples, b = m->share.end - i * samples;

    a = a > 0 ? a : 0;
    b = b < samples ? b : samples;
    if (a >= b)
        return false;
    *more = m->set->counts && a > 0;
    *at = m->set->samples ? (size_t)a * m->set->inner_bytes : 0;
    *n = m->set->samples ? (size_t)(b - a) * m->set->inner_bytes : m->set->inner_bytes;
    return true;
}

static void add_counts(char *to, const char *from, size_t n)
{
    for (size_t i = 0; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
        uint64_t a, b;

        memcpy(&a, to + i, sizeof a);
        memcpy(&b, from + i, sizeof b);
        a += b;
        memcpy(to + i, &a, sizeof a);
    }
}

/* Does what is to be done to a piece in memory. */
static void apply(move *m, char *to, const char *from, size_t n, bool more)
{
    if (m->what == SS_GATHER_COMPARE)
        m->differs |= memcmp(to, from, n) != 0;
    else if (more)
        add_counts(to, from, n);
    else
        memcpy(to, from, n);
}

/* Moves one long piece. */
static ss_code move_piece(move *m, uint64_t from, uint64_t to, size_t n, bool more)
{
    const ss_gather_files *f = m->f;
    const bool read = more || m->what == SS_GATHER_COMPARE;
    ss_code rc = SS_OK;

    for (size_t done = 0; done < n && rc == SS_OK; done += SS_GATHER_ROOM) {
        const size_t part = n - done < SS_GATHER_ROOM ? n - done : SS_GATHER_ROOM;

        rc = ss_gather_read(f->from_fd, f->from->path, f->room, part, from + done, m->e);
        if (rc == SS_OK && read)
            rc = ss_gather_read(f->to_fd, f->to_path, f->other, part, to + done, m->e);
        if (rc != SS_OK)
            break;
        apply(m, f->other, f->room, part, more);
        if (m->what == SS_GATHER_COPY)
            rc = ss_gather_write(f->to_fd, f->to_path, f->other, part, to + done, m->e);
    }
    return rc;
}

/* Moves the pieces of `rows` rows from row `first` on, which fit into the room. */
static ss_code move_rows(move *m, int64_t first, int64_t rows, size_t stride, size_t skip,
                         size_t level)
{
    const ss_gather_files *f = m->f;
    const size_t bytes = (size_t)(rows - 1) * stride + level;
    const uint64_t at = (uint64_t)first * stride + skip;
    ss_code rc =
        ss_gather_read(f->from_fd, f->from->path, f->room, bytes, m->set->offset + at, m->e);

    if (rc == SS_OK)
        rc = ss_gather_read(f->to_fd, f->to_path, f->other, bytes, m->to + at, m->e);
    for (int64_t r = 0; r < rows && rc == SS_OK; r++) {
        size_t in, n;
        bool more;

        if (piece_of(m, (first + r) % f->from->n_inputs, &in, &n, &more))
            apply(m, f->other + (size_t)r * stride + in, f->room + (size_t)r * stride + in, n,
                  more);
    }
    if (rc == SS_OK && m->what == SS_GATHER_COPY)
        rc = ss_gather_write(f->to_fd, f->to_path, f->other, bytes, m->to + at, m->e);
    return rc;
}

/* Moves a share of one data set. */
static ss_code move_set(move *m)
{
    enum { CLOSE = 16 << 10 };
    const ss_gather_part *p = m->f->from;
    const size_t level = m->set->inner_bytes * (m->set->samples ? (size_t)p->n_samples : 1);
    const size_t stride = level * (size_t)p->n_sigmas, skip = level * (size_t)m->share.sigma;
    const int64_t rows = m->set->outer * p->n_inputs;
    const int64_t most = stride && stride <= CLOSE ? SS_GATHER_ROOM / (int64_t)stride : 1;
    ss_code rc = SS_OK;

    for (int64_t r = 0, n; r < rows && rc == SS_OK && level; r += n) {
        size_t at, bytes;
        bool more;

        n = rows - r < most ? rows - r : most;
        if (n > 1) {
            rc = move_rows(m, r, n, stride, skip, level);
        } else if (piece_of(m, r % p->n_inputs, &at, &bytes, &more)) {
            const uint64_t place = (uint64_t)r * stride + skip + at;

            rc = move_piece(m, m->set->offset + place, m->to + place, bytes, more);
        }
    }
    return rc;
}

/* A share that has a part of an input has no place in a set without samples, unless that holds
 * counts. */
static ss_code check_set(const ss_gather_part *p, const ss_gather_set *set, ss_gather_share share,
                         ss_err *e)
{
    if (set->samples || set->counts ||
        (share.from % p->n_samples == 0 && share.end % p->n_samples == 0))
        return SS_OK;
    return ss_fail(e, SS_FORMAT, "%s: has samples %lld to %lld of an input, which %s cannot be of",
                   p->path, (long long)(share.from % p->n_samples),
                   (long long)(share.end % p->n_samples), set->name);
}

ss_code ss_gather_move(const ss_gather_files *f, ss_gather_share share, ss_gather_what what,
                       const char **differs, ss_err *e)
{
    ss_code rc = SS_OK;

    *differs = NULL;
    for (size_t i = 0; i < f->from->n_sets && rc == SS_OK && !*differs; i++) {
        const ss_gather_set *set = &f->from->sets[i];
        move m = {f, set, f->to_offsets[i], share, what, false, e};

        rc = check_set(f->from, set, share, e);
        if (rc == SS_OK)
            rc = move_set(&m);
        if (m.differs)
            *differs = set->name;
    }
    return rc;
}
