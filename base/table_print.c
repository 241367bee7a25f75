/* table_print.c - see table.h: a table as text
 *
 *   cells   the text of each, [rows][columns]; row 0 are the headings
 *   widths  of the columns, from the cells; where the sum is too wide
 *   wrap    headings of several words take two lines,
 *   narrow  the widest columns of text give way, and their cells are shortened to that
 */
#include "base/mem.h"
#include "base/shorten.h"
#include "base/str.h"
#include "base/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    GAP = 2,          /* spaces between columns */
    MIN_TEXT = 12,    /* a shortened column still shows both ends of a text */
    STICKS_OUT = 200, /* wider cells do not widen their column */
};

typedef struct {
    const ss_table *t;
    size_t rows, columns; /* those that are shown, the heading among the rows */
    size_t *column;       /* [columns] which of the table's */
    char **cell;          /* [rows][columns] owned */
    int *width, *least;   /* [columns], and without the heading */
    size_t *split;        /* [columns] where the heading is divided, 0: it is not */
    bool two_lines;
} sheet;

static char **cell_at(const sheet *s, size_t row, size_t column)
{
    return &s->cell[row * s->columns + column];
}

static bool is_text(const sheet *s, size_t i)
{
    const ss_col_kind kind = ss_table_column_kind(s->t, s->column[i]);

    return kind == SS_COL_TEXT || kind == SS_COL_MODULE;
}

static void release(sheet *s)
{
    for (size_t i = 0; s->cell && i < s->rows * s->columns; i++)
        ss_free(s->cell[i]);
    ss_free(s->column);
    ss_free(s->cell);
    ss_free(s->width);
    ss_free(s->least);
    ss_free(s->split);
}

static bool lay_out(sheet *s, const ss_table *t)
{
    const size_t n = json_array_size(t->columns);

    *s = (sheet){.t = t, .rows = json_array_size(t->rows) + 1};
    if (!(s->column = ss_calloc(n + 1, sizeof *s->column)))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!ss_table_is_usual(t, i))
            s->column[s->columns++] = i;
    s->cell = ss_calloc(s->rows * s->columns + 1, sizeof *s->cell);
    s->width = ss_calloc(s->columns + 1, sizeof *s->width);
    s->least = ss_calloc(s->columns + 1, sizeof *s->least);
    s->split = ss_calloc(s->columns + 1, sizeof *s->split);
    if (!s->cell || !s->width || !s->least || !s->split)
        return false;
    for (size_t r = 0; r < s->rows; r++)
        for (size_t i = 0; i < s->columns; i++) {
            char **cell = cell_at(s, r, i);

            *cell = r ? ss_table_cell(t, r - 1, s->column[i])
                      : ss_strdup(ss_table_column_name(t, s->column[i]));
            if (!*cell)
                return false;
            const int w = ss_display_width(*cell);

            s->width[i] = w > s->width[i] ? w : s->width[i];
            if (r)
                s->least[i] = w > s->least[i] ? w : s->least[i];
        }
    return true;
}

static int width_of(const sheet *s)
{
    int total = 0;

    for (size_t i = 0; i < s->columns; i++)
        total += s->width[i] + (i ? GAP : 0);
    return total;
}

/* Divides the headings that are wider than their column's cells at the blank that leaves the
 * narrowest. */
static void wrap(sheet *s)
{
    for (size_t i = 0; i < s->columns; i++) {
        const char *name = *cell_at(s, 0, i);
        const int whole = ss_display_width(name);
        int best = whole;

        for (const char *p = strchr(name, ' '); p; p = strchr(p + 1, ' ')) {
            const int right = ss_display_width(p + 1), left = whole - right - 1;
            const int w = left > right ? left : right;

            if (w < best && s->least[i] < whole) {
                best = w;
                s->split[i] = (size_t)(p - name);
            }
        }
        s->least[i] = best > s->least[i] ? best : s->least[i];
        s->width[i] = s->least[i];
        s->two_lines |= s->split[i] > 0;
    }
}

/* The width below which a column of text does not give way: that of its heading, too. */
static int floor_of(const sheet *s, size_t i)
{
    const char *name = *cell_at(s, 0, i);
    const int left = (int)s->split[i], right = ss_display_width(name + left) - (left > 0);
    const int heading = left > right ? left : right;

    return heading > MIN_TEXT ? heading : MIN_TEXT;
}

