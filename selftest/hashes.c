/* hashes.c - see hashes.h */
#include "selftest/hashes.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { MOST_BYTES = 1 << 24 };

struct ss_hashes {
    char *path;
    char *there; /* text of the file, or NULL */
    ss_str lines;
};

ss_code ss_hashes_open(const char *path, const char *text, ss_hashes **out, ss_err *e)
{
    ss_hashes *h = ss_calloc(1, sizeof *h);
    size_t n;
    ss_code rc = SS_OK;

    if (!h || !(h->path = ss_strdup(path)))
        rc = ss_no_memory(e, "hashes");
    else if (ss_file_exists(path))
        rc = ss_file_read(path, MOST_BYTES, &h->there, &n, e);
    else
        ss_str_addf(&h->lines, "# %s\n", text);
    if (rc != SS_OK) {
        ss_hashes_discard(h);
        return rc;
    }
    *out = h;
    return SS_OK;
}

bool ss_hashes_compares(const ss_hashes *h)
{
    return h->there;
}

/* The line of a name, or NULL. Names are whole: they follow the 16 digits and a space. */
static const char *find(const ss_hashes *h, const char *name)
{
    enum { DIGITS = 16 };
    const size_t length = strlen(name);

    for (const char *line = h->there; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const size_t n = strcspn(line, "\n");

        if (n == DIGITS + 1 + length && strncmp(line + DIGITS + 1, name, length) == 0)
            return line;
    }
    return NULL;
}

ss_code ss_hashes_put(ss_hashes *h, const char *name, const char *hex, bool *known, bool *same,
                      ss_err *e)
{
    const char *line = find(h, name);

    *known = line;
    *same = line && strncmp(line, hex, strlen(hex)) == 0;
    if (!h->there)
        ss_str_addf(&h->lines, "%s %s\n", hex, name);
    return h->lines.failed ? ss_no_memory(e, "hashes") : SS_OK;
}

void ss_hashes_discard(ss_hashes *h)
{
    if (!h)
        return;
    ss_free(h->path);
    ss_free(h->there);
    ss_str_release(&h->lines);
    ss_free(h);
}

ss_code ss_hashes_close(ss_hashes *h, ss_err *e)
{
    ss_outfile o = {0};
    ss_code rc = SS_OK;

    if (h && !h->there) {
        rc = ss_outfile_open(&o, h->path, e);
        if (rc == SS_OK) {
            fputs(h->lines.s, o.f);
            rc = ss_outfile_commit(&o, e);
        }
    }
    ss_hashes_discard(h);
    return rc;
}
