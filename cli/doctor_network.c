/* doctor_network.c - see doctor_network.h */
#include "cli/doctor_network.h"

#include "kernels/context.h"
#include "probe/conditions.h"
#include "probe/stand_in.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { UNKNOWN_SIZE = 64, SMALLEST_PICTURE = 128, HIGHEST = 160 };

const char *const cli_doctor_prompts[CLI_DOCTOR_PROMPTS] = {
    "a photograph of an astronaut riding a horse", "a red cube on a blue table, oil painting"};

/* In the order in which a grid takes them: noise alone, pictures of low and of high frequencies in
 * noise, noise like pictures, noise of high frequencies, a plain area. */
static const char *const denoiser_inputs[CLI_DOCTOR_INPUTS] = {
    "noise:white", "grating:2,30", "checker:2", "noise:pink", "noise:blue", "constant:0"};
static const char *const vae_inputs[] = {SS_DEFAULT_VAE_INPUT, "checker:8", "constant:0"};

typedef struct {
    int levels, inputs, samples;
} shape;

/* The largest first. */
static const shape denoiser_grids[] = {{10, 5, 2}, {8, 5, 2}, {8, 4, 2}, {8, 4, 1},
                                       {8, 3, 1},  {6, 3, 1}, {5, 3, 1}, {4, 3, 1},
                                       {4, 2, 1},  {3, 2, 1}, {3, 1, 1}};
static const shape vae_grids[] = {{3, 3, 1}, {3, 2, 1}, {2, 1, 1}, {1, 1, 1}};

/* ---- what it is ---- */

/* Runs the denoiser without computing, told stand-ins. */
static ss_code infer_denoiser(ss_ctx *c, ss_network *k, const ss_condition_needs *needs, ss_err *e)
{
    static const int first = 0;
    const ss_condition_options told = {
        .classes = &first,
        .n_classes = needs->class_width == 1 || needs->table_classes,
        .prompt_embeds = needs->text_width && !needs->text_optional && !needs->table_classes
                             ? SS_STAND_IN_ZEROS
                             : NULL,
        .class_embeds = needs->class_width > 1 ? SS_STAND_IN_ZEROS : NULL,
    };
    ss_conditions conditions = {0};
    const float t = 1;
    ss_code rc = ss_conditions_load(&told, k, &(ss_ctx_options){0}, 1, 1, 0, &conditions, e);

    if (rc == SS_OK) {
        const ss_condition cond = ss_conditions_batch(&conditions, 1, &first, false);
        ss_tensor *x = ss_tensor_new(c, ss_sample_batch(1, k->size));
        ss_tensor *y = ss_model_forward(c, k->model, x, &t, &cond);

        rc = ss_ctx_check(c, e);
        ss_release(x);
        ss_release(y);
    }
    ss_conditions_release(&conditions);
    return rc;
}

static ss_code infer_vae(ss_ctx *c, const ss_network *k, ss_err *e)
{
    ss_tensor *x = ss_tensor_new(c, ss_sample_batch(1, k->size));
    ss_tensor *z = ss_model_encode(c, k->model, x);
    ss_tensor *y = z ? ss_model_decode(c, k->model, z) : NULL;
    const ss_code rc = ss_ctx_check(c, e);

    ss_release(x);
    ss_release(z);
    ss_release(y);
    return rc;
}

/* Counts the operations of one sample. Those of a text encoder are two for each weight and token.
 */
static ss_code count(ss_network *k, cli_doctor_network *n, ss_err *e)
{
    ss_ctx *c = NULL;
    ss_code rc;

    if (n->role == SS_TEXT) {
        n->flops = 2.0 * (double)n->parameters * SS_STAND_IN_TOKENS;
        return SS_OK;
    }
    rc = ss_ctx_new(&(ss_ctx_options){.shapes_only = true}, &c, e);
    if (rc == SS_OK)
        rc = ss_model_bind(k->model, c, e);
    if (rc == SS_OK)
        rc = n->role == SS_VAE ? infer_vae(c, k, e) : infer_denoiser(c, k, &n->needs, e);
    if (rc == SS_OK)
        n->flops = (double)ss_ctx_usage(c).flops;
    ss_model_close(k->model); /* before its context */
    k->model = NULL;
    ss_ctx_free(c);
    return rc;
}

