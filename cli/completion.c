/* completion.c - what bash, zsh and fish read to complete a command line of sigmascope
 *
 * The words are the tables' own. What can follow an option, or be an operand, follows from its
 * name in the tables; "..." after it does not count:
 *
 *   auto|always|never       one of these words (those in lower case)
 *   FMT                     the names of number formats
 *   RUN.h5, A.h5, OUT.png   a file whose name ends so; joined by | either
 *   FILE#NAME               a safetensors file
 *   DIR, MODEL              a folder
 *   [COMMAND]               the commands
 *   N, SPEC, ...            nothing is offered
 *
 * Folders on the way to a file are offered, too.
 */
#include "cli/cli.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PARTS = 8 };

typedef struct {
    char words[256];             /* separated by spaces */
    char endings[MAX_PARTS][16]; /* "h5" */
    int n_endings;
    bool folders;
} wanted;

static void add_word(wanted *w, const char *word, size_t n)
{
    const size_t len = strlen(w->words);

    snprintf(w->words + len, sizeof w->words - len, "%s%.*s", len ? " " : "", (int)n, word);
}

static void add_ending(wanted *w, const char *ending, size_t n)
{
    if (w->n_endings < MAX_PARTS)
        snprintf(w->endings[w->n_endings++], sizeof w->endings[0], "%.*s", (int)n, ending);
}

static bool is(const char *part, size_t n, const char *name)
{
    return strlen(name) == n && memcmp(part, name, n) == 0;
}

static wanted wanted_for(const char *arg)
{
    wanted w = {0};

    const cli_command *c;

    if (!arg)
        return w;
    for (int i = 0; strcmp(arg, "[COMMAND]") == 0 && (c = cli_command_at(i)); i++)
        add_word(&w, c->name, strlen(c->name));
    for (size_t n; (n = strcspn(arg, "|. #")) > 0; arg += n + (arg[n] == '|')) {
        if (arg[n] == '.' && arg[n + 1] != '.') {
            const size_t ending = strcspn(arg + n + 1, "|. ");

            add_ending(&w, arg + n + 1, ending);
            n += 1 + ending;
        } else if (arg[n] == '#') {
            static const char safetensors[] = "safetensors";

            add_ending(&w, safetensors, strlen(safetensors));
            break;
        } else if (islower((unsigned char)*arg)) {
            add_word(&w, arg, n);
        } else if (is(arg, n, "FMT")) {
            static const char formats[] = "fp16 bf16 fp8-e4m3 fp8-e4m3-nan fp8-e5m2";

            add_word(&w, formats, strlen(formats));
        } else if (is(arg, n, "DIR") || is(arg, n, "MODEL")) {
            w.folders = true;
        }
        if (arg[n] != '|')
            break;
    }
    return w;
}

/* Prints text inside '...' of a shell; for a zsh specification : [ ] are escaped, too. */
static void put_quoted(FILE *f, const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", f);
        else
            fprintf(f, "%s%c", strchr(escaped, *text) ? "\\" : "", *text);
    }
}

/* bash: case tables for each command; one function reads them. */

static void bash_wanted(FILE *f, const wanted *w)
{
    if (*w->words)
        fprintf(f, " words='%s'", w->words);
    if (w->n_endings) {
        fputs(" endings='", f);
        for (int i = 0; i < w->n_endings; i++)
            fprintf(f, "%s%s", i ? " " : "", w->endings[i]);
        fputs("' folders=yes", f);
    } else if (w->folders) {
        fputs(" folders=yes", f);
    }
    fputs(" ;;\n", f);
}

static void bash_command(FILE *f, const cli_command *c)
{
    const wanted operands = wanted_for(c->operands);
    cli_option_list l;

    cli_options(c, &l);
    for (int i = 0; i < l.n; i++) {
        const cli_option *o = l.at[i].option;
        const wanted w = wanted_for(o->arg);

        if (!o->arg)
            continue;
        fprintf(f, "    '%s --%s'", c->name, o->name);
        if (cli_short(o))
            fprintf(f, " | '%s -%c'", c->name, cli_short(o));
        fputc(')', f);
        bash_wanted(f, &w);
    }
    fprintf(f, "    '%s '*) operand=yes", c->name);
    bash_wanted(f, &operands);
}

