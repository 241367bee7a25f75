/* guard_bundle.h - what the NaN guard of the recorder (python/) saved of a training, played here
 *
 *   DIR/finding.json          "module", "class", "settings" of its constructor, "phase", "port",
 *                             "step", "text": python/sigmascope/finding.py
 *   DIR/tensors.safetensors   input.0, output.0, weight.weight ... in PyTorch's layout:
 *                             python/sigmascope/bundle.py
 *
 *   ss_guard_bundle *b;
 *   ss_guard_played played;
 *   rc = ss_guard_bundle_open("run.bundle", &b, &err);
 *   rc = ss_guard_bundle_play(b, "cpu", 0, &played, &err);
 *   ss_guard_played_release(&played);
 *   ss_guard_bundle_close(b);
 */
#ifndef SS_PROBE_GUARD_BUNDLE_H
#define SS_PROBE_GUARD_BUNDLE_H

#include "models/file/safetensors.h"

#include <jansson.h>

typedef struct {
    char *dir;
    json_t *finding; /* an object */
    ss_safetensors *tensors;
} ss_guard_bundle;

/* SS_USAGE for the bundle of `bisect --save-bundle`, with what plays that; SS_IO or SS_FORMAT for
 * what is none. */
ss_code ss_guard_bundle_open(const char *dir, ss_guard_bundle **b, ss_err *e);
void ss_guard_bundle_close(ss_guard_bundle *b); /* NULL is fine */

/* A text of the finding, or NULL. Borrowed; of anybody: show it through ss_printable. */
const char *ss_guard_bundle_text(const ss_guard_bundle *b, const char *key);

/* Counts of a tensor. */
typedef struct {
    int64_t values, nonfinite;
    float largest; /* |x| of the finite ones; NaN: there are none */
    int rank;
    int64_t first[SS_STORED_MAX_RANK]; /* index of the first that is not finite */
} ss_guard_counts;

/* Those of a stored tensor; false for one that is not of floating-point numbers we read. */
bool ss_guard_counts_of(const ss_stored_tensor *t, ss_guard_counts *c, ss_err *e);

typedef struct {
    char *unknown;        /* why the module is not computed, or NULL */
    ss_guard_counts f32;  /* its output in fp32 */
    const char *format;   /* the format that its output was recorded in, "fp16"; static */
    ss_guard_counts half; /* its output in that format, operands and output rounded; not of fp32 */
    double difference;    /* relative L2 of that from what was recorded, where both are finite; NaN:
                             nothing was recorded */
} ss_guard_played;

/* Computes the module from its recorded input, in fp32 and in the format that was recorded. Modules
 * that the engine does not compute in the same way leave p->unknown; tensors that do not fit the
 * module are SS_FORMAT. */
ss_code ss_guard_bundle_play(const ss_guard_bundle *b, const char *device, int threads,
                             ss_guard_played *p, ss_err *e);
void ss_guard_played_release(ss_guard_played *p); /* {0} is fine */

#endif
