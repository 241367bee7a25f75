/* several_findings.c - the sentences about several runs of one network; see several.h */
#include "analyze/findings/several.h"
#include "base/mem.h"

#include <math.h>

/* The place whose largest |x| rose most, and the loss. */
static void say_pair(ss_findings *f, const ss_several *s, int j, const ss_comparison *x)
{
    const ss_compare *c = &x->sites;
    const ss_compare_row *most = NULL;
    char name[256];

    for (int i = 0; i < c->n; i++) {
        if (!isnan(c->rows[i].absmax.rise.bits) &&
            (!most || c->rows[i].absmax.rise.bits > most->absmax.rise.bits))
            most = &c->rows[i];
    }
    if (most && most->absmax.rise.bits > 0)
        ss_findings_say(f, "pair", SS_SAID_MEASURED, "runs",
                        "From %s to %s, %s rose most: from %.3g to %.3g at sigma %.3g.",
                        s->found[0].name, s->found[j].name,
                        ss_site_name(c->aligned.runs[0], ss_align_site(&c->aligned, most->site, 0),
                                     name, sizeof name),
                        most->absmax.rise.a, most->absmax.rise.b,
                        c->aligned.runs[0]->sigmas[ss_align_sigma(&c->aligned,
                                                                  most->absmax.rise.sigma == SS_ALL
                                                                      ? c->aligned.n_sigmas - 1
                                                                      : most->absmax.rise.sigma,
                                                                  0)]);
    else if (most)
        ss_findings_say(f, "pair", SS_SAID_MEASURED, "runs",
                        "No largest |x| is larger in %s than in %s.", s->found[j].name,
                        s->found[0].name);
    if (x->inputs.n_losses &&
        (isinf(x->inputs.losses[0].loss[0]) || isinf(x->inputs.losses[0].loss[1])))
        ss_findings_say(
            f, "pair", SS_SAID_BAD, "runs", "The loss of %s%s%s is inf or NaN at sigma %.3g.",
            isinf(x->inputs.losses[0].loss[0]) ? s->found[0].name : "",
            isinf(x->inputs.losses[0].loss[0]) && isinf(x->inputs.losses[0].loss[1]) ? " and " : "",
            isinf(x->inputs.losses[0].loss[1]) ? s->found[j].name : "",
            c->aligned.runs[0]->sigmas[ss_align_sigma(&c->aligned, x->inputs.losses[0].sigma, 0)]);
    else if (x->inputs.n_losses) {
        const ss_loss_row *l = &x->inputs.losses[0];

        ss_findings_say(f, "pair", SS_SAID_MEASURED, "runs",
                        "The loss differs most at sigma %.3g: %.3g in %s, %.3g in %s.",
                        c->aligned.runs[0]->sigmas[ss_align_sigma(&c->aligned, l->sigma, 0)],
                        l->loss[0], s->found[0].name, l->loss[1], s->found[j].name);
    }
}

/* A remark after a largest value that leaves something out. */
static const char *of_finite(const ss_analysis *x)
{
    return x->bad.n_sites ? " of what is finite" : "";
}

/* Says what is not finite in each run, which run is the first, and the last one before it. */
static ss_code say_not_finite(ss_findings *f, const ss_several *s, ss_err *e)
{
    enum { RUNS = 6 }; /* with more runs, see their pages */
    const size_t n = (size_t)s->n;
    const ss_not_finite **bad = ss_alloc(n, sizeof *bad);
    const char **names = ss_alloc(n, sizeof *names);
    int n_bad = 0;
    ss_code rc = bad && names ? SS_OK : ss_no_memory(e, "a report");

    for (int i = 0; i < s->n && rc == SS_OK; i++) {
        bad[i] = &s->found[i].bad;
        names[i] = s->found[i].name;
        n_bad += ss_not_finite_any(bad[i]);
    }
    if (rc == SS_OK && n_bad && s->step) {
        char *text = ss_last_finite_say(bad, names, s->step, s->n, NULL);

        ss_findings_say(f, "not_finite", SS_SAID_BAD, "runs", "%s", text ? text : "");
        ss_free(text);
    }
    for (int i = 0, said = 0; i < s->n && rc == SS_OK && said < RUNS; i++) {
        said += ss_not_finite_any(bad[i]) || bad[i]->n_limits;
        ss_findings_not_finite(f, bad[i], names[i], NULL);
    }
    if (rc == SS_OK && n_bad > RUNS)
        ss_findings_say(f, "not_finite", SS_SAID_BAD, "runs", "%d of %d runs are not finite.",
                        n_bad, s->n);
    ss_free(bad);
    ss_free(names);
    return rc;
}

static void say_runs(ss_findings *f, const ss_several *s)
{
    enum { SENTENCES = 5 }; /* with more runs, see the table */
    const ss_analysis *a = &s->found[0];
    char name[256];

    for (int i = s->n - 1 > SENTENCES ? s->n - SENTENCES : 1; i < s->n; i++) {
        const ss_analysis *b = &s->found[i];

        if (a->growth.n == 0 || b->growth.n == 0 || isnan(a->growth.rows[0].peak) ||
            isnan(b->growth.rows[0].peak))
            continue;
        const double ratio = b->growth.rows[0].peak / a->growth.rows[0].peak;

        ss_findings_say(f, "runs", SS_SAID_MEASURED, "runs",
                        "%s reaches %.4g (in %s)%s, %s %.4g%s: %.3g times as much.", b->name,
                        b->growth.rows[0].peak,
                        ss_site_name(b->run, b->growth.rows[0].site, name, sizeof name),
                        of_finite(b), a->name, a->growth.rows[0].peak, of_finite(a), ratio);
    }
    if (s->pairs[s->n - 1].fits)
        say_pair(f, s, s->n - 1, &s->pairs[s->n - 1].result);
}

void ss_findings_mechanism(ss_findings *f, const ss_mechanism_finding *m)
{
    const ss_said said = m->name != SS_MECHANISM_NONE ? SS_SAID_BAD
                         : ss_mechanism_matters(m)    ? SS_SAID_UNKNOWN
                                                      : SS_SAID_MEASURED;

    ss_findings_say(f, "mechanism", said, "mechanism", "%s", m->sentence);
    ss_finding_set(f, "mechanism", ss_mechanism_key(m->name));
}

ss_code ss_findings_several(ss_findings *f, const ss_several *s, ss_err *e)
{
    char text[512];
    ss_code rc = say_not_finite(f, s, e);

    if (rc != SS_OK)
        return rc;
    if (s->has_trend) {
        if (!ss_run_is_text(s->runs[0])) /* a mechanism is of a denoiser's training */
            ss_findings_mechanism(f, &s->mechanism);
        ss_findings_trend(f, s->format, s->n_formats, &s->trend);
    }
    if (s->conditioning.n_told >= 2)
        ss_findings_say(f, "conditioning", SS_SAID_MEASURED, "conditioning", "%s",
                        ss_conditioning_sentence(&s->conditioning, text, sizeof text));
    say_runs(f, s);
    return SS_OK;
}
