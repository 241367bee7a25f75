/* setup.c - which modules there are, and what happens at each (hooks.h) */
#include "base/mem.h"
#include "base/near.h"
#include "base/str.h"
#include "kernels/internal.h"

#include <stdio.h>
#include <string.h>

static ss_code bad_intervention(const char *spec, ss_err *e)
{
    char head[64], hint[SS_NEAR];

    snprintf(head, sizeof head, "%.*s", (int)strcspn(spec, ":@"), spec);
    return ss_fail(e, SS_USAGE,
                   "'%s' is not an intervention%s; known: clamp:V@GLOB, scale:K@GLOB, zero@GLOB, "
                   "cosine-attention@GLOB, cosine-attention:SCALE@GLOB",
                   SS_SHOW(spec), ss_near_in(head, "clamp scale zero cosine-attention", hint));
}

ss_code ss_intervention_parse(const char *spec, ss_intervention *out, ss_err *e)
{
    static const struct {
        const char *name;
        ss_intervention_kind kind;
        bool needs_value, may_have_value;
    } kinds[] = {
        {"clamp", SS_CLAMP, true, true},
        {"scale", SS_SCALE, true, true},
        {"zero", SS_ZERO, false, false},
        {"cosine-attention", SS_COSINE_ATTENTION, false, true},
    };
    const char *at = strchr(spec, '@');
    char head[64];
    double value = 0;

    if (!at || (size_t)(at - spec) >= sizeof head)
        return bad_intervention(spec, e);
    memcpy(head, spec, (size_t)(at - spec));
    head[at - spec] = '\0';

    char *colon = strchr(head, ':');
    if (colon) {
        *colon = '\0';
        if (!ss_parse_double(colon + 1, &value))
            return ss_fail(e, SS_USAGE, "'%s': '%s' is not a finite number", spec, colon + 1);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(head, kinds[i].name) != 0)
            continue;
        if (colon ? !kinds[i].may_have_value : kinds[i].needs_value)
            return bad_intervention(spec, e);
        if (kinds[i].kind == SS_CLAMP && value < 0)
            return ss_fail(e, SS_USAGE, "'%s': a clamp's limit must not be negative", spec);
        *out = (ss_intervention){kinds[i].kind, (float)value, at + 1};
        return ss_glob_check(at + 1, e);
    }
    return bad_intervention(spec, e);
}

/* True when the glob matches the module or one that contains it. */
static bool covers(const char *glob, const ss_module *const *modules, const ss_module *m)
{
    for (; m; m = m->parent < 0 ? NULL : modules[m->parent]) {
        if (!m->inner && ss_glob_module(glob, m->path))
            return true;
    }
    return false;
}

static ss_code no_match(const char *what, const char *glob, ss_err *e)
{
    return ss_fail(e, SS_USAGE, "%s: no module matches '%s'; `sigmascope inspect` lists them", what,
                   glob);
}

/* f, or NULL where it changes nothing; zeroed stands for fp32. */
static const ss_format *active(const ss_format *f)
{
    return !f->exp_bits || ss_format_is_f32(f) ? NULL : f;
}

static ss_code set_precision(ss_ctx *c, const ss_setup *s, ss_err *e)
{
    const ss_precision *p = s->precision;

    c->formats = ss_calloc((size_t)p->n_rules + 1, 2 * sizeof *c->formats);
    if (!c->formats)
        return ss_no_memory(e, "modules");
    c->n_formats = 2 * (p->n_rules + 1);
    c->scope = p->scope;
    c->attention = p->attention;
    c->torch_norms = p->torch_norms;
    for (int r = -1; r < p->n_rules; r++) { /* -1 is the default, for all */
        ss_format *f = &c->formats[2 * (r + 1)], *g = f + 1;
        bool used = r < 0;

        *f = r < 0 ? p->format : p->rules[r].format;
        *g = r < 0 ? p->gradient : p->rules[r].gradient;
        if (r < 0) {
            c->format = active(f);
            c->gradient = active(g);
        }
        for (int i = 0; i < s->n_modules; i++) {
            if (r >= 0 && !covers(p->rules[r].glob, s->modules, s->modules[i]))
                continue;
            c->sites[i].format = active(f);
            c->sites[i].gradient = active(g);
            used = used || !s->modules[i]->inner;
        }
        if (!used)
            return no_match("precision", p->rules[r].glob, e);
    }
    return SS_OK;
}

static ss_code set_interventions(ss_ctx *c, const ss_setup *s, ss_err *e)
{
    size_t n = 0, cap = 0;

    for (int k = 0; k < s->n_interventions; k++) {
        bool used = false;

        for (int i = 0; i < s->n_modules && !used; i++)
            used = !s->modules[i]->inner &&
                   ss_glob_module(s->interventions[k].glob, s->modules[i]->path);
        if (!used)
            return no_match("intervention", s->interventions[k].glob, e);
    }
    for (int i = 0; i < s->n_modules; i++) {
        ss_at_module *site = &c->sites[i];

        site->first_change = (int)n;
        for (int k = 0; k < s->n_interventions; k++) {
            const ss_intervention *v = &s->interventions[k];

            if (v->kind == SS_COSINE_ATTENTION) { /* of every attention below a match */
                if (covers(v->glob, s->modules, s->modules[i])) {
                    site->cosine = true;
                    site->cosine_scale = v->value;
                }
                continue;
            }
            if (s->modules[i]->inner || !ss_glob_module(v->glob, s->modules[i]->path))
                continue;
            ss_change *grown = ss_grow(c->changes, &cap, n + 1, sizeof *grown);
            if (!grown)
                return ss_no_memory(e, "modules");
            c->changes = grown;
            c->changes[n++] = (ss_change){i, v->kind, v->value};
        }
        site->n_changes = (int)n - site->first_change;
    }
    return SS_OK;
}

static void forget_setup(ss_ctx *c)
{
    ss_free(c->formats);
    ss_free(c->sites);
    ss_free(c->changes);
    c->formats = NULL;
    c->n_formats = 0;
    c->sites = NULL;
    c->changes = NULL;
    c->format = c->gradient = NULL;
    c->scope = SS_ROUND_HALF;
    c->attention = SS_ATTENTION_SDPA;
    c->torch_norms = false;
    c->hooks = (ss_hooks){0};
    c->n_modules = 0;
}

ss_code ss_ctx_setup(ss_ctx *c, const ss_setup *s, ss_err *e)
{
    ss_code rc = SS_OK;

    if (c->tape.on) /* its nodes point at the formats */
        return ss_fail(e, SS_USAGE, "modules cannot be set up while a tape records");
    forget_setup(c);
    c->sites = ss_calloc((size_t)s->n_modules, sizeof *c->sites);
    if (!c->sites)
        return ss_no_memory(e, "modules");
    c->n_modules = s->n_modules;
    if (s->hooks) {
        c->hooks = *s->hooks;
        for (int i = 0; i < s->n_modules; i++) {
            const ss_module *m = s->modules[i];

            for (ss_port p = 0; p < SS_N_PORTS; p++)
                c->sites[i].watch[p] = c->hooks.wants && c->hooks.wants(c->hooks.self, m, p);
            c->sites[i].watch_attention =
                c->hooks.wants_attention && c->hooks.wants_attention(c->hooks.self, m);
        }
    }
    if (s->precision)
        rc = set_precision(c, s, e);
    if (rc == SS_OK && s->n_interventions)
        rc = set_interventions(c, s, e);
    if (rc != SS_OK)
        forget_setup(c);
    return rc;
}
