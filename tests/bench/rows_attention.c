/* rows_attention.c - attention with its entropy against attention without, and its memory
 *
 * PyTorch has no fused kernel with the entropy: it makes the matrix of probabilities.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "kernels/hooks.h"
#include "kernels/ops.h"
#include "tests/bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADS = 8, WIDTH = 40, TOKENS = 4096 };

typedef struct {
    ss_ctx *c;
    ss_tensor *q; /* [1][tokens][HEADS WIDTH]; keys and values are the same */
    bool entropy;
} problem;

static const ss_module module = {.path = "attention", .kind = "Attention", .parent = -1};

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self, (void)m, (void)p;
    return false;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self, (void)m;
    return true;
}

static void see_attention(void *self, ss_ctx *c, const ss_module *m, const ss_attention_stats *s,
                          int n, int heads, int64_t keys)
{
    (void)self, (void)c, (void)m, (void)s, (void)n, (void)heads, (void)keys;
}

static double run(void *state)
{
    const problem *p = state;
    const ss_hooks hooks = {NULL, wants, wants_attention, NULL, see_attention, NULL};
    const ss_setup setup = {.modules = (const ss_module *[]){&module},
                            .n_modules = 1,
                            .hooks = p->entropy ? &hooks : NULL};
    ss_err e = {0};

    bench_need(ss_ctx_setup(p->c, &setup, &e), &e);
    const double start = bench_now();
    ss_enter(p->c, &module, p->q);
    ss_tensor *y = ss_attention(p->c, p->q, p->q, p->q, NULL,
                                &(ss_attention_opt){.heads = HEADS, .scale = 1 / sqrtf(WIDTH)});
    y = ss_leave(p->c, &module, y);
    const double seconds = bench_now() - start;
    ss_release(y);
    bench_need(ss_ctx_finish(p->c, &e), &e);
    return seconds;
}

static ss_tensor *tokens(ss_ctx *c, int64_t n)
{
    const int64_t values = n * HEADS * WIDTH;
    float *x = ss_alloc((size_t)values, sizeof *x);

    if (!x)
        bench_die("out of memory");
    ss_rng_normals(ss_rng_stream(1, "q", 0, 0), 0, x, (size_t)values);
    ss_tensor *q = ss_upload(c, ss_shape_of(1, n, HEADS * WIDTH), x);
    ss_free(x);
    return q;
}

/* The most memory of a process that attends to so many tokens, with entropy. */
void bench_child_attention(const bench *b, char **args)
{
    ss_err e = {0};
    ss_ctx *c;

    bench_need(ss_ctx_new(&(ss_ctx_options){.threads = b->threads}, &c, &e), &e);
    problem p = {c, tokens(c, atoi(args[0])), true};
    run(&p);
    ss_release(p.q);
    ss_ctx_free(c);
    printf("%.1f\n", bench_memory(true));
}

/* How many times the memory of n tokens twice as many take, without what a process takes anyway. */
static double growth(const bench *b)
{
    const double none = bench_run_child(b, (const char *[]){"attention", "1", NULL});
    const double once = bench_run_child(b, (const char *[]){"attention", "8192", NULL});
    const double twice = bench_run_child(b, (const char *[]){"attention", "16384", NULL});

    return (twice - none) / (once - none);
}

void bench_rows_attention(bench *b)
{
    bench_row r = bench_row_of("ms", "attention: %d tokens, %d heads", TOKENS, HEADS);
    bench_row more = bench_row_of("%", "  its entropy on top");
    bench_row memory = bench_row_of("x", "  memory of twice the tokens");
    ss_err e = {0};
    ss_ctx *c;

    bench_need(ss_ctx_new(&(ss_ctx_options){.threads = b->threads}, &c, &e), &e);
    memory.ours = growth(b);
    bench_reference *reference = bench_reference_open(b, (const char *[]){"attention", NULL});
    bench_question plain = {reference, "attend"}, entropy = {reference, "entropy"};
    problem without = {c, tokens(c, TOKENS), false}, with = without;
    with.entropy = true;
    bench_side sides[] = {{run, &without, 0, 0}, {run, &with, 0, 0}};
    bench_side theirs[] = {{bench_ask, &plain, 0, 0}, {bench_ask, &entropy, 0, 0}};
    bench_alternate(sides, 2, 5);
    bench_alternate(theirs, 2, 10);
    ss_release(without.q);
    ss_ctx_free(c);
    bench_reference_close(reference);
    r.ours = 1e3 * sides[0].median;
    r.theirs = 1e3 * theirs[0].median;
    r.limit = 1e3 * 4.0 * TOKENS * TOKENS * HEADS * WIDTH / b->peak;
    more.ours = 100 * (sides[1].to_first - 1);
    more.theirs = 100 * (theirs[1].to_first - 1);
    bench_add_bar(&more, BENCH_OURS, 10);
    bench_add_bar(&memory, BENCH_OURS, 2.2);
    bench_report(b, &r);
    bench_report(b, &more);
    bench_report(b, &memory);
}
