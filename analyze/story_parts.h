/* story_parts.h - what the files of the story share; private to story*.c */
#ifndef SS_ANALYZE_STORY_PARTS_H
#define SS_ANALYZE_STORY_PARTS_H

#include "analyze/story.h"

enum { SS_MAX_SEEDS = 16 };

/* The runs of one arm, by their folders' names ARM-SEED. */
typedef struct {
    const ss_training_log *seed[SS_MAX_SEEDS];
    int n;
} ss_arm;
ss_arm ss_story_arm(const ss_story *s, const char *name);

/* "0.142 (0.141 to 0.143)": mean, least and greatest of a number over the seeds that have it;
 * "unknown" where none has. Text that fits into out; returns out. */
char *ss_arm_number(const ss_arm *a, double (*of)(const ss_training_log *), const char *format,
                    char *out, size_t n);
double ss_arm_mean(const ss_arm *a, double (*of)(const ss_training_log *));

/* Fills the eight findings. */
ss_code ss_story_judge(ss_story *s, ss_err *e);

#endif
