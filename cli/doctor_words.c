/* doctor_words.c - `sigmascope doctor`: parts of the command lines that it runs (doctor.h) */
#include "cli/doctor.h"

#include <string.h>

static bool is_for_denoiser(int id)
{
    switch (id) {
    case OPT_PROBE_SIGMAS:
    case OPT_PROBE_TIMESTEPS:
    case OPT_PROBE_CONDITION_SIGMA:
    case OPT_PROBE_INPUTS:
    case OPT_PROBE_SAMPLES:
    case OPT_PROBE_BATCH:
    case OPT_PROBE_SIZE:
    case OPT_PROBE_FRAMES:
    case OPT_PROBE_EXTEND:
    case OPT_PROBE_CLASS:
    case OPT_PROBE_CLASS_EMBEDS:
    case OPT_PROBE_GUIDANCE_EMBED:
    case OPT_PROBE_PROMPT_EMBEDS:
    case OPT_PROBE_TEXT_EMBEDS:
    case OPT_PROBE_TIME_IDS:
    case OPT_PROBE_CONCAT:
    case OPT_PROBE_MODULES:
    case OPT_PROBE_PRECISION_MAP:
    case OPT_PROBE_INTERVENE: return true;
    default: return false;
    }
}

void cli_doctor_pass(cli_doctor *d, cli_words *w, const cli_command *c,
                     const cli_doctor_network *net)
{
    const cli_common *k = &d->p.common;
    const bool other = net && *net->component && net->role != SS_DENOISER;

    for (int i = 0; i < d->n_passed; i++) {
        const cli_doctor_passed *o = &d->passed[i];

        if (!cli_has_option(c->name, o->name) || o->id == OPT_PROBE_COMPONENTS)
            continue;
        if (c == &cmd_report && o->id == OPT_PROBE_SAMPLES) /* another thing there */
            continue;
        if (other && (is_for_denoiser(o->id) ||
                      (net->role == SS_VAE &&
                       (o->id == OPT_PROBE_PROMPT || o->id == OPT_PROBE_NEGATIVE_PROMPT))))
            continue;
        cli_word(w, "--%s", o->name);
        if (o->arg)
            cli_word(w, "%s", o->arg);
    }
    if (k->threads && cli_has_option(c->name, "threads")) {
        cli_word(w, "--threads");
        cli_word(w, "%d", k->threads);
    }
    if (strcmp(k->device, "cpu") != 0 && cli_has_option(c->name, "device")) {
        cli_word(w, "--device");
        cli_word(w, "%s", k->device);
    }
    if (k->arithmetic && cli_has_option(c->name, "arithmetic")) {
        cli_word(w, "--arithmetic");
        cli_word(w, "%s", k->arithmetic);
    }
    if (k->seed && cli_has_option(c->name, "seed")) {
        cli_word(w, "--seed");
        cli_word(w, "%llu", (unsigned long long)k->seed);
    }
}

void cli_doctor_add_component(cli_words *w, const cli_doctor_network *net)
{
    if (!*net->component)
        return;
    cli_word(w, "--components");
    cli_word(w, "%s", net->component);
}

static int list_told(const cli_doctor *d, int which, bool by_prompt,
                     cli_doctor_stand_in told[CLI_DOCTOR_STAND_INS])
{
    return cli_doctor_conditions(&d->net[which], &d->opt,
                                 by_prompt || d->opt.prompts.n_positive > 0, d->has_text, told);
}

/* True if the network reads prompts, and none are given. */
static bool reads_own_prompts(const cli_doctor *d, int which, bool by_prompt)
{
    const ss_role role = d->net[which].role;

    return (role == SS_TEXT || (role == SS_DENOISER && by_prompt)) && !d->opt.prompts.n_positive;
}

void cli_doctor_add_grid(cli_doctor *d, cli_words *w, int which, bool by_prompt)
{
    const cli_doctor_grid *g = &d->grid[which];
    cli_doctor_stand_in told[CLI_DOCTOR_STAND_INS];
    const int n = list_told(d, which, by_prompt, told);

    if (*g->sigmas) {
        cli_word(w, "--sigmas");
        cli_word(w, "%s", g->sigmas);
    }
    for (int i = 0; i < g->n_inputs; i++) {
        cli_word(w, "--inputs");
        cli_word(w, "%s", g->inputs[i]);
    }
    if (g->samples) {
        cli_word(w, "--samples");
        cli_word(w, "%d", g->samples);
    }
    if (*g->size) {
        cli_word(w, "--size");
        cli_word(w, "%s", g->size);
    }
    for (int i = 0; i < n; i++) {
        cli_word(w, "%s", told[i].option);
        cli_word(w, "%s", told[i].value);
    }
    for (int i = 0; reads_own_prompts(d, which, by_prompt) && i < CLI_DOCTOR_PROMPTS; i++) {
        cli_word(w, "--prompt");
        cli_word(w, "%s", cli_doctor_prompts[i]);
    }
}

void cli_doctor_assume_told(cli_doctor *d, int which, bool by_prompt)
{
    const cli_doctor_grid *g = &d->grid[which];
    cli_doctor_stand_in told[CLI_DOCTOR_STAND_INS];
    const int n = list_told(d, which, by_prompt, told);

    if (g->n_inputs && d->net[which].role == SS_DENOISER)
        cli_doctor_assume(&d->verdict,
                          "noise and synthetic pictures (--inputs images:PATH gives your own)");
    for (int i = 0; i < n; i++)
        cli_doctor_assume(&d->verdict, told[i].text);
    if (reads_own_prompts(d, which, by_prompt))
        cli_doctor_assume(&d->verdict, "two prompts (--prompt TEXT gives your own)");
    if (*g->size)
        cli_doctor_assume(&d->verdict, "the size of the input (--size gives it)");
}

void cli_doctor_add_formats(cli_doctor *d, cli_words *w)
{
    static const char *const usual[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2"};

    if (strcmp(d->format, usual[0]) == 0) /* the default */
        return;
    cli_word(w, "--format");
    cli_word(w, "%s", d->format);
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (strcmp(d->format, usual[i]) != 0) {
            cli_word(w, "--format");
            cli_word(w, "%s", usual[i]);
        }
    }
}
