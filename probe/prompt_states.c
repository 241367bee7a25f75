/* prompt_states.c - see prompt_states.h */
#include "probe/prompt_states.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/pipeline.h"
#include "probe/prompt_cache.h"

#include <math.h>
#include <string.h>

enum { MAX_ENCODERS = 4 };

/* All that is open while prompts are encoded. */
typedef struct {
    const ss_prompt_options *opt;
    const ss_prompt_reader *denoiser;
    const char *place; /* pipeline of the encoders */
    ss_ctx *c;
    ss_pipeline pipeline;
    ss_encoded_prompts of[MAX_ENCODERS];
    int n;
} work;

void ss_prompt_states_release(ss_prompt_states *s)
{
    ss_array_release(&s->states);
    ss_array_release(&s->pooled);
    *s = (ss_prompt_states){0};
}

/* Copies a tensor [...] to row i of a [n][...], which is made at the first row. */
static ss_code take_row(ss_ctx *c, const ss_tensor *x, int i, int n, ss_array *a, ss_err *e)
{
    const ss_shape s = ss_shape_get(x); /* [1][...] */
    const int64_t values = ss_shape_numel(s);

    if (!x)
        return SS_OK;
    if (!a->rank) {
        a->rank = s.rank;
        memcpy(a->dim, s.dim, (size_t)s.rank * sizeof *s.dim);
        a->dim[0] = n;
        a->values = ss_alloc((size_t)n, (size_t)values * sizeof *a->values);
        if (!a->values)
            return ss_no_memory(e, "prompts");
    }
    return ss_download(c, x, a->values + i * values, e);
}

static ss_code encode_all(ss_ctx *c, const ss_model *m, const ss_prompts *p, ss_encoded_prompts *to,
                          ss_err *e)
{
    ss_progress progress;
    ss_code rc = SS_OK;

    ss_progress_begin(&progress, "prompts", p->n);
    for (int i = 0; i < p->n && rc == SS_OK; i++) {
        const ss_text_tokens tokens = ss_prompts_of(p, i);
        ss_text_states s = {0};

        ss_model_embed(c, m, &tokens, &s);
        rc = ss_ctx_finish(c, e);
        if (rc == SS_OK)
            rc = take_row(c, s.last, i, p->n, &to->last, e);
        if (rc == SS_OK)
            rc = take_row(c, s.penultimate, i, p->n, &to->penultimate, e);
        if (rc == SS_OK)
            rc = take_row(c, s.projected, i, p->n, &to->projected, e);
        ss_text_states_release(&s);
        ss_progress_step(&progress, i + 1, ss_model_about(m)->component);
    }
    ss_progress_end(&progress);
    return rc;
}

/* Warns of states that are not finite: what they condition cannot be, either. */
static void check_finite(const ss_model *m, const ss_encoded_prompts *p)
{
    const ss_array *a = &p->last;
    const int64_t n = a->dim[0] * a->dim[1] * a->dim[2];
    int64_t bad = 0;

    for (int64_t i = 0; i < n; i++)
        bad += !isfinite(a->values[i]);
    if (bad)
        ss_warn("%s: %lld of %lld values that it makes of the prompts are inf or NaN, and so is "
                "what follows; --components text says where",
                ss_model_about(m)->component, (long long)bad, (long long)n);
}

/* Encodes the prompts by one encoder, unless they are kept from an earlier time. */
static ss_code run_encoder(work *w, ss_model *m, ss_encoded_prompts *to, ss_err *e)
{
    ss_prompts p = {0};
    char key[65];
    bool kept = false;
    ss_code rc = ss_prompts_tokenize(w->opt, m, &p, e);

    if (rc == SS_OK)
        rc = ss_prompt_cache_key(m, &p, ss_ctx_device_name(w->c), key, e);
    if (rc == SS_OK)
        kept = ss_prompt_cache_read(key, p.n, to);
    if (rc == SS_OK && !kept) {
        rc = ss_model_bind(m, w->c, e);
        if (rc == SS_OK)
            rc = encode_all(w->c, m, &p, to, e);
        if (rc == SS_OK)
            ss_prompt_cache_write(key, to);
    }
    if (rc == SS_OK)
        check_finite(m, to);
    ss_prompts_release(&p);
    return rc;
}

