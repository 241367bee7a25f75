/* verdict_several.c - the verdict of several runs, of a training and of components; see verdict.h
 */
#include "analyze/findings/verdict_parts.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* The order of training: the i-th of the runs by step, where steps are known, else as given. */
static int run_at(const ss_several *s, int i)
{
    int at = 0;

    if (!s->step)
        return i;
    for (int k = 0; k < s->n; k++) {
        int before = 0;

        for (int j = 0; j < s->n; j++)
            before += s->step[j] < s->step[k] || (s->step[j] == s->step[k] && j < k);
        if (before == i)
            at = k;
    }
    return at;
}

static void add_run(ss_str *s, const ss_several *of, int run)
{
    ss_str_add(s, of->found[run].name);
    if (of->step)
        ss_str_addf(s, " (step %lld)", (long long)of->step[run]);
}

/* Says since which run it is bad: of the runs in order, kinds are their verdicts. */
static char *since(const ss_several *s, const ss_judged *kind, int first)
{
    ss_str text = {0};
    int good_after = 0;

    add_run(&text, s, run_at(s, first));
    if (first == 0)
        ss_str_addf(&text, ", the first of %d", s->n);
    else {
        ss_str_addf(&text, "; %s before: ",
                    kind[run_at(s, first - 1)] == SS_JUDGED_UNKNOWN ? "not known" : "good");
        add_run(&text, s, run_at(s, first - 1));
    }
    for (int i = first + 1; i < s->n; i++)
        good_after += kind[run_at(s, i)] != SS_JUDGED_BAD;
    if (good_after)
        ss_str_addf(&text, "; %d later one%s not bad", good_after,
                    good_after == 1 ? " is" : "s are");
    return ss_str_detach(&text);
}

ss_code ss_verdict_several(const ss_several *s, ss_verdict *v, ss_err *e)
{
    ss_judged *kind = ss_calloc((size_t)s->n, sizeof *kind);
    int chosen = -1, first_bad = -1;
    ss_code rc = kind ? SS_OK : ss_no_memory(e, "a verdict");

    *v = (ss_verdict){0};
    for (int i = 0; i < s->n && rc == SS_OK; i++) {
        const int run = run_at(s, i);
        ss_verdict own;

        if ((rc = ss_verdict_run(&s->found[run], &own, e)) == SS_OK) {
            kind[run] = own.kind;
            if (own.kind == SS_JUDGED_BAD && first_bad < 0)
                first_bad = i;
            if (first_bad < 0 || first_bad == i) { /* the first bad one, else the last */
                ss_verdict_release(v);
                *v = own;
                chosen = run;
                continue;
            }
        }
        ss_verdict_release(&own);
    }
    if (rc == SS_OK && first_bad >= 0)
        v->since = since(s, kind, first_bad);
    else if (rc == SS_OK) {
        ss_str text = {0};

        ss_str_addf(&text, "no bad one of %d runs; this is ", s->n);
        add_run(&text, s, chosen);
        v->since = ss_str_detach(&text);
    }
    if (rc == SS_OK && s->step)
        ss_verdict_add(v, "step", json_integer(s->step[chosen]));
    if (rc == SS_OK)
        ss_verdict_add(v, "run", json_string(SS_SHOW(s->runs[chosen]->path)));
    ss_free(kind);
    return rc == SS_OK ? ss_verdict_end(v, e) : rc;
}

