/* table.c - see table.h */
#include "base/table.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <float.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

ss_code ss_table_init(ss_table *t, const char *title, ss_err *e)
{
    *t = (ss_table){.title = title, .columns = json_array(), .rows = json_array()};
    if (t->columns && t->rows)
        return SS_OK;
    ss_table_release(t);
    return ss_fail(e, SS_NOMEM, "table '%s': out of memory", title);
}

char *ss_table_title(const char *what, const char *name)
{
    ss_str s = {0};

    ss_str_addf(&s, "%s%s%s", what, *name ? " " : "", name);
    return ss_str_detach(&s);
}

void ss_table_release(ss_table *t)
{
    json_decref(t->columns);
    json_decref(t->rows);
    ss_free(t->note);
    *t = (ss_table){0};
}

void ss_table_note(ss_table *t, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ss_free(t->note);
    t->note = ss_strdup(text);
    t->failed |= !t->note;
}

void ss_table_spread(ss_table *t, int top)
{
    const int n = (int)json_array_size(t->rows);
    json_t *kept;
    char *note = t->note;

    if (top >= n)
        return;
    if (!(kept = json_array())) {
        t->failed = true;
        return;
    }
    for (int i = 0; i < top; i++) {
        const size_t at = top > 1 ? (size_t)((int64_t)i * (n - 1) / (top - 1)) : (size_t)n - 1;

        t->failed |= json_array_append(kept, json_array_get(t->rows, at)) != 0;
    }
    json_decref(t->rows);
    t->rows = kept;
    t->note = NULL;
    ss_table_note(t, "%s%s%d of %d rows, evenly", note ? note : "", note ? "; " : "", top, n);
    ss_free(note);
}

void ss_table_column(ss_table *t, const char *name, ss_col_kind kind, const char *format)
{
    json_t *column = json_pack("{s:s, s:i, s:s}", "name", name, "kind", (int)kind, "format",
                               format ? format : "%g");

    t->failed |= json_array_append_new(t->columns, column) != 0;
}

void ss_table_usual(ss_table *t, const char *text)
{
    json_t *column = json_array_get(t->columns, json_array_size(t->columns) - 1);

    t->failed |= json_object_set_new(column, "usual", json_string(text)) != 0;
}

void ss_table_drop(ss_table *t, const char *column)
{
    json_t *c, *row;
    size_t at, i;

    json_array_foreach(t->columns, at, c)
    {
        if (strcmp(json_string_value(json_object_get(c, "name")), column) != 0)
            continue;
        json_array_foreach(t->rows, i, row)
        {
            json_array_remove(row, at);
        }
        json_array_remove(t->columns, at);
        return;
    }
}

void ss_table_row(ss_table *t)
{
    t->failed |= json_array_append_new(t->rows, json_array()) != 0;
}

/* Takes the reference; a cell that could not be made is remembered. */
static void add_cell(ss_table *t, json_t *cell)
{
    json_t *row = json_array_get(t->rows, json_array_size(t->rows) - 1);

    t->failed |= json_array_append_new(row, cell) != 0;
}

/* A text as JSON, which cannot hold what is not UTF-8 as it is. */
static json_t *json_of(const char *text)
{
    const size_t n = strlen(text), room = 4 * n + 1;

    if (ss_utf8_valid(text, n))
        return json_string(text);
    char *shown = ss_alloc(room, 1);
    json_t *j = shown ? json_string(ss_printable(text, shown, room)) : NULL;

    ss_free(shown);
    return j;
}

void ss_table_text(ss_table *t, const char *text)
{
    add_cell(t, json_of(text));
}

void ss_table_none(ss_table *t)
{
    add_cell(t, json_null());
}

void ss_table_module(ss_table *t, const char *path, const char *const *also, int n_also)
{
    json_t *list = json_array();

    for (int i = 0; i < n_also; i++)
        t->failed |= json_array_append_new(list, json_of(also[i])) != 0;
    add_cell(t, json_pack("{s:o, s:o}", "path", json_of(path), "also", list));
}

void ss_table_number(ss_table *t, double value)
{
    add_cell(t, ss_json_from_number(value));
}

const char *ss_table_column_name(const ss_table *t, size_t column)
{
    return json_string_value(json_object_get(json_array_get(t->columns, column), "name"));
}

ss_col_kind ss_table_column_kind(const ss_table *t, size_t column)
{
    return (ss_col_kind)json_integer_value(
        json_object_get(json_array_get(t->columns, column), "kind"));
}

bool ss_table_is_usual(const ss_table *t, size_t column)
{
    const char *usual =
        json_string_value(json_object_get(json_array_get(t->columns, column), "usual"));
    const json_t *row;
    size_t r;

    json_array_foreach(t->rows, r, row)
    {
        const json_t *cell = json_array_get(row, column);

        if (!usual || (json_is_string(cell) && strcmp(json_string_value(cell), usual) != 0))
            return false;
    }
    return usual != NULL;
}

/* Adds a piece of a chain: without `outer` before it, where it begins with that. */
static void add_piece(ss_str *out, const char *outer, const char *path)
{
    const size_t n = outer ? strlen(outer) : 0;

    if (outer)
        ss_str_add(out, " = ");
    ss_str_add(out, n && strncmp(path, outer, n) == 0 && path[n] == '.' ? path + n : path);
}

