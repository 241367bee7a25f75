/* json_python.h - what Python's json module writes and reads, as JSON
 *
 * Python takes more than the standard: a text of it becomes proper JSON here, before it is parsed.
 *
 *   in the text              becomes
 *   NaN, Infinity, -Infinity "NaN", "Infinity", "-Infinity": strings, for JSON has no such numbers
 *   1e999                    "Infinity", as the number that Python makes of it
 *   12345678901234567890     12345678901234567890.0: no integer of 64 bits
 *   "\ud83d" half a pair     "\ufffd": no character
 *   "\u0000"                 "\ufffd": a C string would end there
 *   a byte order mark        nothing
 *
 * All else stays as it is, strings and errors included, so that the parser says what is wrong. A
 * message about a place after such a word, on the same line, counts its columns in the new text.
 */
#ifndef SS_BASE_JSON_PYTHON_H
#define SS_BASE_JSON_PYTHON_H

#include <stddef.h>

/* The JSON of a text of len bytes, *n bytes long; the caller's to ss_free. NULL: out of memory. */
char *ss_json_from_python(const char *text, size_t len, size_t *n);

#endif
