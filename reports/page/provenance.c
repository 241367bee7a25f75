/* provenance.c - see provenance.h */
#include "reports/page/provenance.h"

#include "analyze/one/run_settings.h"
#include "base/version.h"

/* "inputs, outputs and skips of modules": what a table can speak of. */
static void ports(const ss_run *r, char *out, size_t n)
{
    size_t at = 0;

    *out = '\0';
    for (int p = 0; p < r->n_ports && at < n; p++)
        at +=
            (size_t)snprintf(out + at, n - at, "%s%s", p ? ", " : "of each module: ", r->ports[p]);
}

/* Every setting that the plan has, the options and what followed from them. */
static void settings(ss_page *p, ss_run *r)
{
    ss_run_settings x;
    ss_err ignored;

    if (ss_run_settings_find(&r, 1, &x, &ignored) != SS_OK)
        return; /* no memory: the plan below has them */
    if (x.n_foreign && !r->steps)
        html_element(p->f, "p", "missing", "%s",
                     "The settings of this run are not recorded: it was not made by sigmascope.");
    if (x.n) {
        html_raw(p->f, "<details><summary>All settings</summary>\n");
        ss_page_facts_begin(p);
        for (int i = 0; i < x.n; i++) {
            if (x.list[i].known[0])
                ss_page_fact(p, x.list[i].name, x.list[i].values[0]);
        }
        ss_page_facts_end(p);
        html_raw(p->f, "</details>\n");
    }
    ss_run_settings_release(&x);
}

void ss_provenance(ss_page *p, ss_run *r, const char *report_command)
{
    char text[128];
    FILE *f = p->f;

    ss_page_section(p, "made", "How this was made");
    ss_page_facts_begin(p);
    ss_page_fact(p, "run file", r->path);
    ss_page_fact(p, "command", r->command);
    ss_page_fact(p, "made", r->created);
    ss_page_fact(p, "by", r->tool);
    ss_page_fact(p, "model", r->model_path);
    ss_page_fact(p, "model SHA-256", r->model_sha256);
    ss_page_fact(p, "family", r->family);
    ss_page_fact(p, "prediction", r->prediction_type);
    ss_page_fact(p, "schedule", r->schedule);
    ss_page_fact(p, "condition", r->condition);
    ss_page_fact(p, "precision", r->precision);
    if (*r->ignored_tensors)
        ss_page_fact(p, "ignored tensors", r->ignored_tensors);
    if (*r->weight_notes)
        ss_page_fact(p, "weights", r->weight_notes);
    ss_page_fact(p, "device", r->device);
    snprintf(text, sizeof text, "%d", r->threads);
    ss_page_fact(p, "threads", r->threads ? text : "");
    snprintf(text, sizeof text, "%llu", (unsigned long long)r->seed);
    ss_page_fact(p, "seed", r->has_seed ? text : "");
    ports(r, text, sizeof text);
    ss_page_fact(p, "recorded", text);
    if (r->binned)
        snprintf(text, sizeof text, "%d modules, %d steps, %d bin%s of noise level", r->n_real,
                 r->n_done, r->n_samples, r->n_samples == 1 ? "" : "s");
    else
        snprintf(text, sizeof text, "%d modules, %d inputs, %d %s (%d finished), %d samples",
                 r->n_real, r->n_inputs, r->n_sigmas, r->steps ? "steps" : "noise levels",
                 r->n_done, r->n_samples);
    ss_page_fact(p, "size", text);
    ss_page_fact(p, "report", report_command);
    ss_page_fact(p, "report by", "sigmascope " SS_VERSION);
    ss_page_fact(p, "figures by", ss_plot_version(text, sizeof text));
    ss_page_facts_end(p);
    settings(p, r);
    if (*r->plan) {
        html_raw(f, "<details><summary>All that determines the data</summary><pre>");
        html_text(f, r->plan);
        html_raw(f, "</pre></details>\n");
    }
}
