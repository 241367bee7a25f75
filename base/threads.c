/* threads.c - see threads.h */
#include "base/threads.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANY_CORES = 5 };

/* Whether another process runs, or would. */
static bool others_run(void)
{
    FILE *f = fopen("/proc/loadavg", "r");
    int running = 0;

    if (f && fscanf(f, "%*f %*f %*f %d/", &running) != 1)
        running = 0;
    if (f)
        fclose(f);
    return running != 1; /* we do */
}

void ss_threads_wait_politely(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    if (sysconf(_SC_NPROCESSORS_ONLN) >= MANY_CORES && !others_run())
        return; /* libgomp's own choice is right */
    if (setenv("GOMP_SPINCOUNT", "3000", 1) == 0)
        execv("/proc/self/exe", argv); /* comes back only where it cannot: then as it is */
}
