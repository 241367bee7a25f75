/* process.c - this program as a child of itself, and how much memory a process holds */
#include "tests/bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

double bench_memory(bool most)
{
    const char *key = most ? "VmHWM:" : "VmRSS:";
    FILE *f = fopen("/proc/self/status", "r");
    double kib = NAN;
    char line[256];

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtod(line + strlen(key), NULL);
    if (f)
        fclose(f);
    return kib / 1024;
}

double bench_run_child(const bench *b, const char *const *args)
{
    enum { MAX = 16 };
    char threads[16], line[64] = "";
    const char *argv[MAX] = {b->program, "--threads", threads, "--child"};
    int out[2], status = 0, n = 4;

    for (; *args && n < MAX - 1; args++)
        argv[n++] = *args;
    snprintf(threads, sizeof threads, "%d", b->threads);
    if (pipe(out) != 0)
        bench_die("cannot make a pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        execv("/proc/self/exe", (char *const *)argv);
        _exit(127);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    if (pid < 0 || !f || !fgets(line, sizeof line, f))
        bench_die("%s --child %s gave no number", b->program, argv[4]);
    fclose(f);
    waitpid(pid, &status, 0);
    if (status != 0)
        bench_die("%s --child %s failed", b->program, argv[4]);
    return strtod(line, NULL);
}