/* Finds the noise levels between which its schedule goes. */
static void find_range(const ss_noising *noising, cli_doctor_network *n)
{
    double range[2];

    sscanf(SS_DEFAULT_SIGMAS, "%lf:%lf", &n->low, &n->high);
    if (ss_noising_range(noising, &range[0], &range[1])) {
        n->low = range[0];
        n->high = range[1];
    } else if (ss_noising_kind(noising) == SS_SCHEDULER_BETAS &&
               ss_noising_check(noising, NULL) == SS_OK) {
        const ss_schedule *s = ss_noising_schedule(noising);

        if (ss_noising_sigma(noising, 0, &range[0], NULL) == SS_OK &&
            ss_noising_sigma(noising, ss_schedule_steps(s) - 1, &range[1], NULL) == SS_OK &&
            isfinite(range[1]) && range[0] > 0) {
            n->low = range[0];
            n->high = fmin(range[1], HIGHEST); /* beyond, the picture is noise alone */
        }
    }
}

static void note_model(const ss_model *m, cli_doctor_network *n)
{
    const ss_model_info *about = ss_model_about(m);

    snprintf(n->family, sizeof n->family, "%s", about->family);
    n->role = about->role;
    n->parameters = about->n_parameters;
    n->bytes = about->weight_bytes;
    n->needs = about->net.needs;
    n->has_size = about->net.sample_h > 0 && about->net.sample_w > 0;
    ss_model_modules(m, &n->modules);
}

void cli_doctor_look(const ss_probe_options *opt, const char *model, const char *component,
                     cli_doctor_network *n)
{
    ss_network_options net = opt->network;
    ss_network k = {0};
    ss_model *m = NULL;
    ss_err e = {0};

    *n = (cli_doctor_network){0};
    snprintf(n->component, sizeof n->component, "%s", component ? component : "");
    net.model = model;
    net.component = component;
    const ss_model_options files = ss_network_files(&net);
    ss_code rc = ss_model_open(model, &files, &m, &e);
    if (rc == SS_OK) {
        note_model(m, n);
        ss_model_close(m);
        if (n->role == SS_VAE) /* --size is the denoiser's */
            net.height = net.width = 0;
        if (!n->has_size && !net.height)
            net.height = net.width = UNKNOWN_SIZE * (n->role == SS_VAE ? 8 : 1);
        if (n->role != SS_DENOISER)
            net.frames = 0;
        rc = ss_network_open(&net, &k, &e);
    }
    if (rc == SS_OK) {
        n->height = k.size.height;
        n->width = k.size.width;
        if (k.noising)
            find_range(k.noising, n);
        rc = count(&k, n, &e);
        ss_network_close(&k);
    }
    if (rc != SS_OK)
        snprintf(n->why, sizeof n->why, "%.511s", e.msg);
}

/* ---- what it is fed ---- */

/* The number of noise levels that the options ask for; 0: they leave it open. */
static int given_levels(const ss_probe_options *opt)
{
    const char *text = opt->sigmas ? opt->sigmas : opt->timesteps;
    const char *colon = text ? strrchr(text, ':') : NULL;
    int n = 1;

    if (!text)
        return 0;
    if (colon && sscanf(colon + 1, "%d", &n) == 1)
        return n;
    for (n = 1; (text = strchr(text, ',')); text++)
        n++;
    return n;
}

static void choose_text(const ss_probe_options *opt, const cli_doctor_network *n,
                        cli_doctor_grid *g)
{
    const int prompts = opt->prompts.n_positive + opt->prompts.n_negative;

    g->forwards = prompts ? prompts : CLI_DOCTOR_PROMPTS;
    g->flops = g->forwards * n->flops;
}

