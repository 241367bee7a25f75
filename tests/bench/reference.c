/* reference.c - PyTorch as a process of its own, asked over a pipe: see
 * tests/golden/bench_reference.py
 *
 *   we write     METHOD\n
 *   it answers   NUMBER\n        seconds, or what else the method measures
 *
 * It says "ready" when the case stands. Without PyTorch it ends before that, and no row waits
 * for it again.
 */
#include "base/mem.h"
#include "tests/bench/bench.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char script[] = "tests/golden/bench_reference.py";

struct bench_reference {
    pid_t pid;
    FILE *to, *from;
};

static bool absent;

/* Replaces this process, a fresh child, by the script. */
static void become(const char *const *args, const char *threads, int in, int out)
{
    enum { MAX = 24 };
    const char *python = getenv("PYTHON"),
               *argv[MAX] = {"python3", "-W", "ignore", script, "--threads", threads};
    int n = 6;

    if (python && *python)
        argv[0] = python;
    for (; *args && n < MAX - 1; args++)
        argv[n++] = *args;
    dup2(in, 0);
    dup2(out, 1);
    setenv("OMP_NUM_THREADS", threads, 1);
    unsetenv("GOMP_SPINCOUNT"); /* ours; PyTorch as it comes */
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

bench_reference *bench_reference_open(const bench *b, const char *const *args)
{
    int to[2], from[2];
    char line[64] = "", threads[16];
    bench_reference *r;

    if (absent)
        return NULL;
    r = ss_alloc(1, sizeof *r);
    if (!r || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        bench_die("cannot make a pipe");
    snprintf(threads, sizeof threads, "%d", b->threads);
    signal(SIGPIPE, SIG_IGN);
    r->pid = fork();
    if (r->pid < 0)
        bench_die("cannot start a process");
    if (r->pid == 0)
        become(args, threads, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    r->to = fdopen(to[1], "w");
    r->from = fdopen(from[0], "r");
    if (!r->to || !r->from)
        bench_die("cannot open a pipe");
    if (fgets(line, sizeof line, r->from) && strcmp(line, "ready\n") == 0)
        return r;
    bench_reference_close(r);
    absent = true;
    fprintf(stderr, "bench: no PyTorch beside us: %s did not start; PYTHON=... names another\n",
            script);
    return NULL;
}

void bench_reference_close(bench_reference *r)
{
    if (!r)
        return;
    fclose(r->to); /* the end of its input ends it */
    fclose(r->from);
    waitpid(r->pid, NULL, 0);
    ss_free(r);
}

double bench_ask(void *question)
{
    const bench_question *q = question;
    char line[64];

    if (!q->reference)
        return NAN;
    if (fprintf(q->reference->to, "%s\n", q->what) < 0 || fflush(q->reference->to) != 0 ||
        !fgets(line, sizeof line, q->reference->from))
        bench_die("PyTorch ended while it was asked for '%s'", q->what);
    return strtod(line, NULL);
}
