/* words.c - see words.h */
#include "cli/words.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cli_word(cli_words *w, const char *fmt, ...)
{
    char **grown = ss_grow(w->list, &w->cap, (size_t)w->n + 2, sizeof *grown);
    va_list ap;
    int n;

    if (!grown) {
        w->failed = true;
        return;
    }
    w->list = grown;
    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *text = n >= 0 ? ss_alloc((size_t)n + 1, 1) : NULL;
    if (text) {
        va_start(ap, fmt);
        vsnprintf(text, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    w->failed |= !text;
    if (text)
        w->list[w->n++] = text;
    w->list[w->n] = NULL;
}

void cli_words_release(cli_words *w)
{
    for (int i = 0; i < w->n; i++)
        ss_free(w->list[i]);
    ss_free(w->list);
    *w = (cli_words){0};
}

void cli_words_say(const cli_words *w, ss_str *s)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789_./+,:@%-";

    ss_str_add(s, "sigmascope");
    for (int i = 0; i < w->n; i++) {
        const char *word = w->list[i];

        ss_str_add(s, " ");
        if (*word && word[strspn(word, plain)] == '\0')
            ss_str_add(s, word);
        else
            ss_str_add_quoted(s, word);
    }
}
