/* fuzz_texts.c - what comes from a command line, the plan of a run file, and JSON as such */
#include "analyze/search/expression.h"
#include "base/json.h"
#include "base/json_python.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/sampling/schedule.h"
#include "probe/changes.h"
#include "probe/input.h"
#include "probe/levels.h"
#include "probe/replay.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

/* Evaluated over a small run, too. */
void fuzz_expression(const uint8_t *data, size_t size)
{
    static ss_run *run;
    char *text = fuzz_text(data, size);
    ss_expression x = {0};
    ss_err e = {0};

    if (!run &&
        ss_run_open(fuzz_make_run("expression.h5", (const uint8_t *)"", 0), &run, &e) != SS_OK)
        abort();
    ss_code rc = ss_expression_parse(text, &x, &e);
    fuzz_check(rc, &e);
    if (rc == SS_OK) {
        ss_witness w;
        bool holds;
        char shown[64];

        rc = ss_expression_eval(&x, run, &holds, &w, &e);
        fuzz_check(rc, &e);
        if (rc == SS_OK)
            ss_witness_name(run, &w, shown, sizeof shown);
        ss_expression_release(&x);
    }
    free(text);
}

/* A pattern, a newline, and the text to match. */
static void use_glob(const char *text)
{
    const char *line = strchr(text, '\n');
    ss_err e = {0};
    char *pattern = line ? strndup(text, (size_t)(line - text)) : strdup(text);
    const ss_code rc = ss_glob_check(pattern, &e);

    fuzz_check(rc, &e);
    ss_glob_match(pattern, line ? line + 1 : text); /* also of one that is malformed */
    ss_glob_module(pattern, line ? line + 1 : text);
    free(pattern);
}

/* A small input is opened: those that compute their pictures. Files are left to other targets. */
static void use_input(const char *text)
{
    ss_input *in = NULL;
    ss_err e = {0};
    float x[4 * 6 * 3];
    const ss_code rc = ss_input_parse(text, &in, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    const bool of_file = strstr(text, "images:") || strstr(text, "idx:") ||
                         strstr(text, "tensor:") || strstr(text, "raw:");
    if (!of_file && ss_input_open(in, (ss_sample_size){0, 4, 6, 3}, 2, &e) == SS_OK) {
        fuzz_check(ss_input_sample(in, 1, (ss_rng){0}, x, &e), &e);
        fuzz_check(ss_input_filter(in, x, &e), &e);
    }
    ss_input_free(in);
}

static void use_changes(const ss_changes_options *opt)
{
    ss_changes k;
    ss_err e = {0};

    fuzz_check(ss_changes_parse(opt, &k, &e), &e);
    ss_changes_release(&k);
}

static void use_levels(const char *text)
{
    double *values = NULL;
    int n;
    ss_err e = {0};

    fuzz_check(ss_levels_parse_sigmas(text, &values, &n, &e), &e);
    ss_free(values);
    values = NULL;
    fuzz_check(ss_levels_parse_timesteps(text, &values, &n, &e), &e);
    ss_free(values);
}

static void use_small(const char *text)
{
    double d;
    int64_t i;
    ss_format f;
    ss_betas b;
    ss_prediction p;
    ss_err e = {0};
    char shown[40];

    ss_parse_double(text, &d);
    ss_parse_i64(text, &i);
    fuzz_check(ss_format_parse(text, &f, &e), &e);
    fuzz_check(ss_betas_parse(text, &b, &e), &e);
    fuzz_check(ss_prediction_parse(text, &p, &e), &e);
    ss_printable(text, shown, sizeof shown);
    if (!ss_utf8_valid(shown, strlen(shown)))
        abort();
}

/* The first byte is the kind of the text that follows. */
void fuzz_specs(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    char *text = fuzz_text(data + 1, size - 1);
    const char *const one[] = {text};

    switch (data[0] % 7) {
    case 0: use_glob(text); break;
    case 1: use_input(text); break;
    case 2: use_levels(text); break;
    case 3: use_changes(&(ss_changes_options){.interventions = one, .n_interventions = 1}); break;
    case 4: use_changes(&(ss_changes_options){.precision_maps = one, .n_precision_maps = 1}); break;
    case 5: use_changes(&(ss_changes_options){.precision = text}); break;
    case 6: use_small(text); break;
    }
    free(text);
}

void fuzz_plan(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), path[] = "run.h5", model[] = "model";
    const ss_run r = {.path = path, .plan = text, .model_path = model};
    ss_replay p;
    ss_err e = {0};

    const ss_code rc = ss_replay_read(&r, &p, &e);

    fuzz_check(rc, &e);
    ss_replay_release(&p);
    free(text);
}

/* Proper JSON means the same after it was read as Python's. */
void fuzz_json(const uint8_t *data, size_t size)
{
    const char *text = size ? (const char *)data : "";
    size_t n = 0;
    char *json = ss_json_from_python(text, size, &n);
    json_t *before = json_loadb(text, size, JSON_DECODE_ANY, NULL);
    json_t *after = json ? json_loadb(json, n, JSON_DECODE_ANY, NULL) : NULL;
    ss_json j = {0};
    ss_err e = {0};

    if (!json || (before && !json_equal(before, after)))
        abort();
    fuzz_check(ss_json_parse(&j, "text", text, size, &e), &e);
    ss_json_release(&j);
    json_decref(before);
    json_decref(after);
    ss_free(json);
}
