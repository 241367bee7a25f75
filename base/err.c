/* err.c - see err.h */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ss_code ss_fail(ss_err *e, ss_code code, const char *fmt, ...)
{
    if (e) {
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(e->msg, sizeof e->msg, fmt, ap);
        va_end(ap);
        e->code = code;
    }
    return code;
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