static void bash(FILE *f)
{
    const cli_command *c;
    cli_option_list l;

    fputs("# bash completion for sigmascope, printed by `sigmascope --completion bash`\n"
          "_sigmascope()\n"
          "{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command=${COMP_WORDS[1]} words= endings= folders= operand= options= e\n"
          "\n"
          "    COMPREPLY=()\n"
          "    if [[ $word == '=' ]]; then # --option=VALUE is three words\n"
          "        word=\n"
          "    elif [[ $before == '=' ]]; then\n"
          "        before=${COMP_WORDS[COMP_CWORD - 2]}\n"
          "    fi\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        command=\n"
          "    fi\n"
          "    case \"$command $before\" in\n"
          "    ' --completion') words='bash zsh fish' ;;\n"
          "    ' '*) words='",
          f);
    for (int i = 0; (c = cli_command_at(i)); i++)
        fprintf(f, "%s ", c->name);
    fputs("--help --version --man --completion' ;;\n"
          "    '--completion '*) words='bash zsh fish' ;;\n",
          f);
    for (int i = 0; (c = cli_command_at(i)); i++)
        bash_command(f, c);
    fputs("    esac\n"
          "    if [[ $operand && $word == -* ]]; then\n"
          "        case $command in\n",
          f);
    for (int i = 0; (c = cli_command_at(i)); i++) {
        cli_options(c, &l);
        fprintf(f, "        %s) options='", c->name);
        for (int k = 0; k < l.n; k++)
            fprintf(f, "%s--%s", k ? " " : "", l.at[k].option->name);
        fputs("' ;;\n", f);
    }
    fputs("        esac\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
          "        return\n"
          "    fi\n"
          "    if [[ $words ]]; then\n"
          "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "    elif [[ $folders ]]; then\n"
          "        compopt -o filenames 2>/dev/null\n"
          "        mapfile -t COMPREPLY < <(\n"
          "            for e in $endings; do\n"
          "                compgen -f -X \"!*.$e\" -- \"$word\"\n"
          "            done\n"
          "            compgen -d -- \"$word\"\n"
          "        )\n"
          "    fi\n"
          "}\n"
          "complete -F _sigmascope sigmascope\n",
          f);
}

/* zsh: one call of _arguments for each command. */

static void zsh_wanted(FILE *f, const char *name, const wanted *w)
{
    fputc(':', f);
    put_quoted(f, name, ":");
    fputc(':', f);
    if (*w->words)
        fprintf(f, "(%s)", w->words);
    else if (w->n_endings)
        fputs("_files -g \"*.(", f);
    else
        fputs(w->folders ? "_files -/" : " ", f);
    for (int i = 0; i < w->n_endings; i++)
        fprintf(f, "%s%s", i ? "|" : "", w->endings[i]);
    if (w->n_endings)
        fputs(")\"", f);
    fputc('\'', f);
}

static void zsh_command(FILE *f, const cli_command *c)
{
    const wanted operands = wanted_for(c->operands);
    cli_option_list l;

    cli_options(c, &l);
    fprintf(f, "    (%s) _arguments", c->name);
    for (int i = 0; i < l.n; i++) {
        const cli_option *o = l.at[i].option;
        const wanted w = wanted_for(o->arg);

        fprintf(f, " \\\n        '*--%s%s[", o->name, o->arg ? "=" : "");
        put_quoted(f, o->help, "[]:\\");
        fputc(']', f);
        if (o->arg)
            zsh_wanted(f, o->arg, &w);
        else
            fputc('\'', f);
        if (!cli_short(o))
            continue;
        fprintf(f, " \\\n        '*-%c[", cli_short(o));
        put_quoted(f, o->help, "[]:\\");
        fputc(']', f);
        if (o->arg)
            zsh_wanted(f, o->arg, &w);
        else
            fputc('\'', f);
    }
    fputs(" \\\n        '*", f);
    zsh_wanted(f, c->operands, &operands);
    fputs(" ;;\n", f);
}

