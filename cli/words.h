/* words.h - a command line of this program, put together word by word */
#ifndef SS_CLI_WORDS_H
#define SS_CLI_WORDS_H

#include "base/str.h"

/* Words of a command line, without the program's name. */
typedef struct {
    char **list; /* NULL-terminated once there is a word */
    int n;
    size_t cap;
    bool failed; /* no memory; later words are dropped */
} cli_words;

void cli_word(cli_words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_words_release(cli_words *w); /* {0} is fine */

/* Adds the command as it is typed into a shell, "sigmascope probe ...". */
void cli_words_say(const cli_words *w, ss_str *s);

#endif
