/* adam_state.c - see adam_state.h */
#include "models/file/adam_state.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/adam_inside.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Finds the state in what a training saved. */
static const ss_pickle_value *find_state(const ss_pickle_value *root)
{
    static const char *const places[] = {"optimizer", "optimizer_state_dict", "optimizer_states.0",
                                         "optimizer_state"};

    if (ss_pickle_get(root, "param_groups"))
        return root;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const ss_pickle_value *v = ss_pickle_find(root, places[i]);

        if (ss_pickle_get(v, "param_groups"))
            return v;
    }
    return NULL;
}

/* Returns the state of parameter `id`; NULL where it has none. */
static const ss_pickle_value *state_of(const ss_pickle_value *states, size_t *at, int64_t id)
{
    const size_t n = ss_pickle_count(states);

    for (size_t k = 0; k < n; k++) { /* they are in the order of the numbers, mostly */
        const size_t i = (*at + k) % n;
        const ss_pickle_value *key = ss_pickle_key(states, i);

        if (key && key->kind == SS_PICKLE_INT && key->number == id) {
            *at = i + 1;
            return ss_pickle_at(states, i);
        }
    }
    return NULL;
}

static const ss_stored_tensor *tensor_of(const ss_pickle_value *v)
{
    return v && v->kind == SS_PICKLE_TENSOR ? v->tensor : NULL;
}

static ss_code take_moments(const char *path, const ss_pickle_value *state, int64_t id,
                            ss_adam_moment *p, ss_err *e)
{
    const double step = ss_adam_number(ss_pickle_get(state, "step"));
    char number[24];

    if (ss_pickle_get(state, "state1"))
        return ss_fail(e, SS_UNSUPPORTED, "%s: states of 8 bits (bitsandbytes) cannot be read",
                       path);
    p->m = tensor_of(ss_pickle_get(state, "exp_avg"));
    p->v = tensor_of(ss_pickle_get(state, "exp_avg_sq"));
    if (!isnan(step))
        p->step = step;
    snprintf(number, sizeof number, "%" PRId64, id);
    return ss_adam_check(path, number, p, e);
}

/* Reads the options of a group into *p. */
static ss_code take_options(const char *path, const ss_pickle_value *group, int number,
                            ss_adam_moment *p, ss_err *e)
{
    const ss_pickle_value *betas = ss_pickle_get(group, "betas");
    const bool pair = ss_pickle_count(betas) == 2;

    *p = (ss_adam_moment){.group = number,
                          .step = ss_adam_number(ss_pickle_get(group, "step")),
                          .rate = ss_adam_number(ss_pickle_get(group, "lr")),
                          .beta1 = pair ? ss_adam_number(ss_pickle_at(betas, 0)) : NAN,
                          .beta2 = pair ? ss_adam_number(ss_pickle_at(betas, 1)) : NAN,
                          .eps = ss_adam_number(ss_pickle_get(group, "eps"))};
    if (ss_adam_has_options(p))
        return SS_OK;
    return ss_fail(e, SS_UNSUPPORTED,
                   "%s: group %d has no lr, betas and eps, so its optimizer is not Adam", path,
                   number);
}

static ss_code take_group(const char *path, const ss_pickle_value *states,
                          const ss_pickle_value *group, int number, ss_adam_state *s, ss_err *e)
{
    const ss_pickle_value *ids = ss_pickle_get(group, "params");
    ss_adam_moment options;
    size_t at = 0;

    if (take_options(path, group, number, &options, e) != SS_OK)
        return e->code;
    for (size_t i = 0; i < ss_pickle_count(ids); i++) {
        const ss_pickle_value *id = ss_pickle_at(ids, i);
        const ss_pickle_value *state;

        if (!id || id->kind != SS_PICKLE_INT)
            return ss_fail(e, SS_UNSUPPORTED,
                           "%s: the parameters of group %d are no numbers, as PyTorch has them",
                           path, number);
        s->list[s->n] = options;
        state = state_of(states, &at, id->number);
        if (state && take_moments(path, state, id->number, &s->list[s->n], e) != SS_OK)
            return e->code;
        s->n++;
    }
    return SS_OK;
}

static ss_code read_state(const char *path, ss_adam_state *s, ss_err *e)
{
    const ss_pickle_value *state = find_state(ss_pickle_root(s->file));
    const ss_pickle_value *groups = ss_pickle_get(state, "param_groups");
    const size_t n_groups = ss_pickle_count(groups);
    size_t n = 0;

    if (!state)
        return ss_fail(e, SS_FORMAT, "%s: no state of an optimizer is in it", path);
    for (size_t g = 0; g < n_groups && g < SS_ADAM_MAX_GROUPS; g++)
        n += ss_pickle_count(ss_pickle_get(ss_pickle_at(groups, g), "params"));
    if (n == 0 || n > SS_ADAM_MAX_PARAMETERS || n_groups > SS_ADAM_MAX_GROUPS ||
        ss_pickle_count(ss_pickle_get(state, "state")) > SS_ADAM_MAX_PARAMETERS)
        return ss_fail(e, SS_FORMAT, "%s: %zu parameters in %zu groups are no optimizer's", path, n,
                       n_groups);
    s->list = ss_calloc(n, sizeof *s->list);
    if (!s->list)
        return ss_no_memory(e, path);
    for (size_t g = 0; g < n_groups; g++) {
        if (take_group(path, ss_pickle_get(state, "state"), ss_pickle_at(groups, g), (int)g, s,
                       e) != SS_OK)
            return e->code;
    }
    s->n_groups = (int)n_groups;
    return SS_OK;
}

static ss_code read_file(const char *path, ss_adam_state *s, ss_err *e)
{
    const ss_code rc = ss_pickle_open(path, &s->file, e);

    return rc == SS_OK ? read_state(path, s, e) : rc;
}

/* The path of the .metadata of a folder of torch.distributed.checkpoint, the caller's to ss_free;
 * "" for any other path, NULL where memory is out. */
static char *metadata_of(const char *path)
{
    static const char name[] = ".metadata";
    const size_t n = strlen(path), m = sizeof name - 1;

    if (ss_is_dir(path))
        return ss_path_join(path, name);
    return ss_strdup(n >= m && strcmp(path + n - m, name) == 0 ? path : "");
}

ss_code ss_adam_state_open(const char *path, ss_adam_state *s, ss_err *e)
{
    *s = (ss_adam_state){0};
    char *metadata = metadata_of(path);
    if (!metadata)
        return ss_no_memory(e, path);
    const ss_code rc = *metadata ? ss_adam_read_dcp(metadata, s, e) : read_file(path, s, e);
    if (rc != SS_OK)
        ss_adam_state_close(s);
    ss_free(metadata);
    return rc;
}

void ss_adam_state_close(ss_adam_state *s)
{
    for (size_t i = 0; i < s->n; i++)
        ss_free(s->list[i].name);
    ss_free(s->list);
    ss_pickle_close(s->file);
    ss_dcp_close(s->folder);
    *s = (ss_adam_state){0};
}
