// emulator.cpp - blocks of threads on fibers, in an order that a seed gives (emulator.h)
//
// A carrier is a stack. It runs one thread after another and is left in the middle of one only when
// that one waits; so a kernel without barriers runs on one carrier, without a switch. All 32
// lanes of a warp take their turn once a pass; at its end all must wait at the same place, or all
// have finished. Compiled without sanitizers: they would follow the switches.
#include "tests/cuda/emulator.h"

#include "tests/cuda/emulator.cuh"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <vector>

#ifdef SS_TSAN
extern "C" {
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
void __tsan_acquire(void *key);
void __tsan_release(void *key);
}
enum { RACES = 1 };
#else
static void *__tsan_get_current_fiber(void)
{
    return NULL;
}
static void *__tsan_create_fiber(unsigned)
{
    return NULL;
}
static void __tsan_switch_to_fiber(void *, unsigned)
{
}
static void __tsan_acquire(void *)
{
}
static void __tsan_release(void *)
{
}
enum { RACES = 0 };
#endif

extern "C" {
ss_emulated_place ss_emulated;
// Saves the registers that a call keeps on the stack, *save = its top, and goes on at `load`.
void ss_emulator_switch(void **save, void *load);
}
#if !defined(__x86_64__)
#error "the emulator of CUDA kernels switches stacks on x86-64 only"
#endif
__asm__(".text\n"
        ".globl ss_emulator_switch\n"
        ".type ss_emulator_switch, @function\n"
        "ss_emulator_switch:\n"
        "    push %rbp\n"
        "    push %rbx\n"
        "    push %r12\n"
        "    push %r13\n"
        "    push %r14\n"
        "    push %r15\n"
        "    mov %rsp, (%rdi)\n"
        "    mov %rsi, %rsp\n"
        "    pop %r15\n"
        "    pop %r14\n"
        "    pop %r13\n"
        "    pop %r12\n"
        "    pop %rbx\n"
        "    pop %rbp\n"
        "    ret\n"
        ".size ss_emulator_switch, .-ss_emulator_switch\n");

