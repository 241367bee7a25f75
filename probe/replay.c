/* replay.c - see replay.h; the plan is read by options.h */
#include "probe/replay.h"

#include "base/mem.h"
#include "probe/options.h"
#include "runfile/plan_text.h"

/* Checks for the keys that plans of all versions have. */
static ss_code check(const ss_run *r, const json_t *plan, ss_err *e)
{
    static const char *const keys[] = {"levels", "inputs", "samples", "size"};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!json_object_get(plan, keys[i]))
            return ss_fail(e, SS_FORMAT,
                           "%s: its plan says nothing usable of \"%s\"; probe the model again with "
                           "this version",
                           r->path, keys[i]);
    }
    return SS_OK;
}

ss_code ss_replay_read(const ss_run *r, ss_replay *p, ss_err *e)
{
    const ss_settings *s;
    ss_code rc;

    *p = (ss_replay){.opt = ss_probe_defaults()};
    if (!*r->plan || !*r->model_path)
        return ss_fail(e, SS_USAGE,
                       "%s: does not say how it was made, so it cannot be repeated; runs of "
                       "`sigmascope probe` do",
                       r->path);
    p->plan = ss_plan_parse(r->plan, &s);
    if (!p->plan)
        return ss_fail(e, SS_FORMAT, "%s: its plan is not JSON", r->path);
    if (s && s != ss_probe_settings())
        rc =
            ss_fail(e, SS_USAGE,
                    "%s: is a run of `sigmascope %s`, which cannot be repeated from its file; runs "
                    "of `sigmascope probe` can",
                    r->path, s->kind);
    else if ((rc = check(r, p->plan, e)) == SS_OK)
        rc = ss_options_read(ss_probe_settings(), p->plan, r->path, &p->opt, &p->owned, e);
    p->opt.network.model = r->model_path;
    if (rc != SS_OK)
        ss_replay_release(p);
    return rc;
}

void ss_replay_release(ss_replay *p)
{
    json_decref(p->plan);
    ss_settings_release(&p->owned);
    *p = (ss_replay){0};
}
