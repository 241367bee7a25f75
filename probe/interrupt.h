/* interrupt.h - a signal that asks long work to end where it can be ended cleanly */
#ifndef SS_PROBE_INTERRUPT_H
#define SS_PROBE_INTERRUPT_H

#include <stdbool.h>

/* A signal handler. */
void ss_interrupt(int signal);

/* True once the handler ran since the last reset. */
bool ss_interrupted(void);
void ss_interrupt_reset(void);

#endif
