/* chain.h - makes videos in stages, each of which takes the frames of the one before
 *
 *   DIR/NN-NAME/             of stage NN (from 01) what `generate` writes (generate.h): strips, the
 *                            frames of each video, generate.json, and run.h5 where it is asked for
 *   DIR/sheet.png            each video in all stages, one below the other, frames of one moment
 *                            in one column
 *   DIR/player.html          plays the stages side by side
 *   DIR/generate.json        as generate.h has it, a stage for each model, and the chain:
 *                            "chain": {"file": "...", "stages": [{"name", "mode", "seconds"}, ...]}
 */
#ifndef SS_PROBE_CHAIN_H
#define SS_PROBE_CHAIN_H

#include "base/table.h"
#include "probe/chain_file.h"

typedef struct {
    const char *file;   /* chain_file.h */
    const char *output; /* DIR, which appears whole or not at all */
    bool replace;       /* an existing DIR that generate made */
    int threads;
    const char *device, *arithmetic;
    const char *command;
} ss_chain_options;

/* Runs all stages. The caller releases *t, a row a stage. */
ss_code ss_chain_run(const ss_chain_options *opt, ss_table *t, ss_err *e);

#endif
