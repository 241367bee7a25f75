/* precision_text.c - see precision_text.h */
#include "runfile/precision_text.h"

#include "base/format.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Adds a part: a format alone or before " (", or a map's after its last '='. */
static void add_part(const char *part, size_t n, ss_str *out)
{
    char name[SS_FORMAT_NAME];
    ss_format f;
    size_t from = n, to = 0;

    while (from && part[from - 1] != '=')
        from--;
    while (from + to < n && part[from + to] != ' ')
        to++;
    snprintf(name, sizeof name, "%.*s", to < sizeof name ? (int)to : 0, part + from);
    ss_str_addn(out, part, from);
    if (ss_format_read(name, &f))
        ss_str_add(out, f.name);
    else
        ss_str_addn(out, part + from, to);
    ss_str_addn(out, part + from + to, n - from - to);
}

char *ss_precision_text(const char *text)
{
    ss_str out = {0};

    ss_str_add(&out, "");
    for (const char *next; *text; text = next) {
        next = strstr(text, ", ");
        next = next ? next : text + strlen(text);
        add_part(text, (size_t)(next - text), &out);
        if (*next) {
            ss_str_add(&out, ", ");
            next += 2;
        }
    }
    return ss_str_detach(&out);
}
