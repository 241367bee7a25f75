/* conditions.c - see conditions.h */
#include "probe/conditions.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/net/embeddings.h"
#include "probe/prompt_states.h"
#include "probe/stand_in.h"

#include <stdio.h>
#include <string.h>

enum {
    MAX_CLASS = 1 << 20,
    LATENT_FACTOR = 8, /* of the pictures whose sizes SDXL is told, and its latents */
};

/* Aesthetic scores that SDXL's refiner is told for what is wanted and for the negative. */
static const float GOOD_PICTURE = 6, BAD_PICTURE = 2.5F;

/* The number of classes of the model, without its null class. */
static int64_t count_classes(const ss_model *m)
{
    const ss_condition_needs *needs = &ss_model_about(m)->net.needs;

    return needs->table_classes ? needs->table_classes - 1 : needs->n_classes;
}

static ss_code all_classes(const ss_model *m, int **classes, int *n, ss_err *e)
{
    const int64_t count = count_classes(m);

    if (count < 1 || count > MAX_CLASS)
        return ss_fail(e, SS_USAGE, "--classes all: %s does not say how many classes it has",
                       ss_model_about(m)->path);
    *classes = ss_alloc((size_t)count, sizeof **classes);
    if (!*classes)
        return ss_no_memory(e, "conditions");
    for (int i = 0; i < count; i++)
        (*classes)[i] = i;
    *n = (int)count;
    return SS_OK;
}

ss_code ss_classes_parse(const char *text, const ss_model *m, int **classes, int *n, ss_err *e)
{
    int *list = NULL, count = 0;
    size_t cap = 0;

    if (strcmp(text, "all") == 0)
        return all_classes(m, classes, n, e);
    for (const char *p = text;; p++) {
        const size_t len = strcspn(p, ",");
        char item[16];
        int64_t v = -1;

        if (len >= sizeof item) /* more digits than a class has */
            item[0] = '\0';
        else
            snprintf(item, sizeof item, "%.*s", (int)len, p);
        int *grown = ss_grow(list, &cap, (size_t)count + 1, sizeof *list);
        if (!grown || !ss_parse_i64(item, &v) || v < 0 || v > MAX_CLASS) {
            ss_free(grown ? grown : list);
            return grown ? ss_fail(e, SS_USAGE, "--classes takes 'all' or numbers, 0,3,7, not '%s'",
                                   text)
                         : ss_no_memory(e, "conditions");
        }
        list = grown;
        list[count++] = (int)v;
        p += len;
        if (!*p)
            break;
    }
    *classes = list;
    *n = count;
    return SS_OK;
}

static ss_code check_rows(const char *option, const char *from, int samples, const ss_array *a,
                          ss_err *e)
{
    if (a->dim[0] == 1 || a->dim[0] >= samples)
        return SS_OK;
    return ss_fail(e, SS_USAGE, "--%s: %s has %lld rows for %d samples; one row serves all", option,
                   from, (long long)a->dim[0], samples);
}

/* Loads FILE#NAME as [N][...] of the given rank, for `samples` samples, or makes a stand-in of this
 * shape; rank 0: the option takes none. */
static ss_code load_array(const char *option, const char *from, int rank, ss_array stand_in,
                          int samples, uint64_t seed, ss_array *a, ss_err *e)
{
    if (!from)
        return SS_OK;
    if (stand_in.rank && ss_stand_in_is(from))
        return ss_stand_in_make(option, from, &stand_in, samples, seed, a, e);
    if (ss_safetensors_load_f32(from, a, e) != SS_OK)
        return ss_fail_prefix(e, "--%s", option);
    if (a->rank != rank)
        return ss_fail(e, SS_USAGE, "--%s: %s has %d dimensions, %d are expected", option, from,
                       a->rank, rank);
    return check_rows(option, from, samples, a, e);
}

static bool has_table(const ss_condition_options *opt, const ss_model *m)
{
    return ss_model_about(m)->net.needs.table_classes && !opt->prompt_embeds &&
           !opt->prompts.n_positive;
}

/* Returns the option of the pooled text; where the text's states are a stand-in, so is that. */
static const char *pooled_option(const ss_condition_options *opt)
{
    return opt->text_embeds || !ss_stand_in_is(opt->prompt_embeds) ? opt->text_embeds
                                                                   : opt->prompt_embeds;
}

static bool has_labels(const ss_model *m)
{
    return ss_model_about(m)->net.needs.class_width == 1;
}

