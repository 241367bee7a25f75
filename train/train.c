/* train.c - see train.h
 *
 *   read the configuration, make the trainer
 *   make the folder, or check that it is of the same run and load its last checkpoint
 *   for each step: compute, write what it did and what stood out, save a checkpoint if one is due
 */
#include "train/train.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/interrupt.h"
#include "runfile/training_files.h"
#include "train/board.h"
#include "train/config.h"
#include "train/journal.h"
#include "train/statistics.h"
#include "train/train_folder.h"
#include "train/trainer_checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct {
    const ss_train_options *opt;
    ss_train_config *config;
    ss_train_folder folder;
    ss_trainer *t;
    ss_watch *watch;
    ss_statistics *statistics; /* or NULL */
    ss_board *board;           /* or NULL */
    ss_journal *log, *events;
    int64_t start; /* steps that another training did before this one branched off; 0: no branch */
    int64_t saved; /* step of the last checkpoint; -1: none */
    int64_t back;  /* step of the checkpoint that a rollback goes to; -1: none */
    json_t *record;
    double losses[SS_TRAINING_LAST];
    int64_t n_losses;
    bool skipped[SS_TRAINING_LAST]; /* of the last steps, a ring */
    int64_t n_steps;
    bool warned; /* of second moments that are 0 */
    ss_train_summary *summary;
} session;

/* ---- beginning ---- */

static ss_code open_journal(session *s, const char *name, ss_journal **j, ss_err *e)
{
    char *path = ss_train_folder_file(&s->folder, name);
    ss_code rc =
        path ? ss_journal_open(path, ss_trainer_steps(s->t), j, e) : ss_no_memory(e, "training");

    ss_free(path);
    return rc;
}

static ss_code open_statistics(session *s, ss_err *e)
{
    char *path = ss_train_folder_file(&s->folder, SS_TRAINING_STATISTICS);
    const ss_statistics_options o = {.path = path,
                                     .command = s->opt->command,
                                     .after = s->start,
                                     .config = s->config,
                                     .trainer = s->t,
                                     .watch = s->watch};
    ss_code rc = path ? ss_statistics_open(&o, &s->statistics, e) : ss_no_memory(e, "training");

    ss_free(path);
    return rc;
}

static ss_code open_board(session *s, ss_err *e)
{
    char *path = ss_train_folder_file(&s->folder, "tensorboard");
    ss_code rc = path ? ss_board_open(path, &s->board, e) : ss_no_memory(e, "training");

    ss_free(path);
    return rc;
}

/* True if a training that was never interrupted, and had this number of steps from the beginning,
 * has a checkpoint at a step. */
static bool is_regular(const void *self, int64_t step)
{
    const session *s = self;

    return step % s->config->checkpoint_every == 0 || step == s->config->steps || step == s->start;
}

/* Removes the checkpoints that are no longer wanted. */
static ss_code prune(session *s, ss_err *e)
{
    const int64_t keep = s->config->checkpoint_keep;

    return keep ? ss_train_folder_prune(&s->folder, keep, is_regular, s, e) : SS_OK;
}

/* Notes that a step has a checkpoint. A rollback goes where it would have gone without any
 * interruption; to the newest checkpoint if there is no other. */
static void note_checkpoint(session *s, int64_t step)
{
    if (s->back < 0 || !is_regular(s, s->back) || is_regular(s, step))
        s->back = step;
    s->saved = step;
}

/* Ends a training again that ended early, with the same reason. */
static void end_again(session *s)
{
    const char *why = ss_trainer_ended(s->t);

    if (!why)
        return;
    s->summary->diverged = true;
    snprintf(s->summary->reason, sizeof s->summary->reason,
             "%s; the training ended there, and --resume does not train on: branch off an earlier "
             "checkpoint, with a remedy (init.from and init.state)",
             why);
}

/* Goes on from the last checkpoint, if there is one. Prunes, too: a training that was killed
 * between saving and removing left one too many. */
