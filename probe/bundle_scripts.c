/* bundle_scripts.c - the texts of a bundle: scripts that replay it, and what it is (bundle.h)
 *
 * None has a path of the machine that wrote it: the checkpoint, and files that were merged into it,
 * are arguments; everything else lies in the bundle.
 */
#include "base/asset.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/file/lora.h"
#include "probe/bundle_parts.h"
#include "runfile/run_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SS_ASSET(ss_bundle_python, "probe/bundle_replay.py");

const char *ss_bundle_module(const ss_bundle_parts *b)
{
    const char *path = b->r->modules[b->module];

    return strcmp(path, SS_RUN_ROOT) == 0 ? "" : path;
}

void ss_bundle_input(const ss_bundle_parts *b, ss_str *out)
{
    const char *label = b->r->inputs[b->input], *path = *label == '/' ? label : strstr(label, ":/");

    if (!path) {
        ss_str_add(out, label);
        return;
    }
    path += *path == ':';
    const char *end = strchr(path, '#'), *last = path;
    for (const char *p = path; *p && p != end; p++) {
        if (*p == '/' && p[1] && p + 1 != end)
            last = p + 1;
    }
    ss_str_addn(out, label, (size_t)(path - label));
    ss_str_add(out, last);
}

const char *ss_bundle_no_python(const ss_bundle_parts *b, char *text, size_t n)
{
    const ss_network_options *o = &b->replay.opt.network;
    char remedies[128];

    ss_remedies_text(ss_model_about(b->plan.net.model)->net.remedies, remedies, sizeof remedies);
    if (o->config || b->file)
        return "diffusers opens folders with weights and config.json in them";
    if (o->n_loras)
        return "PyTorch's network would lack what --lora merges";
    if (o->adapter)
        return "PyTorch's network would lack what --adapter puts onto it";
    if (o->groupnorm)
        return "diffusers has no --groupnorm";
    if (o->changes.n_interventions)
        return "PyTorch's network would lack what --intervene does";
    snprintf(text, n, "PyTorch's network would lack the remedies of this one (%s)", remedies);
    return *remedies ? text : NULL;
}

static void add_option(ss_str *s, const char *name, const char *value)
{
    ss_str_addf(s, " \\\n    --%s ", name);
    ss_str_add_quoted(s, value);
}

/* The text, or NULL where it is the default. */
static const char *unless(const char *text, const char *usual)
{
    return text && strcmp(text, usual) != 0 ? text : NULL;
}

/* Adds the options that take tensors of the bundle. */
static void add_tensors(const ss_bundle_parts *b, ss_str *s)
{
    enum { CLASS_EMBEDS = 3 }; /* fewer dimensions: the class's number */
    static const struct {
        const char *tensor, *option;
    } files[] = {{"encoder_hidden_states", "prompt-embeds"},
                 {"text_embeds", "text-embeds"},
                 {"time_ids", "time-ids"},
                 {"class_labels", "class-embeds"}};
    char text[128];

    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        for (int i = 0; i < b->n_items; i++) {
            if (strcmp(b->items[i].name, files[f].tensor) == 0 &&
                (f != CLASS_EMBEDS || b->replay.opt.class_embeds)) {
                snprintf(text, sizeof text, "input.safetensors#%s", files[f].tensor);
                add_option(s, files[f].option, text);
            }
        }
    }
}

/* Adds what is fed to the network. */
static void add_input(const ss_bundle_parts *b, ss_str *s)
{
    const ss_network *net = &b->plan.net;
    const bool edm = ss_noising_kind(net->noising) == SS_SCHEDULER_EDM;
    const double told = b->plan.levels[b->sigma].asked;
    const ss_probe_options *o = &b->replay.opt;
    char text[128];

    snprintf(text, sizeof text, "%.9g", edm ? exp(4 * told) : told);
    add_option(s, ss_network_takes_sigma(net) ? "sigmas" : "timesteps", text);
    add_option(s, "inputs", "raw:input.safetensors#x");
    snprintf(text, sizeof text, "%d", b->count);
    add_option(s, "samples", text);
    snprintf(text, sizeof text, "%dx%d", net->size.height, net->size.width);
    add_option(s, "size", text);
    if (net->size.frames) {
        snprintf(text, sizeof text, "%d", net->size.frames);
        add_option(s, "frames", text);
    }
    add_tensors(b, s);
    if (b->plan.conditions.labels.all.rank && o->class_label >= 0) {
        snprintf(text, sizeof text, "%d", o->class_label);
        add_option(s, "class", text);
    }
}

