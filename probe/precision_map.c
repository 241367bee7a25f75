/* precision_map.c - see precision_map.h */
#include "probe/precision_map.h"

#include "base/file.h"
#include "base/format.h"
#include "base/mem.h"
#include "base/str.h"

#include <string.h>

/* Checks a rule, which it leaves as it was. */
static ss_code check(char *rule, ss_err *e)
{
    char *eq = strrchr(rule, '=');
    ss_format f;

    if (!eq)
        return ss_fail(e, SS_USAGE, "expected GLOB=FMT, not '%s'", SS_SHOW(rule));
    *eq = '\0';
    ss_code rc = ss_glob_check(rule, e);
    *eq = '=';
    return rc == SS_OK ? ss_format_parse(eq + 1, &f, e) : rc;
}

/* Cuts blanks off both ends. */
static char *strip(char *line)
{
    static const char blank[] = " \t\r";
    size_t n;

    line += strspn(line, blank);
    for (n = strlen(line); n && strchr(blank, line[n - 1]); n--)
        line[n - 1] = '\0';
    return line;
}

static ss_code add(const char *rule, char ***rules, int *n, ss_err *e)
{
    char **grown = ss_realloc(*rules, (size_t)*n + 1, sizeof *grown);

    if (grown) {
        *rules = grown;
        grown[*n] = ss_strdup(rule);
    }
    if (!grown || !grown[*n])
        return ss_no_memory(e, "--precision-map");
    ++*n;
    return SS_OK;
}

ss_code ss_precision_map_read(const char *path, char ***rules, int *n, ss_err *e)
{
    char *text = NULL;
    size_t size = 0;
    int number = 0;

    *rules = NULL;
    *n = 0;
    ss_code rc = ss_file_read(path, SS_PRECISION_MAP_BYTES, &text, &size, e);
    if (rc == SS_OK && strlen(text) != size)
        rc = ss_fail(e, SS_FORMAT, "%s: is no text, it has a zero byte", path);
    for (char *line = text, *next; rc == SS_OK && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        line = strip(line);
        if (!*line || *line == '#')
            continue;
        rc = check(line, e);
        if (rc != SS_OK)
            ss_fail_prefix(e, "%s:%d", path, number);
        else
            rc = add(line, rules, n, e);
    }
    ss_free(text);
    if (rc != SS_OK) {
        for (int i = 0; i < *n; i++)
            ss_free((*rules)[i]);
        ss_free(*rules);
        *rules = NULL;
        *n = 0;
    }
    return rc;
}
