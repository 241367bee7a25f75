/* table_csv.c - see table.h: a table as CSV */
#include "base/mem.h"
#include "base/str.h"
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

static void csv_field(FILE *f, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

/* The shortest decimal that reads as the same double. */
static void csv_number(FILE *f, double x)
{
    char text[32];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    fputs(text, f);
}

static bool is_numeric(ss_col_kind kind)
{
    return kind == SS_COL_NUMBER || kind == SS_COL_AXIS;
}

static void csv_module(FILE *f, const json_t *cell, ss_str *also)
{
    const json_t *path;
    size_t i;

    if (json_is_object(cell))
        csv_field(f, json_string_value(json_object_get(cell, "path")));
    fputc(',', f);
    json_array_foreach(json_object_get(cell, "also"), i, path)
        ss_str_addf(also, "%s%s", i ? " " : "", json_string_value(path));
    csv_field(f, also->s && !also->failed ? also->s : "");
}

/* False: no memory. */
static bool csv_cell(FILE *f, const ss_table *t, size_t column, const json_t *cell)
{
    const ss_col_kind kind = ss_table_column_kind(t, column);
    ss_str also = {0};
    bool ok = true;

    if (kind == SS_COL_MODULE)
        csv_module(f, cell, &also);
    else if (json_is_integer(cell))
        fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(cell));
    else if (json_is_number(cell))
        csv_number(f, json_number_value(cell));
    else if (json_is_string(cell))
        csv_field(f, json_string_value(cell));
    else if (is_numeric(kind))
        fputs("nan", f);
    ok = !also.failed;
    ss_str_release(&also);
    return ok;
}

static bool csv_headings(FILE *f, const ss_table *t)
{
    bool ok = true;

    for (size_t i = 0; i < json_array_size(t->columns) && ok; i++) {
        char *also = ss_table_column_kind(t, i) == SS_COL_MODULE ? ss_table_also_name(t, i) : NULL;

        if (i)
            fputc(',', f);
        csv_field(f, ss_table_column_name(t, i));
        if (also) {
            fputc(',', f);
            csv_field(f, also);
        }
        ok = also || ss_table_column_kind(t, i) != SS_COL_MODULE;
        ss_free(also);
    }
    fputc('\n', f);
    return ok;
}

ss_code ss_table_csv(const ss_table *t, FILE *f, ss_err *e)
{
    const json_t *row;
    bool ok = !t->failed && csv_headings(f, t);
    size_t r;

    json_array_foreach(t->rows, r, row)
    {
        for (size_t i = 0; i < json_array_size(t->columns) && ok; i++) {
            if (i)
                fputc(',', f);
            ok = csv_cell(f, t, i, json_array_get(row, i));
        }
        if (ok)
            fputc('\n', f);
    }
    return ok ? SS_OK : ss_fail(e, SS_NOMEM, "table '%s': out of memory", t->title);
}