/* Adds how the network is read and computed. */
static void add_network(const ss_bundle_parts *b, ss_str *s)
{
    const ss_probe_options *o = &b->replay.opt;
    const ss_network_options *net = &o->network;
    const ss_changes_options *changes = &net->changes;
    const struct {
        const char *option, *value;
    } texts[] = {{"variant", net->variant},
                 {"key", net->key},
                 {"config", b->config ? SS_BUNDLE_CONFIG : NULL},
                 {"groupnorm", net->groupnorm},
                 {"guidance-embed", o->guidance_embed},
                 {"scheduler", b->scheduler ? SS_BUNDLE_SCHEDULER : NULL},
                 {"beta-schedule", net->beta_schedule},
                 {"beta-start", net->beta_start},
                 {"beta-end", net->beta_end},
                 {"prediction", net->prediction_type},
                 {"round-timestep", net->round_timestep},
                 {"device", unless(o->device, "cpu")},
                 {"arithmetic", unless(o->arithmetic, "auto")}};

    if (net->ema)
        ss_str_add(s, " \\\n    --ema");
    for (int i = 0; i < net->n_ignore; i++)
        add_option(s, "ignore-extra", net->ignore[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].value)
            add_option(s, texts[i].option, texts[i].value);
    }
    if (changes->precision)
        add_option(s, "precision", changes->precision);
    if (changes->precision)
        add_option(s, "precision-scope", changes->round_blocks ? "blocks" : "ops");
    for (int i = 0; i < changes->n_precision_maps; i++)
        add_option(s, "precision-map", changes->precision_maps[i]);
    for (int i = 0; i < changes->n_interventions; i++)
        add_option(s, "intervene", changes->interventions[i]);
}

/* Adds the options of files that are merged into the checkpoint, which are arguments from $2 on,
 * and writes their names into `names`, each after a blank. */
static void add_merged(const ss_bundle_parts *b, ss_str *s, ss_str *names)
{
    const ss_network_options *o = &b->replay.opt.network;
    int argument = 2;

    if (o->adapter) {
        ss_str_add(names, " ADAPTER");
        ss_str_addf(s, " \\\n    --adapter \"$file%d\"", argument++);
    }
    for (int i = 0; i < o->n_loras; i++) {
        char *file;
        double scale;

        if (ss_lora_spec_read(o->loras[i], &file, &scale, NULL) != SS_OK) {
            s->failed = true;
            return;
        }
        const char *slash = strrchr(file, '/');
        ss_str_add(names, " ");
        ss_str_add(names, slash && slash[1] ? slash + 1 : file);
        ss_str_addf(s, " \\\n    --lora \"$file%d:%.17g\"", argument++, scale);
        ss_free(file);
    }
}

/* A number of expected.json for people. */
static void add_number(ss_str *s, float v)
{
    if (isfinite(v))
        ss_str_addf(s, "%.9g", (double)v);
    else
        ss_str_add(s, "-");
}

static void expect(const ss_bundle_parts *b, int k, ss_str *s)
{
    const char *module = ss_bundle_module(b);

    ss_str_addf(s, "%s, row %d: absmax ", *module ? module : SS_RUN_ROOT, k);
    add_number(s, b->absmax[k]);
    ss_str_add(s, ", rms ");
    add_number(s, b->rms[k]);
    ss_str_addf(s, ", not finite %llu", (unsigned long long)b->nonfinite[k]);
}

/* Adds the search for the folder of the weights, and the comparison with checkpoint.sha256. */
static void add_check(const ss_bundle_parts *b, ss_str *s)
{
    ss_str_add(s, "sha256=sha256sum\ncommand -v sha256sum >/dev/null || sha256='shasum -a 256'\n"
                  "if [ -f \"$checkpoint\" ]; then\n"
                  "    at=$checkpoint\n"
                  "    sum=$($sha256 < \"$checkpoint\" | cut -c1-64)\n"
                  "    grep -q \"^$sum\" checkpoint.sha256\n"
                  "else\n"
                  "    at=$checkpoint/");
    ss_str_add_quoted(s, b->folder);
    ss_str_add(s, "\n    [ -d \"$at\" ] || at=$checkpoint\n"
                  "    sums=$PWD/checkpoint.sha256\n"
                  "    (cd \"$at\" && $sha256 -c \"$sums\" >/dev/null 2>&1)\n"
                  "fi || echo \"warning: $1 is not the checkpoint in which this was found "
                  "(checkpoint.sha256): its numbers may be others\" >&2\n");
}

