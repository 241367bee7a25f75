/* probe_text.c - a text encoder is probed: prompts, each token a sample (subject.h)
 *
 * There is one noise level, 0: a text has none. Values inside of the encoder are rows of tokens, so
 * a statistic of sample i is one of token i; only attention, which sees all tokens together, is
 * recorded once, at token 0.
 */
#include "base/mem.h"
#include "kernels/context.h"
#include "probe/subject.h"

static ss_code plan(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    if (opt->n_inputs)
        return ss_fail(e, SS_USAGE,
                       "--inputs: a text encoder takes --prompt TEXT, and no pictures");
    ss_code rc = ss_prompts_tokenize(&opt->prompts, p->net.model, &p->prompts, e);
    if (rc != SS_OK)
        return rc;
    p->levels = ss_calloc(1, sizeof *p->levels);
    if (!p->levels)
        return ss_no_memory(e, "a plan");
    p->n_levels = 1;
    p->n_inputs = p->prompts.n;
    p->samples = p->batch = (int)p->prompts.tokens;
    return SS_OK;
}

static ss_code allocate(ss_probing *p, ss_err *e)
{
    (void)p, (void)e;
    return SS_OK;
}

static void describe(const ss_probing *p, ss_run_spec *spec)
{
    (void)p, (void)spec;
}

static ss_code embed(ss_probing *p, int prompt, ss_err *e)
{
    const ss_text_tokens tokens = ss_prompts_of(&p->plan.prompts, prompt);
    ss_text_states states = {0};

    ss_model_embed(p->ctx, p->plan.net.model, &tokens, &states);
    ss_text_states_release(&states);
    return ss_ctx_check(p->ctx, e);
}

static ss_code infer(ss_probing *p, ss_err *e)
{
    static const int first = 0;

    ss_recorder_begin(p->recorder, NULL, p->plan.samples, &first, &first);
    ss_ctx_set_shapes_only(p->ctx, true);
    const ss_code rc = embed(p, 0, e);
    ss_ctx_set_shapes_only(p->ctx, false);
    ss_ctx_usage_reset(p->ctx);
    return rc;
}

static ss_code run(ss_probing *p, ss_run_column *col, const ss_plan_level *l, int n,
                   const int *input, const int *sample, ss_err *e)
{
    (void)l;
    ss_recorder_begin(p->recorder, col, n, input, sample);
    ss_code rc = embed(p, *input, e);
    if (rc == SS_OK)
        rc = ss_ctx_finish(p->ctx, e);
    return rc == SS_OK ? ss_recorder_check(p->recorder, e) : rc;
}

const ss_subject ss_subject_text = {
    .plan = plan,
    .allocate = allocate,
    .describe = describe,
    .infer = infer,
    .run = run,
};
