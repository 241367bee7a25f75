/* structure.c - see structure.h */
#include "base/structure.h"

#include "base/str.h"

#include <string.h>

static const char between[] = ", ";

/* The next path of a list, and its length; NULL at the end. */
static const char *next_path(const char **at, size_t *n)
{
    const char *path = *at, *end;

    if (!path || !*path)
        return NULL;
    end = strstr(path, between);
    *n = end ? (size_t)(end - path) : strlen(path);
    *at = end ? end + strlen(between) : path + *n;
    return path;
}

int ss_structure_count(const ss_structure_row *r)
{
    const char *at = r->modules;
    size_t length;
    int n = 0;

    while (next_path(&at, &length))
        n++;
    return n;
}

bool ss_structure_next(const char **at, char *out, size_t n)
{
    size_t length;
    const char *path = next_path(at, &length);

    if (!path)
        return false;
    length = length < n ? length : n - 1;
    memcpy(out, path, length);
    out[length] = '\0';
    return true;
}

bool ss_structure_names(const ss_structure_row *r, const char *module)
{
    const char *at = r->modules, *path;
    const size_t n = strlen(module);
    size_t length;

    while ((path = next_path(&at, &length))) {
        if (length == n && strncmp(path, module, n) == 0)
            return true;
    }
    return false;
}

ss_code ss_structure_table(const ss_structure_row *rows, int n, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "structure", e);

    if (rc != SS_OK)
        return rc;
    ss_table_note(t, "what lets activations grow, by kind and place");
#define X(name) ss_table_column(t, #name, SS_COL_TEXT, NULL);
    SS_STRUCTURE_TEXTS(X)
#undef X
    ss_table_column(t, "count", SS_COL_NUMBER, "%.0f");
    for (int i = 0; i < n; i++) {
        ss_table_row(t);
#define X(name) ss_table_text(t, rows[i].name);
        SS_STRUCTURE_TEXTS(X)
#undef X
        ss_table_number(t, ss_structure_count(&rows[i]));
    }
    return SS_OK;
}

ss_code ss_structure_summary(const ss_structure_row *rows, int n, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, "structure", e);

    if (rc != SS_OK)
        return rc;
    ss_table_column(t, "what lets activations grow", SS_COL_TEXT, NULL);
    ss_table_column(t, "modules", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "key that changes it", SS_COL_TEXT, NULL);
    for (int i = 0, next; i < n; i = next) {
        double count = 0;

        for (next = i; next < n && strcmp(rows[next].kind, rows[i].kind) == 0 &&
                       strcmp(rows[next].key, rows[i].key) == 0;
             next++)
            count += ss_structure_count(&rows[next]);
        ss_table_row(t);
        ss_table_text(t, rows[i].kind);
        ss_table_number(t, count);
        ss_table_text(t, *rows[i].key ? rows[i].key : "-");
    }
    return SS_OK;
}

/* The text with what is not printable escaped; a text of a file may be long, and is cut. */
static void print_text(const char *text, FILE *f)
{
    char shown[1000];

    fputs(ss_printable(text, shown, sizeof shown), f);
}

/* True when two rows differ in their place alone. */
static bool says_the_same(const ss_structure_row *a, const ss_structure_row *b)
{
    return strcmp(a->kind, b->kind) == 0 && strcmp(a->reads, b->reads) == 0 &&
           strcmp(a->why, b->why) == 0 && strcmp(a->key, b->key) == 0 &&
           strcmp(a->value, b->value) == 0 && strcmp(a->remedy, b->remedy) == 0;
}

static void print_clause(const ss_structure_row *r, FILE *f)
{
    print_text(r->kind, f);
    fputs(": ", f);
    print_text(r->reads, f);
    fputs("; ", f);
    print_text(r->why, f);
    fputs("\n  ", f);
    if (*r->key) {
        print_text(r->key, f);
        fputs(strcmp(r->value, "absent") == 0 ? " is " : " = ", f);
        print_text(r->value, f);
        fputs("; ", f);
    }
    print_text(r->remedy, f);
    fputs("\n", f);
}

void ss_structure_print(const ss_structure_row *rows, int n, int some, FILE *f)
{
    char path[1000];

    if (n > 0)
        fputs("structure\nwhat lets activations grow\n", f);
    for (int i = 0; i < n; i++) {
        const int count = ss_structure_count(&rows[i]);
        const char *at = rows[i].modules;

        if (i == 0 || !says_the_same(&rows[i - 1], &rows[i]))
            print_clause(&rows[i], f);
        fputs("    ", f);
        print_text(rows[i].place, f);
        for (int k = 0; k < some && ss_structure_next(&at, path, sizeof path); k++) {
            fputs(k ? ", " : "  ", f);
            print_text(path, f);
        }
        if (count > some)
            fprintf(f, " and %d more", count - some);
        fputs("\n", f);
    }
}