/* Makes text states from classes, by the table in the model's folder. */
static ss_code look_up(const ss_model *m, const int *classes, int n, ss_array *a, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(m)->net.needs;
    const int64_t row = needs->table_tokens * needs->text_width;
    ss_code rc = SS_OK;

    *a = (ss_array){.rank = 3, .dim = {n, needs->table_tokens, needs->text_width}};
    a->values = ss_alloc((size_t)n, (size_t)row * sizeof(float));
    if (!a->values)
        return ss_no_memory(e, "conditions");
    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = ss_model_class_embedding(m, classes[i], a->values + i * row, e);
    return rc;
}

/* Makes labels from classes. */
static ss_code as_labels(const int *classes, int n, ss_array *a, ss_err *e)
{
    *a = (ss_array){.rank = 1, .dim = {n}};
    a->values = ss_alloc((size_t)n, sizeof(float));
    if (!a->values)
        return ss_no_memory(e, "conditions");
    for (int i = 0; i < n; i++)
        a->values[i] = (float)classes[i];
    return SS_OK;
}

/* Loads vectors, or numbers, of the width that the model takes in place of a class. */
static ss_code load_class_vectors(const char *option, const char *from, const ss_model *m,
                                  int samples, uint64_t seed, ss_array *a, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(m)->net.needs;
    const long long width = (long long)needs->class_width;
    ss_array loaded = {0};
    ss_code rc;

    if (!from)
        return SS_OK;
    if (needs->n_classes || (needs->table_classes && !width))
        return ss_fail(e, SS_USAGE,
                       "--%s: this model takes a class, not a vector: give it with "
                       "--class K",
                       option);
    if (!width)
        return ss_fail(e, SS_USAGE, "--%s: this model takes neither a class nor a vector", option);
    if (ss_stand_in_is(from)) {
        const ss_array shape = {.rank = width == 1 ? 1 : 2, .dim = {0, width}};

        return ss_stand_in_make(option, from, &shape, samples, seed, a, e);
    }
    if ((rc = ss_safetensors_load_f32(from, &loaded, e)) != SS_OK)
        return ss_fail_prefix(e, "--%s", option);
    const bool numbers = width == 1 && loaded.rank == 1;
    if (!numbers && (loaded.rank != 2 || loaded.dim[1] != width))
        rc = ss_fail(e, SS_USAGE, "--%s: %s must be [N,%lld]", option, from, width);
    else
        rc = check_rows(option, from, samples, &loaded, e);
    if (rc != SS_OK) {
        ss_array_release(&loaded);
        return rc;
    }
    loaded.rank = width == 1 ? 1 : 2;
    *a = loaded;
    return SS_OK;
}

static ss_code load_classes(const ss_condition_options *opt, const ss_model *m, int samples,
                            uint64_t seed, ss_conditions *k, ss_err *e)
{
    static const int null_class = -1;
    const ss_condition_needs *needs = &ss_model_about(m)->net.needs;
    const bool table = has_table(opt, m);
    ss_code rc =
        load_class_vectors("class-embeds", opt->class_embeds, m, samples, seed, &k->labels.all, e);

    if (rc != SS_OK)
        return rc;
    if (opt->class_embeds && opt->n_classes && !table)
        return ss_fail(e, SS_USAGE, "--class and --class-embeds exclude each other");

    if (table && !opt->n_classes) {
        ss_note("no --class is given: the null class conditions the network");
        return look_up(m, &null_class, 1, &k->prompt.all, e);
    }
    if (table)
        return look_up(m, opt->classes, opt->n_classes, &k->prompt.all, e);
    if (!opt->n_classes)
        return SS_OK;
    if (has_labels(m))
        return as_labels(opt->classes, opt->n_classes, &k->labels.all, e);
    if (needs->table_classes)
        return ss_fail(e, SS_USAGE,
                       "--prompt-embeds and classes exclude each other: the classes of this model "
                       "are texts");
    if (needs->class_width)
        return ss_fail(e, SS_USAGE,
                       "--class: this model takes a vector instead of a class: give it with "
                       "--class-embeds FILE#NAME, [N,%lld]",
                       (long long)needs->class_width);
    return ss_fail(e, SS_USAGE, "--class: this model takes no class");
}

