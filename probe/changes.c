/* changes.c - see changes.h */
#include "probe/changes.h"

#include "base/mem.h"
#include "base/str.h"

#include <string.h>

/* Adds GLOB=FMT as the next rule. */
static ss_code parse_rule(const char *map, ss_changes *k, ss_err *e)
{
    const char *eq = strrchr(map, '=');
    char *glob = ss_strdup(map);
    struct ss_precision_rule *rule = &k->rules[k->precision.n_rules];

    if (!glob)
        return ss_no_memory(e, "--precision-map");
    rule->glob = glob;
    k->precision.n_rules++;
    if (!eq)
        return ss_fail(e, SS_USAGE, "--precision-map takes GLOB=FMT, not '%s'", map);
    glob[eq - map] = '\0';
    ss_code rc = ss_glob_check(glob, e);
    if (rc == SS_OK)
        rc = ss_format_parse(eq + 1, &rule->format, e);
    return rc == SS_OK ? rc : ss_fail_prefix(e, "--precision-map");
}

static ss_code parse_precision(const ss_changes_options *opt, ss_changes *k, ss_err *e)
{
    ss_str text = {0};
    ss_code rc = ss_format_parse(opt->precision ? opt->precision : "fp32", &k->precision.format, e);

    if (rc != SS_OK)
        return ss_fail_prefix(e, "--precision");
    if (opt->round_blocks && opt->as)
        return ss_fail(e, SS_USAGE, "--as and --precision-scope blocks exclude each other");
    k->precision.scope = opt->round_blocks ? SS_ROUND_BLOCKS : SS_ROUND_HALF;
    if (opt->as && ss_round_scope_parse(opt->as, &k->precision.scope, e) != SS_OK)
        return ss_fail_prefix(e, "--as");
    if (opt->attention &&
        ss_attention_code_parse(opt->attention, &k->precision.attention, e) != SS_OK)
        return ss_fail_prefix(e, "--attention");
    const bool plain = ss_format_is_f32(&k->precision.format) && !opt->n_precision_maps;
    k->precision.torch_norms = opt->as || !plain;
    k->rules = ss_calloc((size_t)opt->n_precision_maps, sizeof *k->rules);
    if (!k->rules)
        return ss_no_memory(e, "the precision");
    k->precision.rules = k->rules;
    ss_str_add(&text, k->precision.format.name);
    if (k->precision.scope == SS_ROUND_BLOCKS)
        ss_str_add(&text, " (blocks)");
    else if (k->precision.torch_norms || opt->attention)
        ss_str_addf(&text, " (%s, %s)", ss_round_scope_name(k->precision.scope),
                    ss_attention_code_name(k->precision.attention));
    for (int i = 0; i < opt->n_precision_maps && rc == SS_OK; i++) {
        rc = parse_rule(opt->precision_maps[i], k, e);
        if (rc == SS_OK)
            ss_str_addf(&text, ", %s=%s", k->rules[i].glob, k->rules[i].format.name);
    }
    k->precision_text = ss_str_detach(&text);
    return rc != SS_OK || k->precision_text ? rc : ss_no_memory(e, "the precision");
}

static ss_code parse_interventions(const ss_changes_options *opt, ss_changes *k, ss_err *e)
{
    k->interventions = ss_calloc((size_t)opt->n_interventions, sizeof *k->interventions);
    if (!k->interventions)
        return ss_no_memory(e, "interventions");
    k->n_interventions = opt->n_interventions;
    for (int i = 0; i < opt->n_interventions; i++) {
        if (ss_intervention_parse(opt->interventions[i], &k->interventions[i], e) != SS_OK)
            return ss_fail_prefix(e, "--intervene");
    }
    return SS_OK;
}

ss_code ss_changes_parse(const ss_changes_options *opt, ss_changes *k, ss_err *e)
{
    *k = (ss_changes){0};
    ss_code rc = parse_precision(opt, k, e);

    if (rc == SS_OK)
        rc = parse_interventions(opt, k, e);
    if (rc != SS_OK)
        ss_changes_release(k);
    return rc;
}

void ss_changes_release(ss_changes *k)
{
    for (int i = 0; i < k->precision.n_rules; i++)
        ss_free((char *)(uintptr_t)k->rules[i].glob);
    ss_free(k->rules);
    ss_free(k->interventions);
    ss_free(k->precision_text);
    *k = (ss_changes){0};
}
