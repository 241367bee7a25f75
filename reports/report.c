/* report.c - see report.h */
#include "reports/report.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "reports/components.h"
#include "reports/overview.h"
#include "reports/page/provenance.h"
#include "reports/page/single.h"
#include "reports/sections/samples.h"
#include "reports/sections/section_story.h"
#include "reports/sections/sections.h"
#include "reports/summary.h"
#include "reports/training.h"

#include <string.h>

static const char *const usual_formats[] = {"fp16", "fp8-e4m3", "fp8-e5m2", "bf16"};

/* Everything while a report is written. */
typedef struct {
    const ss_report_options *opt;
    ss_report_summary *summary;
    const char *folder;
    ss_format formats[SS_MAX_FORMATS];
    int n_formats;
    ss_run **runs;
    bool components;               /* the runs are of several components of a pipeline */
    ss_analysis *analyses;         /* [n_runs] */
    ss_training_analysis training; /* of the only run, if that is over training steps */
} writer;

ss_report_options ss_report_defaults(void)
{
    return (ss_report_options){0};
}

static ss_code parse_formats(writer *w, ss_err *e)
{
    const char *const *names = w->opt->n_formats ? w->opt->formats : usual_formats;
    const int n =
        w->opt->n_formats ? w->opt->n_formats : (int)(sizeof usual_formats / sizeof *usual_formats);

    if (n > SS_MAX_FORMATS)
        return ss_fail(e, SS_USAGE, "%d formats are too many; at most %d", n, SS_MAX_FORMATS);
    for (int i = 0; i < n; i++) {
        ss_code rc = ss_format_parse(names[i], &w->formats[w->n_formats++], e);

        if (rc != SS_OK)
            return rc;
    }
    return SS_OK;
}

/* Judges a training by the format that it was made in first, unless others were asked for. */
static void lead_with_own(writer *w)
{
    ss_format own;
    int at = 0;

    if (w->opt->n_formats || !ss_run_format(w->runs[0], &own))
        return;
    while (at < w->n_formats && strcmp(w->formats[at].name, own.name) != 0)
        at++;
    if (at == w->n_formats && w->n_formats++ == SS_MAX_FORMATS)
        at = --w->n_formats - 1;
    for (; at > 0; at--)
        w->formats[at] = w->formats[at - 1];
    w->formats[0] = own;
}

/* Analyses run i; of the globs of several components those that match in this one. */
static ss_code analyse(writer *w, int i, ss_err *e)
{
    const char **globs = ss_calloc((size_t)w->opt->n_modules + 1, sizeof *globs);
    ss_run *r = w->runs[i];
    ss_code rc = globs ? SS_OK : ss_no_memory(e, "a report");
    int n = w->opt->n_modules;

    for (int g = 0; g < n && rc == SS_OK; g++)
        globs[g] = w->opt->modules[g];
    if (rc == SS_OK && w->components && n) {
        n = ss_globs_of_run(r, w->opt->modules, n, globs);
        if (!n)
            rc = ss_fail(e, SS_USAGE, "%s: no module matches --modules; leave this run out",
                         r->path);
    }
    if (rc == SS_OK)
        rc = ss_analysis_make(r, globs, n, w->formats, w->n_formats, &w->analyses[i], e);
    ss_free(globs);
    return rc;
}

static ss_code open_runs(writer *w, ss_err *e)
{
    /* a run over training steps has nothing to be compared with */
    ss_code (*const open)(const char *, ss_run **, ss_err *) =
        w->opt->n_runs == 1 ? ss_run_open_any : ss_run_open;
    ss_code rc = SS_OK;

    w->runs = ss_calloc((size_t)w->opt->n_runs, sizeof *w->runs);
    w->analyses = ss_calloc((size_t)w->opt->n_runs, sizeof *w->analyses);
    if (!w->runs || !w->analyses)
        return ss_no_memory(e, "a report");
    for (int i = 0; i < w->opt->n_runs && rc == SS_OK; i++) {
        if ((rc = open(w->opt->runs[i], &w->runs[i], e)) == SS_OK)
            rc = ss_run_set_code(w->runs[i], w->opt->as, w->opt->attention, e);
    }
    if (rc == SS_OK && w->runs[0]->steps) {
        lead_with_own(w);
        return ss_training_analysis_make(w->runs[0], w->opt->modules, w->opt->n_modules, w->formats,
                                         w->n_formats, &w->training, e);
    }
    w->components = rc == SS_OK && ss_runs_are_components(w->runs, w->opt->n_runs);
    if (w->components && w->opt->steps)
        rc = ss_fail(e, SS_USAGE,
                     "--steps is for runs of one network; these are of several components");
    for (int i = 0; i < w->opt->n_runs && rc == SS_OK; i++)
        rc = analyse(w, i, e);
    if (rc == SS_OK)
        ss_analysis_name(w->analyses, w->opt->n_runs);
    for (int i = 0; i < w->opt->n_runs && rc == SS_OK && w->components; i++)
        snprintf(w->analyses[i].name, sizeof w->analyses[i].name, "%s",
                 ss_component_name(w->runs[i]));
    return rc;
}