static ss_code load_last(session *s, ss_err *e)
{
    int64_t *steps;
    size_t n;
    ss_code rc = ss_train_folder_steps(&s->folder, &steps, &n, e);

    if (rc == SS_OK && n) {
        char *path = ss_train_folder_step(&s->folder, steps[n - 1], false);

        rc = path ? ss_trainer_load(s->t, path, e) : ss_no_memory(e, "training");
        for (size_t i = 0; i < n; i++)
            note_checkpoint(s, steps[i]);
        if (rc == SS_OK)
            end_again(s);
        if (rc == SS_OK && !s->summary->diverged)
            ss_note("going on from %s", path);
        ss_free(path);
    } else if (rc == SS_OK && s->start) {
        ss_note("branching off %s", s->config->trainer.from);
    }
    ss_free(steps);
    return rc == SS_OK ? prune(s, e) : rc;
}

/* Refuses weights that are inf or NaN: every loss would be, too, and every step would be skipped.
 */
static ss_code check_weights(const session *s, ss_err *e)
{
    int n, bad = 0;
    ss_weight *const *w = ss_model_weights(ss_trainer_model(s->t), &n);
    const char *first = NULL;
    ss_code rc = SS_OK;

    for (int i = 0; i < n && rc == SS_OK; i++) {
        ss_weight_stats stats;

        rc = ss_trainer_weight_stats(s->t, i, &stats, e);
        bad += rc == SS_OK && stats.nonfinite;
        if (bad && !first)
            first = w[i]->name;
    }
    if (rc != SS_OK || !first)
        return rc;
    return ss_fail(e, SS_FORMAT,
                   "the initial weights are inf or NaN in %d of %d parameters, the first is "
                   "%s; no training mends that: begin from an earlier checkpoint (`sigmascope "
                   "inspect` shows whether it is whole)",
                   bad, n, first);
}

/* Goes on from the checkpoint of another training. */
static ss_code branch(session *s, ss_err *e)
{
    const char *from = s->config->trainer.from;
    ss_code rc = ss_trainer_branch(s->t, from, e);

    if (rc != SS_OK)
        return ss_fail_prefix(e, "init.state");
    s->start = ss_trainer_steps(s->t);
    if (s->start >= s->config->steps)
        return ss_fail(e, SS_USAGE,
                       "init.state: %s is at step %" PRId64 " already, and steps is %" PRId64
                       ": give more (--steps); the steps of the other training count, too",
                       from, s->start, s->config->steps);
    return SS_OK;
}

static ss_code make_record(session *s, ss_err *e)
{
    s->record = ss_train_config_record(s->config);
    s->config->trainer.record = s->record;
    return s->record ? SS_OK : ss_no_memory(e, "training");
}

/* Gives the folder's training another number of steps. The configuration changes first, the
 * statistics when they are opened: after an interruption in between, either number can still be
 * asked for. */
static ss_code change_steps(session *s, ss_err *e)
{
    const int64_t was = s->folder.steps, now = s->config->steps, done = ss_trainer_steps(s->t);

    if (was == 0)
        return SS_OK;
    if (ss_train_config_steps_matter(s->config))
        return ss_fail(e, SS_USAGE,
                       "%s: was trained for %" PRId64 " steps and cannot go on to %" PRId64
                       ": optimizer.rate is \"%s\", so the learning rate of every step depends on "
                       "how many there are, and the steps that are done would have had others; "
                       "\"constant\" rates allow it, a branch (init.state) too",
                       s->folder.path, was, now,
                       s->config->trainer.optimizer.rate == SS_RATE_LINEAR ? "linear" : "cosine");
    if (now < done)
        return ss_fail(e, SS_USAGE,
                       "%s: %" PRId64 " steps are done already, %" PRId64 " are asked for; "
                       "give --steps of that many or more",
                       s->folder.path, done, now);
    ss_note("%s: %" PRId64 " steps in place of %" PRId64, s->folder.path, now, was);
    return ss_train_folder_set_config(&s->folder, s->config->effective, e);
}