/* Makes the scale of guidance that a distilled network is told. */
static ss_code load_guidance(const ss_condition_options *opt, const ss_model *m, ss_array *a,
                             ss_err *e)
{
    const int64_t width = ss_model_about(m)->net.needs.guidance_width;
    double scale;

    if (!opt->guidance_embed) {
        if (width)
            ss_note("no --guidance-embed is given: the network is not told a scale of guidance");
        return SS_OK;
    }
    if (!width)
        return ss_fail(e, SS_USAGE,
                       "--guidance-embed: this model is not told a scale of guidance, as distilled "
                       "ones are (LCM)");
    if (!ss_parse_double(opt->guidance_embed, &scale))
        return ss_fail(e, SS_USAGE, "--guidance-embed takes a number, not '%s'",
                       opt->guidance_embed);
    *a = (ss_array){.rank = 2, .dim = {1, width}};
    a->values = ss_alloc((size_t)width, sizeof(float));
    if (!a->values)
        return ss_no_memory(e, "conditions");
    ss_guidance_embedding(scale, (int)width, a->values);
    return SS_OK;
}

/* Loads the text states, or notes that none are given. */
static ss_code load_prompt(const ss_condition_options *opt, const ss_model *m, int samples,
                           uint64_t seed, ss_array *a, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(m)->net.needs;

    if (opt->prompt_embeds && !needs->text_width)
        return ss_fail(e, SS_USAGE, "--prompt-embeds: this model takes no text");
    if (!opt->prompt_embeds && needs->text_optional && !needs->table_classes)
        ss_note("no --prompt-embeds are given: attention to the text looks at the picture itself");
    return load_array("prompt-embeds", opt->prompt_embeds, 3, ss_stand_in_text(needs), samples,
                      seed, a, e);
}

/* Makes the negative text states: the given ones, those of a class of the table, or of its null
 * class; zeros where the positive ones are a stand-in. */
static ss_code load_negative_prompt(const ss_condition_options *opt, const ss_model *m, int samples,
                                    uint64_t seed, ss_conditions *k, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(m)->net.needs;
    const char *from = opt->negative_embeds                 ? opt->negative_embeds
                       : ss_stand_in_is(opt->prompt_embeds) ? SS_STAND_IN_ZEROS
                                                            : NULL;
    ss_condition_rows *r = &k->prompt;
    ss_code rc;

    if (r->negative.rank) /* of a prompt */
        rc = SS_OK;
    else if (from)
        rc = load_array("negative-embeds", from, 3, ss_stand_in_text(needs), samples, seed,
                        &r->negative, e);
    else if (needs->table_classes)
        rc = look_up(m, &opt->negative_class, 1, &r->negative, e);
    else
        rc = ss_fail(e, SS_USAGE,
                     "--guidance needs a negative condition: give --negative-embeds FILE#NAME");
    if (rc == SS_OK && (r->negative.dim[1] != r->all.dim[1] || r->negative.dim[2] != r->all.dim[2]))
        rc = ss_fail(e, SS_USAGE,
                     "the negative text states are [%lld,%lld], the positive ones [%lld,%lld]; "
                     "they must have the same number of tokens",
                     (long long)r->negative.dim[1], (long long)r->negative.dim[2],
                     (long long)r->all.dim[1], (long long)r->all.dim[2]);
    return rc;
}

static ss_code load_negative_vectors(const ss_condition_options *opt, const ss_model *m,
                                     int samples, uint64_t seed, ss_conditions *k, ss_err *e)
{
    if (!opt->negative_class_embeds)
        return ss_fail(e, SS_USAGE,
                       "--guidance needs --negative-class-embeds FILE#NAME with --class-embeds");
    return load_class_vectors("negative-class-embeds", opt->negative_class_embeds, m, samples, seed,
                              &k->labels.negative, e);
}

