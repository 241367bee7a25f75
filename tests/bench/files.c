/* files.c - see files.h */
#include "tests/bench/files.h"

#include "base/file.h"
#include "base/mem.h"
#include "models/file/checkpoint_write.h"
#include "tests/bench/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void bench_scratch(char *path, size_t n)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(path, n, "%s/sigmascope-bench-%d", tmp ? tmp : "/tmp", (int)getpid());
}

void bench_write_model(const char *config, ss_dtype dtype, const char *folder)
{
    ss_model *m;
    int count;
    ss_err e = {0};

    bench_need(ss_model_create(bench_config(config), config, &(ss_init){.seed = 1}, &m, &e), &e);
    ss_weight *const *w = ss_model_weights(m, &count);
    ss_st_item *items = ss_calloc((size_t)count, sizeof *items);
    if (!items)
        bench_die("out of memory");
    for (int i = 0; i < count; i++) {
        items[i] = (ss_st_item){
            .name = w[i]->name, .dtype = dtype, .rank = w[i]->shape.rank, .values = w[i]->data};
        for (int d = 0; d < items[i].rank; d++)
            items[i].dim[d] = w[i]->shape.dim[d];
    }
    const ss_checkpoint_parts parts = {
        .config = ss_model_config(m), .weights = items, .n_weights = (size_t)count};
    bench_need(ss_checkpoint_write(folder, &parts, true, &e), &e);
    ss_free(items);
    ss_model_close(m);
}

void bench_remove_model(const char *folder)
{
    static const char *const files[] = {"config.json", "diffusion_pytorch_model.safetensors"};

    for (int i = 0; i < 2; i++) {
        char *path = ss_path_join(folder, files[i]);

        if (path)
            unlink(path);
        ss_free(path);
    }
    rmdir(folder);
}
