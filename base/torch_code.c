/* torch_code.c - see torch_code.h */
#include "base/torch_code.h"

#include <string.h>

const char *ss_round_scope_name(ss_round_scope s)
{
#define X(name, text) [SS_ROUND_##name] = text,
    static const char *const names[] = {SS_ROUND_SCOPES(X)};
#undef X
    return names[s];
}

const char *ss_attention_code_name(ss_attention_code k)
{
#define X(name, text) [SS_ATTENTION_##name] = text,
    static const char *const names[] = {SS_ATTENTION_CODES(X)};
#undef X
    return names[k];
}

ss_code ss_round_scope_parse(const char *name, ss_round_scope *s, ss_err *e)
{
    for (int k = 0; k < SS_N_ROUND_SCOPES; k++) {
        *s = (ss_round_scope)k;
        if (strcmp(name, ss_round_scope_name(*s)) == 0)
            return SS_OK;
    }
    return ss_fail(e, SS_USAGE, "'%s' is no code that rounds; known: half, autocast, autocast-cpu",
                   name);
}

ss_code ss_attention_code_parse(const char *name, ss_attention_code *k, ss_err *e)
{
    for (int i = 0; i < SS_N_ATTENTION_CODES; i++) {
        *k = (ss_attention_code)i;
        if (strcmp(name, ss_attention_code_name(*k)) == 0)
            return SS_OK;
    }
    return ss_fail(e, SS_USAGE, "'%s' is no code of attention; known: sdpa, eager, eager-unscaled",
                   name);
}
