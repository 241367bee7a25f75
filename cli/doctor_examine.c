/* doctor_examine.c - `sigmascope doctor`: its steps, one after the other (doctor.h) */
#include "base/json.h"
#include "base/mem.h"
#include "cli/doctor.h"

#include <string.h>

/* Runs a step and counts it as failed by its status. */
static ss_code run_step(cli_doctor *d, cli_words *w, const char *ending, double seconds,
                        cli_doctor_step **step, ss_err *e)
{
    const ss_code rc = cli_doctor_run(&d->steps, w, ending, seconds, step, e);

    if (rc == SS_OK && (*step)->status != CLI_OK && (*step)->status != CLI_FINDING) {
        cli_doctor_result(&d->steps, *step, "FAILED: %s",
                          *(*step)->problem     ? (*step)->problem
                          : (*step)->status < 0 ? "a signal ended it (out of memory?)"
                                                : "it does not say why; see log.txt");
        d->n_failed++;
    }
    return rc;
}

static bool failed(const cli_doctor_step *s)
{
    return s->status != CLI_OK && s->status != CLI_FINDING;
}

/* Reads the first line of a step's output. */
static void first_line(const cli_doctor_step *s, char *line, size_t n)
{
    FILE *f = fopen(s->output, "r");

    *line = '\0';
    if (!f)
        return;
    while (fgets(line, (int)n, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (*line)
            break;
    }
    fclose(f);
}

static ss_code inspect(cli_doctor *d, const char *model, const cli_doctor_network *n, ss_err *e)
{
    cli_doctor_step *step;
    cli_words w = {0};
    char line[400];

    cli_word(&w, "inspect");
    cli_word(&w, "%s", model);
    cli_doctor_add_component(&w, n);
    cli_doctor_pass(d, &w, &cmd_inspect, n);
    const ss_code rc = run_step(d, &w, "txt", cli_doctor_inspect_seconds(n), &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    if (step->status == CLI_FINDING) {
        first_line(step, line, sizeof line);
        cli_doctor_result(&d->steps, step, "%s", line);
        cli_doctor_bad_weights(&d->verdict, model, n->component, line);
    } else {
        cli_doctor_result(&d->steps, step, "%s, %.4g million parameters, %.4g MB; all are finite",
                          n->family, (double)n->parameters * 1e-6, (double)n->bytes * 1e-6);
    }
    return SS_OK;
}

static ss_code inspect_all(cli_doctor *d, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < d->n_models && rc == SS_OK; i++) {
        if (!cli_doctor_inspects_all(d) && d->n_models > 1 && i && i < d->n_models - 1)
            continue;
        for (int k = 0; k < d->n_nets && rc == SS_OK; k++) {
            if (!*d->net[k].why)
                rc = inspect(d, d->models[i], &d->net[k], e);
        }
    }
    if (rc == SS_OK && d->n_models > 1 && !cli_doctor_inspects_all(d))
        ss_note("the weights of the first and the last checkpoint were read; between them the "
                "bisection decides");
    return rc;
}

/* Takes a run file, and judges it. */
static ss_code add_run(cli_doctor *d, const char *path, ss_err *e)
{
    char *copy = ss_strdup(path);

    if (!copy || d->n_runs == CLI_DOCTOR_RUNS) {
        ss_free(copy);
        return ss_no_memory(e, "runs");
    }
    d->runs[d->n_runs++] = copy;
    return cli_doctor_judge(&d->verdict, path, d->format, &d->judged[d->n_runs - 1], e);
}

static ss_code probe_as(cli_doctor *d, int which, bool by_prompt, cli_doctor_step **step, ss_err *e)
{
    const cli_doctor_network *n = &d->net[which];
    cli_words w = {0};

    cli_word(&w, "probe");
    cli_word(&w, "%s", d->models[0]);
    cli_doctor_add_component(&w, n);
    cli_word(&w, "-o");
    if (*n->component)
        cli_word(&w, "%s/run.%s.h5", d->folder, n->component);
    else
        cli_word(&w, "%s/run.h5", d->folder);
    cli_word(&w, "--resume");
    cli_doctor_add_grid(d, &w, which, by_prompt);
    cli_doctor_pass(d, &w, &cmd_probe, n);
    return run_step(d, &w, "txt", cli_doctor_probe_seconds(d, which), step, e);
}

/* Probes a network of the one model. A text that cannot be encoded gives way to a stand-in. */
static ss_code probe(cli_doctor *d, int which, ss_err *e)
{
    const cli_doctor_network *n = &d->net[which];
    bool by_prompt = d->has_text && n->role == SS_DENOISER && n->needs.text_width &&
                     !n->needs.numbers_only && !d->opt.prompt_embeds && !n->needs.table_classes;
    cli_doctor_step *step;
    ss_str path = {0};
    ss_code rc = probe_as(d, which, by_prompt, &step, e);

    if (rc == SS_OK && failed(step) && by_prompt && !d->opt.prompts.n_positive) {
        ss_note("the text encoders cannot be used, a stand-in takes the place of the text");
        by_prompt = false;
        rc = probe_as(d, which, by_prompt, &step, e);
    }
    if (rc != SS_OK || failed(step))
        return rc;
    cli_doctor_assume_told(d, which, by_prompt);
    ss_str_addf(&path, *n->component ? "%s/run.%s.h5" : "%s/run%s.h5", d->folder, n->component);
    rc = path.failed ? ss_no_memory(e, "doctor") : add_run(d, path.s, e);
    ss_str_release(&path);
    if (rc == SS_OK)
        cli_doctor_result(&d->steps, step, "%s", d->judged[d->n_runs - 1].said);
    return rc;
}

/* Finds the runs that the bisection made: of the first bad checkpoint and the last good one before
 * it, or of the last and the first that were tried. */
static ss_code take_bisection(cli_doctor *d, cli_doctor_step *step, ss_err *e)
{
    ss_json j = {0};
    ss_code rc = ss_json_load(&j, step->output, e);
    const json_t *table = json_object_get(j.root, "checkpoints"), *row;
    const json_t *rows = json_object_get(table, "rows");
    const json_t *runs = json_object_get(json_object_get(j.root, "runs"), "rows");
    const char *note = json_string_value(json_object_get(table, "note"));
    const char *first = NULL, *last = NULL, *bad = NULL, *good = NULL;
    size_t i;

    json_array_foreach(runs, i, row)
    {
        const char *is = json_string_value(json_object_get(json_array_get(rows, i), "is"));
        const char *run = json_string_value(json_object_get(row, "run"));

        if (!is || !run || strcmp(is, "skip") == 0)
            continue;
        first = first ? first : run;
        last = run;
        if (strcmp(is, "BAD") == 0 && !bad)
            bad = run;
        else if (strcmp(is, "good") == 0 && !bad)
            good = run;
    }
    const char *subject = bad ? bad : last, *other = bad ? good : first;
    if (rc == SS_OK)
        cli_doctor_result(&d->steps, step, "%s", note ? note : "done");
    if (rc == SS_OK && subject)
        rc = add_run(d, subject, e);
    if (rc == SS_OK && other && other != subject && !(d->baseline = ss_strdup(other)))
        rc = ss_no_memory(e, "doctor");
    ss_json_release(&j);
    return rc;
}

static ss_code bisect(cli_doctor *d, ss_err *e)
{
    const cli_doctor_network *n = &d->net[0];
    cli_doctor_step *step;
    cli_words w = {0};

    cli_word(&w, "bisect");
    for (int i = 0; i < d->n_models; i++)
        cli_word(&w, "%s", d->models[i]);
    cli_doctor_add_component(&w, n);
    cli_word(&w, "--fail");
    cli_word(&w, "overflow(%s) or nonfinite(*)", d->format);
    cli_word(&w, "--cache");
    cli_word(&w, "%s/runs", d->folder);
    cli_word(&w, "--json");
    cli_doctor_add_grid(d, &w, 0, d->has_text);
    cli_doctor_pass(d, &w, &cmd_bisect, n);
    const ss_code rc =
        run_step(d, &w, "json", d->probes * cli_doctor_probe_seconds(d, 0), &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    cli_doctor_assume_told(d, 0, d->has_text);
    return take_bisection(d, step, e);
}

/* A command about one run. */
static ss_code about_run(cli_doctor *d, const cli_command *c, const char *run, bool keep, ss_err *e)
{
    cli_doctor_step *step;
    cli_words w = {0};
    char line[512];

    cli_word(&w, "%s", c->name);
    cli_word(&w, "%s", run);
    if (keep) {
        cli_word(&w, "--keep-fp32");
        cli_word(&w, "%s", d->format);
    }
    for (int i = 0; i < d->n_passed; i++) {
        const cli_doctor_passed *o = &d->passed[i];

        if (keep && (o->id == OPT_PROBE_AS || o->id == OPT_PROBE_ATTENTION)) {
            cli_word(&w, "--%s", o->name);
            cli_word(&w, "%s", o->arg);
        }
    }
    const ss_code rc = run_step(d, &w, "txt", 0.5, &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    cli_doctor_say(step->output, keep, line, sizeof line);
    cli_doctor_result(&d->steps, step, "%s", line);
    return SS_OK;
}

/* Analyzes runs, and takes the verdict over them. */
static ss_code analyze(cli_doctor *d, bool with_baseline, ss_err *e)
{
    cli_doctor_step *step;
    cli_words w = {0};
    char line[400];

    cli_word(&w, "analyze");
    if (with_baseline)
        cli_word(&w, "%s", d->baseline);
    for (int i = 0; i < d->n_runs; i++)
        cli_word(&w, "%s", d->runs[i]);
    cli_doctor_add_formats(d, &w);
    cli_doctor_pass(d, &w, &cmd_analyze, NULL);
    ss_code rc = run_step(d, &w, "txt", 1, &step, e);
    if (rc != SS_OK || failed(step))
        return rc;
    first_line(step, line, sizeof line);
    cli_doctor_result(&d->steps, step, "%s", line);
    return cli_doctor_take(&d->verdict, step->output, e);
}

/* Makes the page: a folder, and one file to send. */
static ss_code report(cli_doctor *d, bool single, ss_err *e)
{
    const char *page = single ? "report.html" : "report/index.html";
    cli_doctor_step *step;
    cli_words w = {0};

    cli_word(&w, "report");
    if (d->baseline)
        cli_word(&w, "%s", d->baseline);
    for (int i = 0; i < d->n_runs; i++)
        cli_word(&w, "%s", d->runs[i]);
    cli_word(&w, "-o");
    cli_word(&w, single ? "%s/report.html" : "%s/report", d->folder);
    if (single)
        cli_word(&w, "--single-file");
    cli_word(&w, "--force");
    cli_doctor_add_formats(d, &w);
    cli_doctor_pass(d, &w, &cmd_report, NULL);
    const ss_code rc = run_step(d, &w, "txt", 3, &step, e);
    if (rc == SS_OK && !failed(step)) {
        cli_doctor_result(&d->steps, step, "%s/%s", d->folder, page);
        d->verdict.has_report |= !single;
    }
    return rc;
}

/* All that is made from runs. */
static ss_code study_runs(cli_doctor *d, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < d->n_runs && rc == SS_OK; i++) {
        const cli_doctor_judged *j = &d->judged[i];

        if (j->attends)
            rc = about_run(d, &cmd_attn, d->runs[i], false, e);
        if (rc == SS_OK && j->overflows)
            rc = about_run(d, &cmd_analyze, d->runs[i], true, e);
    }
    if (rc == SS_OK && d->n_runs)
        rc = analyze(d, false, e);
    if (rc == SS_OK && d->n_runs && d->baseline)
        rc = analyze(d, true, e);
    if (rc == SS_OK && d->n_runs)
        rc = report(d, true, e);
    return rc == SS_OK && d->n_runs ? report(d, false, e) : rc;
}

ss_code cli_doctor_examine(cli_doctor *d, ss_err *e)
{
    ss_code rc = SS_OK;

    if (d->runs_given) {
        for (int i = 0; i < d->n_models && rc == SS_OK; i++)
            rc = add_run(d, d->models[i], e);
        return rc == SS_OK ? study_runs(d, e) : rc;
    }
    rc = inspect_all(d, e);
    for (int i = 0; i < d->n_nets && rc == SS_OK && d->n_models == 1; i++) {
        if (*d->net[i].why)
            ss_note("%s is left out: %s", d->net[i].component, d->net[i].why);
        else
            rc = probe(d, i, e);
    }
    if (rc == SS_OK && d->n_models > 1)
        rc = bisect(d, e);
    return rc == SS_OK ? study_runs(d, e) : rc;
}
