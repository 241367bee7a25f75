/* tables.c - see tables.h */
#include "cli/tables.h"

#include <stdio.h>

ss_code cli_show(cli_tables *out, ss_table *t, ss_err *e)
{
    ss_code rc = SS_OK;

    if (!out->json) {
        if (out->n_shown++)
            putchar('\n');
        ss_table_print(t, stdout, 0);
    } else {
        if (!out->tables)
            out->tables = json_object();
        if (json_object_set_new(out->tables, t->title, ss_table_json(t)) != 0)
            rc = ss_fail(e, SS_NOMEM, "table '%s': out of memory", t->title);
    }
    ss_table_release(t);
    return rc;
}

ss_code cli_show_end(cli_tables *out, ss_code rc, ss_err *e)
{
    if (rc == SS_OK && out->tables) {
        if (json_dumpf(out->tables, stdout, JSON_INDENT(1)) != 0)
            rc = ss_fail(e, SS_IO, "writing the output failed");
        putchar('\n');
    }
    json_decref(out->tables);
    *out = (cli_tables){0};
    return rc;
}