/* Takes `over` characters from the columns of text, always from the widest. */
static void narrow(sheet *s, int over)
{
    for (; over > 0; over--) {
        size_t widest = s->columns;

        for (size_t i = 0; i < s->columns; i++) {
            if (is_text(s, i) && s->width[i] > floor_of(s, i) &&
                (widest == s->columns || s->width[i] > s->width[widest]))
                widest = i;
        }
        if (widest == s->columns)
            return;
        s->width[widest]--;
    }
}

/* Shortens the cells of a column to its width; false: no memory. */
static bool shorten(sheet *s, size_t i)
{
    const size_t n = s->rows - 1;
    char **texts = ss_calloc(n + 1, sizeof *texts), **shown = ss_calloc(n + 1, sizeof *shown);
    bool ok = texts && shown;

    for (size_t r = 0; ok && r < n; r++)
        texts[r] = *cell_at(s, r + 1, i);
    ok = ok && ss_shorten((const char *const *)texts, n, s->width[i], shown, NULL) == SS_OK;
    for (size_t r = 0; ok && r < n; r++) {
        ss_free(texts[r]);
        *cell_at(s, r + 1, i) = shown[r];
    }
    ss_free(texts);
    ss_free(shown);
    return ok;
}

static bool fit(sheet *s, int width)
{
    bool ok = true;

    if (width_of(s) > width)
        wrap(s);
    narrow(s, width_of(s) - width);
    for (size_t i = 0; i < s->columns && ok; i++)
        if (is_text(s, i))
            ok = shorten(s, i);
    return ok;
}

/* Lets a cell that is far wider than a line stick out, so that its column is as wide as the others
 * need: names of a hostile file would fill the disk with blanks. */
static void let_stick_out(sheet *s, size_t i)
{
    int most = 0;

    if (s->width[i] <= STICKS_OUT)
        return;
    for (size_t r = 0; r < s->rows; r++) {
        const int w = ss_display_width(*cell_at(s, r, i));

        most = w > most && w <= STICKS_OUT ? w : most;
    }
    s->width[i] = most;
}

/* The width of the stream: a pipe and a file take lines of any width. */
static int width_for(FILE *f)
{
    const char *text = getenv("COLUMNS");
    struct winsize size;
    int64_t columns;
    const int fd = fileno(f);

    if (fd < 0 || !isatty(fd))
        return SS_TABLE_WIDE;
    if (text && ss_parse_i64(text, &columns) && columns > 0)
        return columns < SS_TABLE_WIDE ? (int)columns : SS_TABLE_WIDE;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : SS_TABLE_WIDE;
}

/* Prints a cell's first n bytes; no blanks at the end of a line. */
static void print_cell(FILE *f, const sheet *s, size_t i, const char *text, size_t n)
{
    const bool last = i + 1 == s->columns;
    int pad = s->width[i] - ss_display_width(text) + ss_display_width(text + n);

    pad = pad > 0 ? pad : 0;
    if (!is_text(s, i))
        fprintf(f, "%*s", pad, "");
    fwrite(text, 1, n, f);
    fprintf(f, "%*s", last ? 0 : (is_text(s, i) ? pad : 0) + GAP, "");
}

static void print_headings(FILE *f, const sheet *s)
{
    for (size_t i = 0; s->two_lines && i < s->columns; i++)
        print_cell(f, s, i, *cell_at(s, 0, i), s->split[i]);
    if (s->two_lines)
        fputc('\n', f);
    for (size_t i = 0; i < s->columns; i++) {
        const char *name = *cell_at(s, 0, i) + s->split[i] + (s->split[i] > 0);

        print_cell(f, s, i, name, strlen(name));
    }
    fputc('\n', f);
}

void ss_table_print(const ss_table *t, FILE *f, int width)
{
    sheet s = {0};

    if (t->failed || !lay_out(&s, t) || !fit(&s, width > 0 ? width : width_for(f))) {
        fprintf(f, "%s: out of memory\n", t->title);
        release(&s);
        return;
    }
    fprintf(f, "%s\n", t->title);
    if (t->note)
        fprintf(f, "%s\n", t->note);
    for (size_t i = 0; i < s.columns; i++)
        let_stick_out(&s, i);
    print_headings(f, &s);
    for (size_t r = 1; r < s.rows; r++) {
        for (size_t i = 0; i < s.columns; i++)
            print_cell(f, &s, i, *cell_at(&s, r, i), strlen(*cell_at(&s, r, i)));
        fputc('\n', f);
    }
    release(&s);
}
