/* err.c - see err.h */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Texts of a file or a command line may be in a message, and a message goes to a terminal: control
 * characters, those of C1 in UTF-8 too, become '?'. */
static void disarm(char *msg)
{
    for (unsigned char *p = (unsigned char *)msg; *p; p++) {
        if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f)
            *p = '?';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
    }
}

ss_code ss_fail(ss_err *e, ss_code code, const char *fmt, ...)
{
    if (e) {
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(e->msg, sizeof e->msg, fmt, ap);
        va_end(ap);
        disarm(e->msg);
        e->code = code;
    }
    return code;
}

ss_code ss_no_memory(ss_err *e, const char *what)
{
    return ss_fail(e, SS_NOMEM, "%s: out of memory", what);
}

ss_code ss_fail_prefix(ss_err *e, const char *fmt, ...)
{
    char old[sizeof e->msg];
    va_list ap;

    memcpy(old, e->msg, sizeof old);
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", old);
    disarm(e->msg);
    return e->code;
}

const char *ss_code_text(ss_code code)
{
#define X(name, text) [SS_##name] = text,
    static const char *const texts[] = {SS_CODES(X)};
#undef X

    if ((unsigned)code >= sizeof texts / sizeof *texts)
        return "unknown error";
    return texts[code];
}