static void lead(ss_page *p, const ss_analysis *x)
{
    const ss_run *r = x->run;

    if (ss_run_is_text(r)) {
        html_element(
            p->f, "p", "lead",
            "%s, a text encoder, %d modules, %d prompt%s of %d tokens. Largest activations "
            "are those of what modules put out, over all prompts and tokens; headroom "
            "and overflow are of what they take in, too.",
            *r->family ? r->family : "A model of unknown family", r->n_real, r->n_inputs,
            r->n_inputs == 1 ? "" : "s", r->n_samples);
        return;
    }
    if (ss_run_is_vae(r))
        html_element(p->f, "p", "lead",
                     "An autoencoder: sigma is the noise of the latents that its decoder is given, "
                     "and its encoder runs for inputs that are pictures.");
    html_element(
        p->f, "p", "lead",
        "%s, %d modules, %d input%s at %d noise level%s, %d sample%s each. Largest activations "
        "are those of what modules put out, over all inputs and samples; headroom and "
        "overflow are of what they take in, too.",
        *r->family ? r->family : "A model of unknown family", r->n_real, r->n_inputs,
        r->n_inputs == 1 ? "" : "s", x->n, x->n == 1 ? "" : "s", r->n_samples,
        r->n_samples == 1 ? "" : "s");
}

/* The verdict of a run, and its sentences. */
static ss_code first_sight(ss_page *page, const ss_analysis *x, ss_err *e)
{
    ss_findings f;
    ss_verdict v = {0};
    ss_code rc = ss_findings_init(&f, e);

    if (rc == SS_OK && (rc = ss_verdict_run(x, &v, e)) == SS_OK) {
        ss_findings_run(&f, x);
        rc = ss_summary(page, &f, &v, e);
    }
    ss_verdict_release(&v);
    ss_findings_release(&f);
    return rc;
}

/* Everything of one run on one page. */
static ss_code run_page(writer *w, int i, const char *file, const char *prefix, const char *title,
                        ss_err *e)
{
#define X(name) ss_section_##name,
    static ss_code (*const sections[])(ss_page *, const ss_analysis *, ss_err *) = {SS_SECTIONS(X)};
#undef X
    const ss_analysis *x = &w->analyses[i];
    ss_page page;
    ss_code rc = ss_page_begin(&page, w->folder, file, prefix, title, w->summary, e);

    if (rc != SS_OK)
        return rc;
    lead(&page, x);
    ss_page_main(&page);
    if (w->opt->story && w->opt->n_runs == 1 &&
        (rc = ss_section_story(&page, w->opt->story, e)) != SS_OK)
        goto out;
    if ((rc = first_sight(&page, x, e)) != SS_OK)
        goto out;
    for (size_t k = 0; k < sizeof sections / sizeof *sections && rc == SS_OK; k++)
        rc = sections[k](&page, x, e);
    if (rc == SS_OK)
        ss_section_structure(&page, x->run);
    if (rc == SS_OK && w->opt->samples && w->opt->n_runs == 1)
        rc = ss_section_samples(&page, w->opt->samples, e);
    if (rc == SS_OK) {
        ss_provenance(&page, x->run, w->opt->command ? w->opt->command : "");
        html_raw(page.f, "</main>\n");
        rc = ss_page_end(&page, e);
    }
out:
    ss_page_discard(&page);
    return rc;
}

