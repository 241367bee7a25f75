/* interrupt.c - see interrupt.h */
#include "probe/interrupt.h"

#include <signal.h>

static volatile sig_atomic_t interrupted;

void ss_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

bool ss_interrupted(void)
{
    return interrupted != 0;
}

void ss_interrupt_reset(void)
{
    interrupted = 0;
}
