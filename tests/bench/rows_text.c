/* rows_text.c - text encoders on prompts
 *
 * In f32, and with all that operations read and write rounded to bf16, which a processor that
 * multiplies bf16 does. PyTorch has parameters and activations of the same type.
 */
#include "base/mem.h"
#include "kernels/hooks.h"
#include "tests/bench/bench.h"

#include <stdio.h>

static const struct {
    const char *name, *folder;
    int tokens;
    double seconds;
    bool large;
} cases[] = {
    {"CLIP-L", "tests/bench/configs/clip-l", 77, 10, false},
    {"T5-XL", "tests/bench/configs/t5-xl", 77, 40, true},
    {"T5-XL", "tests/bench/configs/t5-xl", 256, 60, true},
};

/* An encoder of random weights, and a prompt for it. */
typedef struct {
    ss_ctx *c;
    ss_model *model;
    int64_t *ids;
    ss_text_tokens tokens;
    const ss_precision *precision; /* NULL: f32 */
} encoder;

static void encoder_open(const char *folder, int tokens, int threads, encoder *t)
{
    ss_err e = {0};

    *t = (encoder){0};
    bench_need(ss_ctx_new(&(ss_ctx_options){.threads = threads}, &t->c, &e), &e);
    bench_need(ss_model_create(bench_config(folder), folder, &(ss_init){.seed = 1}, &t->model, &e),
               &e);
    bench_need(ss_model_bind(t->model, t->c, &e), &e);
    t->ids = ss_alloc((size_t)tokens, sizeof *t->ids);
    if (!t->ids)
        bench_die("out of memory");
    for (int i = 0; i < tokens; i++)
        t->ids[i] = 3 + i;
    t->tokens = (ss_text_tokens){t->ids, NULL, 1, tokens};
}

static void encoder_close(encoder *t)
{
    ss_model_close(t->model);
    ss_ctx_free(t->c);
    ss_free(t->ids);
}

/* A side: one prompt encoded. */
static double run(void *state)
{
    encoder *t = state;
    ss_setup setup = {.precision = t->precision};
    ss_text_states y;
    ss_err e = {0};

    setup.modules = ss_model_modules(t->model, &setup.n_modules);
    bench_need(ss_ctx_setup(t->c, &setup, &e), &e);
    const double start = bench_now();
    ss_model_embed(t->c, t->model, &t->tokens, &y);
    bench_need(ss_ctx_finish(t->c, &e), &e);
    const double seconds = bench_now() - start;
    ss_release(y.last);
    ss_release(y.penultimate);
    ss_release(y.pooled);
    ss_release(y.projected);
    return seconds;
}

static void one(bench *b, int k)
{
    bench_row f32 = bench_row_of("ms", "text: %s, %d tokens", cases[k].name, cases[k].tokens);
    bench_row bf16 = bench_row_of("ms", "the same in bf16");
    char tokens[16];
    encoder t;
    ss_precision p = {.scope = SS_ROUND_HALF};
    ss_err e = {0};

    snprintf(tokens, sizeof tokens, "%d", cases[k].tokens);
    bench_need(ss_format_parse("bf16", &p.format, &e), &e);
    encoder_open(cases[k].folder, cases[k].tokens, b->threads, &t);
    bench_reference *reference =
        bench_reference_open(b, (const char *[]){"text", cases[k].folder, "--batch", tokens, NULL});
    bench_question questions[] = {{reference, "forward"}, {reference, "bf16"}};
    bench_row *rows[] = {&f32, &bf16};

    ss_ctx_usage_reset(t.c);
    run(&t);
    const double flops = (double)ss_ctx_usage(t.c).flops;
    for (int i = 0; i < 2; i++) {
        bench_side sides[] = {{run, &t, 0, 0}, {bench_ask, &questions[i], 0, 0}};

        t.precision = i ? &p : NULL;
        bench_alternate(sides, 2, cases[k].seconds);
        rows[i]->limit = 1e3 * flops / (i ? bench_peak_bf16(b->threads) : b->peak);
        rows[i]->ours = 1e3 * sides[0].median;
        rows[i]->theirs = 1e3 * sides[1].median;
        bench_add_bar(rows[i], BENCH_RATIO, 0.7);
        bench_report(b, rows[i]);
    }
    bench_reference_close(reference);
    encoder_close(&t);
}

void bench_rows_text(bench *b)
{
    for (int k = 0; k < (int)(sizeof cases / sizeof *cases); k++)
        if (!cases[k].large || b->slow)
            one(b, k);
}
