/* glob.c - shell globs over module paths, see str.h
 *
 * A pattern is read as a nondeterministic automaton whose states are the positions in
 * the pattern. The set of live positions is moved over the text byte by byte:
 *
 *   a ? [..]   eat one byte and step past the item
 *   *          eats one byte and stays; or is stepped over for free
 *   { , }      free: { leads to the start of every alternative, the , or } that ends an
 *              alternative leads past the group
 *
 * Every free step goes forward, so one ascending pass closes the set, and no pattern
 * can make the match take more than text times pattern steps.
 *
 * Source: Thompson 1968, "Regular expression search algorithm", CACM 11(6).
 */
#include "base/str.h"

#include <string.h>

enum { GLOB_MAX = 1023 }; /* bytes of a pattern: the state sets live on the stack */

typedef struct {
    size_t n;
    uint16_t next[GLOB_MAX + 1];  /* [: after its ]. { and , of a group: its next , or } */
    uint16_t close[GLOB_MAX + 1]; /* , and } of a group: after the } */
} links;

/* Position after the ] of the set that opens at p[i], or 0 when it stays open. A ]
 * that comes first is a member, as in the shell. */
static size_t set_end(const char *p, size_t i)
{
    i++;
    if (p[i] == '!')
        i++;
    if (p[i] == ']')
        i++;
    while (p[i] && p[i] != ']')
        i++;
    return p[i] ? i + 1 : 0;
}

/* Fills the links of a group whose { is at p[open] and whose } is at p[end]. */
static void close_group(links *l, size_t open, size_t end)
{
    for (size_t i = open; i != end;) {
        i = l->next[i];
        l->close[i] = (uint16_t)(end + 1);
    }
}

/* Finds where sets and groups end. Returns NULL, or what is wrong with the pattern. */
static const char *link_pattern(const char *p, links *l)
{
    uint16_t open[GLOB_MAX], last[GLOB_MAX]; /* of the groups around i: {, latest { or , */
    size_t depth = 0, i;

    l->n = strlen(p);
    if (l->n > GLOB_MAX)
        return "is longer than 1023 bytes";
    memset(l->next, 0, sizeof l->next);
    memset(l->close, 0, sizeof l->close);
    for (i = 0; i < l->n; i++) {
        if (p[i] == '[') {
            size_t end = set_end(p, i);

            if (end == 0)
                return "has a '[' without its ']'";
            l->next[i] = (uint16_t)end;
            i = end - 1;
        } else if (p[i] == '{') {
            open[depth] = last[depth] = (uint16_t)i;
            depth++;
        } else if (depth && (p[i] == ',' || p[i] == '}')) {
            l->next[last[depth - 1]] = (uint16_t)i;
            last[depth - 1] = (uint16_t)i;
            if (p[i] == '}') {
                depth--;
                close_group(l, open[depth], i);
            }
        }
    }
    return depth ? "has a '{' without its '}'" : NULL;
}

/* Is c in the set [...] whose first byte after the [ is p[i] and that ends at p[end - 1]? */
static bool in_set(const char *p, size_t i, size_t end, unsigned char c)
{
    bool negate = p[i] == '!', found = false;

    for (i += negate; i < end - 1; i++) {
        unsigned char lo = (unsigned char)p[i], hi = lo;

        if (p[i + 1] == '-' && i + 2 < end - 1) {
            hi = (unsigned char)p[i + 2];
            i += 2;
        }
        found |= c >= lo && c <= hi;
    }
    return found != negate;
}

/* Follows the free steps from every live position. */
static void close_set(const char *p, const links *l, bool *live)
{
    for (size_t i = 0; i < l->n; i++) {
        if (!live[i])
            continue;
        if (p[i] == '*') {
            live[i + 1] = true;
        } else if (p[i] == '{') {
            for (size_t alt = i; p[alt] != '}'; alt = l->next[alt])
                live[alt + 1] = true;
        } else if (l->close[i]) {
            live[l->close[i]] = true;
        }
    }
}

/* to = the positions that are live after the byte c; literal: only those where c is written. */
static void step(const char *p, const links *l, const bool *from, bool *to, unsigned char c,
                 bool literal)
{
    memset(to, 0, l->n + 1);
    for (size_t i = 0; i < l->n; i++) {
        if (!from[i])
            continue;
        if (p[i] == '*')
            to[i] = !literal;
        else if (p[i] == '[')
            to[l->next[i]] |= !literal && in_set(p, i + 1, l->next[i], c);
        else if (p[i] != '{' && !l->close[i])
            to[i + 1] |= p[i] == '?' ? !literal : (unsigned char)p[i] == c;
    }
}

/* first_literal: no wildcard stands for the first byte. */
static bool match(const char *pattern, const char *text, bool first_literal)
{
    links l;
    bool sets[2][GLOB_MAX + 1] = {{true}};
    int now = 0;

    if (link_pattern(pattern, &l))
        return false;
    close_set(pattern, &l, sets[now]);
    for (const char *c = text; *c; c++) {
        step(pattern, &l, sets[now], sets[!now], (unsigned char)*c, first_literal && c == text);
        now = !now;
        close_set(pattern, &l, sets[now]);
    }
    return sets[now][l.n];
}

bool ss_glob_match(const char *pattern, const char *text)
{
    return match(pattern, text, false);
}

bool ss_glob_module(const char *pattern, const char *path)
{
    if (*path && strcmp(path, SS_ROOT) != 0)
        return match(pattern, path, false);
    return match(pattern, "", false) || match(pattern, SS_ROOT, true);
}

ss_code ss_glob_check(const char *pattern, ss_err *e)
{
    links l;
    char shown[80];
    const char *wrong = link_pattern(pattern, &l);

    if (!wrong)
        return SS_OK;
    return ss_fail(e, SS_USAGE, "pattern '%s' %s", ss_printable(pattern, shown, sizeof shown),
                   wrong);
}