/* Opens a text encoder, in the variant that the denoiser has if there is such. */
static ss_code open_encoder(const work *w, const ss_component *c, ss_model **m, ss_err *e)
{
    ss_model_options opt = {.weights.variant = w->denoiser->variant,
                            .places.component = c->name,
                            .loras = w->denoiser->loras,
                            .n_loras = w->denoiser->n_loras};

    if (opt.weights.variant && ss_model_open(w->place, &opt, m, NULL) == SS_OK)
        return SS_OK;
    opt.weights.variant = NULL;
    return ss_model_open(w->place, &opt, m, e);
}

static ss_code run_encoders(work *w, ss_err *e)
{
    ss_code rc = SS_OK;

    for (int i = 0; i < w->pipeline.n && rc == SS_OK; i++) {
        const ss_component *c = &w->pipeline.list[i];
        ss_model *m = NULL;

        if (c->role != SS_TEXT)
            continue;
        if (!c->known)
            return ss_fail(e, SS_UNSUPPORTED,
                           "--prompt: text encoders of class %s (%s) cannot be run; give "
                           "--prompt-embeds",
                           SS_SHOW(c->class_name), c->name);
        if (w->n >= MAX_ENCODERS)
            return ss_fail(e, SS_UNSUPPORTED, "--prompt: more than %d text encoders", MAX_ENCODERS);
        rc = open_encoder(w, c, &m, e);
        if (rc == SS_OK)
            rc = run_encoder(w, m, &w->of[w->n++], e);
        ss_model_close(m);
    }
    if (rc == SS_OK && !w->n && w->denoiser->needs->numbers_only)
        rc = ss_fail(e, SS_USAGE,
                     "--prompt: %s looks at a picture, not at a text: give the state that its "
                     "image encoder makes with --prompt-embeds FILE#NAME, [N,1,%lld]",
                     w->place, (long long)w->denoiser->needs->text_width);
    else if (rc == SS_OK && !w->n)
        rc = ss_fail(e, SS_USAGE,
                     "--prompt: %s has no text encoder; give --prompt-embeds FILE#NAME, or a "
                     "stand-in, --prompt-embeds random",
                     w->place);
    return rc;
}

/* The state of an encoder that the denoiser is given. */
static const ss_array *state_of(const work *w, int i)
{
    const bool pooled = w->denoiser->needs->added_width > 0 && !w->denoiser->needs->numbers_only;

    return pooled ? &w->of[i].penultimate : &w->of[i].last;
}

/* Sets *to to the states side by side, or those of the one encoder that fits. */
static ss_code join_states(const work *w, ss_array *to, ss_err *e)
{
    const int64_t want = w->denoiser->needs->text_width;
    const int64_t n = state_of(w, 0)->dim[0], tokens = state_of(w, 0)->dim[1];
    int64_t all = 0, at = 0;
    int from = 0, end = w->n;
    bool equal = true;
    ss_str widths = {0};

    for (int i = 0; i < w->n; i++) {
        all += state_of(w, i)->dim[2];
        equal &= state_of(w, i)->dim[1] == tokens;
        ss_str_addf(&widths, "%s%lld", i ? ", " : "", (long long)state_of(w, i)->dim[2]);
    }
    for (int i = 0; i < w->n && (all != want || !equal); i++) {
        if (state_of(w, i)->dim[2] == want) {
            from = i;
            end = i + 1;
            all = want;
            equal = true;
        }
    }
    if (all != want) {
        ss_fail(e, SS_USAGE,
                "--prompt: the denoiser takes a text %lld wide, the text encoders make %s; give "
                "--prompt-embeds FILE#NAME",
                (long long)want, widths.s ? widths.s : "others");
        ss_str_release(&widths);
        return SS_USAGE;
    }
    ss_str_release(&widths);
    *to = (ss_array){.rank = 3, .dim = {n, state_of(w, from)->dim[1], want}};
    const int64_t rows = n * to->dim[1];
    to->values = ss_alloc((size_t)rows, (size_t)want * sizeof *to->values);
    if (!to->values)
        return ss_no_memory(e, "prompts");
    for (int i = from; i < end; i++) {
        const ss_array *a = state_of(w, i);

        for (int64_t r = 0; r < rows; r++)
            memcpy(to->values + r * want + at, a->values + r * a->dim[2],
                   (size_t)a->dim[2] * sizeof *to->values);
        at += a->dim[2];
    }
    return SS_OK;
}

