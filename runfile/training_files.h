/* training_files.h - what a training leaves in its folder, by name: train writes it, analyze and
 * cli read it
 */
#ifndef SS_RUNFILE_TRAINING_FILES_H
#define SS_RUNFILE_TRAINING_FILES_H

#define SS_TRAINING_CONFIG "config.json"  /* the effective configuration */
#define SS_TRAINING_LOG "log.jsonl"       /* a line a step */
#define SS_TRAINING_EVENTS "events.jsonl" /* what stood out, with "event" one of these */
#define SS_EVENT_OVERFLOW "overflow"
#define SS_EVENT_GRADIENT_OVERFLOW "gradient_overflow"
#define SS_EVENT_SPIKE "spike"
#define SS_EVENT_ROLLBACK "rollback"
#define SS_EVENT_STAGE "stage" /* begins with the step: its number, size, frames, batch, lr */
#define SS_TRAINING_STATISTICS "statistics.h5" /* a run file over training steps */
#define SS_TRAINING_STATE "training.json"      /* in a checkpoint: counters, configuration */

/* The steps that "lately" and "the loss at the end" are about. */
enum { SS_TRAINING_LAST = 100 };

#endif
