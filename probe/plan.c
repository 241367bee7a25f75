/* plan.c - see plan.h */
#include "probe/plan.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/version.h"
#include "probe/latents.h"
#include "probe/options.h"
#include "runfile/plan_text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static ss_code encode(void *vae, const float *from, float *to, ss_err *e)
{
    return ss_latents_encode(vae, from, to, e);
}

/* Opens an input at the size that it has to have: pictures in files become latents for a denoiser
 * that has a VAE, which is opened at the first of them. */
static ss_code open_input(const ss_probe_options *opt, const ss_plan *p, ss_input *in,
                          ss_latents **vae, ss_err *e)
{
    const ss_ctx_options device = {.device = opt->device, .threads = opt->threads};
    const ss_model_info *about = ss_model_about(p->net.model);
    ss_code rc = SS_OK;

    if (p->latent.channels)
        return ss_input_open(in, ss_input_makes_pictures(in) ? p->picture : p->latent, p->samples,
                             e);
    if (about->has_vae && ss_input_reads_pictures(in) && !*vae)
        rc = ss_latents_open(p->net.model, opt->network.variant, p->picture, &device, vae, e);
    const bool encoded = *vae && ss_input_reads_pictures(in);
    if (rc == SS_OK)
        rc = ss_input_open(in, encoded ? ss_latents_picture(*vae) : p->picture, p->samples, e);
    return rc == SS_OK && encoded ? ss_input_replace(in, p->picture, encode, *vae, e) : rc;
}

ss_code ss_plan_open_inputs(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    static const char *const noise = "noise:white", *const picture = SS_DEFAULT_VAE_INPUT;
    const char *const *specs = opt->n_inputs ? opt->inputs : p->latent.channels ? &picture : &noise;
    int n = opt->n_inputs ? opt->n_inputs : 1;
    ss_latents *vae = NULL;

    p->inputs = ss_calloc((size_t)n, sizeof *p->inputs);
    if (!p->inputs)
        return ss_no_memory(e, "a plan");
    for (; p->n_inputs < n; p->n_inputs++) {
        ss_input **in = &p->inputs[p->n_inputs];

        for (int k = 0; k < p->n_inputs; k++) {
            if (strcmp(specs[k], specs[p->n_inputs]) == 0)
                return ss_fail(e, SS_USAGE, "--inputs %s is given twice", specs[k]);
        }
        if (ss_input_parse(specs[p->n_inputs], in, e) != SS_OK)
            return e->code;
        if (open_input(opt, p, *in, &vae, e) != SS_OK) {
            p->n_inputs++; /* so that it is freed */
            ss_latents_close(vae);
            return e->code;
        }
        p->has_loss |= ss_input_kind_of(*in) == SS_INPUT_CLEAN && !ss_input_is_filtered(*in);
    }
    ss_latents_close(vae);
    return SS_OK;
}

