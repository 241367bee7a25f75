/* threads.c - see threads.h */
#include "base/threads.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANY_CORES = 5 };

/* True when another process runs or waits for a core. */
static bool others_run(void)
{
    FILE *f = fopen("/proc/loadavg", "r");
    int running = 0;

    if (f && fscanf(f, "%*f %*f %*f %d/", &running) != 1)
        running = 0;
    if (f)
        fclose(f);
    return running != 1; /* one is this program */
}

void ss_threads_limit_spinning(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY"))
        return;
    if (sysconf(_SC_NPROCESSORS_ONLN) >= MANY_CORES && !others_run())
        return; /* libgomp's own choice is right */
    if (setenv("GOMP_SPINCOUNT", "3000", 1) == 0)
        execv("/proc/self/exe",
              argv); /* returns only if the exec failed; nothing has changed then */
}
