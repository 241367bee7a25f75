/* conditions.c - see conditions.h */
#include "probe/conditions.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* Loads FILE#NAME as [N][...] of the rank given, for `samples` samples. */
static ss_code load_rows(const char *option, const char *from, int rank, int samples, int batch,
                         ss_condition_rows *r, ss_err *e)
{
    if (!from)
        return SS_OK;
    if (ss_safetensors_load_f32(from, &r->all, e) != SS_OK)
        return ss_fail_prefix(e, "--%s", option);
    if (r->all.rank != rank)
        return ss_fail(e, SS_USAGE, "--%s: %s has %d dimensions, %d are expected", option, from,
                       r->all.rank, rank);
    if (r->all.dim[0] != 1 && r->all.dim[0] < samples)
        return ss_fail(e, SS_USAGE, "--%s: %s has %lld rows for %d samples; one row serves all",
                       option, from, (long long)r->all.dim[0], samples);
    r->row = 1;
    for (int i = 1; i < rank; i++)
        r->row *= r->all.dim[i];
    r->batch = ss_alloc((size_t)batch, (size_t)r->row * sizeof(float));
    return r->batch ? SS_OK : ss_fail(e, SS_NOMEM, "out of memory");
}

/* The class as text states, from the table that lies with the model. */
static ss_code load_class(const ss_model *m, int label, int batch, ss_conditions *k, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(m)->needs;
    ss_condition_rows *r = &k->prompt;

    r->all = (ss_array){.rank = 3, .dim = {1, needs->table_tokens, needs->text_width}};
    r->row = needs->table_tokens * needs->text_width;
    r->all.values = ss_alloc((size_t)r->row, sizeof(float));
    r->batch = ss_alloc((size_t)batch, (size_t)r->row * sizeof(float));
    if (!r->all.values || !r->batch)
        return ss_fail(e, SS_NOMEM, "out of memory");
    return ss_model_class_embedding(m, label, r->all.values, e);
}

ss_code ss_conditions_load(const ss_condition_options *opt, const ss_model *m, int samples,
                           int batch, ss_conditions *out, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(m)->needs;
    ss_conditions k = {0};
    bool table = needs->table_classes && !opt->prompt_embeds;
    ss_code rc;

    rc = load_rows("prompt-embeds", opt->prompt_embeds, 3, samples, batch, &k.prompt, e);
    if (rc == SS_OK)
        rc = load_rows("text-embeds", opt->text_embeds, 2, samples, batch, &k.text, e);
    if (rc == SS_OK)
        rc = load_rows("time-ids", opt->time_ids, 2, samples, batch, &k.time, e);
    if (rc == SS_OK && table) {
        rc = load_class(m, opt->class_label, batch, &k, e);
        if (opt->class_label < 0)
            ss_note("no --class is given: the null class conditions the network");
    }
    if (rc == SS_OK && needs->class_width == 1 && opt->class_label >= 0) {
        k.labels = ss_alloc((size_t)batch, sizeof *k.labels);
        if (!k.labels)
            rc = ss_fail(e, SS_NOMEM, "out of memory");
        for (int i = 0; i < batch && k.labels; i++)
            k.labels[i] = (float)opt->class_label;
    }
    if (rc == SS_OK && opt->class_label >= 0 && !table && needs->class_width != 1)
        rc = ss_fail(e, SS_USAGE, "--class: this model takes no class");
    if (rc != SS_OK) {
        ss_conditions_release(&k);
        return rc;
    }
    if (opt->prompt_embeds)
        snprintf(k.text_form, sizeof k.text_form, "prompt embeddings");
    else if (opt->class_label >= 0)
        snprintf(k.text_form, sizeof k.text_form, "class %d", opt->class_label);
    else
        snprintf(k.text_form, sizeof k.text_form, "%s", table ? "null class" : "none");
    *out = k;
    return SS_OK;
}

static void release_rows(ss_condition_rows *r)
{
    ss_array_release(&r->all);
    ss_free(r->batch);
}

void ss_conditions_release(ss_conditions *k)
{
    release_rows(&k->prompt);
    release_rows(&k->text);
    release_rows(&k->time);
    ss_free(k->labels);
    *k = (ss_conditions){0};
}

static const float *gather(ss_condition_rows *r, int n, const int *sample)
{
    for (int i = 0; r->batch && i < n; i++) {
        int64_t from = r->all.dim[0] == 1 ? 0 : sample[i];

        memcpy(r->batch + i * r->row, r->all.values + from * r->row,
               (size_t)r->row * sizeof *r->batch);
    }
    return r->batch;
}

ss_condition ss_conditions_batch(ss_conditions *k, int n, const int *sample)
{
    return (ss_condition){
        .class_labels = k->labels,
        .encoder_hidden_states = gather(&k->prompt, n, sample),
        .tokens = k->prompt.all.dim[1],
        .width = k->prompt.all.dim[2],
        .text_embeds = gather(&k->text, n, sample),
        .text_width = k->text.all.dim[1],
        .time_ids = gather(&k->time, n, sample),
        .n_time_ids = k->time.all.dim[1],
    };
}
