/* text_tokens.c - see text_tokens.h */
#include "models/text/text_tokens.h"

#include "base/mem.h"
#include "kernels/context.h"

/* Returns the first token of prompt n that is seen; t->tokens where there is none. */
static int64_t first_seen(const ss_text_tokens *t, int64_t n)
{
    int64_t k = 0;

    while (k < t->tokens && t->mask[n * t->tokens + k] == 0)
        k++;
    return k;
}

bool ss_text_tokens_check(ss_ctx *c, const ss_text_tokens *t, int64_t most, bool causal)
{
    if (ss_ctx_failed(c))
        return false;
    if (t->n < 1 || t->tokens < 1)
        ss_ctx_fail(c, SS_USAGE, "a text encoder wants a prompt of at least one token");
    else if (most && t->tokens > most)
        ss_ctx_fail(c, SS_USAGE, "a prompt has %lld tokens, the text encoder takes %lld",
                    (long long)t->tokens, (long long)most);
    for (int64_t n = 0; t->mask && n < t->n && !ss_ctx_failed(c); n++) {
        const int64_t k = first_seen(t, n);

        if (k == t->tokens)
            ss_ctx_fail(c, SS_USAGE, "the mask of prompt %lld hides all of its tokens",
                        (long long)n + 1);
        else if (causal && k > 0)
            ss_ctx_fail(c, SS_USAGE,
                        "the mask of prompt %lld hides its first token, which then sees none: pad "
                        "at the end",
                        (long long)n + 1);
    }
    return !ss_ctx_failed(c);
}

ss_tensor *ss_text_mask(ss_ctx *c, const ss_text_tokens *t)
{
    const int64_t n = t->n * t->tokens;
    float *host;

    if (!t->mask || ss_ctx_failed(c))
        return NULL;
    host = ss_alloc((size_t)n, sizeof *host);
    if (!host)
        return ss_ctx_fail(c, SS_NOMEM, "a mask of tokens: out of memory");
    for (int64_t i = 0; i < n; i++)
        host[i] = t->mask[i] == 0 ? ss_hidden_logit(c) : 0;
    ss_tensor *mask = ss_upload(c, ss_shape_of(t->n, t->tokens), host);
    ss_free(host);
    return mask;
}

ss_tensor *ss_text_prompts(ss_ctx *c, const ss_text_tokens *t, const ss_tensor *x)
{
    return ss_reshape(c, x, ss_shape_of(t->n, t->tokens, ss_dim(x, -1)));
}

ss_tensor *ss_text_attention(ss_ctx *c, const ss_text_tokens *t, ss_tensor *q, ss_tensor *k,
                             ss_tensor *v, const ss_tensor *mask, const ss_attention_opt *opt)
{
    ss_set(&q, ss_text_prompts(c, t, q));
    ss_set(&k, ss_text_prompts(c, t, k));
    ss_set(&v, ss_text_prompts(c, t, v));
    ss_tensor *y = ss_attention(c, q, k, v, mask, opt);
    ss_set(&y, ss_reshape(c, y, ss_shape_of(t->n * t->tokens, ss_dim(y, -1))));
    ss_release(q);
    ss_release(k);
    ss_release(v);
    return y;
}
