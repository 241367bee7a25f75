/* run_steps.c - gives a training's run file another number of steps; see run_file.h
 *
 * Every data set has the steps as an axis, so all of them move: a new file is made beside the old
 * one, gets the columns of the steps that both have, and then takes the old one's name. A process
 * that is killed leaves the old file or the new one, whole.
 */
#include "base/mem.h"
#include "base/str.h"
#include "base/unfinished.h"
#include "runfile/h5.h"
#include "runfile/run_layout.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Both files, while columns are copied. */
typedef struct {
    const char *path;
    int from, to; /* file descriptors */
    const ss_run_layout *old, *now;
    char *room; /* for the longest row of a column */
} copying;

static ss_code read_row(const copying *c, size_t n, uint64_t at, ss_err *e)
{
    for (size_t done = 0; done < n;) {
        const ssize_t k = pread(c->from, c->room + done, n - done, (off_t)(at + done));

        if (k > 0)
            done += (size_t)k;
        else if (k == 0 || errno != EINTR)
            return ss_fail(e, SS_IO, "%s: %s", c->path, k ? strerror(errno) : "it is too short");
    }
    return SS_OK;
}

static ss_code write_row(const copying *c, const void *row, size_t n, uint64_t at, ss_err *e)
{
    for (size_t done = 0; done < n;) {
        const ssize_t k = pwrite(c->to, (const char *)row + done, n - done, (off_t)(at + done));

        if (k > 0)
            done += (size_t)k;
        else if (k == 0 || errno != EINTR)
            return ss_fail(e, SS_IO, "%s: %s", c->path, strerror(k ? errno : ENOSPC));
    }
    return SS_OK;
}

/* Copies column t of the old file to column s of the new one. */
static ss_code copy_column(const copying *c, int t, int s, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < c->now->n_sets; i++) {
        const ss_run_set *a = &c->old->sets[i], *b = &c->now->sets[i];

        assert(a->inner_bytes == b->inner_bytes && a->outer == b->outer);
        for (int64_t o = 0; o < b->outer && rc == SS_OK; o++) {
            const uint64_t from = (uint64_t)(o * c->old->n_sigmas + t) * a->inner_bytes;
            const uint64_t to = (uint64_t)(o * c->now->n_sigmas + s) * b->inner_bytes;

            rc = read_row(c, a->inner_bytes, a->offset + from, e);
            if (rc == SS_OK)
                rc = write_row(c, c->room, b->inner_bytes, b->offset + to, e);
        }
    }
    return rc;
}

static ss_code sync_file(const copying *c, ss_err *e)
{
    return fsync(c->to) == 0 ? SS_OK : ss_fail(e, SS_IO, "%s: %s", c->path, strerror(errno));
}

/* Copies the columns; marks one as done only once it is on disk. */
static ss_code copy_columns(const copying *c, const ss_run_spec *was, const ss_run_spec *now,
                            const uint8_t *done, ss_err *e)
{
    static const uint8_t yes = 1;
    ss_code rc = SS_OK;

    for (int pass = 0; pass < 2 && rc == SS_OK; pass++) {
        for (int s = 0, t = 0; s < now->n_sigmas && rc == SS_OK; s++) {
            while (t < was->n_sigmas && was->steps[t] < now->steps[s])
                t++;
            if (t == was->n_sigmas || was->steps[t] != now->steps[s] || !done[t])
                continue;
            rc = pass ? write_row(c, &yes, 1, c->now->done_offset + (uint64_t)s, e)
                      : copy_column(c, t, s, e);
        }
        if (rc == SS_OK)
            rc = sync_file(c, e);
    }
    return rc;
}

static ss_code read_weights(hid_t file, const char *name, hid_t type, int n, void *out, ss_err *e)
{
    char path[32];
    const hsize_t start = 0, count = (hsize_t)n;

    snprintf(path, sizeof path, "/weights/%s", name);
    hid_t set = ss_h5_has(file, path) ? H5Dopen2(file, path, H5P_DEFAULT) : -1;
    if (set < 0)
        return ss_fail(e, SS_FORMAT, "%s is missing", path);
    const ss_code rc = ss_h5_read(set, path, 1, &start, &count, type, out, e);
    H5Dclose(set);
    return rc;
}

/* Sets the sizes of the weights to those in the old file, which are from the beginning of the
 * training. */
