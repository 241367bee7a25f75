/* files.h - models and run files that rows need on disk, under $TMPDIR or /tmp */
#ifndef SS_TESTS_BENCH_FILES_H
#define SS_TESTS_BENCH_FILES_H

#include "kernels/tensor.h"

/* A name there that is this process's own. */
void bench_scratch(char *path, size_t n);

/* A network of random weights, of the config.json in a folder, as a folder that diffusers loads,
 * too; and away with it. */
void bench_write_model(const char *config, ss_dtype dtype, const char *folder);
void bench_remove_model(const char *folder);

#endif