static ss_code begin(session *s, ss_err *e)
{
    const ss_train_options *o = s->opt;
    ss_trainer_options *trainer;
    int n_modules;
    ss_code rc = ss_train_config_read(o->config, o->sets, o->n_sets, &s->config, e);

    if (rc != SS_OK)
        return rc;
    trainer = &s->config->trainer;
    trainer->threads = o->threads;
    trainer->device = o->device;
    if ((rc = make_record(s, e)) != SS_OK)
        return rc;
    ss_trainer_options first = *trainer;
    if (s->config->init_state)
        first.from = NULL; /* branch() reads all of it */
    /* all that can be wrong is found before the folder is made */
    if ((rc = ss_trainer_new(&first, &s->t, e)) != SS_OK)
        return ss_fail_prefix(e, "%s", o->config);
    if (s->config->init_state)
        rc = branch(s, e);
    if (rc != SS_OK || (rc = check_weights(s, e)) != SS_OK)
        return ss_fail_prefix(e, "%s", o->config);
    rc = ss_train_folder_open(o->output ? o->output : s->config->output, s->config->effective,
                              o->resume, &s->folder, e);
    if (rc == SS_OK)
        rc = load_last(s, e);
    if (rc == SS_OK)
        rc = change_steps(s, e);
    if (rc == SS_OK && (rc = check_weights(s, e)) != SS_OK)
        ss_fail_prefix(e, "%s", s->folder.path);
    if (rc == SS_OK)
        rc = open_journal(s, SS_TRAINING_LOG, &s->log, e);
    if (rc == SS_OK)
        rc = open_journal(s, SS_TRAINING_EVENTS, &s->events, e);
    ss_model_modules(ss_trainer_model(s->t), &n_modules);
    if (rc == SS_OK)
        rc = ss_watch_new(n_modules, &s->watch, e);
    if (rc == SS_OK && s->config->statistics_every)
        rc = open_statistics(s, e);
    if (rc == SS_OK && s->config->tensorboard)
        rc = open_board(s, e);
    return rc;
}

/* ---- checkpoints ---- */

static ss_code save_model(session *s, bool ema, ss_err *e)
{
    char *path = ss_train_folder_step(&s->folder, ss_trainer_steps(s->t), ema);
    ss_code rc = path ? ss_trainer_save(s->t, path, ema, e) : ss_no_memory(e, "training");

    if (rc == SS_OK && !ema)
        snprintf(s->summary->checkpoint, sizeof s->summary->checkpoint, "%s", path);
    ss_free(path);
    return rc;
}

/* Writes all lines and statistics of the steps so far to the disk, then the checkpoint: a run that
 * goes on from it does not write them again. */
static ss_code save(session *s, ss_err *e)
{
    ss_code rc = ss_journal_sync(s->log, e);

    if (rc == SS_OK)
        rc = ss_journal_sync(s->events, e);
    if (rc == SS_OK && s->statistics)
        rc = ss_statistics_sync(s->statistics, e);
    if (rc == SS_OK && s->config->checkpoint_ema)
        rc = save_model(s, true, e);
    if (rc == SS_OK)
        rc = save_model(s, false, e);
    if (rc == SS_OK)
        note_checkpoint(s, ss_trainer_steps(s->t));
    return rc == SS_OK ? prune(s, e) : rc;
}

/* ---- what stands out ---- */

/* Prepares a pass over samples of the step. */
static void watch_pass(void *self, int first, int n)
{
    (void)n;
    ss_watch_go_on(self, first);
}

/* Writes a line for each sample that overflowed, with the module where it did: the batch goes
 * through the network once more, watched. If all of it is finite, it was the gradients that
 * overflowed. */
static ss_code write_overflows(session *s, const ss_trainer_did *did, ss_err *e)
{
    const ss_level *levels = ss_trainer_levels(s->t);
    const ss_trainer_eyes eyes = {ss_watch_hooks(s->watch), s->watch, watch_pass};
    const int n = ss_trainer_samples(s->t);
    bool found = false;
    ss_code rc;

    ss_watch_set_next(s->watch, NULL);
    if ((rc = ss_watch_begin(s->watch, n, e)) != SS_OK ||
        (rc = ss_trainer_look(s->t, &eyes, false, e)) != SS_OK)
        return rc;
    for (int i = 0; i < n && rc == SS_OK; i++) {
        const ss_origin o = ss_watch_origin(s->watch, i);

        if (!o.module)
            continue;
        if (!found && !s->summary->overflow_step) {
            s->summary->overflow_step = did->step;
            s->summary->overflow_sigma = levels[i].sigma;
            snprintf(s->summary->overflow_module, sizeof s->summary->overflow_module, "%s",
                     o.module->path);
        }
        found = true;
        rc = ss_journal_add(
            s->events,
            json_pack("{s:I, s:s, s:s, s:i, s:o, s:f, s:f}", "step", (json_int_t)did->step, "event",
                      SS_EVENT_OVERFLOW, "module", o.module->path, "sample", i, "sigma",
                      ss_journal_number(levels[i].sigma), "share", o.share, "scale", did->scale),
            e);
    }
    if (found || rc != SS_OK)
        return rc;
    const char *bad;
    if ((rc = ss_trainer_bad_gradient(s->t, &bad, e)) != SS_OK)
        return rc;
    return ss_journal_add(s->events,
                          json_pack("{s:I, s:s, s:s?, s:f}", "step", (json_int_t)did->step, "event",
                                    SS_EVENT_GRADIENT_OVERFLOW, "parameter", bad, "scale",
                                    did->scale),
                          e);
}