/* A page for each run, and one for all of them. */
static ss_code write_pages(writer *w, ss_err *e)
{
    const int n = w->opt->n_runs;
    char(*pages)[32] = ss_calloc((size_t)n, sizeof *pages), prefix[32], title[300];
    const ss_overview all = {w->opt, w->folder,  w->runs,      w->analyses,
                             n,      w->formats, w->n_formats, (const char(*)[32])pages};
    ss_code rc = pages ? SS_OK : ss_no_memory(e, "a report");

    for (int i = 0; i < n && rc == SS_OK; i++) {
        snprintf(prefix, sizeof prefix, "run-%d", i + 1);
        if (w->components)
            ss_component_page_name(w->runs[i], prefix, sizeof prefix);
        snprintf(pages[i], sizeof pages[i], "%.26s.html", prefix);
        snprintf(prefix + strlen(prefix), sizeof prefix - strlen(prefix), "-");
        rc = run_page(w, i, pages[i], prefix, w->analyses[i].name, e);
    }
    snprintf(title, sizeof title, "%s and %d more", w->analyses[0].name, n - 1);
    if (n == 2)
        snprintf(title, sizeof title, "%s and %s", w->analyses[0].name, w->analyses[1].name);
    if (rc == SS_OK && w->components)
        rc = ss_components_page(&all, w->opt->title ? w->opt->title : "Which component fails first",
                                w->summary, e);
    else if (rc == SS_OK)
        rc = ss_overview_write(&all, w->opt->title ? w->opt->title : title, w->summary, e);
    ss_free(pages);
    return rc;
}

static ss_code write_all(writer *w, ss_err *e)
{
    if (w->training.run)
        return ss_training_page(&w->training, w->opt, w->folder, w->summary, e);
    if (w->opt->n_runs > 1)
        return write_pages(w, e);
    return run_page(w, 0, "index.html", "", w->opt->title ? w->opt->title : w->analyses[0].name, e);
}

/* A file in place of a folder: what is there is replaced if asked for. */
static ss_code check_file(const ss_report_options *opt, ss_err *e)
{
    if (ss_is_dir(opt->folder))
        return ss_fail(e, SS_IO, "%s is a folder; --single-file makes a file: -o %s/report.html",
                       SS_SHOW(opt->folder), SS_SHOW(opt->folder));
    const char *slash = strrchr(opt->folder, '/');
    char *inside = slash ? ss_textf("%.*s", (int)(slash - opt->folder), opt->folder) : NULL;
    const bool nowhere = inside && *inside && !ss_is_dir(inside);

    if (nowhere)
        ss_fail(e, SS_IO, "%s: there is no folder %s", SS_SHOW(opt->folder), SS_SHOW(inside));
    ss_free(inside);
    if (nowhere)
        return SS_IO;
    if (ss_file_exists(opt->folder) && !opt->replace)
        return ss_fail(e, SS_IO, "%s exists; --force replaces it", SS_SHOW(opt->folder));
    return SS_OK;
}

/* Makes one file of the pages in folder. */
static ss_code write_single(const ss_report_options *opt, const char *folder,
                            ss_report_summary *summary, ss_err *e)
{
    ss_single_summary sum;
    ss_outfile out = {0};
    ss_code rc = ss_outfile_open(&out, opt->folder, e);

    if (rc != SS_OK)
        return rc;
    if ((rc = ss_single_write(folder, out.f, SS_SINGLE_LIMIT, &sum, e)) == SS_OK)
        rc = ss_outfile_commit(&out, e);
    else
        ss_outfile_discard(&out);
    summary->n_files = sum.n_files;
    summary->n_left_out = sum.n_left_out;
    return rc;
}

/* Where the pages of a single file are gathered, beside it; ss_free. */
static char *gathering_of(const ss_report_options *opt)
{
    ss_str s = {0};

    ss_str_addf(&s, "%s%s", opt->folder, opt->single_file ? ".pages" : "");
    return ss_str_detach(&s);
}

ss_code ss_report_write(const ss_report_options *opt, ss_report_summary *summary, ss_err *e)
{
    writer w = {.opt = opt, .summary = summary};
    ss_outdir out = {0};
    char *folder = gathering_of(opt);
    ss_code rc = folder ? SS_OK : ss_no_memory(e, opt->folder);

    *summary = (ss_report_summary){0};
    if (rc != SS_OK || (rc = parse_formats(&w, e)) != SS_OK || (rc = open_runs(&w, e)) != SS_OK ||
        (opt->single_file && (rc = check_file(opt, e)) != SS_OK) ||
        (rc = ss_outdir_open(&out, folder, "index.html", opt->replace, e)) != SS_OK)
        goto out;
    w.folder = out.tmp;
    if ((rc = write_all(&w, e)) == SS_OK)
        rc = opt->single_file ? write_single(opt, out.tmp, summary, e) : ss_outdir_commit(&out, e);
out:
    ss_free(folder);
    ss_outdir_discard(&out);
    ss_training_analysis_release(&w.training);
    for (int i = 0; w.runs && i < opt->n_runs; i++) {
        if (w.analyses)
            ss_analysis_release(&w.analyses[i]);
        ss_run_close(w.runs[i]);
    }
    ss_free(w.runs);
    ss_free(w.analyses);
    return rc;
}
