/* doctor_verdict.c - see doctor_verdict.h */
#include "cli/doctor_verdict.h"

#include "analyze/one/attention.h"
#include "analyze/one/headroom.h"
#include "analyze/one/overflow.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 400 };

/* Adds a sentence to a list, unless it is there. */
static void add(json_t **list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(json_t **list, const char *fmt, ...)
{
    char text[1024], shown[2048];
    const json_t *one;
    va_list ap;
    size_t i;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ss_printable(text, shown, sizeof shown);
    if (!*list)
        *list = json_array();
    json_array_foreach(*list, i, one)
    {
        if (strcmp(json_string_value(one), shown) == 0)
            return;
    }
    json_array_append_new(*list, json_string(shown));
}

void cli_doctor_assume(cli_doctor_verdict *v, const char *text)
{
    add(&v->assumed, "%s", text);
}

void cli_doctor_bad_weights(cli_doctor_verdict *v, const char *model, const char *component,
                            const char *sentence)
{
    v->bad = true;
    add(&v->reasons, "%s%s%s: %s", model, *component ? "/" : "", component, sentence);
}

/* Names a run, by its model and component. */
static const char *name_of(const ss_run *r, char name[NAME])
{
    snprintf(name, NAME, "%.300s%s%.64s", *r->model_path ? r->model_path : r->path,
             *r->component ? "/" : "", r->component);
    return name;
}

/* Says what is not finite, the cause before its effects. */
static ss_code judge_finite(cli_doctor_verdict *v, ss_run *r, ss_err *e)
{
    ss_not_finite bad = {0};
    ss_err none = {0};
    char *text = NULL, name[NAME];
    const ss_code rc = ss_not_finite_find(r, &bad, e);

    if (rc != SS_OK || !ss_not_finite_any(&bad)) {
        ss_not_finite_release(&bad);
        return rc;
    }
    for (int part = 0; part < SS_N_BAD_PARTS && !text; part++)
        text = ss_not_finite_say(&bad, (ss_bad_part)part, &none);
    v->bad = true;
    add(&v->reasons, "%s: %s", name_of(r, name), text ? text : "values are inf or NaN");
    ss_free(text);
    ss_not_finite_release(&bad);
    return SS_OK;
}

/* Says where a value of the headroom's table is. */
static void say_place(const ss_run *r, const ss_headroom_row *row, char *at, size_t n)
{
    const char *input = row->input >= 0 ? r->inputs[row->input] : "-";

    *at = '\0';
    if (row->weights)
        snprintf(at, n, ", its weights");
    else if (ss_run_is_text(r))
        snprintf(at, n, ", prompt '%.200s'", input);
    else if (row->sigma >= 0)
        snprintf(at, n, ", sigma %.4g, input %.200s", r->sigmas[row->sigma], input);
}

/* Says where the format overflows most, or how far the nearest value is from that. */
static ss_code judge_headroom(cli_doctor_verdict *v, ss_run *r, const ss_format *f,
                              cli_doctor_judged *judged, ss_err *e)
{
    ss_sites sites = {0};
    ss_headroom h = {0};
    char site[NAME], at[NAME], name[NAME];
    ss_code rc = ss_sites_find(r, NULL, 0, SS_SITES_ALL, &sites, e);

    if (rc == SS_OK)
        rc = ss_headroom_find(r, &sites, f, 1, &h, e);
    if (rc == SS_OK && h.n && !isnan(h.rows[0].peak)) {
        const ss_headroom_row *row = &h.rows[0];

        ss_site_name(r, row->at, site, sizeof site);
        say_place(r, row, at, sizeof at);
        judged->overflows = h.n_negative[0] > 0;
        if (judged->overflows)
            snprintf(judged->said, sizeof judged->said,
                     "%s overflows in %d of %d modules, most in %.120s%.200s: %.5g, %.3g times its "
                     "largest number",
                     f->name, h.n_negative[0], h.n, site, at, row->peak, row->peak / f->max);
        else
            snprintf(judged->said, sizeof judged->said,
                     "largest value %.5g, in %.120s%.200s: %.1f bits below %s's %.5g", row->peak,
                     site, at, row->bits[0], f->name, f->max);
        v->bad |= judged->overflows;
        add(judged->overflows ? &v->reasons : &v->covered, "%s: %s", name_of(r, name),
            judged->said);
    }
    ss_headroom_release(&h);
    ss_sites_release(&sites);
    return rc;
}

/* Says over which noise levels, inputs and conditions the run goes. */
static void say_covered(cli_doctor_verdict *v, const ss_run *r)
{
    double low = INFINITY, high = 0;
    ss_str inputs = {0};
    const bool none = !*r->condition || strcmp(r->condition, "none") == 0;
    const char *told = none ? "nothing" : r->condition;
    char name[NAME];

    for (int i = 0; i < r->n_sigmas; i++) {
        low = fmin(low, r->sigmas[i]);
        high = fmax(high, r->sigmas[i]);
    }
    for (int i = 0; i < r->n_inputs && i < 8; i++)
        ss_str_addf(&inputs, "%s%s", i ? ", " : "", r->inputs[i]);
    if (ss_run_is_text(r))
        add(&v->covered, "%s: %d prompts", name_of(r, name), r->n_inputs);
    else
        add(&v->covered, "%s: %d noise levels, sigma %.3g to %.3g; inputs %s; %d sample%s each%s%s",
            name_of(r, name), r->n_sigmas, low, high, inputs.s ? inputs.s : "-", r->n_samples,
            r->n_samples == 1 ? "" : "s",
            ss_run_is_vae(r) ? "" : "; told: ", ss_run_is_vae(r) ? "" : told);
    ss_str_release(&inputs);
}

ss_code cli_doctor_judge(cli_doctor_verdict *v, const char *path, const char *format,
                         cli_doctor_judged *judged, ss_err *e)
{
    ss_format f;
    ss_run *r = NULL;
    ss_code rc = ss_format_parse(format, &f, e);

    *judged = (cli_doctor_judged){0};
    v->judged = true;
    if (rc == SS_OK)
        rc = ss_run_open_any(path, &r, e);
    if (rc != SS_OK)
        return rc;
    judged->levels = !r->steps;
    judged->attends = !r->steps && r->n_layers > 0;
    if (judged->levels) {
        rc = judge_finite(v, r, e);
        if (rc == SS_OK)
            rc = judge_headroom(v, r, &f, judged, e);
        say_covered(v, r);
    } else {
        add(&v->covered, "%s: %d steps of a training", path, r->n_sigmas);
    }
    ss_run_close(r);
    return rc;
}

void cli_doctor_say(const char *output, bool keep, char *line, size_t n)
{
    FILE *f = fopen(output, "r");
    int number = 0;

    snprintf(line, n, "see %s", output);
    if (!f)
        return;
    char one[512];
    while (fgets(one, sizeof one, f)) {
        one[strcspn(one, "\n")] = '\0';
        number++;
        /* the note under a list's title; attn's sentence of heads */
        if (keep ? number == 2 : strstr(one, " heads collapse") != NULL) {
            snprintf(line, n, "%s", one);
            break;
        }
    }
    fclose(f);
}

const char *cli_doctor_word(const cli_doctor_verdict *v)
{
    return v->bad ? "bad" : v->judged ? "good" : "unknown";
}

static void print_list(const char *title, const json_t *list)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
        printf("%s %s\n", i ? "        " : title, json_string_value(one));
}

