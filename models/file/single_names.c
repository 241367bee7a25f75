/* single_names.c - see single_names.h */
#include "models/file/single_names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { N_NUMBERS = 2, MAX_NUMBER = 9999 };

/* Parts of a name that a pattern left open. */
typedef struct {
    int number[N_NUMBERS], n;
    const char *rest; /* NULL: the pattern has no * */
} parts;

/* Reads a number without leading zeros; returns the byte after it, or NULL. */
static const char *read_number(const char *s, int *number)
{
    const char *from = s;

    for (*number = 0; isdigit((unsigned char)*s) && *number <= MAX_NUMBER; s++)
        *number = 10 * *number + (*s - '0');
    const bool fine = s > from && *number <= MAX_NUMBER && (*from != '0' || s == from + 1);
    return fine ? s : NULL;
}

static bool fits(const char *pattern, const char *name, parts *p)
{
    *p = (parts){0};
    for (; *pattern && *pattern != '*'; pattern++) {
        if (*pattern != '#') {
            if (*pattern != *name++)
                return false;
            continue;
        }
        name = read_number(name, &p->number[p->n++]);
        if (!name)
            return false;
    }
    if (*pattern == '*')
        p->rest = name;
    return *pattern ? *name != '\0' : *name == '\0';
}

/* A name under construction. */
typedef struct {
    char *out;
    size_t n;
    bool bad; /* too long, or without a place in the network */
} builder;

static void add(builder *b, const char *text)
{
    const size_t n = strlen(text);

    if (b->bad || b->n + n >= SS_NAME_MAX) {
        b->bad = true;
        return;
    }
    memcpy(b->out + b->n, text, n + 1);
    b->n += n;
}

static void add_number(builder *b, int number)
{
    char text[16];

    snprintf(text, sizeof text, "%d", number);
    add(b, text);
    b->bad |= number < 0;
}

static void add_variable(builder *b, char which, const ss_name_rule *r, const parts *p,
                         const ss_name_sizes *s)
{
    const int from_first = p->number[0] - r->first, per = s->per_block > 0 ? s->per_block : 1;

    switch (which) {
    case '1': add_number(b, p->number[0]); break;
    case '2': add_number(b, p->number[1]); break;
    case 'b': add_number(b, from_first < 0 ? -1 : from_first / per); break;
    case 'i': add_number(b, from_first < 0 ? -1 : from_first % per); break;
    case 'r': add_number(b, s->last - p->number[0]); break;
    case 'e': add(b, s->label); break;
    }
}

ss_name_fate ss_name_translate(const ss_name_rule *rules, const char *name,
                               const ss_name_sizes *sizes, char out[SS_NAME_MAX],
                               ss_values_change *change)
{
    const ss_name_rule *r = rules;
    builder b = {.out = out};
    char rest[SS_NAME_MAX];
    parts p;

    while (r->from && !fits(r->from, name, &p))
        r++;
    if (!r->from)
        return SS_NAME_UNKNOWN;
    if (!r->to)
        return SS_NAME_DROPPED;
    *change = r->change;
    if (r->rest) {
        const ss_name_fate f = ss_name_translate(r->rest, p.rest, sizes, rest, change);

        if (f != SS_NAME_TRANSLATED)
            return f;
        p.rest = rest;
    }
    out[0] = '\0';
    for (const char *t = r->to; *t; t++) {
        if (*t == '$')
            add_variable(&b, *++t, r, &p, sizes);
        else if (*t == '*')
            add(&b, p.rest);
        else
            add(&b, (const char[]){*t, '\0'});
    }
    return b.bad ? SS_NAME_UNKNOWN : SS_NAME_TRANSLATED;
}