static void choose_shape(const cli_doctor_network *n, const ss_probe_options *opt, double budget,
                         double flops, const shape *list, int n_list, shape *s)
{
    const int levels = given_levels(opt);

    for (int i = 0; i < n_list; i++) {
        *s = list[i];
        if (levels && n->role == SS_DENOISER)
            s->levels = levels;
        if (opt->n_inputs)
            s->inputs = opt->n_inputs;
        if (opt->samples)
            s->samples = opt->samples;
        if (flops * s->levels * s->inputs * s->samples <= budget)
            return;
    }
}

void cli_doctor_choose(const cli_doctor_network *n, const ss_probe_options *opt, double budget,
                       cli_doctor_grid *g)
{
    const bool vae = n->role == SS_VAE;
    double flops = n->flops;
    shape s;

    *g = (cli_doctor_grid){0};
    if (n->role == SS_TEXT) {
        choose_text(opt, n, g);
        return;
    }
    int h = n->height, w = n->width;
    bool resized = !n->has_size && !(opt->network.height && !vae);
    while (vae && flops > budget && h >= 2 * SMALLEST_PICTURE && w >= 2 * SMALLEST_PICTURE) {
        h /= 2;
        w /= 2;
        flops /= 4;
        resized = true;
    }
    if (resized)
        snprintf(g->size, sizeof g->size, "%dx%d", h, w);
    choose_shape(n, opt, budget, flops, vae ? vae_grids : denoiser_grids,
                 vae ? (int)(sizeof vae_grids / sizeof *vae_grids)
                     : (int)(sizeof denoiser_grids / sizeof *denoiser_grids),
                 &s);
    g->n_inputs = opt->n_inputs ? 0 : s.inputs;
    for (int i = 0; i < g->n_inputs; i++)
        g->inputs[i] = vae ? vae_inputs[i] : denoiser_inputs[i];
    g->samples = opt->samples ? 0 : s.samples;
    if (vae && s.levels > 1)
        snprintf(g->sigmas, sizeof g->sigmas, "0.02:0.5:%d", s.levels);
    else if (vae)
        snprintf(g->sigmas, sizeof g->sigmas, "0.02");
    else if (!given_levels(opt))
        snprintf(g->sigmas, sizeof g->sigmas, "%.4g:%.4g:%d", n->low, n->high, s.levels);
    g->forwards = (double)s.levels * s.inputs * s.samples;
    g->flops = g->forwards * flops;
}

int cli_doctor_conditions(const cli_doctor_network *n, const ss_probe_options *opt, bool prompted,
                          bool texts, cli_doctor_stand_in list[CLI_DOCTOR_STAND_INS])
{
    const ss_condition_needs *k = &n->needs;
    const bool classes = k->class_width == 1 || k->table_classes;
    int count = 0;

    if (n->role != SS_DENOISER)
        return 0;
    if (k->text_width && (texts || !k->text_optional) && !k->table_classes && !prompted &&
        !opt->prompt_embeds)
        list[count++] = (cli_doctor_stand_in){"--prompt-embeds", SS_STAND_IN_RANDOM,
                                              "normal random numbers for the text's states"};
    if (classes && opt->class_label < 0 && !opt->class_embeds && !opt->prompt_embeds)
        list[count++] = (cli_doctor_stand_in){"--class", "0", "class 0"};
    if (k->class_width > 1 && !opt->class_embeds)
        list[count++] = (cli_doctor_stand_in){"--class-embeds", SS_STAND_IN_RANDOM,
                                              "normal random numbers for the class's vector"};
    if (k->concat_channels && !k->reference_channels && !opt->concat)
        list[count++] = (cli_doctor_stand_in){
            "--concat", "noise", "normal random numbers in the channels after the picture's"};
    return count;
}
