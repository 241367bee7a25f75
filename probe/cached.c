/* cached.c - see cached.h */
#include "probe/cached.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kernels/context.h"
#include "probe/plan.h"
#include "probe/run_reader.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* The plan as JSON, and the file that a run of it is kept in; both ss_free's. */
static ss_code name_run(const ss_probe_options *opt, const char *dir, char **plan, char **path,
                        ss_err *e)
{
    const ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    ss_ctx *ctx;
    ss_plan p = {0};
    ss_str name = {0};
    char sha256[65];
    ss_code rc = ss_ctx_new(&device, &ctx, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_plan_make(opt, ss_ctx_threads(ctx), &p, e);
    if (rc == SS_OK)
        rc = ss_sha256_bytes(p.text, strlen(p.text), sha256, e);
    if (rc == SS_OK) {
        ss_str_addf(&name, "%s/%.12s-%.12s.h5", dir, p.net.sha256, sha256);
        *plan = p.text;
        p.text = NULL;
        *path = ss_str_detach(&name);
        if (!*path) {
            ss_free(*plan);
            rc = ss_fail(e, SS_NOMEM, "out of memory");
        }
    }
    ss_plan_release(&p);
    ss_ctx_free(ctx);
    return rc;
}

static ss_code look_for(const char *path, const char *plan, bool *found, ss_err *e)
{
    ss_run *r;
    ss_code rc = SS_OK;

    *found = false;
    if (!ss_file_exists(path))
        return SS_OK;
    rc = ss_run_open(path, &r, e);
    if (rc != SS_OK)
        return ss_fail_prefix(e, "a kept run cannot be read, remove it");
    *found = r->complete && strcmp(r->plan, plan) == 0;
    ss_run_close(r);
    return rc;
}

ss_code ss_probe_cached(const ss_probe_options *opt, const char *dir, char **path, bool *found,
                        ss_err *e)
{
    ss_probe_options o = *opt;
    ss_probe_summary summary = {0};
    char *plan, *file;
    ss_code rc = name_run(opt, dir, &plan, &file, e);

    if (rc != SS_OK)
        return rc;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        rc = ss_fail(e, SS_IO, "%s: %s", dir, strerror(errno));
    if (rc == SS_OK)
        rc = look_for(file, plan, found, e);
    if (rc == SS_OK && !*found) {
        o.output = file;
        o.resume = true; /* which starts one that is not there */
        o.replace = false;
        rc = ss_probe_run(&o, &summary, e);
    }
    if (rc == SS_OK)
        *path = file;
    else
        ss_free(file);
    ss_free(plan);
    return rc;
}
