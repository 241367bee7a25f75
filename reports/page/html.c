/* html.c - see html.h */
#include "reports/page/html.h"

#include <stdarg.h>

void html_raw(FILE *f, const char *markup)
{
    fputs(markup, f);
}

void html_text(FILE *f, const char *text)
{
    for (const char *p = text; *p; p++) {
        switch (*p) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        case '\'': fputs("&#39;", f); break;
        default:
            if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t')
                fputs("\xef\xbf\xbd", f); /* U+FFFD: HTML has no way to write them */
            else
                fputc(*p, f);
        }
    }
}

static void text_v(FILE *f, const char *fmt, va_list args)
{
    char text[2048];

    vsnprintf(text, sizeof text, fmt, args);
    html_text(f, text);
}

void html_textf(FILE *f, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    text_v(f, fmt, args);
    va_end(args);
}

void html_element(FILE *f, const char *tag, const char *class, const char *fmt, ...)
{
    va_list args;

    fprintf(f, "<%s", tag);
    if (class) {
        html_raw(f, " class=\"");
        html_text(f, class);
        html_raw(f, "\"");
    }
    html_raw(f, ">");
    va_start(args, fmt);
    text_v(f, fmt, args);
    va_end(args);
    fprintf(f, "</%s>", tag);
}