static ss_code load_negative(const ss_condition_options *opt, const ss_model *m, int samples,
                             uint64_t seed, ss_conditions *k, ss_err *e)
{
    const char *text = opt->negative_text                   ? opt->negative_text
                       : ss_stand_in_is(pooled_option(opt)) ? SS_STAND_IN_ZEROS
                                                            : NULL;
    ss_code rc = SS_OK;

    if (!k->prompt.all.rank && !k->labels.all.rank)
        return ss_fail(e, SS_USAGE,
                       "--guidance: nothing conditions this model, so there is "
                       "nothing to guide by");
    if (k->prompt.all.rank)
        rc = load_negative_prompt(opt, m, samples, seed, k, e);
    if (rc == SS_OK && opt->class_embeds)
        rc = load_negative_vectors(opt, m, samples, seed, k, e);
    else if (rc == SS_OK && k->labels.all.rank && opt->negative_class < 0)
        rc = ss_fail(e, SS_USAGE,
                     "--guidance needs a negative condition, and this model has no null class "
                     "of its own: give --negative-class K");
    else if (rc == SS_OK && k->labels.all.rank)
        rc = as_labels(&opt->negative_class, 1, &k->labels.negative, e);
    if (rc == SS_OK && k->text.all.rank && !k->text.negative.rank)
        rc = load_array("negative-text-embeds", text, 2,
                        ss_stand_in_pooled(&ss_model_about(m)->net.needs), samples, seed,
                        &k->text.negative, e);
    if (rc == SS_OK && k->text.all.rank && !k->text.negative.rank)
        rc = ss_fail(e, SS_USAGE,
                     "--guidance needs --negative-text-embeds FILE#NAME with --text-embeds");
    if (rc == SS_OK && k->text.all.rank && k->text.negative.dim[1] != k->text.all.dim[1])
        rc = ss_fail(e, SS_USAGE, "--negative-text-embeds has width %lld, --text-embeds %lld",
                     (long long)k->text.negative.dim[1], (long long)k->text.all.dim[1]);
    return rc;
}

static ss_code make_room(ss_condition_rows *r, int rows, ss_err *e)
{
    if (!r->all.rank)
        return SS_OK;
    r->row = 1;
    for (int i = 1; i < r->all.rank; i++)
        r->row *= r->all.dim[i];
    r->batch = ss_alloc((size_t)rows, (size_t)r->row * sizeof(float));
    return r->batch ? SS_OK : ss_no_memory(e, "conditions");
}

/* Makes the text for the run file, of all samples. */
static ss_code put_text_form(const ss_condition_options *opt, const ss_model *m, ss_conditions *k,
                             ss_err *e)
{
    ss_str s = {0};
    char one[512];

    ss_conditions_text(opt, m, 0, one, sizeof one);
    ss_str_add(&s, *one ? one : "none");
    for (int i = 1; i < opt->n_classes; i++)
        ss_str_addf(&s, ", %d", opt->classes[i]);
    if (opt->guidance_embed)
        ss_str_addf(&s, "; told guidance %s", opt->guidance_embed);
    k->text_form = ss_str_detach(&s);
    return k->text_form ? SS_OK : ss_no_memory(e, "conditions");
}

/* Sets the numbers of both conditions: [1][n] each. */
static ss_code set_numbers(ss_conditions *k, const float *numbers, int64_t n, bool guided,
                           ss_err *e)
{
    for (int i = 0; i < (guided ? 2 : 1); i++) {
        ss_array *a = i ? &k->time.negative : &k->time.all;

        *a = (ss_array){.rank = 2, .dim = {1, n}, .values = ss_alloc((size_t)n, sizeof(float))};
        if (!a->values)
            return ss_no_memory(e, "conditions");
        memcpy(a->values, numbers, (size_t)n * sizeof(float));
    }
    return SS_OK;
}

/* Adds the numbers that Stable Video Diffusion's pipeline tells its denoiser unless it is asked
 * otherwise: 7 frames a second, less one; how much motion; how much noise on the picture. */
static ss_code add_video_numbers(const ss_condition_needs *needs, ss_conditions *k, bool guided,
                                 ss_err *e)
{
    static const float usual[] = {6, 127, 0.02F};

    if (k->time.all.rank || needs->added_width != 3 * needs->time_id_width)
        return SS_OK;
    ss_note("no --time-ids are given: the network is told 6,127,0.02 (7 frames a second less one, "
            "motion, noise on the picture)");
    return set_numbers(k, usual, 3, guided, e);
}

/* Adds the sizes that a pipeline tells such a denoiser unless it is asked otherwise: those of the
 * picture, uncut (SDXL), and a score of beauty (its refiner). */
static ss_code add_time_ids(const ss_network *net, ss_conditions *k, bool guided, ss_err *e)
{
    const ss_condition_needs *needs = &ss_model_about(net->model)->net.needs;
    const float h = (float)net->size.height * LATENT_FACTOR;
    const float w = (float)net->size.width * LATENT_FACTOR;
    const float sizes[6] = {h, w, 0, 0, h, w}, refiner[5] = {h, w, 0, 0, GOOD_PICTURE};
    const int64_t n =
        needs->time_id_width ? (needs->added_width - k->text.all.dim[1]) / needs->time_id_width : 0;

    if (needs->numbers_only)
        return add_video_numbers(needs, k, guided, e);
    if (k->time.all.rank || !k->text.all.rank || (n != 6 && n != 5))
        return SS_OK;
    const ss_code rc = set_numbers(k, n == 6 ? sizes : refiner, n, guided, e);
    if (rc != SS_OK)
        return rc;
    if (n == 5 && guided)
        k->time.negative.values[4] = BAD_PICTURE;
    ss_note("no --time-ids are given: the network is told a picture of %gx%g, uncut%s", h, w,
            n == 5 ? ", with an aesthetic score of 6" : "");
    return SS_OK;
}