void ss_bundle_shell(const ss_bundle_parts *b, ss_str *s)
{
    const char *module = b->r->modules[b->module];
    ss_str merged = {0}, names = {0}, line = {0};

    add_merged(b, &merged, &names);
    s->failed |= merged.failed;
    ss_str_addf(&line, "usage: sh replay.sh CHECKPOINT%s", names.s ? names.s : "");
    const int n = 1 + (b->replay.opt.network.adapter != NULL) + b->replay.opt.network.n_loras;
    ss_str_add(s, "#!/bin/sh\n# Feeds the saved input to a checkpoint, by sigmascope, or "
                  "$SIGMASCOPE where that is set.\n");
    ss_str_addf(s, "if [ $# -ne %d ]; then\n    echo ", n);
    ss_str_add_quoted(s, line.s ? line.s : "");
    ss_str_add(s, " >&2\n    exit 2\nfi\n"
                  "full() { (cd \"$(dirname \"$1\")\" && echo \"$PWD/$(basename \"$1\")\"); }\n"
                  "checkpoint=$(full \"$1\") || exit 1\n");
    for (int i = 2; i <= n; i++)
        ss_str_addf(s, "file%d=$(full \"$%d\") || exit 1\n", i, i);
    ss_str_add(s, "cd \"$(dirname \"$0\")\" || exit 1\n");
    add_check(b, s);
    ss_str_add(s, "${SIGMASCOPE:-sigmascope} probe \"$at\" -o replay.h5 --force");
    add_option(s, "modules", module);
    add_input(b, s);
    ss_str_add(s, merged.s ? merged.s : "");
    add_network(b, s);
    ss_str_add(s, " || exit\n");
    for (int k = 0; k < b->count; k++) {
        line.len = 0;
        ss_str_add(&line, "expected: ");
        expect(b, k, &line);
        ss_str_add(s, "echo ");
        ss_str_add_quoted(s, line.s ? line.s : "");
        ss_str_add(s, "\n");
    }
    s->failed |= line.failed || names.failed;
    ss_str_release(&merged);
    ss_str_release(&names);
    ss_str_release(&line);
}

void ss_bundle_readme(const ss_bundle_parts *b, ss_str *s)
{
    const ss_run *r = b->r;
    char why[256];
    const char *no_python = ss_bundle_no_python(b, why, sizeof why);

    ss_str_addf(s, "# %s in %s\n\n", SS_SHOW(r->modules[b->module]), SS_SHOW(b->checkpoint));
    if (b->found)
        ss_str_addf(s, "%s\n", b->found);
    ss_str_addf(s, "Saved: what the network saw at sigma %g (timestep %g), input ",
                r->sigmas[b->sigma], (double)b->plan.levels[b->sigma].condition);
    ss_bundle_input(b, s);
    ss_str_addf(s, ", precision %s.\n\n", SS_SHOW(r->precision));
    ss_str_add(s, "Replay by sigmascope:  `sh replay.sh CHECKPOINT`\n\n");
    if (no_python)
        ss_str_addf(s, "No replay by PyTorch: %s.\n\n", no_python);
    else
        ss_str_add(s, "Replay by PyTorch, diffusers and safetensors:  `python replay.py CHECKPOINT "
                      "[float16]`\n\n");
    ss_str_addf(s,
                "CHECKPOINT is a copy of %s, known by checkpoint.sha256 "
                "(`sha256sum -c` in its folder); another one gives a warning.\n\nExpected "
                "(expected.json):\n\n",
                SS_SHOW(b->checkpoint));
    for (int k = 0; k < b->count; k++) {
        ss_str_add(s, "- ");
        expect(b, k, s);
        ss_str_add(s, "\n");
    }
}