void cli_doctor_verdict_print(const cli_doctor_verdict *v, const char *folder, const char *report)
{
    printf("\nverdict:  %s\n", v->bad      ? "BAD"
                               : v->judged ? "nothing bad in what was covered"
                                           : "unknown: nothing could be judged");
    print_list("why:    ", v->reasons);
    print_list("covered:", v->covered);
    print_list("assumed:", v->assumed);
    printf("again:    sh %s/commands.sh\n", folder);
    if (report)
        printf("%s/%s\n", folder, report);
}

ss_code cli_doctor_verdict_json(const cli_doctor_verdict *v, const char *folder, const char *report,
                                json_t *object, ss_err *e)
{
    json_t *verdict = json_object();
    ss_str path = {0};
    int failed = json_object_set_new(verdict, "is", json_string(cli_doctor_word(v)));

    failed |= json_object_set_new(verdict, "format", json_string(v->format));
    failed |= json_object_set(verdict, "why", v->reasons ? v->reasons : json_null());
    failed |= json_object_set(verdict, "covered", v->covered ? v->covered : json_null());
    failed |= json_object_set(verdict, "assumed", v->assumed ? v->assumed : json_null());
    failed |= json_object_set_new(object, "verdict", verdict);
    ss_str_addf(&path, "%s/%s", folder, report ? report : "");
    if (report)
        failed |= json_object_set_new(object, "report", json_string(path.s));
    failed |= path.failed;
    ss_str_release(&path);
    return failed ? ss_no_memory(e, "doctor") : SS_OK;
}

void cli_doctor_verdict_release(cli_doctor_verdict *v)
{
    json_decref(v->reasons);
    json_decref(v->covered);
    json_decref(v->assumed);
    *v = (cli_doctor_verdict){0};
}
