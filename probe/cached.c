/* cached.c - see cached.h */
#include "probe/cached.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/plan.h"
#include "runfile/plan_text.h"
#include "runfile/run_reader.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Makes the compared part of the plan, and the path of its run; the caller frees both with ss_free.
 */
static ss_code name_run(const ss_probe_options *opt, const char *dir, char **identity, char **path,
                        ss_err *e)
{
    ss_plan p = {0};
    ss_str name = {0};
    char sha256[65];
    ss_code rc = ss_plan_make(opt, &p, e);

    if (rc == SS_OK)
        rc = ss_sha256_bytes(p.identity, strlen(p.identity), sha256, e);
    if (rc == SS_OK) {
        ss_str_addf(&name, "%s/%.12s-%.12s.h5", dir, p.net.sha256, sha256);
        *identity = p.identity;
        p.identity = NULL;
        *path = ss_str_detach(&name);
        if (!*path) {
            ss_free(*identity);
            rc = ss_no_memory(e, "kept runs");
        }
    }
    ss_plan_release(&p);
    return rc;
}

/* Finds out whether there is a complete run file of this plan. */
static ss_code look_for(const char *path, const char *identity, bool *found, ss_err *e)
{
    const ss_settings *s;
    char *kept;
    ss_run *r;

    *found = false;
    if (!ss_file_exists(path))
        return SS_OK;
    if (ss_run_open(path, &r, e) != SS_OK)
        return ss_fail_prefix(e, "a kept run cannot be read, remove it");
    json_t *plan = ss_plan_parse(r->plan, &s);
    kept = s == ss_probe_settings() ? ss_plan_identity(s, plan) : NULL;
    *found = r->complete && kept && strcmp(kept, identity) == 0;
    ss_free(kept);
    json_decref(plan);
    ss_run_close(r);
    return SS_OK;
}

ss_code ss_probe_cached(const ss_probe_options *opt, const char *dir, char **path, bool *found,
                        ss_err *e)
{
    ss_probe_options o = *opt;
    ss_probe_summary summary = {0};
    char *identity, *file;
    ss_code rc = name_run(opt, dir, &identity, &file, e);

    if (rc != SS_OK)
        return rc;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        rc = ss_fail(e, SS_IO, "%s: %s", dir, strerror(errno));
    if (rc == SS_OK)
        rc = look_for(file, identity, found, e);
    if (rc == SS_OK && !*found) {
        o.output = file;
        o.resume = true; /* starts the run if there is none */
        o.replace = false;
        rc = ss_probe_run(&o, &summary, e);
    }
    if (rc == SS_OK)
        *path = file;
    else
        ss_free(file);
    ss_free(identity);
    return rc;
}
