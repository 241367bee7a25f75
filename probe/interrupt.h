/* interrupt.h - a signal that ends long work at the next place where it can end cleanly */
#ifndef SS_PROBE_INTERRUPT_H
#define SS_PROBE_INTERRUPT_H

/* Signal handler. */
void ss_interrupt(int signal);

/* The signal of the handler's last run, SIGINT where that was 0; 0 if it has not run since the last
 * reset. */
int ss_interrupted(void);
void ss_interrupt_reset(void);

#endif
