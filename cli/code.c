/* code.c - see code.h */
#include "cli/code.h"

ss_code cli_code_set(const cli_code *c, ss_run *r, ss_err *e)
{
    return ss_run_set_code(r, c->as, c->attention, e);
}

ss_code cli_code_set_keep(const cli_code *c, ss_run *r, ss_err *e)
{
    if (r->as == SS_ROUND_HALF)
        r->as = SS_ROUND_AUTOCAST;
    return cli_code_set(c, r, e);
}
