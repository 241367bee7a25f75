/* checkpoints.h - which checkpoint is the first bad one: probes, judges, searches
 *
 * Each checkpoint that the search (bisect.h) asks for is probed, or its kept run is taken
 * (probe/cached.h), and judged: by an expression over the run (expression.h), or by a command of
 * the user. Checkpoints are in the order of the training steps in their paths (ss_trend_step) when
 * every path has a certain one and all are different, else in the order given. One that cannot be
 * read is skipped.
 *
 * A run file may stand for its checkpoint (given_runs.h). Among checkpoints that are probed it has
 * to be made by the same plan; among run files alone a difference is a warning. One run file of a
 * training, over steps, may stand for all checkpoints: then each of its steps is judged.
 *
 * A command is run by /bin/sh -c, for it is what the user typed, with $1 the checkpoint and $2 the
 * run file; its output goes to stderr. Its exit status decides as for `git bisect run`: 0 good,
 * 125 skip, another below 126 bad; anything else, or a signal, ends the search.
 */
#ifndef SS_ANALYZE_CHECKPOINTS_H
#define SS_ANALYZE_CHECKPOINTS_H

#include "analyze/math/bisect.h"
#include "analyze/search/expression.h"
#include "base/str.h"
#include "base/table.h"
#include "probe/cached.h"

typedef struct {
    ss_probe_options probe; /* of every checkpoint; model and output do not count */
    const char *const *models;
    int n_models;
    const ss_expression *fail; /* NULL with a command alone */
    const char *check;         /* a command, or NULL; with both, the expression only says where */
    ss_run_cache *cache;       /* of kept runs; the caller closes it after the last use of a run */
    bool exhaustive;
    bool as_given;     /* in the order given, whatever steps are in the paths */
    const char *steps; /* of each checkpoint, "250,500", or NULL: those in the paths */
} ss_checkpoints_options;

typedef struct {
    const char *model; /* checkpoint or run file; borrowed from the options */
    bool given;        /* a run file */
    int column;        /* of a training's own run: which of its steps; else -1 */
    int64_t step;      /* -1: none is in the path */
    int order;         /* order in which it was tried, from 1; 0 if it was not */
    char *run;         /* NULL: untried */
    bool kept;         /* the run was there */
    char *unreadable;  /* why the model cannot be read; NULL: it can, or was not tried */
    char *where;       /* of the witness, NULL: no expression */
    char *input;       /* likewise */
    char *sample;      /* "2, cat.png", likewise */
    char *measure;     /* of the expression, the part that decided */
    double sigma, value;
    ss_witness witness; /* with an expression: indices into the run's axes */
} ss_checkpoint_row;

typedef struct {
    ss_checkpoint_row *rows; /* in the order searched */
    int n;
    bool by_step;
    bool of_training;            /* rows are steps of one training's own run */
    bool of_bins;                /* whose samples are bins: known by their noise levels alone */
    ss_bisection search;         /* its indices are those of rows */
    int n_made, n_kept, n_given; /* runs */
    int n_unreadable;
} ss_checkpoints;

/* Writes the place that decided and its value into a row, which is {0} or has them not yet: where,
 * input, sample, measure, sigma, value, witness. The caller frees the four texts with ss_free. */
ss_code ss_checkpoint_describe(const ss_expression *x, ss_run *r, const ss_witness *w,
                               ss_checkpoint_row *row, ss_err *e);
/* Adds that as a part of a sentence: "up_blocks.0.conv at sigma 80, noise:white, sample 1: |x| up
 * to 594.19, over 240 (e4m3-ieee) by a factor of 2.48". bins: samples are bins of noise level. */
void ss_checkpoint_place_say(const ss_expression *x, const ss_checkpoint_row *row, bool bins,
                             ss_str *s);

/* A path that is no folder is an error, and so is what does not come from the checkpoint itself. If
 * no checkpoint can be read, the error is that of the first; that --check skipped every one is
 * SS_IO. */
ss_code ss_checkpoints_find(const ss_checkpoints_options *opt, ss_checkpoints *c, ss_err *e);
void ss_checkpoints_release(ss_checkpoints *c); /* {0} is fine */

/* The checkpoint of a row, "step 250 of statistics.h5" for a step of a training; returns out. */
char *ss_checkpoints_name(const ss_checkpoints *c, int i, char *out, size_t n);

/* Writes the outcome as one sentence: "BAD since step-06000: up_blocks.0.conv at sigma 80,
 * noise:white, sample 1: |x| up to 594.19, over 240 (e4m3-ieee) by a factor of 2.48; good before:
 * step-00250." x: the expression, NULL: a command decided. */
void ss_checkpoints_say(const ss_checkpoints *c, const ss_expression *x, ss_str *s);
/* The same as one row of data. */
ss_code ss_checkpoints_verdict_table(const ss_checkpoints *c, const ss_expression *x, ss_table *t,
                                     ss_err *e);

/* A row for each checkpoint that was tried; the note says what the search found. */
ss_code ss_checkpoints_table(const ss_checkpoints *c, ss_table *t, ss_err *e);
/* The first bad checkpoint, where there is one, and what fails first in it, with its full name; one
 * row each. */
ss_code ss_first_bad_table(const ss_checkpoints *c, ss_table *t, ss_err *e);

/* Saves what fails first as a bundle (probe/bundle.h): of a head the layer's output, of the loss
 * the model's answer. Needs an expression and a bad checkpoint. */
ss_code ss_first_bad_bundle(const ss_checkpoints *c, const ss_expression *x, const char *dir,
                            bool replace, ss_err *e);

#endif