/* Reads the pipeline's force_zeros_for_empty_prompt. */
static bool wants_zeros(const char *pipeline)
{
    char *path = ss_path_join(pipeline, "model_index.json");
    ss_json j = {0};
    bool zeros = false;

    if (path && ss_file_exists(path) && ss_json_load(&j, path, NULL) == SS_OK)
        zeros = ss_json_bool(&j, "force_zeros_for_empty_prompt", false);
    ss_json_release(&j);
    ss_free(path);
    return zeros;
}

static ss_code join(work *w, ss_prompt_states *out, ss_err *e)
{
    const ss_code rc = join_states(w, &out->states, e);

    for (int i = w->n - 1; i >= 0 && rc == SS_OK && !out->pooled.rank; i--) {
        if (w->denoiser->needs->added_width && w->of[i].projected.rank) {
            out->pooled = w->of[i].projected;
            w->of[i].projected = (ss_array){0};
        }
    }
    out->zeros_for_none = wants_zeros(w->place);
    return rc;
}

/* Finds the text encoders: the denoiser's pipeline, or the one that --tokenizer names. */
static ss_code find_encoders(work *w, ss_err *e)
{
    const char *places[] = {w->denoiser->pipeline, w->opt->tokenizer};
    bool found = false;
    ss_code rc = SS_OK;

    for (int i = 0; i < 2 && rc == SS_OK && !found; i++) {
        ss_pipeline_release(&w->pipeline);
        w->place = places[i] ? places[i] : w->place;
        if (places[i])
            rc = ss_pipeline_find(places[i], &w->pipeline, e);
        for (int k = 0; k < w->pipeline.n; k++)
            found |= w->pipeline.list[k].role == SS_TEXT;
    }
    if (rc == SS_OK && !w->place)
        rc = ss_fail(
            e, SS_USAGE,
            "--prompt: %s is in no pipeline with text encoders; name the pipeline, or one "
            "with --tokenizer, or give --prompt-embeds FILE#NAME, or a stand-in, --prompt-embeds "
            "random",
            w->denoiser->name);
    return rc;
}

ss_code ss_prompt_states_make(const ss_prompt_options *opt, const ss_prompt_reader *denoiser,
                              const ss_ctx_options *device, ss_prompt_states *out, ss_err *e)
{
    work w = {.opt = opt, .denoiser = denoiser};
    ss_code rc;

    *out = (ss_prompt_states){0};
    if (!denoiser->needs->text_width)
        return ss_fail(e, SS_USAGE, "--prompt: this model takes no text");
    rc = find_encoders(&w, e);
    if (rc == SS_OK)
        rc = ss_ctx_new(device, &w.c, e);
    if (rc == SS_OK)
        rc = run_encoders(&w, e);
    if (rc == SS_OK)
        rc = join(&w, out, e);
    for (int i = 0; i < w.n; i++)
        ss_encoded_prompts_release(&w.of[i]);
    ss_pipeline_release(&w.pipeline);
    ss_ctx_free(w.c);
    if (rc != SS_OK)
        ss_prompt_states_release(out);
    return rc;
}
