/* interrupt.h - a signal that ends long work at the next place where it can end cleanly */
#ifndef SS_PROBE_INTERRUPT_H
#define SS_PROBE_INTERRUPT_H

#include <stdbool.h>

/* Signal handler for SIGINT and SIGTERM. */
void ss_interrupt(int signal);

/* True if the handler has run since the last reset. */
bool ss_interrupted(void);
void ss_interrupt_reset(void);

#endif
