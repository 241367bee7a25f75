/* heat.c - see heat.h */
#include "reports/page/heat.h"

#include "reports/page/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    LETTER = 7, /* width in pixels */
    SCALE = 90  /* width of the colour scale with its numbers */
};

/* A JSON string that cannot end the script element around it. */
static void add_json(ss_str *s, const char *text)
{
    ss_str_add(s, "\"");
    for (const char *c = text; *c;) {
        const unsigned char b = (unsigned char)*c;
        const size_t n = b < 0x80 ? 1 : b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
        const bool whole = strnlen(c, n) == n && ss_utf8_valid(c, n);

        if (b < 0x20 || b == '"' || b == '\\' || b == '<' || b == '>')
            ss_str_addf(s, "\\u%04x", b);
        else
            ss_str_addn(s, whole ? c : "?", whole ? n : 1);
        c += whole ? n : 1;
    }
    ss_str_add(s, "\"");
}

void ss_heat_begin(ss_heat *h, const char *x, const char *value)
{
    *h = (ss_heat){.low = INFINITY, .most = 0.01};
    snprintf(h->x, sizeof h->x, "%s", x);
    snprintf(h->value, sizeof h->value, "%s", value);
    ss_plot_add(&h->plot, "$cells << EOD\n");
}

void ss_heat_column(ss_heat *h, const char *label)
{
    ss_str_add(&h->columns, h->n_columns ? "," : "");
    add_json(&h->columns, label);
    ss_str_add(&h->x_tics, h->n_columns ? "\n" : "");
    const int n = ss_plot_short(&h->x_tics, label, SS_PLOT_LETTERS);

    h->column_letters = n > h->column_letters ? n : h->column_letters;
    h->n_columns++;
}

void ss_heat_row(ss_heat *h, const char *name, const double *values, const bool *crossed)
{
    const char *comma = h->n_rows ? "," : "";

    ss_str_add(&h->rows, comma);
    add_json(&h->rows, name);
    ss_str_add(&h->y_tics, comma);
    const int n = ss_plot_short(&h->y_tics, name, SS_PLOT_LETTERS);

    ss_str_addf(&h->y_tics, " %d", h->n_rows);
    h->row_letters = n > h->row_letters ? n : h->row_letters;
    ss_str_addf(&h->values, "%s[", comma);
    for (int k = 0; k < h->n_columns; k++) {
        ss_plot_number(&h->plot, values[k]);
        ss_plot_add(&h->plot, " ");
        ss_str_add(&h->values, k ? "," : "");
        if (isfinite(values[k])) {
            ss_str_addf(&h->values, "%.4g", values[k]);
            h->most = fmax(h->most, fabs(values[k]));
            if (values[k] > 0) {
                h->low = fmin(h->low, values[k]);
                h->high = fmax(h->high, values[k]);
            }
        } else {
            ss_str_add(&h->values, "null");
        }
        if (crossed && crossed[k]) {
            ss_str_addf(&h->crosses, "%d %d\n", k, h->n_rows);
            h->n_crosses++;
        }
    }
    ss_plot_add(&h->plot, "\n");
    ss_str_add(&h->values, "]");
    h->n_rows++;
}

void ss_heat_format(ss_heat *h, const ss_format *f)
{
    ss_str_add(&h->plot.hover, ",\"format\":");
    add_json(&h->plot.hover, f->name);
    ss_str_addf(&h->plot.hover, ",\"limit\":%.9g", f->max);
}

/* Labels of the columns: of many, as many as have room; long ones at a slope. */
static void add_x_tics(ss_heat *h)
{
    const int room = SS_PLOT_WIDTH - SCALE - h->row_letters * LETTER;
    const bool slope = h->column_letters > 6;
    const int width = (slope ? 2 : h->column_letters + 1) * LETTER;
    const int fit = room / width > 1 ? room / width : 1;
    const int every = (h->n_columns + fit - 1) / fit;
    const char *text = h->x_tics.s ? h->x_tics.s : "";

    ss_plot_addf(&h->plot, "set xtics scale 0 %s(", slope ? "rotate by 60 right " : "");
    for (int k = 0; k < h->n_columns; k++) {
        const size_t n = strcspn(text, "\n");

        if (k % every == 0) {
            ss_plot_add(&h->plot, k ? "," : "");
            ss_str_addn(&h->plot.script, text, n);
            ss_plot_addf(&h->plot, " %d", k);
        }
        text += n + (text[n] == '\n');
    }
    ss_plot_add(&h->plot, ")\n");
    if (slope)
        ss_plot_addf(&h->plot, "set bmargin %d\n", 2 + h->column_letters * 2 / 5);
}