namespace
{

enum { WARP = 32, MOST = 1024, STACK = 256 << 10, SHARED_LIMIT = 48 << 10, SHARED_MOST = 32 };
enum { OWN_KEYS = 256 }; // blocks until keys are used again
enum state { UNSTARTED, AT_WARP, AT_EXCHANGE, AT_BLOCK, FINISHED };

struct carrier {
    void *top;
};
struct lane {
    state at;
    unsigned turn; // exchanges so far
    const char *where;
    carrier *on;
    unsigned fiber; // TSan's
};
struct array {
    const char *where;
    size_t bytes;
    void *p;
};
// What TSan is told happens before what. Two keys for each barrier, in turns: with one alone a
// thread that comes early to the next would count as before those still leaving this. Each block
// has its own, as a barrier orders nothing between blocks.
struct keys {
    char at[2 * OWN_KEYS];
    unsigned turn[MOST];
};

lane lanes[MOST];
unsigned block_number; // of all that ran so far
uint64_t values[2][MOST];
unsigned now, n_threads, warps;
carrier home, *current;
carrier carriers[2 * MOST], *idle[2 * MOST];
unsigned n_carriers, n_idle;
array shared[SHARED_MOST];
unsigned n_shared;
std::vector<void *> spent; // shared arrays of earlier blocks
// TSan's view of threads. Each has a carrier of its own: two on one stack would race on it.
void *fibers[2 * MOST], *home_fiber;
unsigned n_fibers;
char start_key, end_key, fence_key;
keys block_keys, warp_keys[MOST / WARP];
const char *kernel;
void (*body)(const void *);
const void *arguments;
unsigned long seed, random_bits;
long switches;

// The pass of a warp: lane (step * stride + first) mod 32 is next.
unsigned step, stride, first, warp_at, warp_order[MOST / WARP];

unsigned below(unsigned n)
{
    random_bits ^= random_bits << 13;
    random_bits ^= random_bits >> 7;
    random_bits ^= random_bits << 17;
    return (unsigned)(random_bits >> 11) % n;
}

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...)
{
    char where[200];
    va_list ap;
    ss_emulator_where(where, sizeof where);
    fprintf(stderr, "emulated device: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, ": %s\n", where);
    abort();
}

const char *place_of(const lane &l)
{
    return l.at == FINISHED ? "the kernel's end" : l.where;
}
const char *deed_of(const lane &l)
{
    return l.at == AT_WARP       ? "__syncwarp"
           : l.at == AT_EXCHANGE ? "a shuffle or vote"
           : l.at == AT_BLOCK    ? "__syncthreads"
                                 : "return";
}

// All threads of a warp or a block must wait at one place, or have finished.
void agree(unsigned from, unsigned end, const char *who)
{
    const lane &a = lanes[from];
    for (unsigned t = from + 1; t < end; t++) {
        const lane &b = lanes[t];
        if (b.at != a.at || (a.at != FINISHED && b.where != a.where))
            die("the threads of a %s part: %u is at %s (%s), %u at %s (%s)", who, from, place_of(a),
                deed_of(a), t, place_of(b), deed_of(b));
    }
}

void begin_pass()
{
    step = 0;
    stride = seed > 1 ? below(16) * 2 + 1 : seed == 1 ? 31 : 1;
    first = seed > 1 ? below(32) : seed == 1 ? 31 : 0;
}
void begin_round()
{
    warp_at = 0;
    for (unsigned w = 0; w < warps; w++)
        warp_order[w] = seed == 1 ? warps - 1 - w : w;
    if (seed > 1)
        for (unsigned i = warps; i > 1; i--) {
            const unsigned k = below(i), w = warp_order[i - 1];
            warp_order[i - 1] = warp_order[k];
            warp_order[k] = w;
        }
    begin_pass();
}
void choose()
{
    now = warp_order[warp_at] * WARP + (step * stride + first) % WARP;
    ss_emulated.thread.x = now;
}
// Chooses the thread that runs next; false when all have finished.
bool advance()
{
    if (++step == WARP) {
        const unsigned w = warp_order[warp_at] * WARP;
        agree(w, w + WARP, "warp");
        if (lanes[w].at == AT_WARP || lanes[w].at == AT_EXCHANGE)
            begin_pass();
        else if (++warp_at < warps)
            begin_pass();
        else {
            agree(0, n_threads, "block");
            if (lanes[0].at == FINISHED)
                return false;
            begin_round();
        }
    }
    choose();
    return true;
}

void carry();

void prepare(carrier *c)
{
    void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        die("no memory for a thread's stack");
    void **top = (void **)((char *)stack + STACK);
    *--top = NULL; // so that carry() finds the stack as a call leaves it
    *--top = (void *)carry;
    for (int k = 0; k < 6; k++)
        *--top = NULL;
    c->top = top;
}

// The carrier for a thread that starts.
carrier *free_carrier()
{
    carrier *c = RACES    ? &carriers[lanes[now].fiber]
                 : n_idle ? idle[--n_idle]
                          : &carriers[n_carriers++];
    if (!c->top)
        prepare(c);
    return c;
}

void switch_fiber(void *to)
{
    __tsan_switch_to_fiber(to, 1);
}

void go_to(carrier *to)
{
    carrier *from = current;
    current = to;
    switches++;
    ss_emulator_switch(&from->top, to->top);
}

// Goes on with the thread that was chosen.
void go_on()
{
    switch_fiber(fibers[lanes[now].fiber]);
    go_to(lanes[now].at == UNSTARTED ? free_carrier() : lanes[now].on);
}

// The life of a carrier: threads that have not started, as they come.
void carry()
{
    carrier *me = current;
    for (;;) {
        lanes[now].on = me;
        __tsan_acquire(&start_key);
        body(arguments);
        lanes[now].at = FINISHED;
        __tsan_release(&end_key);
        const bool more = advance();
        if (more && lanes[now].at == UNSTARTED && !RACES)
            continue;
        idle[n_idle] = me;
        n_idle += !RACES;
        if (more)
            go_on();
        else {
            switch_fiber(home_fiber);
            go_to(&home);
        }
    }
}

void wait_at(state s, const char *where)
{
    const unsigned t = now;
    lanes[t].at = s;
    lanes[t].where = where;
    advance(); // never the end: this thread has not finished
    if (now != t)
        go_on();
}

void arrive(keys &k, state s, const char *where)
{
    char *key = &k.at[block_number % OWN_KEYS * 2 + (k.turn[now]++ & 1)];
    __tsan_release(key);
    wait_at(s, where);
    __tsan_acquire(key);
}

void run_block()
{
    for (unsigned t = 0; t < n_threads; t++) {
        lanes[t].at = UNSTARTED;
        lanes[t].turn = 0;
    }
    block_number++;
    begin_round();
    choose();
    __tsan_release(&start_key);
    current = &home;
    go_on();
}

// Two blocks in a row share no fiber: what a thread learnt at the last barrier of one would order
// it before the next.
void choose_fibers(unsigned long block)
{
    while (RACES && n_fibers < 2 * n_threads)
        fibers[n_fibers++] = __tsan_create_fiber(0);
    for (unsigned t = 0; RACES && t < n_threads; t++)
        lanes[t].fiber = (unsigned)(block % 2) * n_threads + t;
}

unsigned long common_factor(unsigned long a, unsigned long b)
{
    return b ? common_factor(b, a % b) : a;
}

} // namespace

