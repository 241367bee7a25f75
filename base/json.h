/* json.h - reading JSON whose errors name the file, the key and what is allowed
 *
 * Files are read as Python reads them (json_python.h): NaN, Infinity and -Infinity are numbers, and
 * of a key that is there twice the last one counts.
 *
 * Jansson parses; this adds the context that a user needs, and the memory of which
 * keys were read, so that a key nobody asked for can be refused by name.
 *
 *   ss_json j;
 *   ss_json_load(&j, "config.json", &err);
 *   int n = ss_json_int(&j, "norm_num_groups", 32);      // 32 where absent or null
 *   ...
 *   rc = ss_json_done(&j, &err);                         // the first complaint, if any
 *   ss_json_release(&j);
 *
 * Getters record the first error and return the default from then on.
 */
#ifndef SS_BASE_JSON_H
#define SS_BASE_JSON_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SS_JSON_MAX_FILE = 64 << 20 };

typedef struct {
    char *name;   /* what messages call it: the path */
    json_t *root; /* an object */
    json_t *seen; /* keys that were read */
    ss_err err;   /* the first complaint */
} ss_json;

/* Loads a JSON object. Invalid UTF-8 is refused. */
ss_code ss_json_load(ss_json *j, const char *path, ss_err *e);
/* Like ss_json_load, and refuses a key that stands twice: for files that people write by hand. */
ss_code ss_json_load_strict(ss_json *j, const char *path, ss_err *e);
/* Like ss_json_load, from memory; name is for messages. */
ss_code ss_json_parse(ss_json *j, const char *name, const char *text, size_t len, ss_err *e);
/* Reads an object that is in memory already and stays its owner's too: a part of a file
 * ("train.json: optimizer"), or one that was put together. */
ss_code ss_json_wrap(ss_json *j, const char *name, json_t *object, ss_err *e);
void ss_json_release(ss_json *j); /* {0} is fine */

/* True when the key is there and not null. Counts as read. */
bool ss_json_has(ss_json *j, const char *key);

/* The value, or NULL where absent or null. Borrowed. Counts as read. */
json_t *ss_json_get(ss_json *j, const char *key);

bool ss_json_bool(ss_json *j, const char *key, bool fallback);
int64_t ss_json_int(ss_json *j, const char *key, int64_t fallback);
double ss_json_double(ss_json *j, const char *key, double fallback);           /* finite */
const char *ss_json_string(ss_json *j, const char *key, const char *fallback); /* borrowed */

/* The number in a value, which may be infinite or NaN; false if the value is NULL or no number. */
bool ss_json_number(const json_t *value, double *x);

/* The number as tables and findings have it: null for NaN, "inf" or "-inf", an integer where it is
 * whole. A new reference; NULL: no memory. */
json_t *ss_json_from_number(double v);
/* The text as ss_printable has it, whole: names in it may be anybody's. A new reference; NULL: no
 * memory. */
json_t *ss_json_from_text(const char *text);

/* Index of the key's string in the NULL-terminated list of choices; any other
 * value is SS_UNSUPPORTED with the list. */
int ss_json_choice(ss_json *j, const char *key, const char *const *choices, int fallback);

/* Records a complaint about a key. The message begins with the file, the key and its
 * value; fmt adds what is allowed:
 *
 *   ss_json_complain(&j, SS_UNSUPPORTED, "act_fn", "supported: silu, gelu");
 *
 *   config.json: "act_fn" is "tanh"; supported: silu, gelu
 *   config.json: "act_fn" is missing; supported: silu, gelu                           */
void ss_json_complain(ss_json *j, ss_code code, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Copies the first complaint into *e and returns its code, SS_OK if there is none. */
ss_code ss_json_done(ss_json *j, ss_err *e);

/* Name of a key that nobody read and that does not begin with '_', or NULL. Borrowed
 * from the file: show it through ss_printable. */
const char *ss_json_unread(const ss_json *j);

/* Writes a value and a newline as a file that appears whole or not at all. flags are Jansson's. A
 * value of NULL is SS_NOMEM, so that callers need not check what made it. */
ss_code ss_json_write(const char *path, const json_t *value, size_t flags, ss_err *e);

#endif
