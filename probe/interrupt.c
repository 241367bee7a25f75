/* interrupt.c - see interrupt.h */
#include "probe/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t interrupted;

void ss_interrupt(int signal)
{
    interrupted = signal ? signal : SIGINT;
}

int ss_interrupted(void)
{
    return interrupted;
}

void ss_interrupt_reset(void)
{
    interrupted = 0;
}
