/* offer.c - command lines for what is in a folder that was given for what is in it; see cli.h */
#include "base/file.h"
#include "base/listing.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "models/training_folder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST = 10 }; /* lines */

/* Prints the command line with another operand in the place of p->operands[k]. */
static void print_line(const cli_parser *p, int k, const char *operand)
{
    ss_str line = {0};

    for (int i = 0; i < p->argc; i++) {
        ss_str_add(&line, " ");
        ss_str_add_word(&line, p->argv[i] == p->operands[k] ? operand : p->argv[i]);
    }
    if (!line.failed)
        fprintf(stderr, "  sigmascope%s\n", line.s);
    ss_str_release(&line);
}

static void print_lines(const cli_parser *p, int k, char *const *paths, int n, const char *what)
{
    fprintf(stderr, "%s in it, newest first:\n", what);
    for (int i = 0; i < n && i < MOST; i++)
        print_line(p, k, paths[i]);
    if (n > MOST)
        fprintf(stderr, "  and %d more\n", n - MOST);
}

/* Offers the checkpoints of a training, the last step first. */
static void offer_checkpoints(const cli_parser *p, int k)
{
    ss_checkpoint_folders l;
    ss_err ignored = {0};

    if (ss_checkpoint_folders_list(p->operands[k], NULL, &l, &ignored) != SS_OK || !l.n)
        return;
    for (int i = 0; i < l.n / 2; i++) {
        char *path = l.paths[i];

        l.paths[i] = l.paths[l.n - 1 - i];
        l.paths[l.n - 1 - i] = path;
    }
    print_lines(p, k, l.paths, l.n, "checkpoints");
    ss_checkpoint_folders_release(&l);
}

static int by_age(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    struct stat s = {0}, t = {0};

    stat(x, &s);
    stat(y, &t);
    return s.st_mtime != t.st_mtime ? (s.st_mtime < t.st_mtime) - (s.st_mtime > t.st_mtime)
                                    : strcmp(y, x);
}

/* Offers the run files in a folder, the newest first. */
static void offer_runs(const cli_parser *p, int k)
{
    ss_listing l = {0};
    ss_err ignored = {0};
    int n = 0;

    if (ss_listing_read(p->operands[k], &l, &ignored) != SS_OK)
        return;
    char **paths = ss_calloc(l.n + 1, sizeof *paths);
    for (size_t i = 0; paths && i < l.n; i++) {
        const size_t len = strlen(l.name[i]);

        if (len > 3 && strcmp(l.name[i] + len - 3, ".h5") == 0)
            paths[n] = ss_path_join(p->operands[k], l.name[i]);
        n += paths[n] != NULL;
    }
    if (n)
        qsort(paths, (size_t)n, sizeof *paths, by_age);
    if (n)
        print_lines(p, k, paths, n, "run files");
    for (int i = 0; i < n; i++)
        ss_free(paths[i]);
    ss_free(paths);
    ss_listing_release(&l);
}

void cli_offer(const cli_parser *p)
{
    for (int k = 0; k < p->n_operands; k++) {
        if (!ss_is_dir(p->operands[k]))
            continue;
        if (p->cmd->common & CLI_TAKES_CHECKPOINT)
            offer_checkpoints(p, k);
        if (p->cmd->common & CLI_TAKES_RUNS)
            offer_runs(p, k);
        return;
    }
}
