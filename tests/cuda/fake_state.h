/* fake_state.h - what the files of the fake driver share among themselves (fake.h) */
#ifndef SS_TESTS_CUDA_FAKE_STATE_H
#define SS_TESTS_CUDA_FAKE_STATE_H

#include "tests/cuda/fake.h"

#include <stdint.h>

/* ---- fake_memory.c ---- */

/* Memory of the device, NaN; NULL if there is not enough. Its pages end where the next block's
 * guard begins. */
void *ss_fake_alloc(size_t bytes);
void ss_fake_free(void *p); /* refuses what is no block */
size_t ss_fake_allocated(void);
size_t ss_fake_total(void);

/* Makes the live block with this address accessible until ss_fake_close, which looks for writes
 * beside the blocks. False: there is none, or it is already. */
bool ss_fake_open(const void *p);
void ss_fake_close(void);

typedef enum { SS_FAKE_HOST, SS_FAKE_LIVE, SS_FAKE_DEAD } ss_fake_place;
/* Says whether an address is in a live block (or just after it), elsewhere in the device's part of
 * the address space, or not in that. */
ss_fake_place ss_fake_find(const void *p);

/* Describes an address of the device: how it lies to the nearest block. */
void ss_fake_describe(const void *p, char *text, size_t size);

/* ---- fake_driver.c ---- */

/* The number of the card whose context the calling thread has, or -1. */
int ss_fake_card(void);

/* ---- fake_queue.c ---- */

CUstream ss_fake_stream_new(void);
void ss_fake_stream_free(CUstream s);
CUevent ss_fake_event_new(bool timing);
void ss_fake_event_free(CUevent v);
void ss_fake_event_record(CUevent v, CUstream s);
/* Runs what the stream has. */
void ss_fake_wait(CUstream s, const char *function);
void ss_fake_wait_event(CUevent v);
void ss_fake_wait_all(void);
CUresult ss_fake_elapsed(CUevent from, CUevent to, float *ms);
int ss_fake_streams(void);
int ss_fake_events(void);

#endif
