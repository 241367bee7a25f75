/* shard.c - see shard.h */
#include "probe/shard.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* The end of the work that begins with sample `from` of a noise level: of one pass, or of several
 * that stay together. */
static int64_t end_of(const ss_shard_work *w, int64_t from)
{
    const int64_t level = (int64_t)w->inputs * w->samples;
    int64_t end = from;

    do {
        end += w->batch;
    } while (end < level && w->whole_inputs && end % w->samples);
    return end < level ? end : level;
}

ss_run_part ss_shard_part(ss_shard s, const ss_shard_work *w)
{
    const int64_t level = (int64_t)w->inputs * w->samples, all = level * w->levels;
    ss_run_part part = {.index = s.index, .count = s.count, .first = all, .end = all};

    if (!s.count)
        return (ss_run_part){0, 1, 0, all};
    for (int64_t a = 0, b; a < all; a = b) {
        b = a - a % level + end_of(w, a % level);
        const int64_t of = (int64_t)((__int128)s.count * (a + b) / (2 * all));

        if (of >= s.index && part.first == all)
            part.first = a;
        if (of > s.index) {
            part.end = a;
            break;
        }
    }
    return part;
}

/* The length of a path without ".h5", if it ends so. */
static size_t stem_of(const char *path)
{
    static const char end[] = ".h5";
    const size_t n = strlen(path), last = sizeof end - 1;

    return n > last && strcmp(path + n - last, end) == 0 ? n - last : n;
}

char *ss_shard_path(const char *whole, ss_shard s)
{
    const size_t n = stem_of(whole);

    return ss_textf("%.*s.%d-of-%d%s", (int)n, whole, s.index, s.count, whole + n);
}

bool ss_shard_parse(const char *text, ss_shard *s)
{
    int end = 0;

    if (sscanf(text, "%7d/%7d%n", &s->index, &s->count, &end) != 2 || text[end] || text[0] < '0' ||
        text[0] > '9')
        return false;
    return s->count >= 1 && s->count <= SS_MAX_SHARDS && s->index >= 0 && s->index < s->count;
}

ss_code ss_shard_parse_path(const char *path, char **whole, ss_shard *s, ss_err *e)
{
    const size_t n = stem_of(path);
    size_t at = n;
    int end = 0;

    *whole = NULL;
    while (at > 0 && path[at - 1] != '.' && path[at - 1] != '/')
        at--;
    if (at < 2 || path[at - 1] != '.' || path[at] < '0' || path[at] > '9' ||
        sscanf(path + at, "%7d-of-%7d%n", &s->index, &s->count, &end) != 2 || at + (size_t)end != n)
        return SS_OK;
    *whole = ss_textf("%.*s%s", (int)at - 1, path, path + n);
    return *whole ? SS_OK : ss_no_memory(e, "a name");
}
