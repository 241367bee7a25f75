/* verdict_run.c - the verdict of one run over noise levels; see verdict.h */
#include "analyze/findings/verdict_parts.h"
#include "analyze/precision/keep_paste.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* The format that the verdict is about: the run's own, where it was emulated, else the first. */
static ss_format judged_format(const ss_analysis *x)
{
    ss_format own;

    if (ss_run_format(x->run, &own) && !ss_format_is_f32(&own))
        return own;
    return x->format[0];
}

static void judge_weights(const ss_analysis *x, ss_verdict *v)
{
    const int64_t n = x->bad.n_weights;

    v->kind = SS_JUDGED_BAD;
    v->text = ss_textf("%lld parameter%s %s inf or NaN, the first is %s: whatever follows is, too, "
                       "in every format.",
                       (long long)n, n == 1 ? "" : "s", n == 1 ? "is" : "are",
                       x->run->parameters[x->bad.weights[0].parameter]);
    ss_verdict_add(v, "parameter",
                   json_string(SS_SHOW(x->run->parameters[x->bad.weights[0].parameter])));
    ss_verdict_next(v, "sigmascope bisect CHECKPOINT... --fail 'nonfinite(*)'");
}

/* Names the first place that is not finite, or else the first part that is not. */
static void judge_not_finite(const ss_analysis *x, ss_verdict *v)
{
    const ss_not_finite *b = &x->bad;
    ss_format own;
    char name[512], place[300];
    int part = 0;

    v->kind = SS_JUDGED_BAD;
    if (b->n_sites) {
        const ss_bad_site *first = &b->sites[0];

        v->text = ss_textf("%s is the first place with inf or NaN, of %d.",
                           ss_site_name(x->run, first->site, name, sizeof name), b->n_sites);
        v->where = ss_textf("%s", ss_cell_name(x->run, first->first, place, sizeof place));
        ss_verdict_place_data(v, x->run, first->site, first->first);
        ss_verdict_add(v, "values_not_finite", ss_json_from_number((double)first->count));
    } else {
        while (part < SS_N_BAD_PARTS - 1 && !v->text)
            v->text = ss_not_finite_say(b, (ss_bad_part)part++, NULL);
    }
    if (b->inputs.count)
        v->covers = ss_textf("%d of %d inputs were not finite when the network got them",
                             b->inputs.count, b->inputs.of);
    if (ss_run_format(x->run, &own) && *x->run->model_path)
        ss_verdict_next_with(v, "sigmascope probe ", x->run->model_path, " -o fp32.h5");
    else
        ss_verdict_next(v, "sigmascope bisect CHECKPOINT... --fail 'nonfinite(*)'");
}

static void judge_cut_off(const ss_analysis *x, ss_verdict *v)
{
    const ss_at_limit *l = &x->bad.limits[0];
    char name[512], place[300];

    v->kind = SS_JUDGED_BAD;
    v->text = ss_textf("%s cuts values off at %g in %d of %d places, first in %s; how large they "
                       "would have been is not known.",
                       l->what, l->limit, l->n_sites, l->of,
                       ss_site_name(x->run, l->first, name, sizeof name));
    v->where = ss_textf("%s", ss_cell_name(x->run, l->cell, place, sizeof place));
    ss_verdict_place_data(v, x->run, l->first, l->cell);
    ss_verdict_add(v, "limit", ss_json_from_number(l->limit));
    if (*x->run->model_path)
        ss_verdict_next_with(v, "sigmascope probe ", x->run->model_path, " -o fp32.h5");
}

/* The row of the noise level and input at which the largest value overflows; else the first that
 * overflows; NULL: none does. */
static const ss_overflow_row *worst_row(const ss_analysis *x, const ss_overflow *o)
{
    const ss_headroom_row *least = &x->headroom.rows[0];
    const ss_overflow_row *first = NULL;

    for (int i = 0; i < o->n; i++) {
        if (!o->rows[i].n_over)
            continue;
        if (o->rows[i].sigma == least->sigma && o->rows[i].input == least->input)
            return &o->rows[i];
        first = first ? first : &o->rows[i];
    }
    return first;
}