static ss_code keep_weights(const char *path, ss_run_parameter *p, int n, ss_err *e)
{
    float *values = ss_alloc((size_t)n, 2 * sizeof *values);
    uint64_t *counts = ss_alloc((size_t)n, sizeof *counts);
    hid_t file = -1;
    ss_code rc = SS_OK;

    if (!values || !counts)
        rc = ss_no_memory(e, "steps of a run");
    else if ((file = ss_h5_open(path, false, e)) < 0)
        rc = SS_FORMAT;
    if (rc == SS_OK)
        rc = read_weights(file, "absmax", H5T_NATIVE_FLOAT, n, values, e);
    if (rc == SS_OK)
        rc = read_weights(file, "rms", H5T_NATIVE_FLOAT, n, values + n, e);
    if (rc == SS_OK)
        rc = read_weights(file, "nonfinite", H5T_NATIVE_UINT64, n, counts, e);
    for (int i = 0; i < n && rc == SS_OK; i++) {
        p[i].absmax = values[i];
        p[i].rms = values[n + i];
        p[i].nonfinite = counts[i];
    }
    if (file >= 0)
        H5Fclose(file);
    ss_free(values);
    ss_free(counts);
    return rc;
}

static ss_code make_new(const char *tmp, const char *path, const ss_run_spec *was,
                        const ss_run_spec *now, const ss_run_layout *old, ss_run_layout *l,
                        const uint8_t *done, ss_err *e)
{
    size_t longest = 1;
    copying c = {.path = path, .from = -1, .to = -1, .old = old, .now = l};
    ss_code rc = ss_run_skeleton(tmp, path, now, l, e);

    if (rc != SS_OK)
        return rc;
    for (size_t i = 0; i < l->n_sets; i++)
        longest = l->sets[i].inner_bytes > longest ? l->sets[i].inner_bytes : longest;
    c.from = open(path, O_RDONLY | O_CLOEXEC);
    c.to = open(tmp, O_RDWR | O_CLOEXEC);
    if (c.from < 0 || c.to < 0)
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    else if (!(c.room = ss_alloc(longest, 1)))
        rc = ss_no_memory(e, path);
    else
        rc = copy_columns(&c, was, now, done, e);
    ss_free(c.room);
    if (c.from >= 0)
        close(c.from);
    if (c.to >= 0 && close(c.to) != 0 && rc == SS_OK)
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    return rc;
}

/* Does the work of ss_run_change_steps; the caller owns old, new and done. */
static ss_code change(const char *path, const ss_run_spec *was, ss_run_spec *now,
                      ss_run_layout *old, ss_run_layout *l, uint8_t *done,
                      ss_run_parameter *parameters, ss_err *e)
{
    ss_str tmp = {0};
    ss_code rc = ss_run_check(path, was, old, done, e);

    if (rc == SS_OK && now->n_parameters) {
        memcpy(parameters, now->parameters, (size_t)now->n_parameters * sizeof *parameters);
        rc = keep_weights(path, parameters, now->n_parameters, e);
        if (rc != SS_OK)
            ss_fail_prefix(e, "%s", path);
        now->parameters = parameters;
    }
    ss_str_addf(&tmp, "%s.tmp-%ld", path, (long)getpid());
    if (rc == SS_OK && tmp.failed)
        rc = ss_no_memory(e, path);
    if (rc == SS_OK) {
        unlink(tmp.s); /* left by a killed process with our process id */
        ss_unfinished_add(tmp.s);
        rc = make_new(tmp.s, path, was, now, old, l, done, e);
        ss_unfinished_hold();
        if (rc == SS_OK && rename(tmp.s, path) != 0)
            rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
        if (rc != SS_OK)
            unlink(tmp.s);
        ss_unfinished_let_go(tmp.s);
    }
    ss_str_release(&tmp);
    return rc;
}

ss_code ss_run_change_steps(const char *path, const ss_run_spec *was, const ss_run_spec *now,
                            ss_err *e)
{
    ss_run_layout old = {0}, l = {0};
    ss_run_spec spec = *now;
    uint8_t *done = ss_calloc((size_t)was->n_sigmas, 1);
    ss_run_parameter *parameters = ss_alloc((size_t)now->n_parameters + 1, sizeof *parameters);
    ss_code rc = done && parameters ? SS_OK : ss_no_memory(e, path);

    assert(was->steps && now->steps);
    if (rc == SS_OK && ((rc = ss_run_layout_make(&old, was, e)) != SS_OK ||
                        (rc = ss_run_layout_make(&l, now, e)) != SS_OK))
        ss_fail_prefix(e, "%s", path);
    if (rc == SS_OK)
        rc = change(path, was, &spec, &old, &l, done, parameters, e);
    ss_run_layout_release(&old);
    ss_run_layout_release(&l);
    ss_free(done);
    ss_free(parameters);
    return rc;
}
