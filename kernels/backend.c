/* backend.c - see backend.h */
#include "kernels/backend.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

bool ss_backend_supports(const ss_backend *b, const char *entry)
{
#define X(name, params, args)      \
    if (strcmp(entry, #name) == 0) \
        return b->name != NULL;
    SS_ENTRIES(X)
#undef X
#define X(name, params, args)                     \
    if (strcmp(entry, "gradient of " #name) == 0) \
        return b->back_##name != NULL;
    SS_GRADIENTS(X)
#undef X
    return false;
}

bool ss_backend_has_gradients(const ss_backend *b)
{
#define X(name, params, args) || b->back_##name
    return false SS_GRADIENTS(X);
#undef X
}

char *ss_backend_names(const ss_backend *const *list, size_t n, char *out, size_t size)
{
    size_t at = 0;

    *out = '\0';
    for (size_t i = 0; i < n && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s%s", i ? ", " : "", list[i]->name,
                               list[i]->numbered ? "[:N]" : "");
    return out;
}

ss_code ss_backend_find(const ss_backend *const *list, size_t n, const char *device,
                        const ss_backend **b, int *number, ss_err *e)
{
    const size_t length = strcspn(device, ":");
    char names[64];
    int64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i]->name) != length || strncmp(device, list[i]->name, length) != 0)
            continue;
        if (device[length] && !list[i]->numbered)
            return ss_fail(e, SS_USAGE, "device '%s': there is one %s, without a number", device,
                           list[i]->name);
        if (device[length] &&
            (!ss_parse_i64(device + length + 1, &value) || value < 0 || value > 1023))
            return ss_fail(e, SS_USAGE,
                           "device '%s': expected a number, 0 or more, after the colon", device);
        *b = list[i];
        *number = (int)value;
        return SS_OK;
    }
    return ss_fail(e, SS_USAGE, "no device '%s' in this build; there is: %s", device,
                   ss_backend_names(list, n, names, sizeof names));
}
