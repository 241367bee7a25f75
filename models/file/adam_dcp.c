/* adam_dcp.c - Adam's moments in a folder of torch.distributed.checkpoint
 *
 *   K.state.P.exp_avg, .exp_avg_sq, .step     tensors; K: any keys, "optim"; P: the parameter's
 *                                             name, or its number
 *   K.param_groups.G.params                   [P, P, ...]
 *   K.param_groups.G.lr, .betas, .eps         of group G
 *   K.param_groups.P.lr, .betas, .eps         or of each parameter, and no K.param_groups.G.params
 *
 * The last is flatten_optimizer_state_dict, and what optim_state_dict of FSDP 1 becomes is the
 * first.
 *
 * Source: torch/distributed/checkpoint/state_dict.py of PyTorch 2.15.
 */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/adam_inside.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *path;
    ss_adam_state *s;
    const char *keys; /* "optim.", not terminated */
    int n_keys;
} reader;

#define MOMENT ".exp_avg"

/* Finds where P begins in the name of a first moment, and the length of the keys before "state.";
 * NULL for any other tensor. */
static const char *parameter_in(const char *name, int *n_keys)
{
    const size_t n = strlen(name), m = strlen(MOMENT);

    if (n <= m || strcmp(name + n - m, MOMENT) != 0)
        return NULL;
    for (const char *part = name; part; part = strchr(part, '.'), part += part != NULL) {
        if (strncmp(part, "state.", 6) == 0 && part + 6 < name + n - m) {
            *n_keys = (int)(part - name);
            return part + 6;
        }
    }
    return NULL;
}

/* Finds the keys of the moments, which must be the same for all. */
static ss_code find_keys(reader *r, ss_err *e)
{
    for (size_t i = 0; i < ss_dcp_count(r->s->folder); i++) {
        const char *name = ss_dcp_at(r->s->folder, i)->name;
        int n;

        if (!parameter_in(name, &n))
            continue;
        if (r->keys && (n != r->n_keys || strncmp(name, r->keys, (size_t)n) != 0))
            return ss_fail(e, SS_UNSUPPORTED,
                           "%s: it has the states of two optimizers, %s and that of %s", r->path,
                           SS_SHOW(r->keys), SS_SHOW(name));
        r->keys = name;
        r->n_keys = n;
    }
    if (r->keys)
        return SS_OK;
    return ss_fail(e, SS_FORMAT,
                   "%s: no tensor is called KEYS.state.PARAMETER.exp_avg, so no state of Adam is "
                   "in it",
                   r->path);
}

/* Opens what is no tensor; *p is NULL where there is none of that name, or it cannot be read. */
static ss_code open_object(const reader *r, const char *name, ss_pickle **p, ss_err *e)
{
    ss_err why = {0};

    *p = NULL;
    if (ss_dcp_object(r->s->folder, name, p, &why) == SS_OK || why.code == SS_USAGE)
        return SS_OK;
    *e = why;
    return e->code;
}

/* Reads numbers [n] of K.WHERE.WHAT: a tensor of one, a number, or a pair. They are NaN where they
 * are not there. */
static ss_code read_numbers(const reader *r, const char *where, const char *what, double *x, int n,
                            ss_err *e)
{
    ss_str name = {0};
    ss_pickle *p = NULL;
    ss_code rc = SS_OK;

    ss_str_addf(&name, "%.*s%s.%s", r->n_keys, r->keys, where, what);
    for (int i = 0; i < n; i++)
        x[i] = NAN;
    if (name.failed)
        rc = ss_no_memory(e, r->path);
    else if (n == 1)
        x[0] = ss_adam_scalar(ss_dcp_find(r->s->folder, name.s));
    if (rc == SS_OK && isnan(x[0]))
        rc = open_object(r, name.s, &p, e);
    if (p) {
        const ss_pickle_value *v = ss_pickle_root(p);

        for (int i = 0; i < n; i++) {
            if (n == 1 || ss_pickle_count(v) == (size_t)n)
                x[i] = ss_adam_number(n == 1 ? v : ss_pickle_at(v, (size_t)i));
        }
    }
    ss_pickle_close(p);
    ss_str_release(&name);
    return rc;
}

/* Reads the options of a group, or of a parameter: "param_groups.0". */
static ss_code read_options(const reader *r, const char *where, ss_adam_moment *p, ss_err *e)
{
    double betas[2] = {NAN, NAN};
    ss_code rc = read_numbers(r, where, "lr", &p->rate, 1, e);

    if (rc == SS_OK)
        rc = read_numbers(r, where, "betas", betas, 2, e);
    if (rc == SS_OK)
        rc = read_numbers(r, where, "eps", &p->eps, 1, e);
    if (rc != SS_OK)
        return rc;
    p->beta1 = betas[0];
    p->beta2 = betas[1];
    if (ss_adam_has_options(p))
        return SS_OK;
    return ss_fail(e, SS_UNSUPPORTED,
                   "%s: %s has no lr, betas and eps, so its optimizer is not Adam", r->path,
                   SS_SHOW(where));
}

/* Finds the tensor K.state.P.WHAT; *t is NULL where there is none. */
static ss_code find(const reader *r, const char *state, const char *what,
                    const ss_stored_tensor **t, ss_err *e)
{
    ss_str name = {0};

    ss_str_addf(&name, "%.*s%s.%s", r->n_keys, r->keys, state, what);
    const bool failed = name.failed;
    if (!failed)
        *t = ss_dcp_find(r->s->folder, name.s);
    ss_str_release(&name);
    return failed ? ss_no_memory(e, r->path) : SS_OK;
}

