/* section_keep.c - which modules have to stay in fp32, as names to paste */
#include "analyze/precision/keep.h"
#include "base/mem.h"
#include "reports/sections/sections.h"

enum { TABLE_ROWS = 2000 };

static ss_code paste(ss_page *page, const ss_analysis *x, const ss_keep *k, ss_err *e)
{
    FILE *f = page->f;
    char **maps;
    int n;
    ss_code rc = ss_keep_maps(x->run, k, &maps, &n, e);

    if (rc != SS_OK)
        return rc;
    html_raw(f, "<details><summary>To paste</summary><pre class=\"paste\">");
    html_textf(f, "keep_fp32 = [  # model.get_submodule(name)%s\n",
               x->run->as == SS_ROUND_HALF
                   ? ".float(), of the weights before half(), on input.float(), its output back in "
                     "half()"
                   : ": autocast off, on input.float()");
    for (int m = 0; m < k->n_modules; m++) {
        if (ss_keep_listed(k, m)) {
            html_textf(f, "    \"%s\",\n", ss_keep_path(x->run, m));
        }
    }
    html_raw(f, "]</pre><pre>sigmascope probe ... ");
    html_textf(f, "--precision %s --as %s --attention %s", k->format.name,
               ss_round_scope_name(x->run->as), ss_attention_code_name(x->run->attention));
    for (int i = 0; i < n; i++)
        html_textf(f, " \\\n    --precision-map '%s'", maps[i]);
    html_raw(f, "</pre></details>\n");
    ss_keep_maps_free(maps, n);
    return SS_OK;
}

static ss_code one_format(ss_page *page, const ss_analysis *x, ss_keep *k, ss_err *e)
{
    ss_table t;
    ss_code rc;

    html_element(page->f, "h3", NULL, "What has to stay in fp32 when the rest is %s",
                 k->format.name);
    if ((rc = ss_keep_table(x->run, k, TABLE_ROWS, &t, e)) == SS_OK)
        ss_page_table(page, &t);
    return rc == SS_OK ? paste(page, x, k, e) : rc;
}

ss_code ss_section_keep(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const ss_round_scope as = x->run->as;
    bool begun = false;
    ss_code rc = SS_OK;

    if (as == SS_ROUND_HALF && !x->run->as_given) /* as `analyze --keep-fp32` */
        x->run->as = SS_ROUND_AUTOCAST;
    for (int i = 0; i < x->n_formats && x->headroom.n > 0 && rc == SS_OK; i++) {
        ss_keep k;
        ss_err why;

        if (x->headroom.n_negative[i] == 0)
            continue;
        rc = ss_keep_find(x->run, &x->format[i], 0, &k, &why);
        if (rc == SS_USAGE) { /* a run under emulation does not show what fp32 would do */
            rc = SS_OK;
            break;
        }
        if (rc != SS_OK) {
            *e = why;
            break;
        }
        if (!begun)
            ss_page_section(page, "keep", "Modules to keep in fp32");
        begun = true;
        rc = one_format(page, x, &k, e);
        ss_keep_release(&k);
    }
    x->run->as = as;
    return rc;
}
