/* components_findings.c - the sentences about components of a pipeline; see several.h */
#include "analyze/findings/several.h"
#include "base/mem.h"

static bool fails(const ss_component_verdict *x)
{
    return x->kind == SS_VERDICT_OVERFLOWS || x->kind == SS_VERDICT_NOT_FINITE;
}

/* Classes the sentence of a format: trouble, no trouble, or not known for all. */
static ss_said said_of(const ss_verdicts *v, int f)
{
    ss_said said = SS_SAID_GOOD;

    for (int i = 0; i < v->n; i++) {
        const ss_component_verdicts *c = &v->list[i];

        if (fails(&c->verdict[f]))
            return SS_SAID_BAD;
        if (c->why || !c->run->complete || *c->limit || c->n_bad_weights)
            said = SS_SAID_UNKNOWN;
    }
    return said;
}

void ss_findings_components(ss_findings *f, const ss_verdicts *v)
{
    for (int i = 0; i < v->n_formats; i++) {
        const ss_said said = said_of(v, i);
        char *text = ss_verdicts_say(v, i);

        ss_findings_say(f, "components", said, "components", "%s", text ? text : "");
        ss_finding_format(f, &v->formats[i]);
        if (said == SS_SAID_BAD && i == 0)
            ss_finding_severity(f, SS_SEVERITY_FAILING);
        ss_free(text);
    }
}
