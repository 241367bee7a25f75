/* str.h - a growing string, and the few string helpers that the project needs */
#ifndef SS_BASE_STR_H
#define SS_BASE_STR_H

#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Always NUL-terminated once anything was added; {0} is an empty string. A failed
 * allocation sets `failed` and later additions do nothing: test it once, at the end. */
typedef struct {
    char *s;
    size_t len, cap;
    bool failed;
} ss_str;

void ss_str_add(ss_str *b, const char *text);
void ss_str_addn(ss_str *b, const char *text, size_t n);
void ss_str_addf(ss_str *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ss_str_addv(ss_str *b, const char *fmt, va_list args);

/* TEXT as one word of a POSIX shell: 'TEXT', and each ' in it as '\\''. */
void ss_str_add_quoted(ss_str *b, const char *text);
/* Adds text as one word to paste into a shell: as it is where that is plain, else in quotes, with
 * what would drive a terminal as \xNN. */
void ss_str_add_word(ss_str *b, const char *text);
/* The text that a format makes; ss_free. NULL: no memory. */
char *ss_textf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void ss_str_release(ss_str *b); /* frees, and leaves {0} */

/* Hands the text over to the caller, who frees it with ss_free; NULL if any
 * addition failed. b is {0} afterwards. */
char *ss_str_detach(ss_str *b);

/* Whole-string shell glob over module paths: `*` matches any run of characters,
 * dots included, `?` one, `[a-z]` and `[!a-z]` one of a set, `{a,b}` either text.
 * Linear in text times pattern, without recursion on `*`. */
bool ss_glob_match(const char *pattern, const char *text);

/* The name under which the whole model is shown, whose path is "". */
#define SS_ROOT "(model)"

/* ss_glob_match() of a module's path, "" or SS_ROOT for the whole model. Patterns may name that
 * either way: it is matched by those that match "", such as `*`, and by those that match SS_ROOT
 * with its '(' written out. So `?*` is everything but the whole model. */
bool ss_glob_module(const char *pattern, const char *path);

/* SS_USAGE with a message when a pattern is malformed (unclosed `[` or `{`). */
ss_code ss_glob_check(const char *pattern, ss_err *e);

/* Whole-string number parsing: false if anything but one finite number is there. */
bool ss_parse_double(const char *text, double *value);
bool ss_parse_i64(const char *text, int64_t *value);

/* Copies text with control characters and bytes that are not UTF-8 shown as \xNN,
 * so that a hostile name cannot drive the terminal; out always ends in NUL. Long
 * text is cut and ends in "...". Returns out. */
char *ss_printable(const char *text, char *out, size_t n);
/* Number of bytes of the character at the beginning of text if it would drive or reorder a
 * terminal, as ss_printable has it, and its code point; else 0, also where text is empty or no
 * UTF-8. */
size_t ss_control_at(const char *text, uint32_t *code);
/* The same for a name in a message, at most SS_SHOWN bytes of it; good until the block ends. */
enum { SS_SHOWN = 128 };
#define SS_SHOW(text) ss_printable(text, (char[SS_SHOWN]){0}, SS_SHOWN)

/* True when the n bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool ss_utf8_valid(const char *text, size_t n);

#endif