/* Says with what a stage begins. */
static ss_code write_stage(session *s, ss_err *e)
{
    const int64_t next = ss_trainer_steps(s->t) + 1;
    int i, before;
    const ss_train_stage g = ss_trainer_stage(s->t, next, &i);

    ss_trainer_stage(s->t, next - 1, &before);
    if (s->config->trainer.n_stages == 0 || (i == before && next > 1))
        return SS_OK;
    return ss_journal_add(s->events,
                          json_pack("{s:I, s:s, s:i, s:[i, i], s:i, s:i, s:i, s:f}", "step",
                                    (json_int_t)next, "event", SS_EVENT_STAGE, "stage", i + 1,
                                    "size", g.height, g.width, "frames", g.frames, "batch", g.batch,
                                    "accumulate", g.accumulate, "lr", g.lr),
                          e);
}

static ss_code write_spike(session *s, const ss_trainer_did *did, ss_err *e)
{
    return ss_journal_add(s->events,
                          json_pack("{s:I, s:s, s:f, s:f, s:o, s:s?}", "step",
                                    (json_int_t)did->step, "event", SS_EVENT_SPIKE, "loss",
                                    did->loss, "mean", ss_trainer_spikes(s->t)->mean, "staleness",
                                    ss_journal_number(did->staleness), "parameter", did->stalest),
                          e);
}

/* Puts into words why a training ends early after a step. */
static void say_reason(session *s, const ss_trainer_did *did)
{
    ss_train_summary *m = s->summary;
    const ss_loss_scale *scale = ss_trainer_scale(s->t);
    const bool dynamic = s->config->trainer.scale.dynamic;
    char what[200], tried[80] = "";

    if (isfinite(did->loss))
        snprintf(what, sizeof what,
                 dynamic ? "gradients are, and the loss scale is at its floor, %g"
                         : "gradients are, at the static loss scale %g",
                 did->scale);
    else if (dynamic)
        snprintf(what, sizeof what,
                 "the loss itself is, in %lld steps in a row: that is the forward pass, which no "
                 "loss scale changes",
                 (long long)scale->lost);
    else
        snprintf(what, sizeof what, "the loss itself is");
    if (s->config->on_nonfinite == SS_NONFINITE_ROLLBACK)
        snprintf(tried, sizeof tried, "; %d rollbacks did not help", ss_trainer_rewinds(s->t));
    snprintf(m->reason, sizeof m->reason, "step %lld is inf or NaN: %s%s", (long long)did->step,
             what, tried);
}

/* Ends the training with this step; its checkpoint keeps the reason, so that nobody goes on from
 * it. */
static ss_code end_early(session *s, ss_err *e)
{
    s->summary->diverged = true;
    return ss_trainer_end(s->t, s->summary->reason, e);
}

/* True if this step was the last that max_overflows allows. */
static bool overflowed_enough(const session *s, const ss_trainer_did *did)
{
    const int64_t most = s->config->max_overflows, n = ss_trainer_overflows(s->t);

    if (isfinite(did->loss) || most == 0 || n < most)
        return false;
    snprintf(s->summary->reason, sizeof s->summary->reason,
             "step %" PRId64 " is number %" PRId64
             " whose loss is inf or NaN, because the forward pass overflowed; max_overflows is "
             "%" PRId64,
             did->step, n, most);
    return true;
}

