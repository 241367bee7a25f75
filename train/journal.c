/* journal.c - see journal.h */
#include "train/journal.h"

#include "base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct ss_journal {
    FILE *f;
    char *path;
};

enum { LINE = 1 << 16 };

/* The step of a line; -1 if the line is incomplete. */
static int64_t step_of(const char *line)
{
    const size_t n = strlen(line);
    json_t *o = n && line[n - 1] == '\n' ? json_loads(line, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const json_t *step = json_object_get(o, "step");
    const int64_t s = json_is_integer(step) ? json_integer_value(step) : -1;

    json_decref(o);
    return s;
}

/* Finds how much of the file is kept. */
static ss_code find_end(FILE *f, const char *path, int64_t last, off_t *end, ss_err *e)
{
    char *line = ss_alloc(LINE, 1);
    ss_code rc = line ? SS_OK : ss_no_memory(e, path);

    *end = 0;
    while (rc == SS_OK && fgets(line, LINE, f)) {
        const int64_t s = step_of(line);

        if (s < 0 || s > last)
            break;
        *end = ftello(f);
    }
    if (rc == SS_OK && ferror(f))
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    ss_free(line);
    return rc;
}

ss_code ss_journal_open(const char *path, int64_t last, ss_journal **out, ss_err *e)
{
    ss_journal *j = ss_calloc(1, sizeof *j);
    off_t end = 0;
    ss_code rc;

    if (!j || !(j->path = ss_strdup(path))) {
        ss_free(j);
        return ss_no_memory(e, path);
    }
    j->f = fopen(path, "a+e");
    if (!j->f || fseeko(j->f, 0, SEEK_SET) != 0)
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    else
        rc = find_end(j->f, path, last, &end, e);
    if (rc == SS_OK && (ftruncate(fileno(j->f), end) != 0 || fseeko(j->f, 0, SEEK_END) != 0))
        rc = ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
    if (rc != SS_OK) {
        if (j->f)
            fclose(j->f);
        ss_free(j->path);
        ss_free(j);
        return rc;
    }
    *out = j;
    return SS_OK;
}

ss_code ss_journal_add(ss_journal *j, json_t *line, ss_err *e)
{
    enum { DIGITS = 9 }; /* of f32 */
    ss_code rc = SS_OK;

    if (!line)
        return ss_no_memory(e, j->path);
    if (json_dumpf(line, j->f, JSON_COMPACT | JSON_REAL_PRECISION(DIGITS)) != 0 ||
        fputc('\n', j->f) == EOF)
        rc = ss_fail(e, SS_IO, "%s: %s", j->path, strerror(errno));
    json_decref(line);
    return rc;
}

ss_code ss_journal_sync(ss_journal *j, ss_err *e)
{
    if (fflush(j->f) != 0 || fdatasync(fileno(j->f)) != 0)
        return ss_fail(e, SS_IO, "%s: %s", j->path, strerror(errno));
    return SS_OK;
}

ss_code ss_journal_close(ss_journal *j, ss_err *e)
{
    ss_code rc;

    if (!j)
        return SS_OK;
    rc = ss_journal_sync(j, e);
    if (fclose(j->f) != 0 && rc == SS_OK)
        rc = ss_fail(e, SS_IO, "%s: %s", j->path, strerror(errno));
    ss_free(j->path);
    ss_free(j);
    return rc;
}

json_t *ss_journal_number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}
