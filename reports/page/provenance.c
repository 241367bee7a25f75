/* provenance.c - see provenance.h */
#include "reports/page/provenance.h"

#include "analyze/one/run_settings.h"
#include "base/version.h"

static void row(FILE *f, const char *what, const char *value)
{
    html_raw(f, "<tr>");
    html_element(f, "th", NULL, "%s", what);
    html_raw(f, "<td class=\"path\">");
    html_text(f, *value ? value : "not recorded");
    html_raw(f, "</td></tr>\n");
}

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
        html_raw(p->f, "<details><summary>All settings</summary><div class=\"scroll\"><table>\n");
        for (int i = 0; i < x.n; i++) {
            if (x.list[i].known[0])
                row(p->f, x.list[i].name, x.list[i].values[0]);
        }
        html_raw(p->f, "</table></div></details>\n");
    }
    ss_run_settings_release(&x);
}

void ss_provenance(ss_page *p, ss_run *r, const char *report_command)
{
    char text[128];
    FILE *f = p->f;

    ss_page_section(p, "made", "How this was made");
    html_raw(f, "<div class=\"scroll\"><table>\n");
    row(f, "run file", r->path);
    row(f, "command", r->command);
    row(f, "made", r->created);
    row(f, "by", r->tool);
    row(f, "model", r->model_path);
    row(f, "model SHA-256", r->model_sha256);
    row(f, "family", r->family);
    row(f, "prediction", r->prediction_type);
    row(f, "schedule", r->schedule);
    row(f, "condition", r->condition);
    row(f, "precision", r->precision);
    if (*r->ignored_tensors)
        row(f, "ignored tensors", r->ignored_tensors);
    if (*r->weight_notes)
        row(f, "weights", r->weight_notes);
    row(f, "device", r->device);
    snprintf(text, sizeof text, "%d", r->threads);
    row(f, "threads", r->threads ? text : "");
    snprintf(text, sizeof text, "%llu", (unsigned long long)r->seed);
    row(f, "seed", r->has_seed ? text : "");
    ports(r, text, sizeof text);
    row(f, "recorded", text);
    snprintf(text, sizeof text, "%d modules, %d inputs, %d %s (%d finished), %d samples", r->n_real,
             r->n_inputs, r->n_sigmas, r->steps ? "steps" : "noise levels", r->n_done,
             r->n_samples);
    row(f, "size", text);
    row(f, "report", report_command);
    row(f, "report by", "sigmascope " SS_VERSION);
    row(f, "figures by", ss_plot_version(text, sizeof text));
    html_raw(f, "</table></div>\n");
    settings(p, r);
    if (*r->plan) {
        html_raw(f, "<details><summary>All that determines the data</summary><pre>");
        html_text(f, r->plan);
        html_raw(f, "</pre></details>\n");
    }
}