/* Answers a step that was not finite and that a smaller loss scale cannot help. */
static ss_code give_up(session *s, const ss_trainer_did *did, ss_err *e)
{
    const ss_on_nonfinite what = s->config->on_nonfinite;
    ss_code rc;

    if (what == SS_NONFINITE_SKIP)
        return SS_OK;
    if (what == SS_NONFINITE_STOP || s->saved < 0 ||
        ss_trainer_rewinds(s->t) >= s->config->max_rollbacks) {
        say_reason(s, did);
        return end_early(s, e);
    }
    char *path = ss_train_folder_step(&s->folder, s->back, false);
    rc = path ? ss_trainer_rewind(s->t, path, e) : ss_no_memory(e, "training");
    ss_free(path);
    if (rc != SS_OK)
        return rc;
    ss_note("step %" PRId64 " is not finite: back to the weights of step %" PRId64, did->step,
            s->back);
    return ss_journal_add(s->events,
                          json_pack("{s:I, s:s, s:I}", "step", (json_int_t)did->step, "event",
                                    SS_EVENT_ROLLBACK, "to", (json_int_t)s->back),
                          e);
}

/* ---- one step ---- */

static ss_code write_step(session *s, const ss_trainer_did *did, ss_err *e)
{
    if (isfinite(did->loss))
        s->losses[s->n_losses++ % SS_TRAINING_LAST] = did->loss;
    if (s->n_steps == 0)
        s->summary->scale_first = did->scale;
    s->skipped[s->n_steps++ % SS_TRAINING_LAST] = did->skipped;
    if (s->board) {
        ss_code rc = ss_board_step(s->board, did, e);

        if (rc != SS_OK)
            return rc;
    }
    return ss_journal_add(
        s->log,
        json_pack("{s:I, s:o*, s:o, s:o, s:o, s:f, s:f, s:o, s:b}", "step", (json_int_t)did->step,
                  "stage", did->stage ? json_integer(did->stage) : NULL, "loss",
                  ss_journal_number(did->loss), "penalty", ss_journal_number(did->penalty), "norm",
                  ss_journal_number(did->norm), "rate", did->rate, "scale", did->scale, "staleness",
                  ss_journal_number(did->staleness), "skipped", did->skipped),
        e);
}

/* Warns, once, where fp16 cannot hold Adam's second moments: an update is then the learning rate
 * times m / eps. */
static void warn_lost(session *s, const ss_trainer_did *did)
{
    static const double most = 0.01;

    if (s->warned || s->config->trainer.optimizer.states != SS_KEPT_FP16 || !(did->lost > most))
        return;
    s->warned = true;
    ss_warn("step %" PRId64 ": %.0f %% of a tensor's second moments are 0 though its gradients are "
            "not: optimizer.states is fp16, which cannot hold their squares below 3e-8; \"bf16\" "
            "can, or a larger optimizer.eps keeps the updates small",
            did->step, 100 * did->lost);
}

static ss_code step(session *s, ss_trainer_did *did, ss_err *e)
{
    const int64_t next = ss_trainer_steps(s->t) + 1;
    const bool measured = s->statistics && ss_statistics_due(s->statistics, next);
    ss_code rc = write_stage(s, e);

    if (rc == SS_OK && measured)
        rc = ss_statistics_begin(s->statistics, e);
    if (rc == SS_OK)
        rc = ss_trainer_step(s->t, did, e);
    if (rc == SS_OK)
        warn_lost(s, did);
    if (rc == SS_OK && measured)
        rc = ss_statistics_end(s->statistics, did, e);
    if (rc == SS_OK && measured && s->board)
        rc = ss_board_modules(s->board, s->t, s->watch, did->step, e);
    if (rc == SS_OK)
        rc = write_step(s, did, e);
    if (rc == SS_OK && did->spike)
        rc = write_spike(s, did, e);
    if (rc == SS_OK && did->skipped)
        rc = write_overflows(s, did, e);
    if (rc != SS_OK)
        return rc;
    if (overflowed_enough(s, did))
        return end_early(s, e);
    return did->skipped && did->exhausted ? give_up(s, did, e) : SS_OK;
}

static bool is_due(const session *s, int64_t step)
{
    return step % s->config->checkpoint_every == 0 || step == s->config->steps ||
           s->summary->diverged;
}

/* Saves a checkpoint of the current step before an interruption ends the run. */
static ss_code interrupted(session *s, ss_err *e)
{
    ss_code rc = s->saved == ss_trainer_steps(s->t) ? SS_OK : save(s, e);

    if (rc != SS_OK)
        return rc;
    return ss_fail(e, SS_INTERRUPTED,
                   "interrupted after step %" PRId64 " of %" PRId64
                   ", which is saved as %s; go on with --resume",
                   ss_trainer_steps(s->t), s->config->steps, s->summary->checkpoint);
}

