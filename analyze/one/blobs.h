/* blobs.h - which activation maps degenerate into blobs, and at which noise level
 *
 * Reads the activations that a run has dumped (probe --dump), one sample at a time, and
 * measures each map (blob_metrics.h). Each frame of a video is a map of its own, whose cosine is to
 * the same frame of other samples. Modules whose output is a vector, or is the same whatever
 * the picture and the noise level (keys of a prompt), have no maps and are only counted.
 *
 * At a noise level, a module is degenerate when at least half of its maps are.
 */
#ifndef SS_ANALYZE_BLOBS_H
#define SS_ANALYZE_BLOBS_H

#include "analyze/one/blob_metrics.h"
#include "analyze/one/sites.h"
#include "base/table.h"

typedef struct {
    int module;
    ss_map_shape shape; /* of a map */
    int frames;         /* 0: not of videos */
    int n_maps;         /* of one input and noise level: `frames`, or one, for each sample */
    float *values;      /* [input][sigma][map][SS_N_BLOBS]; ss_blob_values */
    int n_degenerate;   /* finished noise levels at which the module is degenerate */
    int from; /* index of the lowest sigma from which the module is degenerate up to the highest; or
                 -1 */
} ss_blob_row;

typedef struct {
    int lowest, highest; /* indices of sigmas; -1 when none is finished */
    ss_blob_row *rows;   /* those that become degenerate; those that always are; that are at some
                          * noise levels; that never are. Of each, pictures before tokens, in
                          * forward order */
    int n;
    int n_left_out; /* dumped modules without maps */
} ss_blobs;

/* Measures every dumped module of `sites`; n is 0 where nothing is dumped. */
ss_code ss_blobs_find(ss_run *r, const ss_sites *sites, ss_blobs *b, ss_err *e);
void ss_blobs_release(ss_blobs *b); /* {0} is fine */

/* The metrics of one map, [SS_N_BLOBS]; all NaN where it is not finished or not finite. Map
 * sample * frames + f is frame f of a sample; without frames, the sample. */
float *ss_blob_values(const ss_run *r, const ss_blob_row *row, int input, int sigma, int map);

/* Mean of a metric over the maps of an input, or of all inputs with SS_ALL, that have it;
 * NaN where none has. */
double ss_blob_mean(const ss_run *r, const ss_blob_row *row, ss_blob metric, int input, int sigma);
/* Is the module degenerate there? input: one, or SS_ALL. */
bool ss_blob_row_degenerate(const ss_run *r, const ss_blob_row *row, int input, int sigma);

/* The first `top` modules: when they are degenerate, and what decides it at the lowest and the
 * highest noise level, as means over maps. */
ss_code ss_blobs_table(const ss_run *r, const ss_blobs *b, int top, ss_table *t, ss_err *e);
/* The same modules: the other metrics at the same noise levels. */
ss_code ss_blob_shapes_table(const ss_run *r, const ss_blobs *b, int top, ss_table *t, ss_err *e);
/* For each noise level and input: how many modules of each stage are degenerate, and the means
 * of rank, low-frequency share and cosine over the decoder's pictures. */
ss_code ss_blob_levels_table(const ss_run *r, const ss_blobs *b, ss_table *t, ss_err *e);

#endif
