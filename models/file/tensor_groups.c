/* tensor_groups.c - see tensor_groups.h */
#include "models/file/tensor_groups.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>
#include <strings.h>

static const char *const usual[] = {"state_dict", "model",     "module",    "model_state_dict",
                                    "net",        "network",   "params",    "ema",
                                    "model_ema",  "ema_model", "params_ema"};

enum { N_USUAL = sizeof usual / sizeof *usual, MAX_DEPTH = 8, MAX_LISTED = 8 };

ss_code ss_tensor_groups_add(ss_tensor_groups *l, const char *key, size_t n, const void *source,
                             ss_err *e)
{
    ss_tensor_group *grown = ss_grow(l->g, &l->cap, l->n + 1, sizeof *grown);
    char *copy = ss_strdup(key);

    if (grown)
        l->g = grown;
    if (!grown || !copy) {
        ss_free(copy);
        return ss_no_memory(e, key);
    }
    l->g[l->n++] = (ss_tensor_group){.key = copy, .n = n, .source = source};
    return SS_OK;
}

void ss_tensor_groups_release(ss_tensor_groups *l)
{
    for (size_t i = 0; i < l->n; i++)
        ss_free(l->g[i].key);
    ss_free(l->g);
    *l = (ss_tensor_groups){0};
}

bool ss_tensor_group_other(const char *key, size_t n)
{
    static const char *const starts[] = {"optim",  "sched",     "lr_sched",  "rng",
                                         "random", "callbacks", "loops",     "scaler",
                                         "grad",   "sampler",   "dataloader"};

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        const size_t m = strlen(starts[i]);

        if (n >= m && strncasecmp(key, starts[i], m) == 0)
            return true;
    }
    return false;
}

/* Fills rank with the places of a group's keys in the list of usual ones, ended by -1; false where
 * one is not there. */
static bool read_rank(const char *key, int rank[MAX_DEPTH + 1])
{
    int depth = 0;

    while (*key && depth < MAX_DEPTH) {
        const size_t n = strcspn(key, ".");
        int i = 0;

        while (i < N_USUAL && (strlen(usual[i]) != n || memcmp(usual[i], key, n) != 0))
            i++;
        if (i == N_USUAL)
            return false;
        rank[depth++] = i;
        key += n + (key[n] == '.');
    }
    rank[depth] = -1;
    return depth > 0 && !*key;
}

/* True if a comes before b, which has a rank too. */
static bool is_before(const int *a, const int *b)
{
    while (*a == *b && *a >= 0) {
        a++;
        b++;
    }
    return *a < *b;
}

static const ss_tensor_group *find_usual(const ss_tensor_groups *l)
{
    const ss_tensor_group *best = NULL;
    int best_rank[MAX_DEPTH + 1] = {-1}, rank[MAX_DEPTH + 1];

    for (size_t i = 0; i < l->n; i++) {
        if (!read_rank(l->g[i].key, rank) || (best && !is_before(rank, best_rank)))
            continue;
        best = &l->g[i];
        memcpy(best_rank, rank, sizeof rank);
    }
    return best;
}

/* The outermost group, where none has more tensors. */
static const ss_tensor_group *find_outermost(const ss_tensor_groups *l)
{
    const ss_tensor_group *best = NULL, *outer = NULL;

    for (size_t i = 0; i < l->n; i++) {
        if (!*l->g[i].key)
            outer = &l->g[i];
        if (!best || l->g[i].n > best->n)
            best = &l->g[i];
    }
    return outer && outer->n == best->n ? outer : NULL;
}

/* Lists groups but one: "ema (686 tensors), vae (248 tensors)". */
static void list(const ss_tensor_groups *l, const ss_tensor_group *but, ss_str *s)
{
    int n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const ss_tensor_group *g = &l->g[i];

        if (g == but)
            continue;
        if (n < MAX_LISTED)
            ss_str_addf(s, "%s%s (%zu tensor%s)", n ? ", " : "",
                        *g->key ? SS_SHOW(g->key) : "the outermost", g->n, g->n == 1 ? "" : "s");
        else if (n == MAX_LISTED)
            ss_str_add(s, ", ...");
        n++;
    }
}

static ss_code say_chosen(const ss_tensor_groups *l, const ss_tensor_group *g, char **note,
                          ss_err *e)
{
    ss_str s = {0};

    if (l->n < 2)
        return SS_OK;
    ss_str_addf(&s, "the weights are the %zu tensors of %s; there are also: ", g->n,
                *g->key ? SS_SHOW(g->key) : "the outermost dict");
    list(l, g, &s);
    ss_str_add(&s, " (--key picks)");
    *note = ss_str_detach(&s);
    return *note ? SS_OK : ss_no_memory(e, g->key);
}

static ss_code say_doubt(const ss_tensor_groups *l, const char *file, const char *key, ss_err *e)
{
    ss_str s = {0};
    ss_code rc;

    list(l, NULL, &s);
    if (!l->n)
        rc = ss_fail(e, SS_FORMAT, "%s: there is no dict of tensors in it", file);
    else if (key)
        rc = ss_fail(e, SS_USAGE, "%s: there is no dict of tensors %s; there are: %s", file,
                     SS_SHOW(key), s.s ? s.s : "others");
    else
        rc =
            ss_fail(e, SS_USAGE,
                    "%s: which of its dicts of tensors is the model? Pick one of %s, as with --key "
                    "%s",
                    file, s.s ? s.s : "several", SS_SHOW(l->g[*l->g[0].key ? 0 : 1].key));
    ss_str_release(&s);
    return rc;
}

ss_code ss_tensor_groups_choose(const ss_tensor_groups *l, const char *file, const char *key,
                                const ss_tensor_group **chosen, char **note, ss_err *e)
{
    const ss_tensor_group *g = NULL;

    *note = NULL;
    for (size_t i = 0; key && i < l->n && !g; i++)
        g = strcmp(l->g[i].key, key) == 0 ? &l->g[i] : NULL;
    if (!key) {
        g = l->n == 1 ? &l->g[0] : find_outermost(l);
        g = g ? g : find_usual(l);
    }
    if (!g)
        return say_doubt(l, file, key, e);
    *chosen = g;
    return key ? SS_OK : say_chosen(l, g, note, e);
}