/* Splits rows [n][...] of *from into the first `positive` ones and the others. */
static ss_code split_rows(ss_array *from, int positive, ss_array *negative, ss_err *e)
{
    const int64_t n = from->dim[0];
    int64_t row = 1;

    for (int i = 1; i < from->rank; i++)
        row *= from->dim[i];
    if (positive == n)
        return SS_OK;
    *negative = *from;
    negative->dim[0] = n - positive;
    negative->values = ss_alloc((size_t)(n - positive), (size_t)row * sizeof(float));
    if (!negative->values) {
        *negative = (ss_array){0};
        return ss_no_memory(e, "conditions");
    }
    memcpy(negative->values, from->values + positive * row,
           (size_t)((n - positive) * row) * sizeof(float));
    from->dim[0] = positive;
    return SS_OK;
}

static void clear(ss_array *a)
{
    int64_t n = 1;

    for (int i = 0; i < a->rank; i++)
        n *= a->dim[i];
    if (a->rank)
        memset(a->values, 0, (size_t)n * sizeof *a->values);
}

/* Encodes the prompts into text states and pooled text. With guidance and no negative prompt there
 * is an empty one, or zeros where the pipeline takes those. */
static ss_code load_prompts(const ss_condition_options *opt, const ss_network *net,
                            const ss_ctx_options *device, ss_conditions *k, ss_err *e)
{
    static const char *const empty = "";
    const bool none = opt->guided && !opt->prompts.n_negative && !opt->negative_embeds;
    ss_prompt_options texts = opt->prompts;
    ss_prompt_states s = {0};

    if (!texts.n_positive && !texts.n_negative)
        return SS_OK;
    if (opt->prompt_embeds)
        return ss_fail(e, SS_USAGE, "--prompt and --prompt-embeds exclude each other");
    if (none) {
        texts.negative = &empty;
        texts.n_negative = 1;
    }
    const ss_model_info *about = ss_model_about(net->model);
    const ss_prompt_reader reader = {.needs = &about->net.needs,
                                     .name = about->path,
                                     .pipeline = about->pipeline,
                                     .variant = net->variant,
                                     .loras = net->loras,
                                     .n_loras = net->n_loras};
    ss_code rc = ss_prompt_states_make(&texts, &reader, device, &s, e);
    if (rc == SS_OK && opt->guided)
        rc = split_rows(&s.states, texts.n_positive, &k->prompt.negative, e);
    if (rc == SS_OK && opt->guided && s.pooled.rank)
        rc = split_rows(&s.pooled, texts.n_positive, &k->text.negative, e);
    if (rc == SS_OK && none && s.zeros_for_none) {
        clear(&k->prompt.negative);
        clear(&k->text.negative);
    }
    k->prompt.all = s.states;
    if (k->text.all.rank)
        ss_array_release(&s.pooled); /* --text-embeds was given */
    else
        k->text.all = s.pooled;
    return rc;
}

ss_code ss_conditions_load(const ss_condition_options *opt, const ss_network *net,
                           const ss_ctx_options *device, int samples, int batch, uint64_t seed,
                           ss_conditions *out, ss_err *e)
{
    const ss_model *m = net->model;
    const ss_condition_needs *needs = &ss_model_about(m)->net.needs;
    const char *pooled = pooled_option(opt);
    const ss_array none = {0}, pooled_shape = ss_stand_in_pooled(needs);
    ss_conditions k = {0};
    const int rows = opt->guided ? 2 * batch : batch;
    ss_code rc = SS_OK;

    if (opt->text_embeds || pooled_shape.rank)
        rc = load_array("text-embeds", pooled, 2, pooled_shape, samples, seed, &k.text.all, e);

    if (rc == SS_OK)
        rc = load_prompts(opt, net, device, &k, e);
    if (rc == SS_OK && !k.prompt.all.rank)
        rc = load_prompt(opt, m, samples, seed, &k.prompt.all, e);
    if (rc == SS_OK)
        rc = load_array("time-ids", opt->time_ids, 2, none, samples, seed, &k.time.all, e);
    if (rc == SS_OK && (opt->prompts.n_positive || ss_stand_in_is(pooled) || needs->numbers_only))
        rc = add_time_ids(net, &k, opt->guided, e);
    if (rc == SS_OK)
        rc = load_classes(opt, m, samples, seed, &k, e);
    if (rc == SS_OK)
        rc = load_guidance(opt, m, &k.guidance.all, e);
    if (rc == SS_OK && opt->guided)
        rc = load_negative(opt, m, samples, seed, &k, e);
    ss_condition_rows *const all[] = {&k.prompt, &k.text, &k.time, &k.labels, &k.guidance};
    for (size_t i = 0; i < sizeof all / sizeof *all && rc == SS_OK; i++)
        rc = make_room(all[i], rows, e);
    if (rc == SS_OK)
        rc = put_text_form(opt, m, &k, e);
    if (rc != SS_OK) {
        ss_conditions_release(&k);
        return rc;
    }
    *out = k;
    return SS_OK;
}

