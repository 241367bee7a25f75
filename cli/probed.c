/* probed.c - see probed.h */
#include "cli/probed.h"

#include "analyze/training/story.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/model_paths.h"
#include "runfile/run_reader.h"

#include <string.h>

/* True for a folder or file that ss_model_open would take. */
static bool is_checkpoint(const char *path)
{
    ss_model_paths paths;

    if (ss_run_is_file(path) || ss_model_paths_find(path, NULL, &paths, NULL) != SS_OK)
        return false;
    ss_model_paths_release(&paths);
    return true;
}

static bool is_story(const char *folder)
{
    ss_story s = {0};
    const bool is = ss_story_read(folder, &s, NULL) == SS_OK;

    ss_story_release(&s);
    return is;
}

ss_code cli_probed_list(cli_probed *x, cli_parser *p, ss_err *e)
{
    if (p->n_operands != 1 || !ss_is_dir(p->operands[0]) || is_checkpoint(p->operands[0]) ||
        is_story(p->operands[0]))
        return SS_OK;
    const ss_code rc = ss_checkpoint_folders_list(p->operands[0], NULL, &x->list, e);
    if (rc == SS_OK && x->list.n) {
        p->operands = x->list.paths;
        p->n_operands = x->list.n;
    }
    return rc;
}

/* Probes one checkpoint; what: the command that does the same. */
static ss_code make(cli_probed *x, const cli_parser *p, const char *model, const char *what,
                    char **run, ss_err *e)
{
    ss_probe_options opt = ss_probe_defaults();
    bool found;

    opt.network.model = model;
    opt.threads = p->common.threads;
    opt.device = p->common.device;
    opt.command = what;
    ss_code rc = ss_probe_cached(&opt, &x->cache, run, &found, e);
    if (rc == SS_OK) {
        ss_note("%s is a checkpoint: analyzing its run %s, %s; `%s` makes one with other options",
                SS_SHOW(model), *run, found ? "kept from before" : "probed with the default plan",
                what);
    } else if (rc == SS_USAGE && strstr(e->msg, "--")) {
        const ss_err why = *e;

        ss_fail(e, rc, "%s: %s; `%s` with that option, then analyze RUN.h5", SS_SHOW(model),
                why.msg, what);
    } else
        ss_fail_prefix(e, "%s", SS_SHOW(model));
    return rc;
}

ss_code cli_probed_make(cli_probed *x, cli_parser *p, ss_err *e)
{
    const size_t n = (size_t)p->n_operands;
    ss_code rc = SS_OK;

    x->cache = (ss_run_cache){.dir = SS_RUN_CACHE_FOLDER, .limit = SS_RUN_CACHE_LIMIT};
    x->runs = ss_calloc(n, sizeof *x->runs);
    x->operands = ss_calloc(n, sizeof *x->operands);
    if (!x->runs || !x->operands)
        return ss_no_memory(e, "runs");
    x->n_runs = p->n_operands;
    if (x->list.n)
        ss_note("%d checkpoints, from %s to %s", x->list.n, SS_SHOW(x->list.paths[0]),
                SS_SHOW(x->list.paths[x->list.n - 1]));
    for (int i = 0; i < x->n_runs && rc == SS_OK; i++) {
        ss_str command = {0};

        x->operands[i] = p->operands[i];
        if (!is_checkpoint(p->operands[i]))
            continue;
        ss_str_add(&command, "sigmascope probe ");
        ss_str_add_quoted(&command, p->operands[i]);
        ss_str_add(&command, " -o RUN.h5");
        rc = command.failed ? ss_no_memory(e, "runs")
                            : make(x, p, p->operands[i], command.s, &x->runs[i], e);
        ss_str_release(&command);
        if (rc == SS_OK)
            x->operands[i] = x->runs[i];
    }
    p->operands = x->operands;
    return rc;
}

void cli_probed_release(cli_probed *x)
{
    for (int i = 0; i < x->n_runs; i++)
        ss_free(x->runs[i]);
    ss_free(x->runs);
    ss_free(x->operands);
    ss_checkpoint_folders_release(&x->list);
    ss_run_cache_close(&x->cache);
    *x = (cli_probed){0};
}
