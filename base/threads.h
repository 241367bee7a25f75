/* threads.h - how OpenMP's threads wait for one another */
#ifndef SS_BASE_THREADS_H
#define SS_BASE_THREADS_H

/* To be called first in main. Where other programs keep the cores busy, threads that wait in a loop
 * take them from those that work: 14 s instead of 1 was seen. So they are to give up looping after
 * some 10 us, unless there are many cores and nobody else wants one: then the next of thousands of
 * operations would begin with waking them, and 16 threads take a fourth longer. libgomp reads what
 * it is told when it is loaded, before main, so the program starts itself anew. Whoever has set one
 * of the variables is left alone. */
void ss_threads_wait_politely(char **argv);

#endif