/* Adds a parameter with the options of *p, and its moments where it has some. */
static ss_code add(const reader *r, const char *name, bool named, const ss_adam_moment *options,
                   ss_err *e)
{
    ss_adam_state *s = r->s;
    ss_str where = {0};
    ss_adam_moment *grown;

    if (s->n >= SS_ADAM_MAX_PARAMETERS)
        return ss_fail(e, SS_FORMAT, "%s: more than %d parameters are no optimizer's", r->path,
                       (int)SS_ADAM_MAX_PARAMETERS);
    if (!(grown = ss_grow(s->list, &s->cap, s->n + 1, sizeof *grown)))
        return ss_no_memory(e, r->path);
    s->list = grown;
    ss_adam_moment *p = &s->list[s->n];
    *p = *options;
    p->name = named ? ss_strdup(name) : NULL;
    ss_str_addf(&where, "state.%s", name);
    if (where.failed || (named && !p->name)) {
        ss_free(p->name);
        ss_str_release(&where);
        return ss_no_memory(e, r->path);
    }
    s->n++;
    ss_code rc = find(r, where.s, "exp_avg", &p->m, e);
    if (rc == SS_OK)
        rc = find(r, where.s, "exp_avg_sq", &p->v, e);
    if (rc == SS_OK && (p->m || p->v))
        rc = read_numbers(r, where.s, "step", &p->step, 1, e);
    if (rc == SS_OK && (p->m || p->v))
        rc = ss_adam_check(r->path, name, p, e);
    ss_str_release(&where);
    return rc;
}

/* Adds the parameters in a group's list. */
static ss_code add_listed(const reader *r, const ss_pickle_value *ids,
                          const ss_adam_moment *options, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < ss_pickle_count(ids) && rc == SS_OK; i++) {
        const ss_pickle_value *id = ss_pickle_at(ids, i);
        const bool named = id && id->kind == SS_PICKLE_TEXT;
        ss_str name = {0};

        if (!named && (!id || id->kind != SS_PICKLE_INT))
            return ss_fail(e, SS_UNSUPPORTED,
                           "%s: the parameters of group %d are neither names nor numbers", r->path,
                           options->group);
        if (r->s->n && named != (r->s->list[0].name != NULL))
            return ss_fail(e, SS_FORMAT, "%s: some parameters have names, others numbers", r->path);
        ss_str_add(&name, "");
        if (named)
            ss_str_addn(&name, id->text.s, id->text.n);
        else
            ss_str_addf(&name, "%" PRId64, id->number);
        rc = !name.failed ? add(r, name.s, named, options, e) : ss_no_memory(e, r->path);
        ss_str_release(&name);
    }
    return rc;
}

/* Reads group g; *found is false where there is none. */
static ss_code read_group(const reader *r, int g, bool *found, ss_err *e)
{
    ss_adam_moment options = {.group = g};
    ss_str name = {0};
    ss_pickle *p = NULL;
    char where[40];

    snprintf(where, sizeof where, "param_groups.%d", g);
    ss_str_addf(&name, "%.*s%s.params", r->n_keys, r->keys, where);
    ss_code rc = name.failed ? ss_no_memory(e, r->path) : open_object(r, name.s, &p, e);
    *found = p != NULL;
    if (rc == SS_OK && p)
        rc = read_options(r, where, &options, e);
    if (rc == SS_OK && p)
        rc = add_listed(r, ss_pickle_root(p), &options, e);
    ss_pickle_close(p);
    ss_str_release(&name);
    return rc;
}

/* Reads the parameters that have their own options. */
static ss_code read_flat(const reader *r, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t i = 0; i < ss_dcp_count(r->s->folder) && rc == SS_OK; i++) {
        const char *full = ss_dcp_at(r->s->folder, i)->name;
        int n;
        const char *from = parameter_in(full, &n);
        ss_adam_moment options = {0};
        ss_str name = {0}, where = {0};

        if (!from)
            continue;
        const int length = (int)(strlen(from) - strlen(MOMENT));
        ss_str_addf(&name, "%.*s", length, from);
        ss_str_addf(&where, "param_groups.%.*s", length, from);
        rc = name.failed || where.failed ? ss_no_memory(e, r->path)
                                         : read_options(r, where.s, &options, e);
        if (rc == SS_OK)
            rc = add(r, name.s, true, &options, e);
        ss_str_release(&name);
        ss_str_release(&where);
    }
    return rc;
}

bool ss_adam_is_in_dcp(const char *path, ss_err *e)
{
    bool found = false;
    ss_dcp *d;
    int n;

    if (ss_dcp_open(path, &d, e) != SS_OK)
        return false;
    for (size_t i = 0; i < ss_dcp_count(d); i++)
        found |= parameter_in(ss_dcp_at(d, i)->name, &n) != NULL;
    ss_dcp_close(d);
    return found;
}

ss_code ss_adam_read_dcp(const char *path, ss_adam_state *s, ss_err *e)
{
    reader r = {.path = path, .s = s};
    bool found = true;
    ss_code rc = ss_dcp_open(path, &s->folder, e);

    if (rc == SS_OK)
        rc = find_keys(&r, e);
    while (rc == SS_OK && found && s->n_groups < SS_ADAM_MAX_GROUPS) {
        rc = read_group(&r, s->n_groups, &found, e);
        s->n_groups += found;
    }
    if (rc == SS_OK && s->n_groups == 0) {
        rc = read_flat(&r, e);
        s->n_groups = 1;
    }
    if (rc == SS_OK && s->n == 0)
        rc = ss_fail(e, SS_FORMAT, "%s: its groups have no parameters", path);
    return rc;
}
