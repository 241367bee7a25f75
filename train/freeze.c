/* freeze.c - see freeze.h */
#include "train/freeze.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

/* True if the glob matches the name or the path of a module that it is in. */
static bool matches(const char *glob, const char *name, char *path)
{
    size_t len = strlen(name);

    memcpy(path, name, len + 1);
    while (!ss_glob_match(glob, path)) {
        while (len > 0 && path[len] != '.')
            len--;
        if (len == 0)
            return false;
        path[len] = '\0';
    }
    return true;
}

/* path: room for the longest name. */
static ss_code apply(const char *glob, ss_weight *const *weights, int n, char *path, bool *frozen,
                     ss_err *e)
{
    const bool freeze = *glob != '!';
    const char *pattern = freeze ? glob : glob + 1;
    bool hit = false;
    ss_code rc = ss_glob_check(pattern, e);

    if (rc != SS_OK)
        return ss_fail_prefix(e, "freeze");
    for (int i = 0; i < n; i++) {
        if (matches(pattern, weights[i]->name, path)) {
            frozen[i] = freeze;
            hit = true;
        }
    }
    return hit ? SS_OK
               : ss_fail(e, SS_USAGE,
                         "freeze: no parameter matches '%s'; `sigmascope inspect --top 0` "
                         "lists their names",
                         SS_SHOW(glob));
}

ss_code ss_freeze_select(const char *const *globs, int n_globs, ss_weight *const *weights, int n,
                         const char *config_name, bool *frozen, ss_err *e)
{
    size_t longest = 0;
    int left = 0;
    ss_code rc = SS_OK;

    for (int i = 0; i < n; i++) {
        const size_t len = strlen(weights[i]->name);

        longest = len > longest ? len : longest;
    }
    char *path = ss_alloc(longest + 1, 1);
    if (!path)
        return ss_no_memory(e, "training");
    for (int g = 0; g < n_globs && rc == SS_OK; g++)
        rc = apply(globs[g], weights, n, path, frozen, e);
    for (int i = 0; i < n; i++)
        left += !frozen[i];
    if (rc == SS_OK && left == 0)
        rc = ss_fail(e, SS_USAGE, "freeze: all %d parameters of %s are frozen; leave some to train",
                     n, config_name);
    ss_free(path);
    return rc;
}
