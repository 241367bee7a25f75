/* bundle_parts.h - inside of bundles: what bundle.c gathers and bundle_scripts.c writes as text */
#ifndef SS_PROBE_BUNDLE_PARTS_H
#define SS_PROBE_BUNDLE_PARTS_H

#include "models/file/safetensors_write.h"
#include "probe/plan.h"
#include "probe/replay.h"

enum { SS_BUNDLE_ITEMS = 7 };

/* Names of the files that are copied into the bundle, where the model does not have its own. */
#define SS_BUNDLE_CONFIG "config.json"
#define SS_BUNDLE_SCHEDULER "scheduler_config.json"

typedef struct {
    ss_run *r;
    const char *found; /* sentence, or NULL */
    int module, port, input, sigma;
    int first, count; /* samples */
    ss_replay replay;
    ss_plan plan;          /* for the conditions */
    const char *config;    /* file, or NULL: the model's own */
    const char *scheduler; /* file, or NULL: none */
    char *checkpoint;      /* last names of its path: "step-06000/unet" */
    char *folder;          /* last name of the folder of its weights, "unet" */
    const char *file;      /* base name of the file of weights that was named, or NULL */
    ss_st_item items[SS_BUNDLE_ITEMS];
    float *values[SS_BUNDLE_ITEMS]; /* values of the items; owned */
    int n_items;
    float *absmax, *rms; /* [count] expected; NaN: none */
    uint64_t *nonfinite;
} ss_bundle_parts;

/* The module's path as PyTorch has it, "" for the whole model. */
const char *ss_bundle_module(const ss_bundle_parts *b);
/* The label of the input, without the folders of an absolute path: other machines have others. */
void ss_bundle_input(const ss_bundle_parts *b, ss_str *out);
/* Why PyTorch and diffusers do not compute the same, or NULL. */
const char *ss_bundle_no_python(const ss_bundle_parts *b, char *text, size_t n);

/* Texts of replay.sh, replay.py and README.md. A failure is in out->failed. */
void ss_bundle_shell(const ss_bundle_parts *b, ss_str *out);
void ss_bundle_readme(const ss_bundle_parts *b, ss_str *out);
extern const char ss_bundle_python[];

#endif
