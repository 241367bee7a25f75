/* backend.c - see backend.h */
#include "kernels/backend.h"

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
