/* code.c - see code.h */
#include "cli/code.h"

ss_code cli_code_set(const cli_code *c, ss_run *r, ss_err *e)
{
    if (c->as && ss_round_scope_parse(c->as, &r->as, e) != SS_OK)
        return ss_fail_prefix(e, "--as");
    if (c->attention && ss_attention_code_parse(c->attention, &r->attention, e) != SS_OK)
        return ss_fail_prefix(e, "--attention");
    return SS_OK;
}

ss_code cli_code_set_keep(const cli_code *c, ss_run *r, ss_err *e)
{
    if (r->as == SS_ROUND_HALF)
        r->as = SS_ROUND_AUTOCAST;
    return cli_code_set(c, r, e);
}