/* Which modules would have to stay in fp32, for autocast unless the run or a command says another
 * code; a run that does not show it leaves the list empty. */
static ss_code find_keep(const ss_analysis *x, const ss_format *f, ss_verdict *v, ss_err *e)
{
    ss_run *r = x->run;
    const ss_round_scope as = r->as;
    ss_err why = {0};
    ss_keep k;

    if (as == SS_ROUND_HALF && !r->as_given)
        r->as = SS_ROUND_AUTOCAST;
    ss_code rc = ss_keep_find(r, f, 0, &k, &why);
    if (rc == SS_OK) {
        v->keep_for = ss_textf(r->as == SS_ROUND_HALF ? "model.half()" : "torch.%s",
                               ss_round_scope_name(r->as));
        v->keep = ss_calloc((size_t)k.n_modules + 1, sizeof *v->keep);
        v->paste = ss_keep_paste_torch(r, &k);
        for (int m = 0; v->keep && m < k.n_modules; m++) {
            if (ss_keep_listed(&k, m))
                v->keep[v->n_keep++] = ss_strdup(ss_keep_path(r, m));
        }
        ss_keep_release(&k);
    }
    r->as = as;
    return rc == SS_OK || rc == SS_USAGE ? SS_OK : ss_fail(e, why.code, "%s", why.msg);
}

static ss_code judge_overflow(const ss_analysis *x, const ss_overflow_row *row, ss_verdict *v,
                              ss_err *e)
{
    const ss_overflow *o = &x->overflow[0];
    const ss_cell at = {row->sigma, row->input, row->sample};
    char name[512], place[300], command[48];
    int over = 0;

    for (int i = 0; i < o->n; i++)
        over += o->rows[i].n_over > 0;
    v->kind = SS_JUDGED_BAD;
    ss_site_name(x->run, row->first, name, sizeof name);
    if (row->weights)
        v->text = ss_textf("the weights of %s overflow.", name);
    else
        v->text =
            ss_textf("%s overflows: |x| reaches %.5g, %.3g times the largest number of %s, "
                     "%g.",
                     name, row->absmax, row->absmax / o->format.max, o->format.name, o->format.max);
    if (!row->weights)
        v->where = ss_textf("%s; %d of %d %s overflow",
                            ss_cell_name(x->run, at, place, sizeof place), over, o->n,
                            ss_run_is_text(x->run) ? "prompts" : "pairs of noise level and input");
    ss_verdict_place_data(v, x->run, row->first, row->weights ? (ss_cell){-1, -1, -1} : at);
    ss_verdict_add(v, "absmax", ss_json_from_number(row->absmax));
    ss_verdict_add(v, "limit", ss_json_from_number(o->format.max));
    snprintf(command, sizeof command, " --keep-fp32 %s --check", o->format.name);
    if (ss_run_is_f32(x->run))
        ss_verdict_next_with(v, "sigmascope analyze ", x->run->path, command);
    return find_keep(x, &o->format, v, e);
}

