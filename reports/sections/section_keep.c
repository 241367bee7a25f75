/* section_keep.c - which modules have to stay in fp32, as names to paste */
#include "analyze/precision/keep_paste.h"
#include "base/mem.h"
#include "reports/sections/sections.h"

enum { TABLE_ROWS = 2000 };

/* Writes one text, folded; "" writes nothing. */
static ss_code fold(FILE *f, const char *summary, char *text, ss_err *e)
{
    if (text && *text) {
        html_raw(f, "<details>");
        html_element(f, "summary", NULL, "%s", summary);
        html_raw(f, "<pre>");
        html_text(f, text);
        html_raw(f, "</pre></details>\n");
    }
    const ss_code rc = text ? SS_OK : ss_no_memory(e, "keeping fp32");
    ss_free(text);
    return rc;
}

static ss_code paste(ss_page *page, const ss_analysis *x, const ss_keep *k, ss_err *e)
{
    const struct {
        const char *summary;
        char *(*text)(const ss_run *r, const ss_keep *k);
    } texts[] = {
        {"To paste into PyTorch", ss_keep_paste_torch},
        {"To paste after it for a pipeline of diffusers", ss_keep_paste_diffusers},
        {"For sigmascope probe --precision-map @FILE", ss_keep_paste_map},
    };
    ss_code rc = SS_OK;

    for (size_t i = 0; i < sizeof texts / sizeof *texts && rc == SS_OK; i++)
        rc = fold(page->f, texts[i].summary, texts[i].text(x->run, k), e);
    return rc;
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