/* Makes the levels of the plan, as texts, since JSON has no infinity. */
static json_t *levels_of(const ss_plan *p)
{
    json_t *list = json_array();

    for (int i = 0; i < p->n_levels; i++) {
        const ss_plan_level *l = &p->levels[i];
        char text[96];

        snprintf(text, sizeof text, "%.17g, timestep %.9g, told %.9g", l->sigma,
                 (double)l->timestep, (double)l->condition);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

/* Makes the inputs of the plan, with the sums of what they read; the default input is among them.
 */
static json_t *inputs_of(const ss_plan *p, ss_err *e)
{
    json_t *list = json_array();

    for (int i = 0; i < p->n_inputs; i++) {
        char sha256[65] = "";
        const ss_code rc = p->inputs ? ss_input_sha256(p->inputs[i], sha256, e)
                                     : ss_prompts_sha256(&p->prompts, i, sha256, e);

        if (rc != SS_OK) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list,
                              ss_setting_content(ss_plan_input(p, i), *sha256 ? sha256 : NULL));
    }
    return list;
}

static ss_code sum_conditions(const ss_conditions *k, char sha256[65], ss_err *e)
{
    const ss_condition_rows *const all[] = {&k->prompt, &k->text, &k->time, &k->labels,
                                            &k->guidance};
    enum { ROWS = sizeof all / sizeof *all };
    static_assert(sizeof *k == ROWS * sizeof *all[0] + sizeof k->text_form, "a row is missing");
    char sums[ROWS * 2 * 64 + 1] = "", *to = sums;
    ss_code rc = SS_OK;

    for (int i = 0; i < 2 * ROWS && rc == SS_OK; i++) {
        const ss_array *a = i % 2 ? &all[i / 2]->negative : &all[i / 2]->all;
        char one[65] = "";

        if (a->rank && (rc = ss_array_sha256(a, one, e)) == SS_OK)
            memcpy(to, one, 64);
        else
            memset(to, '-', 64);
        to += 64;
    }
    return rc == SS_OK ? ss_sha256_bytes(sums, sizeof sums - 1, sha256, e) : rc;
}

/* The device of the options without its number: "cuda" of "cuda:1". */
static json_t *kind_of_device(const json_t *j)
{
    const char *device = json_is_string(j) ? json_string_value(j) : "cpu";

    return json_stringn(device, strcspn(device, ":"));
}

/* Lists the files of LoRA by their sums and scales. */
static ss_code describe_loras(const ss_network *net, json_t *j, ss_err *e)
{
    json_t *list = json_array();
    ss_code rc = SS_OK;

    for (int i = 0; i < net->n_loras && rc == SS_OK; i++) {
        char sha256[65], text[128];
        char *file = NULL;
        double scale;

        rc = ss_lora_spec_read(net->loras[i], &file, &scale, e);
        if (rc == SS_OK)
            rc = ss_sha256_file(file, sha256, e);
        if (rc == SS_OK) {
            snprintf(text, sizeof text, "%s times %.17g", sha256, scale);
            json_array_append_new(list, json_string(text));
        }
        ss_free(file);
    }
    json_object_set_new(j, "lora_files", list);
    return rc;
}

ss_code ss_plan_describe(const ss_network *net, const ss_conditions *conditions, json_t *j,
                         ss_err *e)
{
    const char *scheduler = ss_model_about(net->model)->scheduler;
    char sha256[65];
    ss_code rc = scheduler ? ss_sha256_file(scheduler, sha256, e) : SS_OK;

    if (rc != SS_OK)
        return rc;
    json_object_set_new(j, "scheduler_file",
                        scheduler ? ss_setting_content(scheduler, sha256) : json_null());
    if ((rc = describe_loras(net, j, e)) != SS_OK)
        return rc;
    if ((rc = sum_conditions(conditions, sha256, e)) != SS_OK)
        return rc;
    json_object_set_new(j, "conditions", json_string(sha256));
    json_object_set_new(j, "device", kind_of_device(json_object_get(j, "device")));
    json_object_set_new(j, "version", json_string(SS_VERSION));
    json_object_set_new(j, "model_sha256", json_string(net->sha256));
    json_object_set_new(j, "size",
                        net->size.height ? json_pack("[i,i]", net->size.height, net->size.width)
                                         : json_null());
    json_object_set_new(j, "prediction",
                        ss_setting_text(net->noising ? ss_noising_prediction(net->noising) : NULL));
    json_object_set_new(j, "schedule",
                        ss_setting_text(net->noising ? ss_noising_text(net->noising) : NULL));
    return SS_OK;
}

ss_code ss_plan_write(const ss_probe_options *opt, ss_plan *p, ss_err *e)
{
    json_t *j = json_object(), *inputs;
    ss_code rc = ss_options_write(ss_probe_settings(), opt, j, e);

    if (rc == SS_OK)
        rc = ss_plan_describe(&p->net, &p->conditions, j, e);
    if (rc == SS_OK) {
        inputs = inputs_of(p, e);
        rc = inputs ? SS_OK : e->code;
        json_object_set_new(j, "inputs", inputs);
    }
    if (rc == SS_OK) {
        json_object_set_new(j, "levels", levels_of(p));
        json_object_set_new(j, "samples", json_integer(p->samples));
        json_object_set_new(j, "batch", json_integer(p->batch));
        const bool named = ss_plan_name_formats(j);

        p->text = named ? ss_plan_dump(j) : NULL;
        p->identity = named ? ss_plan_identity(ss_probe_settings(), j) : NULL;
        rc = p->text && p->identity ? SS_OK : ss_no_memory(e, "a plan");
    }
    json_decref(j);
    return rc;
}

const char *ss_plan_input(const ss_plan *p, int i)
{
    return p->inputs ? ss_input_label(p->inputs[i]) : p->prompts.texts[i];
}

const char *ss_plan_sample_name(const ss_plan *p, int input, int sample)
{
    return p->inputs ? ss_input_sample_name(p->inputs[input], sample)
                     : ss_prompts_piece(&p->prompts, input, sample);
}

void ss_plan_release(ss_plan *p)
{
    ss_network_close(&p->net);
    ss_free(p->levels);
    for (int i = 0; p->inputs && i < p->n_inputs; i++)
        ss_input_free(p->inputs[i]);
    ss_free(p->inputs);
    ss_conditions_release(&p->conditions);
    ss_concat_release(&p->concat);
    ss_prompts_release(&p->prompts);
    ss_free(p->text);
    ss_free(p->identity);
    *p = (ss_plan){0};
}