extern "C" {

void ss_emulator_sync_block(const char *where)
{
    arrive(block_keys, AT_BLOCK, where);
}

void ss_emulator_sync_warp(const char *where)
{
    arrive(warp_keys[now / WARP], AT_WARP, where);
}

const uint64_t *ss_emulator_exchange(unsigned mask, uint64_t value, const char *where)
{
    if (mask != 0xffffffffu)
        die("%s: a partial mask, 0x%08x", where, mask);
    const unsigned t = now, turn = lanes[t].turn++ & 1;
    values[turn][t] = value;
    wait_at(AT_EXCHANGE, where);
    return &values[turn][t / WARP * WARP];
}

void ss_emulator_fence(void)
{
    __tsan_acquire(&fence_key);
    __tsan_release(&fence_key);
}

void *ss_emulator_shared(size_t bytes, const char *where)
{
    size_t sum = bytes;
    for (unsigned i = 0; i < n_shared; i++) {
        if (shared[i].where == where && shared[i].bytes == bytes) {
            __tsan_acquire(&start_key);
            return shared[i].p;
        }
        sum += shared[i].bytes;
    }
    if (sum > SHARED_LIMIT || n_shared == SHARED_MOST)
        die("%s: %zu bytes of shared memory in %u arrays, more than %d in %d", where, sum,
            n_shared + 1, SHARED_LIMIT, SHARED_MOST);
    // Made by none of the threads, as TSan sees it, and before any of them began.
    switch_fiber(home_fiber);
    void *p = malloc(bytes);
    if (!p)
        die("%s: no memory", where);
    memset(p, 0xff, bytes);
    __tsan_release(&start_key);
    switch_fiber(fibers[lanes[now].fiber]);
    __tsan_acquire(&start_key);
    shared[n_shared++] = array{where, bytes, p};
    return p;
}

void ss_emulator_run(const char *name, void (*f)(const void *), const void *args,
                     const unsigned grid[3], unsigned threads)
{
    static unsigned long launches;
    const char *order = getenv("SIGMASCOPE_CUDA_SEED");
    const unsigned long blocks = (unsigned long)grid[0] * grid[1] * grid[2];

    kernel = name;
    body = f;
    arguments = args;
    n_threads = threads;
    warps = threads / WARP;
    if (threads % WARP || !threads || threads > MOST)
        die("a block of %u threads", threads);
    seed = order ? strtoul(order, NULL, 10) : 0;
    random_bits = (seed + 1) * 0x9e3779b97f4a7c15u + ++launches;
    ss_emulated.blocks = ss_emulated_index{grid[0], grid[1], grid[2]};
    ss_emulated.threads = ss_emulated_index{threads, 1, 1};
    home_fiber = __tsan_get_current_fiber();

    unsigned long factor = 1, shift = 0;
    if (seed > 1 && blocks > 2) {
        do
            factor = below((unsigned)(blocks < 1u << 30 ? blocks : 1u << 30)) + 1;
        while (common_factor(factor, blocks) != 1);
        shift = below(1u << 30);
    }
    for (unsigned long i = 0; i < blocks; i++) {
        const unsigned long b = seed == 1 ? blocks - 1 - i : (i * factor + shift) % blocks;
        ss_emulated.block =
            ss_emulated_index{(unsigned)(b % grid[0]), (unsigned)(b / grid[0] % grid[1]),
                              (unsigned)(b / grid[0] / grid[1])};
        choose_fibers(i);
        run_block();
        for (unsigned k = 0; k < n_shared; k++) {
            if (RACES) // each block its own, or memory that is used again would look like a race
                spent.push_back(shared[k].p);
            else
                memset(shared[k].p, 0xff, shared[k].bytes);
        }
        n_shared = RACES ? 0 : n_shared;
    }
    __tsan_acquire(&end_key);
    for (unsigned k = 0; k < n_shared; k++)
        spent.push_back(shared[k].p);
    for (void *p : spent)
        free(p);
    spent.clear();
    n_shared = 0;
    kernel = NULL;
}

void ss_emulator_where(char *text, size_t size)
{
    if (!kernel)
        snprintf(text, size, "%s", "");
    else
        snprintf(text, size, "%s, block (%u, %u, %u), thread %u", kernel, ss_emulated.block.x,
                 ss_emulated.block.y, ss_emulated.block.z, now);
}

long ss_emulator_switches(void)
{
    return switches;
}

} // extern "C"
