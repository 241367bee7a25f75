/* cached.c - see cached.h */
#include "probe/cached.h"

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/interrupt.h"
#include "probe/plan.h"
#include "runfile/plan_text.h"
#include "runfile/run_reader.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DIGITS = 12 }; /* of each sum, in a name */

/* Makes the compared part of the plan, and the name of its run; the caller frees both with ss_free.
 */
static ss_code name_run(const ss_probe_options *opt, char **identity, char **name, ss_err *e)
{
    ss_plan p = {0};
    ss_str text = {0};
    char sha256[65];
    ss_code rc = ss_plan_make(opt, &p, e);

    if (rc == SS_OK)
        rc = ss_sha256_bytes(p.identity, strlen(p.identity), sha256, e);
    if (rc == SS_OK) {
        ss_str_addf(&text, "%.*s-%.*s.h5", DIGITS, p.net.sha256, DIGITS, sha256);
        *identity = p.identity;
        p.identity = NULL;
        *name = ss_str_detach(&text);
        if (!*name) {
            ss_free(*identity);
            rc = ss_no_memory(e, "kept runs");
        }
    }
    ss_plan_release(&p);
    return rc;
}

static bool is_digits(const char *p)
{
    return strspn(p, "0123456789abcdef") >= DIGITS;
}

/* Tells a run that was kept here from other files. */
static bool is_run(const char *name)
{
    return is_digits(name) && name[DIGITS] == '-' && is_digits(name + DIGITS + 1) &&
           strcmp(name + DIGITS + 1 + DIGITS, ".h5") == 0;
}

/* Finds out whether there is a complete run file of this plan. One that is no run file is
 * SS_FORMAT.
 */
static ss_code look_for(const char *path, const char *identity, bool *found, ss_err *e)
{
    const ss_settings *s;
    char *kept;
    ss_run *r;
    ss_code rc;

    *found = false;
    if (!ss_file_exists(path))
        return SS_OK;
    if ((rc = ss_run_open(path, &r, e)) != SS_OK)
        return rc;
    json_t *plan = ss_plan_parse(r->plan, &s);
    kept = s == ss_probe_settings() ? ss_plan_identity(s, plan) : NULL;
    *found = r->complete && kept && strcmp(kept, identity) == 0;
    ss_free(kept);
    json_decref(plan);
    ss_run_close(r);
    return SS_OK;
}

/* Makes the run, or goes on with it; nobody else has it. */
static ss_code make_run(const ss_probe_options *opt, const char *path, ss_err *e)
{
    ss_probe_options o = *opt;
    ss_probe_summary summary = {0};
    ss_code rc;

    o.output = path;
    o.resume = true; /* starts the run if there is none */
    o.replace = false;
    rc = ss_probe_run(&o, &summary, e);
    return rc == SS_INTERRUPTED
               ? ss_fail(e, rc,
                         "interrupted; finished noise levels are kept, the same command goes on")
               : rc;
}

/* Waits a moment for another process; *said: the note was printed. */
static ss_code wait_for(const ss_run_cache *c, const char *model, pid_t holder, bool *said,
                        ss_err *e)
{
    const struct timespec moment = {.tv_nsec = 100000000};
    char who[48] = "";

    if (holder)
        snprintf(who, sizeof who, " (process %ld)", (long)holder);
    if (!*said)
        ss_note("waiting for another bisect%s to finish with %s in %s", who, SS_SHOW(model),
                SS_SHOW(c->dir));
    *said = true;
    nanosleep(&moment, NULL);
    return ss_interrupted()
               ? ss_fail(e, SS_INTERRUPTED, "interrupted while waiting for another bisect%s", who)
               : SS_OK;
}

/* Gets a run that is complete and held for reading, from the kept ones or by probing. */
static ss_code get_run(const ss_probe_options *opt, ss_run_cache *c, const char *name,
                       const char *path, const char *identity, bool *found, ss_err *e)
{
    bool said = false;
    pid_t holder;
    ss_code rc = SS_OK;

    for (;;) {
        if (ss_cache_try(&c->files, name, SS_CACHE_READ, &holder)) {
            rc = look_for(path, identity, found, e);
            if (rc == SS_NOMEM || *found)
                return rc;
            ss_cache_let_go(&c->files, name); /* two who read would never make it */
            if (ss_cache_try(&c->files, name, SS_CACHE_MAKE, &holder))
                break;
        }
        if ((rc = wait_for(c, opt->network.model, holder, &said, e)) != SS_OK)
            return rc;
    }
    rc = look_for(path, identity, found, e); /* another may have made it just now */
    if (rc == SS_FORMAT) {
        ss_note("%s is damaged and made again", path);
        rc = unlink(path) == 0 ? SS_OK : rc;
    }
    if (rc == SS_OK && !*found)
        rc = make_run(opt, path, e);
    if (rc == SS_OK)
        ss_cache_try(&c->files, name, SS_CACHE_READ, &holder);
    return rc;
}

ss_code ss_probe_cached(const ss_probe_options *opt, ss_run_cache *cache, char **path, bool *found,
                        ss_err *e)
{
    char *identity = NULL, *name = NULL, *file = NULL;
    ss_code rc = name_run(opt, &identity, &name, e);

    if (rc == SS_OK && !cache->files.dir)
        rc = ss_cache_open(&cache->files, cache->dir, is_run, true, e);
    if (rc == SS_OK && !(file = ss_path_join(cache->dir, name)))
        rc = ss_no_memory(e, "kept runs");
    if (rc == SS_OK)
        rc = get_run(opt, cache, name, file, identity, found, e);
    if (rc == SS_OK)
        ss_detail("%s: %s the run %s", opt->network.model, *found ? "takes" : "made", file);
    if (rc == SS_OK)
        rc = ss_cache_keep(&cache->files, name, e);
    else if (name)
        ss_cache_let_go(&cache->files, name);
    if (rc == SS_OK && !*found && cache->limit) /* a long search must not fill the disk */
        cache->n_removed += ss_cache_trim(&cache->files, cache->limit).removed;
    if (rc == SS_OK) {
        *path = file;
        file = NULL;
    }
    ss_free(file);
    ss_free(name);
    ss_free(identity);
    return rc;
}

void ss_run_cache_close(ss_run_cache *cache)
{
    char size[24], limit[24], removed[48] = "";

    if (!cache->files.dir)
        return;
    if (!cache->limit)
        ss_cache_forget(&cache->files);
    const ss_cache_size left = ss_cache_trim(&cache->files, cache->limit);
    cache->n_removed += left.removed;
    if (cache->n_removed && cache->limit)
        snprintf(removed, sizeof removed, "; %d older removed", cache->n_removed);
    ss_note("kept %d run%s, %s, in %s (limit %s; --cache-limit%s)", left.files,
            left.files == 1 ? "" : "s", ss_bytes_text(left.bytes, size, sizeof size),
            SS_SHOW(cache->dir), ss_bytes_text(cache->limit, limit, sizeof limit), removed);
    ss_cache_close(&cache->files);
}
