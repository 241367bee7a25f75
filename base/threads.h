/* threads.h - how OpenMP's threads wait for one another */
#ifndef SS_BASE_THREADS_H
#define SS_BASE_THREADS_H

/* Executes the program again with GOMP_SPINCOUNT=3000, so that waiting threads stop spinning after
 * about 10 us. Call it first in main; it returns if nothing has to change or the exec failed.
 *
 * Where other programs keep the cores busy, spinning threads take them from working ones: a run of
 * 1 s was seen to take 14 s. On an idle machine with many cores spinning is right: otherwise every
 * one of thousands of operations begins with waking threads, and 16 threads take a fourth longer.
 * libgomp reads the variable when it is loaded, which is before main. A user's own GOMP_SPINCOUNT
 * or OMP_WAIT_POLICY is respected. */
void ss_threads_limit_spinning(char **argv);

#endif