void ss_heat_end(ss_heat *h, ss_heat_scale scale)
{
    ss_plot *p = &h->plot;
    ss_str extra = p->hover;

    ss_plot_add(p, "EOD\n$over << EOD\n");
    ss_plot_add(p, h->crosses.s ? h->crosses.s : "NaN NaN\n");
    ss_plot_add(p, "EOD\nunset grid\nset border 0\nunset key\n");
    ss_plot_addf(p, "set xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\n", h->n_columns - 1,
                 h->n_rows - 1);
    ss_plot_addf(p, "set xlabel '%s'\nset cblabel '%s'\nset format cb '%%g'\n", h->x, h->value);
    if (scale == SS_HEAT_LOG && h->low < h->high)
        ss_plot_addf(p, "set logscale cb\nset cbrange [%.9g:%.9g]\n", h->low, h->high);
    else if (scale == SS_HEAT_LOG) /* one value, or none */
        ss_plot_addf(p, "set logscale cb\nset cbrange [%.9g:%.9g]\n",
                     h->high > 0 ? h->high / 10 : 0.1, h->high > 0 ? h->high : 1);
    else if (scale == SS_HEAT_LINEAR)
        ss_plot_add(p, "set cbrange [0:1]\n");
    else /* Moreland's cool to warm: grey is no change */
        ss_plot_addf(p,
                     "set palette maxcolors 128 defined (0 '#3b4cc0', 1 '#8db0fe', 2 '#dddddd', 3 "
                     "'#f49a7b', 4 '#b40426')\nset cbrange [%g:%g]\n",
                     -h->most, h->most);
    add_x_tics(h);
    ss_plot_addf(p, "set lmargin %d\nset ytics scale 0 (", h->row_letters * 7 / 8 + 2);
    ss_plot_add(p, h->y_tics.s ? h->y_tics.s : "");
    ss_plot_add(p, ")\nplot $cells matrix with image");
    if (h->n_crosses) /* dark on a light rim: seen on both ends of the palette */
        ss_plot_add(p, ", $over using 1:2 with points pt 2 ps 1.2 lw 4 lc rgb '#ffffff'"
                       ", $over using 1:2 with points pt 2 ps 1 lw 1.6 lc rgb '#a00000'");
    ss_plot_add(p, "\n");
    p->hover = (ss_str){0};
    ss_str_addf(&p->hover, "{\"x\":\"%s\",\"value\":\"%s\"%s,\"columns\":[", h->x, h->value,
                extra.s ? extra.s : "");
    ss_str_add(&p->hover, h->columns.s ? h->columns.s : "");
    ss_str_add(&p->hover, "],\"rows\":[");
    ss_str_add(&p->hover, h->rows.s ? h->rows.s : "");
    ss_str_add(&p->hover, "],\"values\":[");
    ss_str_add(&p->hover, h->values.s ? h->values.s : "");
    ss_str_add(&p->hover, "]}");
    p->script.failed |= h->columns.failed || h->rows.failed || h->values.failed ||
                        h->x_tics.failed || h->y_tics.failed || h->crosses.failed || extra.failed;
    ss_str_release(&extra);
    const ss_plot plot = *p;

    h->plot = (ss_plot){0};
    ss_heat_release(h);
    h->plot = plot;
}

int ss_heat_height(const ss_heat *h)
{
    return SS_HEAT_FRAME + SS_ROW_HEIGHT * h->n_rows +
           (h->column_letters > 6 ? h->column_letters * LETTER * 4 / 5 : 0);
}

void ss_heat_release(ss_heat *h)
{
    ss_plot_release(&h->plot);
    ss_str_release(&h->columns);
    ss_str_release(&h->rows);
    ss_str_release(&h->values);
    ss_str_release(&h->x_tics);
    ss_str_release(&h->y_tics);
    ss_str_release(&h->crosses);
}
