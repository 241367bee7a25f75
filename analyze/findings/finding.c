/* finding.c - see finding.h */
#include "analyze/findings/finding.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#define X(name, text) text,
const char *ss_said_name(ss_said said)
{
    static const char *const names[] = {SS_SAIDS(X)};

    return names[said];
}

const char *ss_severity_name(ss_severity severity)
{
    static const char *const names[] = {SS_SEVERITIES(X)};

    return names[severity];
}
#undef X

ss_code ss_findings_init(ss_findings *f, ss_err *e)
{
    *f = (ss_findings){.list = json_array()};
    return f->list ? SS_OK : ss_no_memory(e, "findings");
}

void ss_findings_release(ss_findings *f)
{
    json_decref(f->list);
    *f = (ss_findings){0};
}

static bool set_text(json_t *to, const char *name, const char *text)
{
    return json_object_set_new(to, name, ss_json_from_text(text)) == 0;
}

/* The sentence that was said last; NULL without. */
static json_t *last(const ss_findings *f)
{
    return json_array_get(f->list, json_array_size(f->list) - 1);
}

void ss_findings_say(ss_findings *f, const char *id, ss_said said, const char *figure,
                     const char *fmt, ...)
{
    json_t *x = json_object();
    ss_str text = {0};
    va_list args;

    va_start(args, fmt);
    ss_str_addv(&text, fmt, args);
    va_end(args);
    f->failed |=
        !x || text.failed || !set_text(x, "id", id) ||
        !set_text(x, "verdict", ss_said_name(said)) ||
        !set_text(x, "severity",
                  ss_severity_name(said == SS_SAID_BAD ? SS_SEVERITY_RISK : SS_SEVERITY_NONE)) ||
        !set_text(x, "text", text.s ? text.s : "") || (figure && !set_text(x, "figure", figure)) ||
        (f->run && !set_text(x, "run", f->run));
    ss_str_release(&text);
    f->failed |= json_array_append_new(f->list, x) != 0;
}

void ss_finding_severity(ss_findings *f, ss_severity severity)
{
    f->failed |= !set_text(last(f), "severity", ss_severity_name(severity));
}

void ss_finding_number(ss_findings *f, const char *name, double value, const char *unit)
{
    json_t *numbers = json_object_get(last(f), "numbers");

    if (!numbers && json_object_set_new(last(f), "numbers", json_object()) == 0)
        numbers = json_object_get(last(f), "numbers");
    f->failed |= json_object_set_new(numbers, name,
                                     json_pack("{s:o, s:s*}", "value", ss_json_from_number(value),
                                               "unit", unit)) != 0;
}

void ss_finding_set(ss_findings *f, const char *name, const char *value)
{
    f->failed |= !set_text(last(f), name, value);
}

void ss_finding_format(ss_findings *f, const ss_format *format)
{
    ss_finding_set(f, "format", format->name);
}

void ss_finding_site(ss_findings *f, const ss_run *r, ss_site s)
{
    f->failed |= !ss_json_add_site(last(f), r, s);
}

void ss_finding_module(ss_findings *f, const ss_run *r, int module)
{
    ss_finding_set(f, "module", r->modules[module]);
}

void ss_finding_cell(ss_findings *f, const ss_run *r, ss_cell c)
{
    f->failed |= !ss_json_add_cell(last(f), r, c);
}

json_t *ss_findings_json(const ss_findings *f)
{
    return f->failed ? NULL : json_incref(f->list);
}

bool ss_json_add_site(json_t *to, const ss_run *r, ss_site s)
{
    return set_text(to, "module", r->modules[s.module]) && set_text(to, "port", r->ports[s.port]);
}

bool ss_json_add_cell(json_t *to, const ss_run *r, ss_cell c)
{
    bool fine = true;

    if (c.sigma >= 0 && r->steps)
        fine = json_object_set_new(to, "step", json_integer(r->steps[c.sigma])) == 0;
    else if (c.sigma >= 0)
        fine = json_object_set_new(to, "sigma", ss_json_from_number(r->sigmas[c.sigma])) == 0;
    if (c.input >= 0 && *r->inputs[c.input])
        fine = fine && set_text(to, "input", r->inputs[c.input]);
    if (c.sample < 0)
        return fine;
    if (r->binned) { /* the noise level is what a bin is known by */
        const double level = ss_run_level(r, c.sigma, c.sample);

        return fine &&
               (isnan(level) || json_object_set_new(to, "sigma", ss_json_from_number(level)) == 0);
    }
    fine = fine && json_object_set_new(to, "sample", json_integer(c.sample)) == 0;
    if (c.input >= 0 && r->pictures && *r->pictures[c.input * r->n_samples + c.sample])
        fine = fine && set_text(to, "picture", r->pictures[c.input * r->n_samples + c.sample]);
    return fine;
}

void ss_findings_not_finite(ss_findings *f, const ss_not_finite *x, const char *name,
                            const char *figure)
{
    for (int part = 0; part < SS_N_BAD_PARTS; part++) {
        char *text = ss_not_finite_say(x, (ss_bad_part)part, NULL);
        const bool fact = part == SS_BAD_ZERO || (part == SS_BAD_SIGMA && !x->denoised.count) ||
                          (part == SS_BAD_SITES && !x->n_sites);
        char id[32];

        if (!text)
            continue;
        snprintf(id, sizeof id, "nonfinite-%s", ss_bad_part_name((ss_bad_part)part));
        ss_findings_say(f, id, fact ? SS_SAID_MEASURED : SS_SAID_BAD, figure, "%s%s%s",
                        name ? name : "", name ? ": " : "", text);
        ss_free(text);
        if (!fact)
            ss_finding_severity(f,
                                part == SS_BAD_LIMITS ? SS_SEVERITY_FAILING : SS_SEVERITY_BROKEN);
        if (part == SS_BAD_WEIGHTS && x->n_weights) {
            ss_finding_number(f, "parameters", (double)x->n_weights, NULL);
            ss_finding_set(f, "parameter", x->run->parameters[x->weights[0].parameter]);
        }
        if (part == SS_BAD_SITES && x->n_sites) {
            ss_finding_site(f, x->run, x->sites[0].site);
            ss_finding_cell(f, x->run, x->sites[0].first);
            ss_finding_number(f, "sites", x->n_sites, NULL);
            ss_finding_number(f, "values", (double)x->values, NULL);
        }
        if (part == SS_BAD_LIMITS && x->n_limits) {
            ss_finding_site(f, x->run, x->limits[0].first);
            ss_finding_cell(f, x->run, x->limits[0].cell);
            ss_finding_number(f, "limit", x->limits[0].limit, NULL);
        }
    }
}

void ss_findings_structure(ss_findings *f, const ss_run *r, const ss_structure_asked *asked)
{
    for (int i = 0; i < asked->n && r->n_structure; i++) {
        const char *module = r->modules[asked->module[i]];
        const int line = ss_structure_find(r, module, NULL);
        char *text = ss_structure_say(r, module), anchor[32];

        snprintf(anchor, sizeof anchor, line < 0 ? "structure" : "structure-%d", line + 1);
        if (text) {
            ss_findings_say(f, "structure", SS_SAID_MEASURED, anchor, "%s", text);
            ss_finding_module(f, r, asked->module[i]);
        }
        ss_free(text);
    }
}
