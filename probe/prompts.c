/* prompts.c - see prompts.h */
#include "probe/prompts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/pipeline.h"
#include "models/text/tokenizer.h"

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

/* ---- tokens ---- */

/* Rules by which a pipeline prepares the text of an encoder. */
typedef struct {
    const char *pipeline; /* its class begins with this; NULL: any */
    const char *encoder;  /* as the class of the encoder does */
    int max_length;       /* 0: the tokenizer's own */
    bool mask;            /* the encoder is given the mask */
    bool lower;           /* texts are put into lower case first */
} text_rule;

static const text_rule *rule_for(const char *pipeline, const char *encoder)
{
    static const text_rule rules[] = {
        {"StableDiffusion3", "T5", 256, false, false},
        {"Flux", "T5", 512, false, false},
        {"Flux", "CLIP", 77, false, false},
        {"IF", "T5", 77, true, true},
        {"PixArtSigma", "T5", 300, true, true},
        {"PixArt", "T5", 120, true, true},
        {"Wan", "UMT5", 512, true, false},
        {NULL, "CLIP", 0, false, false},
        {NULL, "", 77, true, false}, /* T5: its own length of 512 is none that a pipeline uses */
    };
    const text_rule *r = rules;

    while ((r->pipeline && strncmp(pipeline, r->pipeline, strlen(r->pipeline)) != 0) ||
           strncmp(encoder, r->encoder, strlen(r->encoder)) != 0)
        r++;
    return r;
}

/* Returns the folder of the tokenizer that belongs to an encoder in `place`: a pipeline, or the
 * tokenizer itself. The caller frees it; NULL where memory is out. */
static char *tokenizer_in(const char *place, const char *component)
{
    static const char encoder[] = "text_encoder";
    const char *end =
        strncmp(component, encoder, sizeof encoder - 1) == 0 ? component + sizeof encoder - 1 : "";
    ss_str name = {0};

    ss_str_addf(&name, "tokenizer%s", end);
    char *folder = name.failed ? NULL : ss_path_join(place, name.s);
    ss_str_release(&name);
    if (!folder || ss_is_dir(folder))
        return folder;
    ss_free(folder);
    return ss_strdup(place);
}

/* Opens the tokenizer: the one that is named, the pipeline's, or one beside the encoder's weights.
 */
static ss_code open_tokenizer(const ss_prompt_options *opt, const ss_model *encoder,
                              ss_tokenizer **t, ss_err *e)
{
    const ss_model_info *about = ss_model_about(encoder);
    const char *place = opt->tokenizer                                  ? opt->tokenizer
                        : about->pipeline && ss_is_dir(about->pipeline) ? about->pipeline
                                                                        : about->folder;
    char *folder = tokenizer_in(place, about->component);
    if (!folder)
        return ss_no_memory(e, "prompts");
    const ss_code rc = ss_tokenizer_open(folder, t, e);
    if (rc != SS_OK && !opt->tokenizer)
        ss_fail_prefix(e, "--prompt needs a tokenizer (--tokenizer FOLDER names one)");
    ss_free(folder);
    return rc;
}

static ss_code copy_texts(const ss_prompt_options *opt, ss_prompts *p, ss_err *e)
{
    const int n = opt->n_positive + opt->n_negative;

    if (!n)
        return ss_fail(e, SS_USAGE, "a text encoder needs --prompt TEXT");
    p->texts = ss_calloc((size_t)n, sizeof *p->texts);
    if (!p->texts)
        return ss_no_memory(e, "prompts");
    for (; p->n < n; p->n++) {
        const int i = p->n;

        p->texts[i] =
            ss_strdup(i < opt->n_positive ? opt->positive[i] : opt->negative[i - opt->n_positive]);
        if (!p->texts[i])
            return ss_no_memory(e, "prompts");
    }
    return SS_OK;
}

static ss_code make_room(ss_prompts *p, int64_t tokens, bool mask, ss_err *e)
{
    const size_t n = (size_t)p->n * (size_t)tokens;

    p->tokens = tokens;
    p->ids = ss_calloc(n, sizeof *p->ids);
    p->pieces = ss_calloc(n, sizeof *p->pieces);
    p->mask = mask ? ss_calloc(n, sizeof *p->mask) : NULL;
    return p->ids && p->pieces && (p->mask || !mask) ? SS_OK : ss_no_memory(e, "prompts");
}

static ss_code put_tokens(ss_prompts *p, int i, const ss_tokenizer *t, const ss_token_list *k,
                          const ss_model *encoder, ss_err *e)
{
    const int64_t vocabulary = ss_model_about(encoder)->net.text.vocabulary;

    for (int64_t at = i * p->tokens, j = 0; j < p->tokens; j++, at++) {
        const char *piece = ss_tokenizer_piece(t, k->id[j]);
        char shown[SS_SHOWN];

        if (k->id[j] >= vocabulary)
            return ss_fail(e, SS_SHAPE,
                           "the tokenizer gives token %lld, and %s has embeddings for 0 to %lld: "
                           "they do not belong together",
                           (long long)k->id[j], ss_model_about(encoder)->path,
                           (long long)vocabulary - 1);
        p->ids[at] = k->id[j];
        if (p->mask)
            p->mask[at] = (float)k->mask[j];
        p->pieces[at] = ss_strdup(ss_printable(piece ? piece : "", shown, sizeof shown));
        if (!p->pieces[at])
            return ss_no_memory(e, "prompts");
    }
    return SS_OK;
}

static ss_code tokenize(ss_prompts *p, const ss_tokenizer *t, const text_rule *rule,
                        const ss_model *encoder, ss_err *e)
{
    const int64_t most = ss_model_about(encoder)->net.text.most_tokens;
    int length = rule->max_length ? rule->max_length : ss_tokenizer_max_length(t);

    if (most && (length > most || !length))
        length = (int)most;
    const ss_tokenizer_options how = {
        .max_length = length, .pad = true, .truncate = true, .lower = rule->lower};
    ss_code rc = make_room(p, length, rule->mask, e);
    for (int i = 0; i < p->n && rc == SS_OK; i++) {
        ss_token_list k = {0};

        rc = ss_tokenizer_encode(t, p->texts[i], strlen(p->texts[i]), &how, &k, e);
        if (rc == SS_OK)
            rc = put_tokens(p, i, t, &k, encoder, e);
        if (rc == SS_OK && k.n_cut)
            ss_note("%s: the prompt has %zu tokens, %d fit: the last %zu are cut off: %s",
                    ss_model_about(encoder)->component, k.n_whole, length, k.n_cut,
                    SS_SHOW(p->texts[i]));
        ss_token_list_release(&k);
    }
    return rc;
}

ss_code ss_prompts_tokenize(const ss_prompt_options *opt, const ss_model *encoder, ss_prompts *out,
                            ss_err *e)
{
    const ss_model_info *about = ss_model_about(encoder);
    ss_tokenizer *t = NULL;
    ss_pipeline pipeline = {0};
    ss_prompts p = {0};
    ss_code rc = copy_texts(opt, &p, e);

    if (rc == SS_OK)
        rc = open_tokenizer(opt, encoder, &t, e);
    if (rc == SS_OK && about->pipeline)
        rc = ss_pipeline_find(about->pipeline, &pipeline, e);
    if (rc == SS_OK)
        rc =
            tokenize(&p, t, rule_for(pipeline.class_name ? pipeline.class_name : "", about->family),
                     encoder, e);
    ss_pipeline_release(&pipeline);
    ss_tokenizer_close(t);
    if (rc != SS_OK)
        ss_prompts_release(&p);
    else
        *out = p;
    return rc;
}