/* Seconds of all threads of this process. */
static double cpu_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static ss_code loop(session *s, ss_err *e)
{
    const double start = ss_now(), cpu_start = cpu_now();
    ss_progress p;
    char detail[96];
    ss_code rc = SS_OK;

    if (s->saved < 0 && s->config->on_nonfinite == SS_NONFINITE_ROLLBACK)
        rc = save(s, e); /* something to go back to */
    ss_progress_begin(&p, "train", s->config->steps);
    ss_progress_skip(&p, ss_trainer_steps(s->t));
    while (rc == SS_OK && ss_trainer_steps(s->t) < s->config->steps && !s->summary->diverged) {
        ss_trainer_did did;

        if ((rc = step(s, &did, e)) != SS_OK)
            break;
        s->summary->run_steps++;
        if (is_due(s, did.step))
            rc = save(s, e);
        if (rc == SS_OK && ss_interrupted() && did.step < s->config->steps && !s->summary->diverged)
            rc = interrupted(s, e);
        snprintf(detail, sizeof detail, "step %" PRId64 ", loss %.4g, rate %.3g, scale %g",
                 did.step, did.loss, did.rate, did.scale);
        ss_progress_step(&p, ss_trainer_steps(s->t), detail); /* fewer after going back */
    }
    ss_progress_end(&p);
    s->summary->seconds = ss_now() - start;
    s->summary->cpu_seconds = cpu_now() - cpu_start;
    return rc;
}

static void summarise(session *s)
{
    ss_train_summary *m = s->summary;
    const int64_t n = s->n_losses < SS_TRAINING_LAST ? s->n_losses : SS_TRAINING_LAST;
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += s->losses[i];
    m->loss = n ? sum / (double)n : NAN;
    m->lately_of = s->n_steps < SS_TRAINING_LAST ? s->n_steps : SS_TRAINING_LAST;
    for (int64_t i = 0; i < m->lately_of; i++)
        m->lately += s->skipped[i];
    m->steps = ss_trainer_steps(s->t);
    m->scale = ss_trainer_scale(s->t)->scale;
    m->skipped = ss_trainer_scale(s->t)->skipped;
    m->stalled = m->skipped > m->steps / 2 || m->lately > m->lately_of / 2;
    m->spikes = ss_trainer_spikes(s->t)->count;
    m->rollbacks = ss_trainer_rewinds(s->t);
    m->overflows = ss_trainer_overflows(s->t);
    m->measured = s->statistics != NULL;
    snprintf(m->output, sizeof m->output, "%s", s->folder.path);
}

/* Closes everything; the first error stays. */
static ss_code end(session *s, ss_code rc, ss_err *e)
{
    const bool whole = rc == SS_OK;
    ss_err later = {0};

    if (ss_statistics_close(s->statistics, whole, &later) != SS_OK && rc == SS_OK)
        rc = ss_fail(e, later.code, "%s", later.msg);
    if (ss_board_close(s->board, &later) != SS_OK && rc == SS_OK)
        rc = ss_fail(e, later.code, "%s", later.msg);
    if (ss_journal_close(s->log, &later) != SS_OK && rc == SS_OK)
        rc = ss_fail(e, later.code, "%s", later.msg);
    if (ss_journal_close(s->events, &later) != SS_OK && rc == SS_OK)
        rc = ss_fail(e, later.code, "%s", later.msg);
    ss_watch_free(s->watch);
    ss_trainer_free(s->t);
    ss_train_folder_close(&s->folder);
    ss_train_config_free(s->config);
    json_decref(s->record);
    return rc;
}

ss_code ss_train_run(const ss_train_options *opt, ss_train_summary *summary, ss_err *e)
{
    session s = {.opt = opt, .folder.lock = -1, .saved = -1, .back = -1, .summary = summary};
    ss_code rc;

    *summary = (ss_train_summary){0};
    rc = begin(&s, e);
    if (rc == SS_OK)
        rc = loop(&s, e);
    if (rc == SS_OK)
        summarise(&s);
    return end(&s, rc, e);
}
