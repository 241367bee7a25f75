/* emulation.c - see emulation.h */
#include "analyze/precision/emulation.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/unfinished.h"
#include "runfile/plan_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A folder of our own; ss_free. */
static char *make_scratch(ss_err *e)
{
    const char *tmp = getenv("TMPDIR");
    ss_str s = {0};

    ss_str_addf(&s, "%s/sigmascope-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    char *path = ss_str_detach(&s);
    if (!path) {
        ss_no_memory(e, "emulation");
    } else if (!mkdtemp(path)) {
        ss_fail(e, SS_IO, "%s: %s; TMPDIR says where there is room", path, strerror(errno));
        ss_free(path);
        path = NULL;
    } else {
        ss_unfinished_add(path);
    }
    return path;
}

ss_code ss_emulation_begin(ss_run *r, const char *format, int threads, const char *device,
                           ss_emulation *m, ss_err *e)
{
    ss_str output = {0};

    *m = (ss_emulation){0};
    ss_code rc = ss_format_parse(format, &m->format, e);
    if (rc == SS_OK) {
        m->format = ss_format_overflowing(&m->format);
        rc = ss_replay_read(r, &m->replay, e);
    }
    if (rc == SS_OK && !(m->folder = make_scratch(e)))
        rc = e->code;
    if (rc == SS_OK) {
        ss_str_addf(&output, "%s/run.h5", m->folder);
        m->output = ss_str_detach(&output);
        if (!m->output)
            rc = ss_no_memory(e, "emulation");
    }
    if (rc != SS_OK) {
        ss_emulation_end(m);
        return rc;
    }
    m->replay.opt.output = m->output;
    m->replay.opt.command = "sigmascope: emulation of a plan";
    m->replay.opt.replace = true;
    m->replay.opt.threads = threads;
    m->replay.opt.device = device;
    m->replay.opt.arithmetic = "auto"; /* no product of the format's numbers depends on it */
    m->replay.opt.network.changes.precision = m->format.name;
    m->replay.opt.network.changes.as = ss_round_scope_name(r->as);
    m->replay.opt.network.changes.attention = ss_attention_code_name(r->attention);
    m->replay.opt.network.changes.round_blocks = false; /* what the run was recorded as decides */
    m->replay.opt.n_dumps = 0;                          /* what is looked at here is in every run */
    m->replay.opt.channels = false;
    return SS_OK;
}

void ss_emulation_end(ss_emulation *m)
{
    if (m->output)
        unlink(m->output);
    if (m->folder) {
        rmdir(m->folder);
        ss_unfinished_drop(m->folder);
    }
    ss_free(m->folder);
    ss_free(m->output);
    ss_replay_release(&m->replay);
    *m = (ss_emulation){0};
}

/* The same pictures and tensors, the same scheduler file? */
static ss_code check_content(const ss_run *r, const ss_run *again, ss_err *e)
{
    const ss_settings *was, *is;
    json_t *then = ss_plan_parse(r->plan, &was), *now = ss_plan_parse(again->plan, &is);
    ss_str difference = {0};
    ss_code rc = SS_OK;

    if (is && ss_plan_content_difference(is, now, then, &difference))
        rc = ss_fail(e, SS_FORMAT, "%s cannot be repeated: %s", r->path,
                     difference.s ? difference.s : "out of memory");
    ss_str_release(&difference);
    json_decref(then);
    json_decref(now);
    return rc;
}

ss_code ss_emulation_run(ss_emulation *m, const ss_run *r, const ss_keep *k, ss_run **again,
                         ss_err *e)
{
    ss_changes_options *changes = &m->replay.opt.network.changes;
    ss_probe_summary summary = {0};
    char **maps = NULL;
    int n_maps = 0;
    ss_code rc = k ? ss_keep_maps(r, k, &maps, &n_maps, e) : SS_OK;

    *again = NULL;
    changes->precision_maps = (const char *const *)maps;
    changes->n_precision_maps = n_maps;
    if (rc == SS_OK)
        rc = ss_probe_run(&m->replay.opt, &summary, e);
    if (rc == SS_INTERRUPTED)
        ss_fail(e, rc, "interrupted while the run was repeated; nothing of that is kept");
    if (rc == SS_OK)
        rc = ss_run_open(m->output, again, e);
    unlink(m->output);
    if (rc == SS_OK && strcmp((*again)->model_sha256, r->model_sha256) != 0) {
        rc = ss_fail(e, SS_FORMAT,
                     "%s is not what %s was made of any more: its SHA-256 is %.12s, was %.12s",
                     r->model_path, r->path, (*again)->model_sha256, r->model_sha256);
        ss_run_close(*again);
        *again = NULL;
    }
    if (rc == SS_OK && (rc = check_content(r, *again, e)) != SS_OK) {
        ss_run_close(*again);
        *again = NULL;
    }
    changes->precision_maps = NULL;
    changes->n_precision_maps = 0;
    ss_keep_maps_free(maps, n_maps);
    return rc;
}

ss_code ss_emulation_count(ss_run *again, uint64_t *nonfinite, int *modules, ss_err *e)
{
    const uint64_t *bad;
    ss_code rc = ss_run_nonfinite(again, &bad, e);

    *nonfinite = 0;
    for (int m = 0; m < again->n_modules && rc == SS_OK; m++) {
        uint64_t n = 0;

        for (int p = 0; p < again->n_ports; p++)
            n += ss_site_count(again, bad, (ss_site){m, p}, SS_ALL, SS_ALL);
        *nonfinite += n;
        if (modules)
            *modules += n > 0;
    }
    return rc;
}
