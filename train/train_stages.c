/* train_stages.c - see train_stages.h */
#include "train/train_stages.h"

#include <math.h>

int ss_train_stage_of(const ss_train_stage *stages, int n, int64_t step)
{
    int i = 0;

    while (i < n - 1 && step > stages[i].steps)
        step -= stages[i++].steps;
    return i;
}

ss_code ss_train_stages_check(const ss_train_stage *stages, int n, ss_err *e)
{
    if (n < 0 || n > SS_MOST_STAGES)
        return ss_fail(e, SS_USAGE, "stages: %d of them; expected up to %d", n, SS_MOST_STAGES);
    for (int i = 0; i < n; i++) {
        const ss_train_stage *s = &stages[i];

        if (s->steps < (i < n - 1) || s->height < 0 || s->width < 0 || s->frames < 0 ||
            s->pool < 0 || s->batch < 0 || s->accumulate < 0 || isnan(s->lr) || isinf(s->lr))
            return ss_fail(e, SS_USAGE, "stages: a number of stage %d is out of its range", i + 1);
    }
    return SS_OK;
}