static void zsh(FILE *f)
{
    const cli_command *c;

    fputs("#compdef sigmascope\n"
          "# zsh completion for sigmascope, printed by `sigmascope --completion zsh`\n"
          "_sigmascope() {\n"
          "    local -a commands\n"
          "    commands=(\n",
          f);
    for (int i = 0; (c = cli_command_at(i)); i++) {
        fprintf(f, "        '%s:", c->name);
        put_quoted(f, c->summary, ":\\");
        fputs("'\n", f);
    }
    fputs("        '--help:how it is used'\n"
          "        '--version:the version'\n"
          "        '--man:the manual page'\n"
          "        '--completion:what a shell reads to complete'\n"
          "    )\n"
          "    if ((CURRENT == 2)); then\n"
          "        _describe command commands\n"
          "        return\n"
          "    fi\n"
          "    local command=$words[2]\n"
          "    shift words\n"
          "    ((CURRENT--))\n"
          "    case $command in\n"
          "    (--completion) compadd bash zsh fish ;;\n",
          f);
    for (int i = 0; (c = cli_command_at(i)); i++)
        zsh_command(f, c);
    fputs("    esac\n"
          "}\n"
          "if [[ $funcstack[1] == _sigmascope ]]; then\n"
          "    _sigmascope \"$@\" # loaded from a folder of $fpath\n"
          "else\n"
          "    compdef _sigmascope sigmascope # sourced\n"
          "fi\n",
          f);
}

/* fish: one line for each option. */

static void fish_wanted(FILE *f, const wanted *w)
{
    if (*w->words)
        fprintf(f, "%s", w->words);
    for (int i = 0; i < w->n_endings; i++)
        fprintf(f, "%s(__fish_complete_suffix .%s)", i ? " " : "", w->endings[i]);
    if (w->folders)
        fputs("(__fish_complete_directories)", f);
}

static void fish_command(FILE *f, const cli_command *c)
{
    static const char condition[] = "complete -c sigmascope -n '__fish_seen_subcommand_from";
    const wanted operands = wanted_for(c->operands);
    cli_option_list l;

    cli_options(c, &l);
    fprintf(f, "complete -c sigmascope -n __fish_use_subcommand -a %s -d '", c->name);
    put_quoted(f, c->summary, "\\");
    fprintf(f, "'\n%s %s' -a '", condition, c->name);
    fish_wanted(f, &operands);
    fputs("'\n", f);
    for (int i = 0; i < l.n; i++) {
        const cli_option *o = l.at[i].option;
        const wanted w = wanted_for(o->arg);

        fprintf(f, "%s %s' -l %s", condition, c->name, o->name);
        if (cli_short(o))
            fprintf(f, " -s %c", cli_short(o));
        if (o->arg) {
            fputs(" -x -a '", f);
            fish_wanted(f, &w);
            fputc('\'', f);
        }
        fputs(" -d '", f);
        put_quoted(f, o->help, "\\");
        fputs("'\n", f);
    }
}

static void fish(FILE *f)
{
    const cli_command *c;

    fputs("# fish completion for sigmascope, printed by `sigmascope --completion fish`\n"
          "complete -c sigmascope -f\n"
          "complete -c sigmascope -n __fish_use_subcommand -s h -l help -d 'how it is used'\n"
          "complete -c sigmascope -n __fish_use_subcommand -l version -d 'the version'\n"
          "complete -c sigmascope -n __fish_use_subcommand -l man -d 'the manual page'\n"
          "complete -c sigmascope -n __fish_use_subcommand -l completion -x -a 'bash zsh fish'\n",
          f);
    for (int i = 0; (c = cli_command_at(i)); i++)
        fish_command(f, c);
}

bool cli_completion(const char *shell, FILE *f)
{
    static const struct {
        const char *name;
        void (*print)(FILE *f);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print(f);
            return true;
        }
    }
    return false;
}