/* Nothing is lost: says how much is left, if the run can say it. */
static void judge_room(const ss_analysis *x, const ss_format *f, ss_verdict *v)
{
    const ss_headroom_row *least = x->headroom.n ? &x->headroom.rows[0] : NULL;
    char name[512], place[300];

    if (!least || isnan(least->peak) || x->bad.nothing_nonzero) {
        v->kind = SS_JUDGED_UNKNOWN;
        v->text =
            ss_strdup(x->bad.nothing_nonzero
                          ? "every value that was seen is zero, so nothing is known of others."
                          : "no largest value of any module was recorded.");
        return;
    }
    const double bits = ss_headroom_bits(f, least->peak);
    ss_format own;

    if (!ss_run_is_f32(x->run) && !ss_run_format(x->run, &own)) {
        v->kind = SS_JUDGED_UNKNOWN;
        v->text = ss_textf("the run was made in %s, not in fp32; in it nothing is lost.",
                           x->run->precision);
        return;
    }
    const bool grown = x->growth.n && x->growth.rows[0].peak == least->peak;
    const ss_site at =
        grown ? x->growth.rows[0].site : least->at; /* where it is made, not where it is read */

    ss_site_name(x->run, at, name, sizeof name);
    v->kind = bits < SS_VERDICT_BITS ? SS_JUDGED_RISK : SS_JUDGED_GOOD;
    if (f->exp_bits >= 8)
        v->text = ss_textf("nothing comes near its limit; the largest |x| is %.4g, in %s.",
                           least->peak, name);
    else
        v->text = ss_textf("nothing overflows; the largest |x| is %.4g, in %s: a factor of %.3g is "
                           "left to %g.",
                           least->peak, name, f->max / least->peak, f->max);
    if (!least->weights) {
        const ss_cell cell = {least->sigma, least->input, least->sample};

        v->where = ss_textf("%s", ss_cell_name(x->run, cell, place, sizeof place));
        ss_verdict_place_data(v, x->run, at, cell);
    }
    ss_verdict_add(v, "absmax", ss_json_from_number(least->peak));
    ss_verdict_add(v, "limit", ss_json_from_number(f->max));
    ss_verdict_add(v, "headroom_bits", ss_json_from_number(bits));
}

/* Says what was looked at, and what the run does not have: a verdict holds for that alone. */
static char *covers(const ss_analysis *x)
{
    const ss_run *r = x->run;
    const bool outputs_only = ss_run_port(r, "input") < 0;
    const char *less = !x->bad.counted && outputs_only
                           ? "; only outputs of modules were recorded, and inf and NaN not counted"
                       : !x->bad.counted ? "; inf and NaN were not counted"
                       : outputs_only    ? "; only outputs of modules were recorded, no attention "
                                           "logits or other values inside"
                                         : "";
    const char *cut = x->n < r->n_sigmas ? "; the run is not complete" : "";

    if (ss_run_is_text(r))
        return ss_textf("%d prompt%s, %d modules%s%s", r->n_inputs, r->n_inputs == 1 ? "" : "s",
                        r->n_real, less, cut);
    return ss_textf("%d noise level%s, %d input%s, %d sample%s each, %d modules%s%s", x->n,
                    x->n == 1 ? "" : "s", r->n_inputs, r->n_inputs == 1 ? "" : "s", r->n_samples,
                    r->n_samples == 1 ? "" : "s", r->n_real, less, cut);
}

ss_code ss_verdict_run(const ss_analysis *x, ss_verdict *v, ss_err *e)
{
    const ss_format f = judged_format(x);
    const bool first = strcmp(f.name, x->format[0].name) == 0;
    const ss_overflow_row *row =
        x->n && first && x->headroom.n ? worst_row(x, &x->overflow[0]) : NULL;
    ss_code rc = SS_OK;

    *v = (ss_verdict){.data = json_object()};
    v->format = ss_strdup(x->bad.n_weights || x->n == 0 ? "" : f.name);
    if (x->n == 0) {
        v->kind = SS_JUDGED_UNKNOWN;
        v->text = ss_strdup("no noise level of this run is finished.");
    } else if (x->bad.n_weights)
        judge_weights(x, v);
    else if (ss_not_finite_any(&x->bad))
        judge_not_finite(x, v);
    else if (x->bad.n_limits)
        judge_cut_off(x, v);
    else if (row)
        rc = judge_overflow(x, row, v, e);
    else
        judge_room(x, &f, v);
    if (x->n && !v->covers)
        v->covers = covers(x);
    return rc == SS_OK ? ss_verdict_end(v, e) : rc;
}
