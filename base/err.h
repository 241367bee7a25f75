/* err.h - error codes and messages
 *
 * A library function that can fail returns an ss_code and fills an ss_err; only
 * a command prints it or exits. A message says what, where, found, expected.
 *
 *   ss_err err = {0};
 *   if (ss_model_open(path, &model, &err) != SS_OK)
 *       fprintf(stderr, "sigmascope probe: %s\n", err.msg);
 */
#ifndef SS_BASE_ERR_H
#define SS_BASE_ERR_H

/* One list makes both the codes and their names, so the two cannot drift. */
#define SS_CODES(X)                 \
    X(OK, "ok")                     \
    X(NOMEM, "out of memory")       \
    X(IO, "read or write failed")   \
    X(FORMAT, "malformed file")     \
    X(SHAPE, "shapes do not fit")   \
    X(UNSUPPORTED, "not supported") \
    X(USAGE, "wrong usage")         \
    X(DEVICE, "device call failed") \
    X(INTERRUPTED, "interrupted")

#define X(name, text) SS_##name,
typedef enum { SS_CODES(X) } ss_code;
#undef X

typedef struct {
    ss_code code;
    char msg[1024]; /* one line or several, no trailing newline */
} ss_err;

/* Fills *e (may be NULL) and returns code, so `return ss_fail(...)` reads well. Control characters
 * other than newline and tab show as '?', whatever the arguments hold. */
ss_code ss_fail(ss_err *e, ss_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of memory that there is none of: "WHAT: out of memory", what being what it was for, a
 * file or a thing ("a tape"). */
ss_code ss_no_memory(ss_err *e, const char *what);

/* Puts "prefix: " before the message of an error that is already set, so that a
 * caller can say where; returns e->code. */
ss_code ss_fail_prefix(ss_err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The code's general meaning, "out of memory". Never NULL. */
const char *ss_code_text(ss_code code);

#endif