ss_code ss_verdict_training(const ss_training_analysis *x, ss_verdict *v, ss_err *e)
{
    const ss_training_overflow *o = &x->overflow;
    const ss_trend *t = &x->t.trend;
    char name[512], text[600];

    *v = (ss_verdict){.data = json_object(), .format = ss_strdup(o->format.name)};
    v->covers = ss_textf("%d measured steps from %.0f to %.0f, %d modules%s", t->n_steps,
                         t->steps[0], t->steps[t->n_steps - 1], x->run->n_real,
                         x->run->complete ? ""
                         : x->run->binned ? "; the recorder's file is still open"
                                          : "; the training is not at its end");
    if (o->n) {
        const ss_training_overflow_row *row = &o->rows[0];

        v->kind = SS_JUDGED_BAD;
        ss_site_name(x->run, row->site, name, sizeof name);
        v->text = row->nonfinite && !(row->value > o->format.max)
                      ? ss_textf("%s is the first place with inf or NaN, of %d.", name, o->n)
                      : ss_textf("%s is over the limit first: |x| reaches %.5g, %.3g times the "
                                 "largest number of %s, %g.",
                                 name, row->value, row->value / o->format.max, o->format.name,
                                 o->format.max);
        v->since = ss_textf("step %.0f; at %d of %d measured steps", t->steps[row->first],
                            row->n_steps, t->n_steps);
        if (!isnan(row->sigma))
            v->where = ss_textf(x->run->binned ? "sigma about %.3g" : "sigma %.4g", row->sigma);
        ss_verdict_place_data(v, x->run, row->site, (ss_cell){x->t.columns[row->first], -1, -1});
        ss_verdict_add(v, "absmax", ss_json_from_number(row->value));
        if (!isnan(row->sigma))
            ss_verdict_add(v, "sigma", ss_json_from_number(row->sigma));
    } else if (ss_not_finite_any(&x->bad)) {
        v->kind = SS_JUDGED_BAD;
        for (int part = 0; part < SS_N_BAD_PARTS && !v->text; part++)
            v->text = ss_not_finite_say(&x->bad, (ss_bad_part)part, NULL);
    } else if (x->health.trouble) {
        v->kind = SS_JUDGED_BAD;
        v->text = ss_strdup(ss_training_health_say(&x->health, text, sizeof text));
    } else if (isnan(o->largest)) {
        v->kind = SS_JUDGED_UNKNOWN;
        v->text = ss_strdup("no largest value was recorded.");
    } else {
        const double bits = ss_headroom_bits(&o->format, o->largest);

        v->kind = bits < SS_VERDICT_BITS ? SS_JUDGED_RISK : SS_JUDGED_GOOD;
        v->text = ss_textf("nothing overflows at a measured step; the largest |x| is %.4g: a "
                           "factor of %.3g is left to %g.",
                           o->largest, o->format.max / o->largest, o->format.max);
        ss_verdict_add(v, "absmax", ss_json_from_number(o->largest));
    }
    ss_verdict_add(v, "limit", ss_json_from_number(o->format.max));
    if (x->mechanism.name != SS_MECHANISM_NONE)
        ss_verdict_add(v, "mechanism", json_string(ss_mechanism_key(x->mechanism.name)));
    return ss_verdict_end(v, e);
}

ss_code ss_verdict_components(const ss_verdicts *c, ss_verdict *v, ss_err *e)
{
    char *text = ss_verdicts_say(c, 0);
    const char *name = c->formats[0].name;
    const size_t n = strlen(name);

    *v = (ss_verdict){.data = json_object(), .format = ss_strdup(name)};
    v->kind = SS_JUDGED_GOOD;
    for (int i = 0; i < c->n; i++) {
        const ss_component_verdicts *of = &c->list[i];
        const ss_component_verdict *x = &of->verdict[0];
        const bool fails = x->kind == SS_VERDICT_OVERFLOWS || x->kind == SS_VERDICT_NOT_FINITE;

        if (fails && v->kind != SS_JUDGED_BAD) {
            v->kind = SS_JUDGED_BAD;
            if (x->site.module >= 0)
                ss_verdict_place_data(v, of->run, x->site, x->cell);
            ss_verdict_add(v, "component", json_string(SS_SHOW(of->name)));
            ss_verdict_next_with(v, "sigmascope analyze ", of->run->path, "");
        } else if (v->kind == SS_JUDGED_GOOD &&
                   (of->why || !of->run->complete || *of->limit || of->n_bad_weights))
            v->kind = SS_JUDGED_UNKNOWN;
    }
    /* the sentence begins with the format, which the verdict says already */
    const char *rest =
        text && strncmp(text, name, n) == 0 ? text + n + strspn(text + n, " :") : text;

    v->text = rest ? ss_strdup(rest) : NULL;
    v->covers = ss_textf("%d components of a pipeline", c->n);
    ss_free(text);
    return ss_verdict_end(v, e);
}
