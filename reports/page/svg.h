/* svg.h - gnuplot's SVG made fit to stand inside an HTML page
 *
 * Reads the few elements that gnuplot's svg terminal writes (path, polygon, use, image, text in a
 * group) and writes them as one flat list: coordinates to a tenth of a pixel, no ids, text escaped,
 * nothing passed on that is not known. Colours come out as classes, so that the page's style
 * decides what they are on light and dark ground, in print, and with forced colours:
 *
 *   #e7TTSS   class "cTT", TT in decimal; with SS > 0 also "sSS", the line SS of the legend
 *   others    as they are (the cells and the scale of a heat map)
 *
 * A hypertext label "SS X Y" becomes an invisible circle at its point with a <title>: the name of
 * line SS, and both numbers with the names of the axes.
 */
#ifndef SS_REPORTS_SVG_H
#define SS_REPORTS_SVG_H

#include "base/str.h"

#include <stdbool.h>

/* Meaning of the numbers at a point. Borrowed. */
typedef struct {
    const char *const *names; /* of lines, from number 1 at [0] */
    int n_names;
    const char *x, *y; /* names of the axes; "" for none */
    const char *rows;  /* names of y = 0, 1, ..., a line each; NULL: y is a number */
    double inf;        /* the x at which sigma = inf is drawn; NaN: nowhere */
    const char *alt;   /* text alternative */
} ss_svg_names;

/* Appends the picture of n bytes to out. False where it is not whole: </svg> is missing. */
bool ss_svg_inline(ss_str *out, const char *svg, size_t n, const ss_svg_names *names);

/* One of gnuplot's marks, counted as in the ids gpPt0...: at (x, y), `scale` in size, in the
 * classes. width: of its line, where it is not filled. classes: " class=\"...\"". */
void ss_svg_mark(ss_str *out, int mark, double x, double y, double scale, double width,
                 const char *classes);
bool ss_svg_mark_filled(int mark);

/* Text for elements and quoted attributes; bytes that XML or UTF-8 do not have become U+FFFD. */
void ss_svg_text(ss_str *out, const char *text);

#endif
