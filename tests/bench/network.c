/* network.c - a network of random weights, run on noise */
#include "base/mem.h"
#include "base/rng.h"
#include "tests/bench/bench.h"

static float *normals(const char *name, size_t n)
{
    float *x = ss_alloc(n, sizeof *x);

    if (!x)
        bench_die("out of memory");
    ss_rng_normals(ss_rng_stream(1, name, 0, 0), 0, x, n);
    return x;
}

/* What the network needs beside the picture: 77 tokens, as from CLIP and T5, and a class. */
static void make_condition(bench_network *n)
{
    enum { TOKENS = 77 };
    const ss_condition_needs *needs = &ss_model_about(n->model)->needs;
    const size_t batch = (size_t)n->n;

    if (needs->text_width) {
        const int64_t tokens = needs->table_tokens ? needs->table_tokens : TOKENS;

        n->text = normals("text", batch * (size_t)(tokens * needs->text_width));
        n->condition.encoder_hidden_states = n->text;
        n->condition.tokens = tokens;
        n->condition.width = needs->text_width;
    }
    if (needs->n_classes) {
        n->labels = ss_calloc(batch, sizeof *n->labels);
        if (!n->labels)
            bench_die("out of memory");
        n->condition.class_labels = n->labels;
    }
}

/* n has its model. */
static void begin(int batch, int threads, bench_network *n)
{
    ss_err e = {0};

    n->n = batch;
    bench_need(ss_ctx_new(&(ss_ctx_options){.threads = threads}, &n->c, &e), &e);
    bench_need(ss_model_bind(n->model, n->c, &e), &e);

    const ss_model_info *about = ss_model_about(n->model);
    n->h = (int)about->sample_h;
    n->w = (int)about->sample_w;
    n->x = normals("x", (size_t)(batch * n->h * n->w) * (size_t)about->in_channels);
    n->timesteps = ss_alloc((size_t)batch, sizeof *n->timesteps);
    if (!n->timesteps)
        bench_die("out of memory");
    for (int i = 0; i < batch; i++)
        n->timesteps[i] = 500;
    make_condition(n);
}

void bench_network_open(const char *folder, int batch, int threads, bench_network *n)
{
    ss_err e = {0};

    *n = (bench_network){0};
    bench_need(ss_model_create(folder, &(ss_init){.seed = 1}, &n->model, &e), &e);
    begin(batch, threads, n);
}

void bench_network_load(const char *folder, int batch, int threads, bench_network *n)
{
    ss_err e = {0};

    *n = (bench_network){0};
    bench_need(ss_model_open(folder, NULL, &n->model, &e), &e);
    begin(batch, threads, n);
}

void bench_network_close(bench_network *n)
{
    ss_model_close(n->model);
    ss_ctx_free(n->c);
    ss_free(n->x);
    ss_free(n->timesteps);
    ss_free(n->text);
    ss_free(n->labels);
}

double bench_network_run(void *network)
{
    bench_network *n = network;
    const ss_shape shape = ss_shape_of(n->n, n->h, n->w, ss_model_about(n->model)->in_channels);
    const double start = bench_now();
    ss_tensor *x = ss_upload(n->c, shape, n->x);
    ss_tensor *y = ss_model_forward(n->c, n->model, x, n->timesteps, &n->condition);
    ss_err e = {0};

    ss_release(x);
    ss_release(y);
    bench_need(ss_ctx_check(n->c, &e), &e);
    return bench_now() - start;
}

double bench_network_flops(bench_network *n)
{
    ss_ctx_usage_reset(n->c);
    bench_network_run(n);
    return (double)ss_ctx_usage(n->c).flops;
}
