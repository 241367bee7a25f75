/* doctor_verdict.c - see doctor_verdict.h */
#include "cli/doctor_verdict.h"

#include "analyze/one/attention.h"
#include "analyze/one/headroom.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"

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
    add(&v->weights, "%s%s%s: %s", model, *component ? "/" : "", component, sentence);
}

/* Names a run, by its model and component. */
static const char *name_of(const ss_run *r, char name[NAME])
{
    snprintf(name, NAME, "%.300s%s%.64s", *r->model_path ? r->model_path : r->path,
             *r->component ? "/" : "", r->component);
    return name;
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
static ss_code find_headroom(ss_run *r, const ss_format *f, cli_doctor_judged *judged, ss_err *e)
{
    ss_sites sites = {0};
    ss_headroom h = {0};
    char site[NAME], at[NAME];
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
    }
    ss_headroom_release(&h);
    ss_sites_release(&sites);
    return rc;
}

/* Says over which noise levels, inputs and conditions the run goes. */
static void say_fed(cli_doctor_verdict *v, const ss_run *r)
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
        add(&v->fed, "%s: %d prompt%s", name_of(r, name), r->n_inputs, r->n_inputs == 1 ? "" : "s");
    else
        add(&v->fed, "%s: %d noise level%s, sigma %.3g to %.3g; inputs %s; %d sample%s each%s%s",
            name_of(r, name), r->n_sigmas, r->n_sigmas == 1 ? "" : "s", low, high,
            inputs.s ? inputs.s : "-", r->n_samples, r->n_samples == 1 ? "" : "s",
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
    if (rc == SS_OK)
        rc = ss_run_open_any(path, &r, e);
    if (rc != SS_OK)
        return rc;
    judged->levels = !r->steps;
    judged->attends = !r->steps && r->n_layers > 0;
    if (judged->levels) {
        rc = find_headroom(r, &f, judged, e);
        say_fed(v, r);
    } else {
        add(&v->fed, "%s: %d steps of a training", path, r->n_sigmas);
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

ss_code cli_doctor_take(cli_doctor_verdict *v, const char *output, ss_err *e)
{
    enum { MOST = 1 << 26 };
    char *text;
    const ss_code rc = ss_file_read(output, MOST, &text, NULL, e);

    if (rc != SS_OK)
        return rc;
    char *end = strstr(text, "\n\n");
    if (end)
        end[1] = '\0';
    v->bad |= strncmp(text, "BAD", 3) == 0;
    ss_free(v->text);
    v->text = text;
    return SS_OK;
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
    putchar('\n');
    if (v->text)
        fputs(v->text, stdout);
    else if (!v->weights)
        puts("UNKNOWN: nothing could be judged");
    print_list(v->text ? "also bad" : "BAD     ", v->weights);
    print_list("fed     ", v->fed);
    print_list("assumed ", v->assumed);
    printf("again    sh ");
    cli_print_word(folder, "/commands.sh");
    putchar('\n');
    if (report)
        printf("%s/%s\n", folder, report);
}

/* Reads the verdict as data from the page's folder; NULL: there is none. */
static json_t *read_findings(const char *folder)
{
    ss_str path = {0};
    ss_json j = {0};
    json_t *verdict = NULL;

    ss_str_addf(&path, "%s/report/findings.json", folder);
    if (!path.failed && ss_file_exists(path.s) && ss_json_load(&j, path.s, NULL) == SS_OK)
        verdict = json_incref(json_object_get(j.root, "verdict"));
    ss_json_release(&j);
    ss_str_release(&path);
    return verdict;
}

ss_code cli_doctor_verdict_json(const cli_doctor_verdict *v, const char *folder, const char *report,
                                json_t *object, ss_err *e)
{
    json_t *verdict = report ? read_findings(folder) : NULL;
    ss_str path = {0};
    int failed = json_object_set_new(object, "bad", json_boolean(v->bad));

    failed |= json_object_set_new(object, "format_judged", json_string(v->format));
    failed |= json_object_set_new(object, "verdict", verdict ? verdict : json_null());
    failed |= json_object_set(object, "weights", v->weights ? v->weights : json_null());
    failed |= json_object_set(object, "fed", v->fed ? v->fed : json_null());
    failed |= json_object_set(object, "assumed", v->assumed ? v->assumed : json_null());
    ss_str_addf(&path, "%s/%s", folder, report ? report : "");
    if (report)
        failed |= json_object_set_new(object, "report", json_string(path.s));
    failed |= path.failed;
    ss_str_release(&path);
    return failed ? ss_no_memory(e, "doctor") : SS_OK;
}

void cli_doctor_verdict_release(cli_doctor_verdict *v)
{
    ss_free(v->text);
    json_decref(v->weights);
    json_decref(v->fed);
    json_decref(v->assumed);
    *v = (cli_doctor_verdict){0};
}