char *ss_table_chain(const char *path, const char *const *also, int n_also)
{
    ss_str out = {0};

    for (int i = 0; i <= n_also; i++)
        add_piece(&out, i ? also[i - 1] : NULL, i < n_also ? also[i] : path);
    return ss_str_detach(&out);
}

/* Appends a text with control characters shown as \xNN. */
static void add_printable(ss_str *out, const char *text)
{
    const size_t room = 4 * strlen(text) + 1;
    char *shown = ss_alloc(room, 1);

    ss_str_add(out, shown ? ss_printable(text, shown, room) : "");
    out->failed |= !shown;
    ss_free(shown);
}

static void add_module(ss_str *out, const json_t *cell)
{
    const char *outer = NULL;
    const json_t *also;
    size_t i;
    ss_str chain = {0};

    json_array_foreach(json_object_get(cell, "also"), i, also)
    {
        add_piece(&chain, outer, json_string_value(also));
        outer = json_string_value(also);
    }
    add_piece(&chain, outer, json_string_value(json_object_get(cell, "path")));
    if (!chain.failed)
        add_printable(out, chain.s);
    out->failed |= chain.failed;
    ss_str_release(&chain);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The fewest digits, from 4, with which different values of a column look different. */
static int find_digits(const ss_table *t, size_t column)
{
    enum { FEWEST = 4, MOST = 17 };
    double *x = ss_alloc(json_array_size(t->rows) + 1, sizeof *x);
    const json_t *row;
    size_t r, n = 0;
    int digits = FEWEST;

    json_array_foreach(t->rows, r, row)
    {
        if (x && json_is_number(json_array_get(row, column)))
            x[n++] = json_number_value(json_array_get(row, column));
    }
    if (n)
        qsort(x, n, sizeof *x, by_value);
    for (size_t i = 1; i < n; i++) {
        char left[32], right[32];

        for (; x[i - 1] < x[i] && digits < MOST; digits++) {
            snprintf(left, sizeof left, "%.*g", digits, x[i - 1]);
            snprintf(right, sizeof right, "%.*g", digits, x[i]);
            if (strcmp(left, right) != 0)
                break;
        }
    }
    ss_free(x);
    return digits;
}

/* The same, kept in the column until there are more rows. */
static int digits_of(const ss_table *t, size_t column)
{
    json_t *c = json_array_get(t->columns, column), *kept = json_object_get(c, "digits");
    const json_int_t n = (json_int_t)json_array_size(t->rows);

    if (!kept || json_integer_value(json_object_get(c, "of rows")) != n) {
        json_object_set_new(c, "digits", json_integer(find_digits(t, column)));
        json_object_set_new(c, "of rows", json_integer(n));
        kept = json_object_get(c, "digits");
    }
    return kept ? (int)json_integer_value(kept) : DBL_DECIMAL_DIG;
}

static void add_number(ss_str *out, const ss_table *t, size_t column, double x)
{
    const char *format =
        json_string_value(json_object_get(json_array_get(t->columns, column), "format"));
    char text[400]; /* of %.4f of the largest double, 315 */

    if (ss_table_column_kind(t, column) == SS_COL_AXIS)
        snprintf(text, sizeof text, "%.*g", digits_of(t, column), x);
    else
        snprintf(text, sizeof text, format, x);
    ss_str_add(out, text);
}

char *ss_table_cell(const ss_table *t, size_t row, size_t column)
{
    const json_t *cell = json_array_get(json_array_get(t->rows, row), column);
    ss_str out = {0};

    ss_str_add(&out, "");
    if (json_is_string(cell))
        add_printable(&out, json_string_value(cell));
    else if (json_is_object(cell))
        add_module(&out, cell);
    else if (json_is_number(cell))
        add_number(&out, t, column, json_number_value(cell));
    else
        ss_str_add(&out, "-");
    return ss_str_detach(&out);
}

char *ss_table_also_name(const ss_table *t, size_t column)
{
    const char *name = ss_table_column_name(t, column);

    return strcmp(name, "module") == 0 ? ss_strdup("also") : ss_table_title(name, "also");
}

/* Sets a cell of a row's object, or two of a module; false: no memory. */
static bool set_cell(json_t *object, const ss_table *t, size_t column, json_t *cell)
{
    const char *name = ss_table_column_name(t, column);
    json_t *path = json_object_get(cell, "path"), *list = json_object_get(cell, "also");

    if (ss_table_column_kind(t, column) != SS_COL_MODULE)
        return json_object_set_new(object, name, cell ? json_incref(cell) : json_null()) == 0;

    char *also = ss_table_also_name(t, column);
    const bool ok =
        also && json_object_set_new(object, name, path ? json_incref(path) : json_null()) == 0 &&
        json_object_set_new(object, also, list ? json_incref(list) : json_array()) == 0;
    ss_free(also);
    return ok;
}

json_t *ss_table_json(const ss_table *t)
{
    json_t *rows = json_array(), *root, *row;
    bool failed = t->failed || !rows;
    size_t r;

    json_array_foreach(t->rows, r, row)
    {
        json_t *object = json_object();

        for (size_t i = 0; i < json_array_size(t->columns); i++)
            failed |= !set_cell(object, t, i, json_array_get(row, i));
        failed |= json_array_append_new(rows, object) != 0;
    }
    root = failed ? NULL
                  : json_pack("{s:s, s:s?, s:O}", "title", t->title, "note", t->note, "rows", rows);
    json_decref(rows);
    return root;
}