static void release_rows(ss_condition_rows *r)
{
    ss_array_release(&r->all);
    ss_array_release(&r->negative);
    ss_free(r->batch);
}

void ss_conditions_release(ss_conditions *k)
{
    release_rows(&k->prompt);
    release_rows(&k->text);
    release_rows(&k->time);
    release_rows(&k->labels);
    release_rows(&k->guidance);
    ss_free(k->text_form);
    *k = (ss_conditions){0};
}

static void gather_from(const ss_array *a, int64_t row, int n, const int *sample, float *out)
{
    for (int i = 0; i < n; i++)
        memcpy(out + i * row, a->values + sample[i] % a->dim[0] * row, (size_t)row * sizeof *out);
}

/* Collects the rows of a batch. Rows without negatives (sizes of pictures) are the same in both
 * halves. */
static const float *gather(ss_condition_rows *r, int n, const int *sample, bool negatives)
{
    if (!r->batch)
        return NULL;
    gather_from(&r->all, r->row, n, sample, r->batch);
    if (negatives)
        gather_from(r->negative.rank ? &r->negative : &r->all, r->row, n, sample,
                    r->batch + n * r->row);
    return r->batch;
}

ss_condition ss_conditions_batch(ss_conditions *k, int n, const int *sample, bool negatives)
{
    return (ss_condition){
        .class_labels = gather(&k->labels, n, sample, negatives),
        .class_width = k->labels.all.rank == 2 ? k->labels.all.dim[1] : 1,
        .encoder_hidden_states = gather(&k->prompt, n, sample, negatives),
        .tokens = k->prompt.all.dim[1],
        .width = k->prompt.all.dim[2],
        .text_embeds = gather(&k->text, n, sample, negatives),
        .text_width = k->text.all.dim[1],
        .time_ids = gather(&k->time, n, sample, negatives),
        .n_time_ids = k->time.all.dim[1],
        .timestep_cond = gather(&k->guidance, n, sample, negatives),
        .timestep_cond_width = k->guidance.all.dim[1],
    };
}

static const char *stand_in_text(const char *word)
{
    return word && strcmp(word, SS_STAND_IN_RANDOM) == 0 ? "random numbers" : "zeros";
}

void ss_conditions_text(const ss_condition_options *opt, const ss_model *m, int sample, char *out,
                        size_t n)
{
    const int n_prompts = opt->prompts.n_positive;
    char shown[SS_SHOWN] = "", stand_in[64];
    const char *prompt =
        ss_stand_in_is(opt->prompt_embeds) ? stand_in
        : opt->prompt_embeds               ? "prompt embeddings"
        : n_prompts ? ss_printable(opt->prompts.positive[sample % n_prompts], shown, sizeof shown)
                    : "";
    const char *comma = *prompt ? ", " : "";

    snprintf(stand_in, sizeof stand_in, "prompt embeddings of %s, a stand-in",
             stand_in_text(opt->prompt_embeds));
    if (ss_stand_in_is(opt->class_embeds))
        snprintf(out, n, "%s%sclass embeddings of %s, a stand-in", prompt, comma,
                 stand_in_text(opt->class_embeds));
    else if (opt->class_embeds)
        snprintf(out, n, "%s%sclass embeddings", prompt, comma);
    else if (opt->n_classes)
        snprintf(out, n, "%s%sclass %d", prompt, comma, opt->classes[sample % opt->n_classes]);
    else
        snprintf(out, n, "%s", has_table(opt, m) ? "null class" : prompt);
}
