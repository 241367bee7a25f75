/* html.h - writing HTML that no label of a run file can break
 *
 * Markup is only ever a string literal, through html_raw; everything else, be it a module
 * path or a number, goes through the functions that escape. Write errors show when the file
 * is closed (ferror).
 */
#ifndef SS_REPORTS_HTML_H
#define SS_REPORTS_HTML_H

#include <stdio.h>

/* A piece of markup, as it is. */
void html_raw(FILE *f, const char *markup);

/* Text, escaped for elements and quoted attributes: & < > " ' and control characters. */
void html_text(FILE *f, const char *text);
void html_textf(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* <tag class="...">text</tag>; class NULL: none. The text is escaped. */
void html_element(FILE *f, const char *tag, const char *class, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
