/* fake.h - what the fakes of NVIDIA's driver, cuBLAS and cuDNN share
 *
 * The emulated device is three libraries in build/cuda-emulated that the program opens instead of
 * NVIDIA's (SIGMASCOPE_CUDA_LIBRARIES). libcuda.so.1 has the memory, the queue and these functions.
 *
 * - Work waits in the queue of its stream and runs when somebody waits for the stream.
 * - Memory of the device cannot be read but by work that runs; fresh memory is NaN.
 * - What the real libraries refuse ends the process with the reason, as it is a fault of ours; what
 *   a user's machine can refuse, as memory that is not there, is an error code.
 *
 * Environment:
 *   SIGMASCOPE_CUDA_SEED            order of blocks, warps and lanes (emulator.h)
 *   SIGMASCOPE_CUDA_FAIL            the number of a call since cuInit, from 1, that fails; 0:
 * places of calls are noted (ss_fake_place_call) SIGMASCOPE_CUDA_MEMORY          bytes of the
 * device, 16 GiB if not set SIGMASCOPE_CUDA_NO_ENGINES      if set, cuDNN has no engine for any
 * convolution SIGMASCOPE_CUDA_MULTIPROCESSORS 3 if not set; results must not depend on them
 *   SIGMASCOPE_CUDA_CAPABILITY      90 if not set
 *   SIGMASCOPE_CUDA_CARDS           1 if not set, at most 4; they share one memory
 *   SIGMASCOPE_CUDA_VERSION         of the driver: the one of the headers if not set
 *   SIGMASCOPE_CUDA_DIGEST          a file that gets a line: a digest of all that the host was sent
 */
#ifndef SS_TESTS_CUDA_FAKE_H
#define SS_TESTS_CUDA_FAKE_H

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>

/* Counts a call of a fake function. True: this one is to fail. */
bool ss_fake_fails(const char *function);

/* Ends the process: what the program did wrong. */
void ss_fake_refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Refuses unless the calling thread has the device's context. */
void ss_fake_context(const char *function);

/* Refuses unless all these bytes are in one block of the device's memory. */
void ss_fake_memory(const char *function, const char *what, const void *p, size_t bytes);

/* Runs run(args) when the stream's work is waited for; with a copy of the arguments. `what` is for
 * messages and must stay. */
void ss_fake_later(CUstream stream, const char *what, void (*run)(void *args), const void *args,
                   size_t bytes);

/* Counts what a library made (+1) or destroyed (-1); something left when the context goes is
 * refused. */
void ss_fake_made(const char *what, int change);

/* Calls of fake functions since cuInit. */
long ss_fake_calls(void);

/* The number since cuInit of the first call from the i-th place in the program, told apart by its
 * callers; 0 if there are not so many. */
long ss_fake_place_call(int i);

/* Kernels launched, times the host waited, and bytes copied each way, since the library was opened.
 */
typedef struct {
    long launches, waits;
    size_t to_device, to_host;
} ss_fake_traffic;
ss_fake_traffic ss_fake_traffic_so_far(void);

#endif
