/* network.c - a network of random weights, run on noise */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/bench/bench.h"

#include <stdio.h>
#include <string.h>

const json_t *bench_config(const char *folder)
{
    enum { MAX = 16 };
    static struct {
        char folder[64];
        json_t *config;
    } have[MAX];
    static int n;
    json_error_t e;
    char *path;

    for (int i = 0; i < n; i++)
        if (strcmp(have[i].folder, folder) == 0)
            return have[i].config;
    path = ss_path_join(folder, "config.json");
    if (n == MAX || !path || !(have[n].config = json_load_file(path, 0, &e)))
        bench_die("cannot read %s/config.json", folder);
    ss_free(path);
    snprintf(have[n].folder, sizeof have[n].folder, "%s", folder);
    return have[n++].config;
}

const bench_case bench_cases[BENCH_N_CASES] = {
    {"Stable Diffusion 1.5", "tests/bench/configs/sd15", 1, 60, true},
    {"DeepFloyd IF-I-M", "tests/bench/configs/if-i-m", 1, 40, true},
    {"ddpm-cifar10-32", "tests/bench/configs/cifar10", 8, 15, false},
    {"the bundled network", "demo/fashion-mnist/step-06000/unet", 32, 10, false},
};

bench_reference *bench_case_reference(const bench *b, const bench_case *c)
{
    char batch[16];

    snprintf(batch, sizeof batch, "%d", c->batch);
    return bench_reference_open(b, (const char *[]){"forward", c->folder, "--batch", batch, NULL});
}

static const char *device;

void bench_use_device(const char *name)
{
    device = name;
}

static float *normals(const char *name, size_t n)
{
    float *x = ss_alloc(n, sizeof *x);

    if (!x)
        bench_die("out of memory");
    ss_rng_normals(ss_rng_stream(1, name, 0, 0), 0, x, n);
    return x;
}

/* Conditions of the network: 77 tokens, as from CLIP and T5, and a class. */
static void make_condition(bench_network *n)
{
    enum { TOKENS = 77 };
    const ss_condition_needs *needs = &ss_model_about(n->model)->net.needs;
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
    bench_need(ss_ctx_new(&(ss_ctx_options){.device = device, .threads = threads}, &n->c, &e), &e);
    bench_need(ss_model_bind(n->model, n->c, &e), &e);

    const ss_model_info *about = ss_model_about(n->model);
    n->h = (int)about->net.sample_h;
    n->w = (int)about->net.sample_w;
    n->frames = (int)about->net.sample_frames;
    n->x = normals("x", (size_t)(batch * (n->frames ? n->frames : 1) * n->h * n->w) *
                            (size_t)about->net.in_channels);
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
    bench_need(ss_model_create(bench_config(folder), folder, &(ss_init){.seed = 1}, &n->model, &e),
               &e);
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
    const int64_t channels = ss_model_about(n->model)->net.in_channels;
    const ss_shape shape = n->frames ? ss_shape_of(n->n, n->frames, n->h, n->w, channels)
                                     : ss_shape_of(n->n, n->h, n->w, channels);
    const double start = bench_now();
    ss_tensor *x = ss_upload(n->c, shape, n->x);
    ss_tensor *y = ss_model_forward(n->c, n->model, x, n->timesteps, &n->condition);
    ss_err e = {0};

    ss_release(x);
    ss_release(y);
    bench_need(ss_ctx_finish(n->c, &e), &e);
    return bench_now() - start;
}

double bench_network_flops(bench_network *n)
{
    ss_ctx_usage_reset(n->c);
    bench_network_run(n);
    return (double)ss_ctx_usage(n->c).flops;
}
