/* given_runs.c - see given_runs.h */
#include "analyze/search/given_runs.h"

#include "analyze/several/trend.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/plan_text.h"

#include <string.h>

ss_code ss_given_run_step(const char *path, int64_t *step, ss_err *e)
{
    const char *end = strrchr(path, '.');
    ss_str stem = {0};
    ss_run *r;
    ss_code rc = ss_run_open_any(path, &r, e);

    if (rc != SS_OK)
        return rc;
    *step = -1;
    if (!ss_trend_step(r->model_path, step)) {
        ss_str_addn(&stem, path, end ? (size_t)(end - path) : strlen(path));
        if (!stem.s || !ss_trend_step(stem.s, step))
            *step = -1;
    }
    ss_str_release(&stem);
    ss_run_close(r);
    return SS_OK;
}

static bool same_texts(char *const *a, char *const *b, int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(a[i], b[i]) != 0)
            return false;
    }
    return true;
}

static bool axes_differ(const ss_run *r, const ss_run *other, ss_str *out)
{
    if (r->n_sigmas != other->n_sigmas || !r->sigmas != !other->sigmas ||
        (r->sigmas &&
         memcmp(r->sigmas, other->sigmas, (size_t)r->n_sigmas * sizeof *r->sigmas) != 0))
        ss_str_add(out, "it has other noise levels");
    else if (r->n_inputs != other->n_inputs || !same_texts(r->inputs, other->inputs, r->n_inputs))
        ss_str_add(out, "it has other inputs");
    else if (r->n_samples != other->n_samples)
        ss_str_addf(out, "it has %d samples, the other %d", r->n_samples, other->n_samples);
    return out->len > 0;
}

bool ss_given_run_differs(const ss_run *r, const ss_run *other, char **difference)
{
    const ss_settings *s, *t;
    json_t *a = ss_plan_parse(r->plan, &s), *b = ss_plan_parse(other->plan, &t);
    /* differ from checkpoint to checkpoint; a table of classes is trained, too */
    static const char *const own[] = {"model_sha256", "version", "conditions"};
    ss_str out = {0};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (a && b && json_object_get(b, own[i]))
            json_object_set(a, own[i], json_object_get(b, own[i]));
    }
    const bool differs =
        a && b && s && s == t ? ss_plan_difference(s, a, b, &out) : axes_differ(r, other, &out);

    json_decref(a);
    json_decref(b);
    *difference = differs ? ss_str_detach(&out) : NULL;
    ss_str_release(&out);
    return *difference != NULL;
}

ss_code ss_given_run_check_model(const ss_run *r, const char *what, ss_err *e)
{
    if (!*r->model_path)
        return ss_fail(e, SS_USAGE,
                       "%s: %s needs the checkpoint, and the run does not say of which "
                       "it is",
                       r->path, what);
    if (!ss_file_exists(r->model_path))
        return ss_fail(e, SS_USAGE,
                       "%s: %s needs the checkpoint, and it is not where it was when the run was "
                       "made (%s); give bisect the checkpoint",
                       r->path, what, SS_SHOW(r->model_path));
    return SS_OK;
}
