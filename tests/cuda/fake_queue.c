/* fake_queue.c - streams and events of the emulated device (fake.h)
 *
 * Work runs as late as it may: when somebody waits for its stream. Streams are not in order with
 * each other, the default stream included.
 */
#include "tests/cuda/emulator.h"
#include "tests/cuda/fake_state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct work {
    struct work *next;
    const char *what;
    void (*run)(void *args);
    max_align_t args[];
} work;

struct CUstream_st {
    bool live;
    int card; /* -1: any */
    work *first, **end;
    CUstream next;
};

struct CUevent_st {
    bool live, timing, recorded;
    long pending; /* records of it that have not run */
    CUstream on;
    double at;
    CUevent next;
};

/* Destroyed ones stay, so that their use is noticed. */
static struct CUstream_st default_stream = {.live = true, .card = -1};
static CUstream streams;
static CUevent events;
static const char *running;

static CUstream stream_of(CUstream s, const char *function)
{
    if (!s)
        s = &default_stream;
    if (!s->end)
        s->end = &s->first;
    if (!s->live)
        ss_fake_refuse("%s: the stream was destroyed", function);
    if (s->card >= 0 && s->card != ss_fake_card())
        ss_fake_refuse("%s: the stream is of another card", function);
    return s;
}

CUstream ss_fake_stream_new(void)
{
    CUstream s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    *s = (struct CUstream_st){
        .live = true, .card = ss_fake_card(), .end = &s->first, .next = streams};
    streams = s;
    return s;
}

void ss_fake_stream_free(CUstream s)
{
    if (!s)
        ss_fake_refuse("cuStreamDestroy: the default stream");
    ss_fake_wait(s, "cuStreamDestroy");
    s->live = false;
}

int ss_fake_streams(void)
{
    int n = 0;

    for (CUstream s = streams; s; s = s->next)
        n += s->live;
    return n;
}

/* ---- running ---- */

/* Opens the block of memory that the work has met. If there is none, says what was wrong, as a GPU
 * would not; then the fault takes its usual way. */
static struct sigaction before[2];
static void on_fault(int signal, siginfo_t *info, void *context)
{
    char where[200], what[200], text[600];

    (void)context;
    if (ss_fake_open(info->si_addr))
        return;
    ss_emulator_where(where, sizeof where);
    ss_fake_describe(info->si_addr, what, sizeof what);
    const int n = snprintf(text, sizeof text, "emulated device: a fault in %s%s%s: %s\n", running,
                           *where ? ": " : "", where, what);
    if (write(STDERR_FILENO, text, (size_t)n) < n)
        _exit(1);
    sigaction(signal, &before[signal == SIGBUS], NULL);
}

static void watch_faults(bool on)
{
    static const int signals[] = {SIGSEGV, SIGBUS};
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    for (int i = 0; i < 2; i++) {
        if (on)
            sigaction(signals[i], &act, &before[i]);
        else
            sigaction(signals[i], &before[i], NULL);
    }
}

/* Runs the stream's work until *until is 0; all of it if NULL. */
static void run(CUstream s, const long *until)
{
    if (!s->first || (until && !*until))
        return;
    watch_faults(true);
    while (s->first && !(until && !*until)) {
        work *w = s->first;

        running = w->what;
        w->run(w->args);
        running = NULL;
        s->first = w->next;
        if (!s->first)
            s->end = &s->first;
        free(w);
    }
    watch_faults(false);
    ss_fake_close();
}

void ss_fake_wait(CUstream s, const char *function)
{
    run(stream_of(s, function), NULL);
}

void ss_fake_wait_all(void)
{
    run(stream_of(NULL, "cuMemFree"), NULL);
    for (CUstream s = streams; s; s = s->next)
        if (s->live)
            run(s, NULL);
}

void ss_fake_later(CUstream stream, const char *what, void (*f)(void *args), const void *args,
                   size_t bytes)
{
    CUstream s = stream_of(stream, what);
    work *w = malloc(sizeof *w + bytes);

    if (!w)
        ss_fake_refuse("%s: no memory for the queue", what);
    *w = (work){.what = what, .run = f};
    memcpy(w->args, args, bytes);
    *s->end = w;
    s->end = &w->next;
}

/* ---- events ---- */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check_event(CUevent v, const char *function)
{
    for (CUevent k = events; k; k = k->next)
        if (k == v && v->live)
            return;
    ss_fake_refuse("%s: no event, or one that was destroyed", function);
}

CUevent ss_fake_event_new(bool timing)
{
    CUevent v = calloc(1, sizeof *v);

    if (!v)
        return NULL;
    *v = (struct CUevent_st){.live = true, .timing = timing, .next = events};
    events = v;
    return v;
}

void ss_fake_event_free(CUevent v)
{
    check_event(v, "cuEventDestroy");
    v->live = false;
}

int ss_fake_events(void)
{
    int n = 0;

    for (CUevent v = events; v; v = v->next)
        n += v->live;
    return n;
}

static void pass_event(void *args)
{
    CUevent v = *(CUevent *)args;

    v->at = seconds();
    v->pending--;
}

void ss_fake_event_record(CUevent v, CUstream s)
{
    check_event(v, "cuEventRecord");
    v->recorded = true;
    v->on = stream_of(s, "cuEventRecord");
    v->pending++;
    ss_fake_later(s, "cuEventRecord", pass_event, &v, sizeof v);
}

void ss_fake_wait_event(CUevent v)
{
    check_event(v, "cuEventSynchronize");
    if (v->on)
        run(v->on, &v->pending);
}

CUresult ss_fake_elapsed(CUevent from, CUevent to, float *ms)
{
    check_event(from, "cuEventElapsedTime");
    check_event(to, "cuEventElapsedTime");
    if (!from->timing || !to->timing || !from->recorded || !to->recorded)
        ss_fake_refuse("cuEventElapsedTime: an event without a time");
    if (from->pending || to->pending)
        return CUDA_ERROR_NOT_READY;
    *ms = (float)(1e3 * (to->at - from->at));
    return CUDA_SUCCESS;
}
