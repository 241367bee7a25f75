/* rows_vae.c - the autoencoder of Stable Diffusion 1.x at its full size, both ways */
#include "base/mem.h"
#include "base/rng.h"
#include "tests/bench/bench.h"

#include <string.h>

#define FOLDER "tests/bench/configs/sd-vae"

typedef struct {
    bench_network *n;
    bool decode;
} half;

/* A side: noise through one half of the network. */
static double run(void *state)
{
    const half *s = state;
    const ss_network_info *i = &ss_model_about(s->n->model)->net;
    const int64_t factor = i->latent_factor;
    const ss_shape shape =
        s->decode ? ss_shape_of(1, s->n->h / factor, s->n->w / factor, i->latent_channels)
                  : ss_shape_of(1, s->n->h, s->n->w, i->in_channels);
    const double start = bench_now();
    ss_tensor *x = ss_upload(s->n->c, shape, s->n->x); /* a picture has the more values */
    ss_tensor *y = s->decode ? ss_model_decode(s->n->c, s->n->model, x)
                             : ss_model_encode(s->n->c, s->n->model, x);
    ss_err e = {0};

    ss_release(x);
    ss_release(y);
    bench_need(ss_ctx_finish(s->n->c, &e), &e);
    return bench_now() - start;
}

void bench_rows_vae(bench *b)
{
    static const char *const names[] = {"encode", "decode"};
    bench_reference *reference =
        bench_reference_open(b, (const char *[]){"vae", FOLDER, "--batch", "1", NULL});
    bench_network n;

    bench_network_open(FOLDER, 1, b->threads, &n);
    for (int decode = 1; decode >= 0; decode--) {
        bench_row r = bench_row_of("ms", "%s: autoencoder of Stable Diffusion 1.5", names[decode]);
        bench_question theirs = {reference, names[decode]};
        half ours = {&n, decode};
        bench_side sides[] = {{run, &ours, 0, 0}, {bench_ask, &theirs, 0, 0}};

        ss_ctx_usage_reset(n.c);
        run(&ours);
        r.limit = 1e3 * (double)ss_ctx_usage(n.c).flops / b->peak;
        bench_alternate(sides, 2, 90);
        r.ours = 1e3 * sides[0].median;
        r.theirs = 1e3 * sides[1].median;
        bench_add_bar(&r, BENCH_RATIO, 0.7);
        bench_add_bar(&r, BENCH_OF_LIMIT, 75);
        bench_report(b, &r);
    }
    bench_network_close(&n);
    bench_reference_close(reference);
}
