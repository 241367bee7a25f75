/* maps.h - dumped activations as maps: one magnitude a position */
#ifndef SS_REPORTS_MAPS_H
#define SS_REPORTS_MAPS_H

#include "analyze/findings/analysis.h"
#include "base/sample_size.h"

typedef struct {
    int module;
    char *set;          /* the data set, owned */
    ss_run_shape shape; /* of one sample */
    ss_sample_size size;
} ss_map_source;

/* A dumped module whose outputs have positions: [H][W][C], [F][H][W][C], or tokens [N][C] that fill
 * a square or the aspect of the network's input. False where there is none. */
bool ss_map_find(ss_run *r, int module, ss_map_source *m);
void ss_map_release(ss_map_source *m); /* {0} is fine */

/* map [h][w] or [F][h][w] = sqrt(mean over channels of x^2) of one sample; room [shape.n] is
 * scratch. */
ss_code ss_map_read(ss_run *r, const ss_map_source *m, int input, int sigma, int sample,
                    float *room, float *map, ss_err *e);

#endif
