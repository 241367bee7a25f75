/* spikes.c - see spikes.h */
#include "train/spikes.h"

#include <math.h>

ss_spike_options ss_spike_defaults(void)
{
    return (ss_spike_options){.threshold = 3.2, .decay = 0.99, .warmup = 100, .quiet = 10};
}

bool ss_spikes_add(ss_spikes *s, const ss_spike_options *o, double loss)
{
    const double d = loss - s->mean;
    bool spike;

    if (!isfinite(loss))
        return false;
    if (s->n++ == 0) {
        s->mean = loss;
        return false;
    }
    spike = s->n > o->warmup && d > o->threshold * sqrt(s->var) &&
            (s->last == 0 || s->n - s->last >= o->quiet);
    if (spike) {
        s->last = s->n;
        s->count++;
    }
    s->mean += (1 - o->decay) * d;
    s->var = o->decay * (s->var + (1 - o->decay) * d * d);
    return spike;
}
