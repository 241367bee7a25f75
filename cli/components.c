/* components.c - see components.h */
#include "cli/components.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>

ss_code cli_show_components(cli_tables *out, const ss_verdicts *v, ss_err *e)
{
    ss_findings found;
    ss_verdict first = {0};
    ss_table t;
    ss_code rc = ss_findings_init(&found, e);

    if (rc == SS_OK && (rc = ss_verdict_components(v, &first, e)) == SS_OK) {
        ss_findings_components(&found, v);
        rc = cli_show_verdict(out, &first, &found, e);
    }
    ss_verdict_release(&first);
    ss_findings_release(&found);
    for (int f = out->data ? 0 : 1; f < v->n_formats && rc == SS_OK; f++) { /* the verdict says the
                                                                              first */
        char *text = ss_verdicts_say(v, f);

        rc = text ? cli_say_more(out, "components", text, true, e) : ss_no_memory(e, "components");
        ss_free(text);
    }
    if (rc == SS_OK && (rc = ss_verdicts_table(v, &t, e)) == SS_OK)
        rc = cli_show(out, &t, e);
    return rc;
}

void cli_begin_component(cli_tables *out, const ss_component_verdicts *c, cli_tables *own)
{
    *own = *out;
    own->component = c->name;
    own->tables = NULL;
    own->n_shown = out->data ? out->n_shown : 0;
    if (!out->data)
        printf("\n== %s: %s\n\n", SS_SHOW(c->name), SS_SHOW(c->run->path));
}

ss_code cli_end_component(cli_tables *out, const ss_component_verdicts *c, cli_tables *own,
                          ss_code rc, ss_err *e)
{
    if (rc == SS_OK && out->data) {
        json_t *runs = json_object_get(out->tables, "runs");

        if (!runs && json_object_set_new(out->tables, "runs", json_object()) == 0)
            runs = json_object_get(out->tables, "runs");
        if (!runs || json_object_set(runs, c->name, own->tables) != 0)
            rc = ss_no_memory(e, "components");
    }
    out->n_shown = own->n_shown > out->n_shown ? own->n_shown : out->n_shown;
    json_decref(own->tables);
    *own = (cli_tables){0};
    return rc;
}
