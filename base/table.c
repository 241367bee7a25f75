/* table.c - see table.h */
#include "base/table.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    CELL = 256,    /* bytes of a printed cell */
    GAP = 2,       /* spaces between columns */
    MIN_TEXT = 12, /* a shortened column still shows both ends of a text */
};

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

void ss_table_text(ss_table *t, const char *text)
{
    char shown[4 * CELL];

    if (!ss_utf8_valid(text, strlen(text))) /* JSON cannot hold it as it is */
        text = ss_printable(text, shown, sizeof shown);
    add_cell(t, json_string(text));
}

void ss_table_number(ss_table *t, double value)
{
    add_cell(t, ss_json_from_number(value));
}

/* Characters that a terminal shows for well-formed UTF-8. */
static int display_width(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Byte offset of character i. */
static size_t offset_of(const char *s, int i)
{
    const char *p = s;

    for (; *p; p++) {
        if (((unsigned char)*p & 0xc0) != 0x80 && i-- == 0)
            break;
    }
    return (size_t)(p - s);
}

/* Takes characters out of the middle until width are left: down_bl..resnets.1 */
static void shorten(char *s, int width)
{
    int n = display_width(s), head = (width - 1) / 2, tail = width - 2 - head;

    if (n <= width)
        return;
    size_t from = offset_of(s, head), to = offset_of(s, n - tail);

    s[from] = s[from + 1] = '.';
    memmove(s + from + 2, s + to, strlen(s + to) + 1);
}

static const char *column_name(const ss_table *t, size_t i)
{
    return json_string_value(json_object_get(json_array_get(t->columns, i), "name"));
}

static bool is_text(const ss_table *t, size_t i)
{
    return json_integer_value(json_object_get(json_array_get(t->columns, i), "kind")) ==
           SS_COL_TEXT;
}

/* The cell of a row as it is printed. A row that ends early is filled with "-". */
static const char *cell_text(const ss_table *t, const json_t *row, size_t i, char out[CELL])
{
    const json_t *cell = json_array_get(row, i);

    if (json_is_string(cell))
        return ss_printable(json_string_value(cell), out, CELL);
    if (json_is_number(cell)) {
        const char *format =
            json_string_value(json_object_get(json_array_get(t->columns, i), "format"));

        snprintf(out, CELL, format, json_number_value(cell));
        return out;
    }
    return "-";
}

static int column_width(const ss_table *t, size_t i)
{
    int width = display_width(column_name(t, i));
    char text[CELL];
    const json_t *row;
    size_t r;

    json_array_foreach(t->rows, r, row)
    {
        int w = display_width(cell_text(t, row, i, text));

        width = w > width ? w : width;
    }
    return width;
}

static int terminal_width(FILE *f)
{
    struct winsize size;

    if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 100;
}

static void print_cell(FILE *f, const ss_table *t, size_t i, const char *text, int width)
{
    int pad = width - display_width(text);
    bool last = i + 1 == json_array_size(t->columns);

    if (!is_text(t, i))
        fprintf(f, "%*s%s", pad, "", text);
    else if (last)
        fputs(text, f); /* no blanks at the end of a line */
    else
        fprintf(f, "%s%*s", text, pad, "");
    fprintf(f, "%*s", last ? 0 : GAP, "");
}

/* Takes `over` characters from the text columns, always from the widest, down to MIN_TEXT. */
static void narrow(const ss_table *t, int *widths, int over)
{
    size_t n = json_array_size(t->columns);

    for (; over > 0; over--) {
        size_t widest = n;

        for (size_t i = 0; i < n; i++) {
            if (is_text(t, i) && widths[i] > (widest < n ? widths[widest] : MIN_TEXT))
                widest = i;
        }
        if (widest == n)
            return;
        widths[widest]--;
    }
}

void ss_table_print(const ss_table *t, FILE *f, int width)
{
    size_t n = json_array_size(t->columns), r;
    int *widths = ss_calloc(n, sizeof *widths), total = 0;
    char text[CELL];
    const json_t *row;

    if (!widths || t->failed) {
        fprintf(f, "%s: out of memory\n", t->title);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        widths[i] = column_width(t, i);
        total += widths[i] + (i ? GAP : 0);
    }
    if (width <= 0)
        width = terminal_width(f);
    narrow(t, widths, total - width);

    fprintf(f, "%s\n", t->title);
    if (t->note)
        fprintf(f, "%s\n", t->note);
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s", column_name(t, i));
        shorten(text, widths[i]);
        print_cell(f, t, i, text, widths[i]);
    }
    fputc('\n', f);
    json_array_foreach(t->rows, r, row)
    {
        for (size_t i = 0; i < n; i++) {
            const char *cell = cell_text(t, row, i, text);

            if (cell == text)
                shorten(text, widths[i]);
            print_cell(f, t, i, cell, widths[i]);
        }
        fputc('\n', f);
    }
out:
    ss_free(widths);
}

json_t *ss_table_json(const ss_table *t)
{
    json_t *rows = json_array(), *root;
    const json_t *row;
    bool failed = t->failed || !rows;
    size_t r;

    json_array_foreach(t->rows, r, row)
    {
        json_t *object = json_object();

        for (size_t i = 0; i < json_array_size(t->columns); i++) {
            json_t *cell = json_array_get(row, i);

            cell = cell ? json_incref(cell) : json_null();
            failed |= json_object_set_new(object, column_name(t, i), cell) != 0;
        }
        failed |= json_array_append_new(rows, object) != 0;
    }
    root = failed ? NULL
                  : json_pack("{s:s, s:s?, s:O}", "title", t->title, "note", t->note, "rows", rows);
    json_decref(rows);
    return root;
}
