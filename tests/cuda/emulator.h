/* emulator.h - runs the kernels of kernels/cuda on the CPU, a block of threads at a time
 *
 * Kernels are the .cu files as they are, compiled as C++ after emulator.cuh. Each thread of a block
 * runs until it meets a barrier, a shuffle or a vote; then the next one of its warp runs. A warp
 * runs as far as it can before another does, so what a missing barrier should have ordered goes
 * wrong. SIGMASCOPE_CUDA_SEED chooses the order of blocks, warps and lanes: 0 ascending, 1
 * descending, others at random.
 *
 * What a GPU would do wrong in silence ends the process with the place in the source: a warp whose
 * threads wait at two places, a barrier that some threads of a block never reach, a partial mask.
 * Memory that blocks share is filled with NaN. Built with -fsanitize=thread, each thread is a
 * thread for it as well: races are reported with both lines. There, as on a GPU, only barriers
 * order memory; shuffles do not.
 *
 * Not modelled: memory order without barriers, waiting for another block.
 */
#ifndef SS_TESTS_CUDA_EMULATOR_H
#define SS_TESTS_CUDA_EMULATOR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs body(args) once for each of grid[0] x grid[1] x grid[2] blocks of `threads` threads, a
 * multiple of 32 and at most 1024. `name` is for messages. Not safe for two threads at once. */
void ss_emulator_run(const char *name, void (*body)(const void *args), const void *args,
                     const unsigned grid[3], unsigned threads);

/* Prints which block and thread of which kernel runs, and nothing if none does. */
void ss_emulator_where(char *text, size_t size);

/* Where threads of a block are switched: how often so far. */
long ss_emulator_switches(void);

#ifdef __cplusplus
}
#endif

#endif
