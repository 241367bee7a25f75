/* clips.h - pictures and videos of a folder, to be shown beside those of another
 *
 * A folder may be
 *   - one that `generate` wrote (probe/generate.h): a clip is a sample of one of its models;
 *     or the folder of one model in it
 *   - any other: a clip is a PNG picture (a strip, if it holds several frames from left to right),
 *     a file that browsers play or show (its ending says so), or a folder of PNG frames
 */
#ifndef SS_ANALYZE_CLIPS_H
#define SS_ANALYZE_CLIPS_H

#include "base/err.h"

#include <stdbool.h>

enum { SS_CLIPS_MAX = 10000, SS_CLIP_MAX_FRAMES = 10000, SS_CLIPS_FILES = -1 };

/* A picture or a video, shown as it is in n_files files. */
typedef struct {
    char *name;   /* of the file without its ending, or of the folder */
    char *text;   /* what it was made from, "class 3"; "" if that is not known */
    char **files; /* [n_files] paths: PNG pictures, or one file of another kind */
    int n_files;
    bool png;
    int frames; /* of each file, from left to right; 1: a picture. Of another kind: 1 */
} ss_clip;

typedef struct {
    char *name; /* what is shown in it, "01-step-06000" or the folder's path */
    ss_clip *clips;
    int n;
} ss_clips;

/* Lists the clips of a folder, sorted by name.
 *
 * model   of a folder that `generate` wrote: which of its models, from 1; 0: its only one
 * frames  of each picture; 0: 1, or what generate.json says; SS_CLIPS_FILES: the pictures of the
 *         folder are the frames of one video
 *
 * SS_USAGE if the folder has several models and `model` does not say which, or has nothing to be
 * shown; SS_IO and SS_FORMAT for what cannot be read. */
ss_code ss_clips_open(const char *folder, int model, int frames, ss_clips *c, ss_err *e);
void ss_clips_release(ss_clips *c); /* {0} is fine */

/* Ending of a file's name with its dot, in `out` [16], lower case; "" if it is none of those that
 * are shown. */
const char *ss_clip_ending(const char *path, char *out);

#endif
