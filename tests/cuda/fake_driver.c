/* fake_driver.c - libcuda.so.1 of the emulated device: checks and the calls themselves (fake.h) */
#include "kernels/cuda/api.h"
#include "kernels/cuda/kernels.h"
#include "tests/cuda/emulator.h"
#include "tests/cuda/fake_state.h"

#include <execinfo.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DEVICE = 0, FATBIN_MAGIC = 0xba55ed50, MOST_Y = 65535, MOST_ARGS = 4096 };

/* The kernels, each a function of the .cu files as the emulator compiles them. */
struct CUfunc_st {
    const char *name;
    void (*body)(const void *args);
    void (*clear)(
        void *args); /* what lies between the members: left overs can look like an address */
    size_t bytes;
    unsigned threads;
};
#define X(name, threads, members)                          \
    void sigmascope_##name(const void *args);              \
    static void clear_##name(void *args)                   \
    {                                                      \
        __builtin_clear_padding((ss_kernel_##name *)args); \
    }
SS_CUDA_KERNELS(X)
#undef X
#define X(name, threads, members) \
    {"sigmascope_" #name, sigmascope_##name, clear_##name, sizeof(ss_kernel_##name), threads},
static struct CUfunc_st kernels[] = {SS_CUDA_KERNELS(X)};
#undef X

struct CUctx_st {
    int retained;
};
struct CUmod_st {
    bool live;
    CUmodule next;
};
typedef struct {
    char *p;
    size_t bytes;
} pinned;

enum { MAX_CARDS = 4 };
static struct CUctx_st contexts[MAX_CARDS]; /* one for each card */
static _Thread_local CUcontext current;
static CUmodule modules;
static pinned pinned_blocks[256];
static bool initialised;
static long calls;
static ss_fake_traffic traffic;

/* The calls that are the first of their place in the program, with its callers. */
enum { MOST_PLACES = 4096, CALLERS = 8 };
static struct {
    uint64_t hash;
    long call;
} places[MOST_PLACES];
static int n_places;
static struct {
    const char *what;
    int n;
} made[16];
/* One call at a time; a call of a library's may call the driver's. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void ss_fake_refuse(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "emulated device: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    abort();
}

static void note_place(void)
{
    void *callers[CALLERS];
    const int n = backtrace(callers, CALLERS);
    uint64_t hash = 0xcbf29ce484222325;

    for (int i = 0; i < n; i++)
        hash = (hash ^ (uintptr_t)callers[i]) * 0x100000001b3;
    for (int i = 0; i < n_places; i++)
        if (places[i].hash == hash)
            return;
    if (n_places < MOST_PLACES) {
        places[n_places].hash = hash;
        places[n_places++].call = calls;
    }
}

long ss_fake_place_call(int i)
{
    return i >= 0 && i < n_places ? places[i].call : 0;
}

bool ss_fake_fails(const char *function)
{
    const char *text = getenv("SIGMASCOPE_CUDA_FAIL");
    const long at = text && *text ? strtol(text, NULL, 10) : 0;

    pthread_mutex_lock(&lock);
    const bool fails = ++calls == at;

    if (text && !at)
        note_place();
    if (fails && getenv("SIGMASCOPE_CUDA_FAIL_SHOW"))
        fprintf(stderr, "call %ld, %s, fails\n", calls, function);
    pthread_mutex_unlock(&lock);
    return fails;
}

long ss_fake_calls(void)
{
    return calls;
}

ss_fake_traffic ss_fake_traffic_so_far(void)
{
    return traffic;
}

void ss_fake_context(const char *function)
{
    if (!initialised)
        ss_fake_refuse("%s before cuInit", function);
    if (!current || !current->retained)
        ss_fake_refuse("%s: the calling thread has no context", function);
}

int ss_fake_card(void)
{
    return current ? (int)(current - contexts) : -1;
}

void ss_fake_made(const char *what, int change)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        if (made[i].what && strcmp(made[i].what, what))
            continue;
        made[i].what = what;
        made[i].n += change;
        break;
    }
    pthread_mutex_unlock(&lock);
}

/* Begins a function: one call at a time, and this one may be the one to fail. A function that
 * frees does so even when it fails, as the real ones report errors of earlier work. */
static void unlock(int *unused)
{
    (void)unused;
    pthread_mutex_unlock(&lock);
}
#define ALONE int locked __attribute__((cleanup(unlock), unused)) = pthread_mutex_lock(&lock)
#define CALL(error)              \
    ALONE;                       \
    if (ss_fake_fails(__func__)) \
    return error
#define CALL_IN_CONTEXT(error) \
    CALL(error);               \
    ss_fake_context(__func__)

/* ---- the device ---- */

CUresult cuInit(unsigned flags)
{
    calls = 0;
    n_places = 0;
    CALL(CUDA_ERROR_UNKNOWN);
    if (flags)
        ss_fake_refuse("cuInit with flags");
    initialised = true;
    return CUDA_SUCCESS;
}

/* A number of the environment, or what is usual. */
static int setting(const char *name, int usual)
{
    const char *text = getenv(name);

    return text && *text ? (int)strtol(text, NULL, 10) : usual;
}

/* Cards of the machine. */
static int cards(void)
{
    const int n = setting("SIGMASCOPE_CUDA_CARDS", 1);

    return n < MAX_CARDS ? n : MAX_CARDS;
}

static bool is_card(CUdevice device)
{
    return device >= DEVICE && device < DEVICE + cards();
}

CUresult cuDriverGetVersion(int *version)
{
    CALL(CUDA_ERROR_UNKNOWN);
    *version = setting("SIGMASCOPE_CUDA_VERSION", CUDA_VERSION);
    return CUDA_SUCCESS;
}

#define ERRORS(X)                                                   \
    X(CUDA_SUCCESS, "no error")                                     \
    X(CUDA_ERROR_INVALID_VALUE, "invalid argument")                 \
    X(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")                    \
    X(CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available") \
    X(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal")          \
    X(CUDA_ERROR_NOT_FOUND, "named symbol not found")               \
    X(CUDA_ERROR_NOT_READY, "device not ready")                     \
    X(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure")       \
    X(CUDA_ERROR_UNKNOWN, "unknown error")

CUresult cuGetErrorName(CUresult error, const char **text)
{
#define X(code, words) \
    if (error == code) \
        return *text = #code, CUDA_SUCCESS;
    ERRORS(X)
#undef X
    return *text = NULL, CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
#define X(code, words) \
    if (error == code) \
        return *text = words, CUDA_SUCCESS;
    ERRORS(X)
#undef X
    return *text = NULL, CUDA_ERROR_INVALID_VALUE;
}

CUresult cuDeviceGetCount(int *count)
{
    CALL(CUDA_ERROR_UNKNOWN);
    *count = cards();
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
    CALL(CUDA_ERROR_UNKNOWN);
    if (!initialised)
        ss_fake_refuse("cuDeviceGet before cuInit");
    if (ordinal < 0 || ordinal >= cards())
        return CUDA_ERROR_INVALID_DEVICE;
    *device = DEVICE + ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device)
{
    CALL(CUDA_ERROR_UNKNOWN);
    if (!is_card(device))
        return CUDA_ERROR_INVALID_DEVICE;
    snprintf(name, (size_t)size, "Emulated GPU");
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    static const struct {
        CUdevice_attribute which;
        int value;
    } known[] = {
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
        {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 3},
        {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 1024},
        {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 48 << 10},
        {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
        {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000},
        {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000000},
        {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 128},
        {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 4 << 20},
        {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    };
    const int capability = setting("SIGMASCOPE_CUDA_CAPABILITY", 90);

    CALL(CUDA_ERROR_UNKNOWN);
    if (!is_card(device))
        return CUDA_ERROR_INVALID_DEVICE;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].which == attribute) {
            *value = known[i].value;
            if (attribute == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
                *value = setting("SIGMASCOPE_CUDA_MULTIPROCESSORS", known[i].value);
            if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
                *value = capability / 10;
            if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
                *value = capability % 10;
            return CUDA_SUCCESS;
        }
    ss_fake_refuse("cuDeviceGetAttribute: %d is not known here", (int)attribute);
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice device)
{
    CALL(CUDA_ERROR_UNKNOWN);
    if (!is_card(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *bytes = ss_fake_total();
    return CUDA_SUCCESS;
}

/* ---- the context ---- */

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device)
{
    CALL(CUDA_ERROR_OUT_OF_MEMORY);
    if (!initialised || !is_card(device))
        ss_fake_refuse("cuDevicePrimaryCtxRetain before cuInit, or of no device");
    contexts[device - DEVICE].retained++;
    *out = &contexts[device - DEVICE];
    return CUDA_SUCCESS;
}

/* Refuses what contexts still hold when the last user lets go: somebody forgot it. */
static void check_leaks(void)
{
    int n_pinned = 0, n_modules = 0;

    for (size_t i = 0; i < sizeof pinned_blocks / sizeof *pinned_blocks; i++)
        n_pinned += pinned_blocks[i].p != NULL;
    for (CUmodule m = modules; m; m = m->next)
        n_modules += m->live;
    if (ss_fake_allocated() || n_pinned || n_modules || ss_fake_streams() || ss_fake_events())
        ss_fake_refuse("the context is released with %zu bytes of memory, %d blocks of pinned "
                       "memory, %d modules, %d streams and %d events in it",
                       ss_fake_allocated(), n_pinned, n_modules, ss_fake_streams(),
                       ss_fake_events());
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (made[i].n)
            ss_fake_refuse("the context is released with %d of %s left", made[i].n, made[i].what);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    ALONE;
    const bool fails = ss_fake_fails(__func__);
    int users = 0;

    if (!is_card(device) || !contexts[device - DEVICE].retained)
        ss_fake_refuse("cuDevicePrimaryCtxRelease: it is not retained");
    contexts[device - DEVICE].retained--;
    for (int i = 0; i < MAX_CARDS; i++)
        users += contexts[i].retained;
    if (users == 0) {
        ss_fake_wait_all();
        check_leaks();
    }
    return fails ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext to)
{
    CALL(CUDA_ERROR_UNKNOWN);
    if (to && !to->retained)
        ss_fake_refuse("cuCtxSetCurrent: no context, or one that was released");
    current = to;
    return CUDA_SUCCESS;
}

/* ---- modules ---- */

CUresult cuModuleLoadData(CUmodule *out, const void *image)
{
    uint32_t magic;

    CALL_IN_CONTEXT(CUDA_ERROR_UNKNOWN);
    memcpy(&magic, image, sizeof magic);
    if (magic != FATBIN_MAGIC)
        ss_fake_refuse("cuModuleLoadData: 0x%08x begins no fatbin", magic);
    CUmodule m = calloc(1, sizeof *m);
    if (!m)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *m = (struct CUmod_st){.live = true, .next = modules};
    *out = modules = m;
    return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule m)
{
    ALONE;
    const bool fails = ss_fake_fails(__func__);

    ss_fake_context(__func__);
    if (!m->live)
        ss_fake_refuse("cuModuleUnload: twice");
    ss_fake_wait_all();
    m->live = false;
    return fails ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *f, CUmodule m, const char *name)
{
    CALL_IN_CONTEXT(CUDA_ERROR_NOT_FOUND);
    if (!m->live)
        ss_fake_refuse("cuModuleGetFunction: the module was unloaded");
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (!strcmp(kernels[i].name, name)) {
            *f = &kernels[i];
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_NOT_FOUND;
}

/* ---- streams and events ---- */

CUresult cuStreamCreate(CUstream *s, unsigned flags)
{
    CALL_IN_CONTEXT(CUDA_ERROR_OUT_OF_MEMORY);
    if (flags & ~(unsigned)CU_STREAM_NON_BLOCKING)
        ss_fake_refuse("cuStreamCreate: flags 0x%x", flags);
    *s = ss_fake_stream_new();
    return *s ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuStreamDestroy(CUstream s)
{
    ALONE;
    const bool fails = ss_fake_fails(__func__);

    ss_fake_context(__func__);
    ss_fake_stream_free(s);
    return fails ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream s)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    traffic.waits++;
    ss_fake_wait(s, __func__);
    return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *v, unsigned flags)
{
    CALL_IN_CONTEXT(CUDA_ERROR_OUT_OF_MEMORY);
    *v = ss_fake_event_new(!(flags & CU_EVENT_DISABLE_TIMING));
    return *v ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuEventDestroy(CUevent v)
{
    ALONE;
    const bool fails = ss_fake_fails(__func__);

    ss_fake_context(__func__);
    ss_fake_event_free(v);
    return fails ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent v, CUstream s)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    ss_fake_event_record(v, s);
    return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent v)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    traffic.waits++;
    ss_fake_wait_event(v);
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to)
{
    CALL_IN_CONTEXT(CUDA_ERROR_UNKNOWN);
    return ss_fake_elapsed(from, to, ms);
}

/* ---- memory ---- */

CUresult cuMemAlloc(CUdeviceptr *p, size_t bytes)
{
    CALL_IN_CONTEXT(CUDA_ERROR_OUT_OF_MEMORY);
    if (!bytes)
        ss_fake_refuse("cuMemAlloc of nothing");
    *p = (CUdeviceptr)ss_fake_alloc(bytes);
    return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFree(CUdeviceptr p)
{
    ALONE;
    const bool fails = ss_fake_fails(__func__);

    ss_fake_context(__func__);
    ss_fake_wait_all();
    ss_fake_free((void *)p);
    return fails ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

CUresult cuMemGetInfo(size_t *available, size_t *total)
{
    CALL_IN_CONTEXT(CUDA_ERROR_UNKNOWN);
    *total = ss_fake_total();
    *available = *total - ss_fake_allocated();
    return CUDA_SUCCESS;
}

static pinned *pinned_of(const void *p)
{
    for (size_t i = 0; i < sizeof pinned_blocks / sizeof *pinned_blocks; i++) {
        pinned *b = &pinned_blocks[i];

        if (b->p && (const char *)p >= b->p && (const char *)p < b->p + b->bytes)
            return b;
    }
    return NULL;
}

static bool is_pinned(const char *function, const void *p, size_t bytes)
{
    const pinned *b = pinned_of(p);

    if (b && (const char *)p + bytes > b->p + b->bytes)
        ss_fake_refuse("%s: %zu bytes end outside of a block of pinned memory of %zu", function,
                       bytes, b->bytes);
    if (ss_fake_find(p) != SS_FAKE_HOST)
        ss_fake_refuse("%s: the host's address is one of the device's", function);
    return b;
}

CUresult cuMemAllocHost(void **p, size_t bytes)
{
    size_t i = 0;

    CALL_IN_CONTEXT(CUDA_ERROR_OUT_OF_MEMORY);
    while (i < sizeof pinned_blocks / sizeof *pinned_blocks && pinned_blocks[i].p)
        i++;
    if (i == sizeof pinned_blocks / sizeof *pinned_blocks)
        ss_fake_refuse("cuMemAllocHost: more than %zu blocks", i);
    char *block = malloc(bytes);
    if (!block)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memset(block, 0xff, bytes);
    pinned_blocks[i] = (pinned){block, bytes};
    *p = block;
    return CUDA_SUCCESS;
}

CUresult cuMemFreeHost(void *p)
{
    ALONE;
    const bool fails = ss_fake_fails(__func__);
    pinned *b = pinned_of(p);

    ss_fake_context(__func__);
    if (!b || b->p != p)
        ss_fake_refuse("cuMemFreeHost: no block of pinned memory, or one that was freed");
    ss_fake_wait_all();
    free(b->p);
    *b = (pinned){0};
    return fails ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

/* ---- copies ---- */

typedef struct {
    void *to;
    const void *from;
    size_t bytes;
    bool staged; /* `from` is a copy that is freed */
    bool home;   /* to the host */
} copy;

/* All that the host has ever got, in order: no order of blocks and threads may change it. */
static uint64_t digest = 0xcbf29ce484222325;

static void add_to_digest(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest = (digest ^ p[i]) * 0x100000001b3;
}

__attribute__((destructor)) static void write_digest(void)
{
    const char *path = getenv("SIGMASCOPE_CUDA_DIGEST");
    FILE *f = path && initialised ? fopen(path, "a") : NULL;

    if (f) {
        fprintf(f, "%016llx\n", (unsigned long long)digest);
        fclose(f);
    }
}

static void run_copy(void *args)
{
    const copy *c = args;

    memmove(c->to, c->from, c->bytes);
    if (c->home && getenv("SIGMASCOPE_CUDA_DIGEST"))
        add_to_digest(c->from, c->bytes);
    if (c->staged)
        free((void *)c->from);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream s)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    copy c = {(void *)to, from, bytes, false, false};

    traffic.to_device += bytes;
    ss_fake_memory(__func__, "the target", c.to, bytes);
    if (!is_pinned(__func__, from, bytes)) {
        void *stage = malloc(bytes ? bytes : 1);

        if (!stage)
            return CUDA_ERROR_OUT_OF_MEMORY;
        memcpy(stage, from, bytes);
        c.from = stage;
        c.staged = true;
    }
    ss_fake_later(s, "cuMemcpyHtoDAsync", run_copy, &c, sizeof c);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream s)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    const copy c = {to, (const void *)from, bytes, false, true};

    traffic.to_host += bytes;
    ss_fake_memory(__func__, "the source", c.from, bytes);
    const bool late = is_pinned(__func__, to, bytes);

    if (late) /* so that reading too early is noticed */
        memset(to, 0xff, bytes);
    ss_fake_later(s, "cuMemcpyDtoHAsync", run_copy, &c, sizeof c);
    if (!late)
        ss_fake_wait(s, __func__);
    return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    const copy c = {(void *)to, (const void *)from, bytes, false, false};

    ss_fake_memory(__func__, "the target", c.to, bytes);
    ss_fake_memory(__func__, "the source", c.from, bytes);
    if (to < from + bytes && from < to + bytes)
        ss_fake_refuse("cuMemcpyDtoDAsync: source and target overlap");
    ss_fake_later(s, "cuMemcpyDtoDAsync", run_copy, &c, sizeof c);
    return CUDA_SUCCESS;
}

typedef struct {
    void *to;
    unsigned value;
    size_t n, width;
} filling;

static void run_fill(void *args)
{
    const filling *f = args;

    if (f->width == 1)
        memset(f->to, (int)f->value, f->n);
    else
        for (size_t i = 0; i < f->n; i++)
            memcpy((char *)f->to + 4 * i, &f->value, 4);
}

static void fill(const char *function, CUdeviceptr to, unsigned value, size_t n, size_t width,
                 CUstream s)
{
    const filling f = {(void *)to, value, n, width};

    ss_fake_memory(function, "the target", f.to, n * width);
    if (to % width)
        ss_fake_refuse("%s: the target is not aligned to %zu bytes", function, width);
    ss_fake_later(s, function, run_fill, &f, sizeof f);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream s)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    fill(__func__, to, value, n, 1, s);
    return CUDA_SUCCESS;
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream s)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    fill(__func__, to, value, n, 4, s);
    return CUDA_SUCCESS;
}

/* ---- launches ---- */

typedef struct {
    const struct CUfunc_st *f;
    unsigned grid[3];
    _Alignas(16) char args[MOST_ARGS];
} launch;

static void run_launch(void *args)
{
    const launch *l = args;

    ss_emulator_run(l->f->name, l->f->body, l->args, l->grid, l->f->threads);
}

/* Says whether the address can be read: then it is no number that only looks like one. */
static bool is_mapped(uintptr_t p)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char in_core;

    return mincore((void *)(p / page * page), 1, &in_core) == 0;
}

/* Looks for addresses among the arguments: they must be the device's, and live. A small number
 * beside bytes that are not used may look like one, so the lower half tells. */
static void check_addresses(const struct CUfunc_st *f, const char *args)
{
    for (size_t at = 0; at + sizeof(void *) <= f->bytes; at += sizeof(void *)) {
        uintptr_t p;
        char text[160];

        memcpy(&p, args + at, sizeof p);
        const ss_fake_place place = ss_fake_find((void *)p);

        if ((uint32_t)p < 1 << 24)
            continue;
        if (place == SS_FAKE_LIVE || pinned_of((void *)p))
            continue;
        if (place == SS_FAKE_HOST && (p >> 40 < 0x55 || p >> 40 > 0x7f || !is_mapped(p)))
            continue; /* a number */
        ss_fake_describe((void *)p, text, sizeof text);
        ss_fake_refuse("cuLaunchKernel: %s: its argument at byte %zu: %s", f->name, at, text);
    }
}

CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, CUstream s, void **params,
                        void **extra)
{
    CALL_IN_CONTEXT(CUDA_ERROR_LAUNCH_FAILED);
    traffic.launches++;
    if (!gx || !gy || !gz || gx > INT32_MAX || gy > MOST_Y || gz > MOST_Y)
        ss_fake_refuse("cuLaunchKernel: %s: a grid of %u x %u x %u blocks", f->name, gx, gy, gz);
    if (bx != f->threads || by != 1 || bz != 1)
        ss_fake_refuse("cuLaunchKernel: %s: blocks of %u x %u x %u threads, and it is for %u",
                       f->name, bx, by, bz, f->threads);
    if (shared || extra || !params || !params[0])
        ss_fake_refuse("cuLaunchKernel: %s: one struct of arguments and no shared memory", f->name);
    if (f->bytes > MOST_ARGS)
        ss_fake_refuse("cuLaunchKernel: %s: %zu bytes of arguments", f->name, f->bytes);
    launch l = {.f = f, .grid = {gx, gy, gz}};

    memcpy(l.args, params[0], f->bytes);
    f->clear(l.args);
    check_addresses(f, l.args);
    ss_fake_later(s, f->name, run_launch, &l, offsetof(launch, args) + f->bytes);
    return CUDA_SUCCESS;
}
