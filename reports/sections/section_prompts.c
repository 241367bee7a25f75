/* section_prompts.c - of a text encoder: every module at every token of a prompt, as a picture */
#include "base/mem.h"
#include "reports/page/curves.h"
#include "reports/page/heat.h"
#include "reports/sections/sections.h"

#include <math.h>
#include <string.h>

enum { PROMPTS = 4, TOKENS = 64, LARGEST = 8 };

/* Rows of the figures, in forward order: those of other figures, and the modules with the largest
 * values. */
typedef struct {
    ss_site *site;
    int n;
} rows;

static bool is_among(ss_site s, const ss_site *list, int n)
{
    for (int i = 0; i < n; i++) {
        if (list[i].module == s.module && list[i].port == s.port)
            return true;
    }
    return false;
}

static ss_code find_rows(const ss_analysis *x, rows *out, ss_err *e)
{
    ss_site top[LARGEST];
    const int n = ss_curves_largest(x, top, LARGEST);

    *out = (rows){.site = ss_alloc((size_t)x->produced.n, sizeof *out->site)};
    if (!out->site)
        return ss_no_memory(e, x->run->path);
    for (int i = 0; i < x->produced.n; i++) {
        const ss_site s = x->produced.site[i];

        if (is_among(s, x->rows.site, x->rows.n) || is_among(s, top, n))
            out->site[out->n++] = s;
    }
    return SS_OK;
}

/* How many tokens are worth a column: all, without equal ones at the end, which are padding. */
static int shown_tokens(const ss_run *r, int prompt)
{
    int n = r->n_samples < TOKENS ? r->n_samples : TOKENS;

    while (n > 1 && r->n_samples <= TOKENS && r->pictures &&
           strcmp(r->pictures[(ptrdiff_t)prompt * r->n_samples + n - 1],
                  r->pictures[(ptrdiff_t)prompt * r->n_samples + n - 2]) == 0)
        n--;
    return n;
}

static double value(const ss_analysis *x, ss_site s, int prompt, int token)
{
    return x->absmax[ss_run_at(x->run, s.module, s.port, prompt, x->order[0], token)];
}

static ss_code picture(ss_page *page, const ss_analysis *x, const rows *shown, int prompt,
                       ss_err *e)
{
    const int n = shown_tokens(x->run, prompt);
    const ss_format *f = &x->format[0];
    ss_heat h;
    double v[TOKENS];
    bool over[TOKENS];
    char name[256], alt[400], caption[500];
    bool any = false;

    ss_heat_begin(&h, "token", "largest |x|");
    for (int k = 0; k < n; k++) {
        snprintf(name, sizeof name, "%d %.24s", k,
                 x->run->pictures ? x->run->pictures[(ptrdiff_t)prompt * x->run->n_samples + k]
                                  : "");
        ss_heat_column(&h, name);
    }
    for (int i = 0; i < shown->n; i++) {
        for (int k = 0; k < n; k++) {
            const double peak = value(x, shown->site[i], prompt, k);

            v[k] = peak > 0 && isfinite(peak) ? peak : NAN; /* the scale is logarithmic */
            over[k] = ss_overflows(f, peak);
            any |= isfinite(v[k]);
        }
        ss_heat_row(&h, ss_fold_name(x->run, shown->site[i], name, sizeof name), v, over);
    }
    if (!any) {
        ss_heat_release(&h);
        ss_page_nothing(page,
                        "at no token of a prompt is a largest |x| known that is more than 0.");
        return SS_OK;
    }
    ss_heat_format(&h, f);
    ss_heat_end(&h, SS_HEAT_LOG);
    snprintf(name, sizeof name, "heat-%d", prompt + 1);
    snprintf(alt, sizeof alt,
             "Heat map of the largest activation: %d modules by %d tokens; %d cells are over the "
             "limit of %s.",
             shown->n, n, h.n_crosses, f->name);
    snprintf(caption, sizeof caption,
             "Prompt \"%.120s\". Rows: %s and the largest, in forward order from the top; columns: "
             "%d of %d "
             "tokens. Crosses mark what overflows %s (largest number %g); empty: not finite, or of "
             "the whole prompt, which is in the first column.",
             x->run->inputs[prompt], x->rows_are, n, x->run->n_samples, f->name, f->max);
    return ss_page_figure(page, &h.plot, name, SS_PLOT_WIDTH, ss_heat_height(&h), alt, caption, e);
}

ss_code ss_section_prompts(ss_page *page, const ss_analysis *x, ss_err *e)
{
    const int n = x->run->n_inputs < PROMPTS ? x->run->n_inputs : PROMPTS;
    rows shown;
    ss_code rc = SS_OK;

    if (!x->absmax || x->run->n_samples < 2)
        return SS_OK;
    if ((rc = find_rows(x, &shown, e)) == SS_OK && shown.n > 1)
        ss_page_section(page, "heat", "Module by token");
    for (int i = 0; i < n && rc == SS_OK && shown.n > 1; i++)
        rc = picture(page, x, &shown, i, e);
    ss_free(shown.site);
    return rc;
}
