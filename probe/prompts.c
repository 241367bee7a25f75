/* prompts.c - see prompts.h */
#include "probe/prompts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

void ss_prompts_release(ss_prompts *p)
{
    for (int i = 0; p->texts && i < p->n; i++)
        ss_free(p->texts[i]);
    for (int64_t i = 0; p->pieces && i < p->n * p->tokens; i++)
        ss_free(p->pieces[i]);
    ss_free(p->texts);
    ss_free(p->pieces);
    ss_free(p->ids);
    ss_free(p->mask);
    *p = (ss_prompts){0};
}

ss_text_tokens ss_prompts_of(const ss_prompts *p, int i)
{
    return (ss_text_tokens){
        .ids = p->ids + i * p->tokens,
        .mask = p->mask ? p->mask + i * p->tokens : NULL,
        .n = 1,
        .tokens = p->tokens,
    };
}

const char *ss_prompts_piece(const ss_prompts *p, int prompt, int token)
{
    return p->pieces[prompt * p->tokens + token];
}

ss_code ss_prompts_sha256(const ss_prompts *p, int i, char hex[65], ss_err *e)
{
    const size_t n = (size_t)p->tokens;
    const ss_text_tokens t = ss_prompts_of(p, i);
    unsigned char *bytes = ss_alloc(n, sizeof *t.ids + sizeof *t.mask);

    if (!bytes)
        return ss_no_memory(e, "prompts");
    memcpy(bytes, t.ids, n * sizeof *t.ids);
    if (t.mask)
        memcpy(bytes + n * sizeof *t.ids, t.mask, n * sizeof *t.mask);
    const ss_code rc =
        ss_sha256_bytes(bytes, n * (sizeof *t.ids + (t.mask ? sizeof *t.mask : 0)), hex, e);
    ss_free(bytes);
    return rc;
}

void ss_text_states_release(ss_text_states *s)
{
    ss_release(s->last);
    ss_release(s->penultimate);
    ss_release(s->pooled);
    ss_release(s->projected);
    *s = (ss_text_states){0};
}

ss_code ss_prompts_tokenize(const ss_network_options *net, const ss_prompt_options *opt,
                            const ss_model *encoder, ss_prompts *out, ss_err *e)
{
    (void)net, (void)opt, (void)encoder, (void)out;
    return ss_fail(e, SS_UNSUPPORTED, "prompts cannot be read here");
}
