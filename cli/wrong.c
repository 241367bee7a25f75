/* wrong.c - messages about options that are wrong, with what was meant; see cli.h */
#include "base/near.h"
#include "base/str.h"
#include "cli/cli.h"

#include <ctype.h>
#include <getopt.h>
#include <string.h>

/* Writes " - did you mean '--A'?", for a name without its dashes, or "". */
static const char *hint_option(const cli_option_list *l, const char *name, char hint[SS_NEAR])
{
    char with[CLI_MAX_OPTIONS][SS_NEAR_MAX_NAME + 1], dashed[SS_NEAR_MAX_NAME + 1];
    const char *list[CLI_MAX_OPTIONS];

    for (int i = 0; i < l->n; i++) {
        snprintf(with[i], sizeof with[i], "--%s", l->at[i].option->name);
        list[i] = with[i];
    }
    snprintf(dashed, sizeof dashed, "--%.*s", SS_NEAR_MAX_NAME - 2, name);
    return ss_near(dashed, list, l->n, hint);
}

/* Reports "-x", or "-sigmas" with one dash too few, of which getopt saw a letter. */
static void refuse_letter(cli_parser *p, const cli_option_list *l, int letter)
{
    const char *word = "";
    char hint[SS_NEAR] = "";

    for (int i = 1; i < p->argc && i <= optind; i++) { /* letters before it were fine */
        const char *w = p->argv[i];

        if (w[0] == '-' && w[1] != '-' && strchr(w, letter))
            word = w;
    }
    const bool more = strlen(word) > 2;
    if (more)
        hint_option(l, word + 1, hint);
    cli_usage(p, "unknown option '-%c'%s%s%s%s", isprint(letter) ? letter : '?',
              more ? " in '" : "", more ? SS_SHOW(word) : "", more ? "'" : "", hint);
}

/* Reports "--name". */
static void refuse_name(cli_parser *p, const cli_option_list *l, const char *name)
{
    ss_str several = {0};
    char hint[SS_NEAR];
    int n = 0;

    for (int i = 0; i < l->n; i++) {
        const char *known = l->at[i].option->name;

        if (strncmp(known, name, strlen(name)) == 0)
            ss_str_addf(&several, "%s--%s", n++ ? ", " : "", known);
    }
    if (n > 1)
        cli_usage(p, "option '--%s' is ambiguous: %s", SS_SHOW(name),
                  several.failed ? "..." : several.s);
    else
        cli_usage(p, "unknown option '--%s'%s", SS_SHOW(name), hint_option(l, name, hint));
    ss_str_release(&several);
}

/* The option of a word "--NAME=VALUE" that takes no value; NULL for another word. */
static const cli_option *valueless(const cli_option_list *l, const char *word)
{
    const size_t n = strcspn(word, "=");

    if (strncmp(word, "--", 2) != 0 || !word[n])
        return NULL;
    for (int i = 0; i < l->n; i++) {
        const cli_option *o = l->at[i].option;

        if (!o->arg && strncmp(o->name, word + 2, n - 2) == 0)
            return o;
    }
    return NULL;
}

void cli_refuse_option(cli_parser *p, int letter)
{
    const char *word = p->argv[optind - 1];
    char name[SS_NEAR_MAX_NAME + 1];
    cli_option_list l;

    cli_options(p->cmd, &l);
    if (letter == '?' && optopt && valueless(&l, word)) {
        cli_usage(p, "--%s takes no value", valueless(&l, word)->name);
    } else if (letter != '?' || optopt) {
        refuse_letter(p, &l, letter != '?' ? letter : optopt);
    } else {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
        refuse_name(p, &l, name);
    }
}

/* Returns the words that an option of this id takes, "ops|blocks"; NULL if it takes others, too. */
static const char *choices_of(const cli_parser *p, int id)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_|";
    cli_option_list l;

    cli_options(p->cmd, &l);
    for (int i = 0; i < l.n; i++) {
        const char *arg = l.at[i].option->arg;

        if (l.at[i].option->id == id)
            return arg && strchr(arg, '|') && arg[strspn(arg, letters)] == '\0' ? arg : NULL;
    }
    return NULL;
}

bool cli_is_choice(cli_parser *p, int id)
{
    const char *word = choices_of(p, id);
    ss_str list = {0};
    char hint[SS_NEAR];
    bool found = !word;

    for (size_t n; word && *word; word += n + (word[n] == '|')) {
        n = strcspn(word, "|");
        found |= strlen(p->arg) == n && memcmp(p->arg, word, n) == 0;
        ss_str_add(&list, !list.len ? "" : word[n] ? ", " : " or ");
        ss_str_addn(&list, word, n);
    }
    if (!found)
        cli_usage(p, "--%s takes %s, not '%s'%s", p->option, list.failed ? "..." : list.s,
                  SS_SHOW(p->arg), ss_near_in(p->arg, choices_of(p, id), hint));
    ss_str_release(&list);
    return found;
}
