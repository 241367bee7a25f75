/* videos.h - finds the videos in folders, picture strips, run files and what `generate` wrote
 *
 *   FOLDER with PNG files              its frames in the order of the numbers in their names: one
 *                                      video; with `frames` each file is a strip, a video each
 *   FOLDER of such folders             all of their videos
 *   FILE.png, with `frames`            a strip: frames of one width from left to right
 *   FOLDER with generate.json          the samples of each model in it, or of each stage of a chain
 *   RUN.h5                             /inputs/x or /outputs/denoised of a network of videos,
 *                                      [-1,1] as grey levels 0 to 255, every input, noise level
 *                                      and sample
 *
 *   ss_videos *l = NULL;
 *   rc = ss_videos_find(&l, "frames/", &opt, &err);       // again for more places
 *   for (int i = 0; i < l->n; i++)
 *       rc = ss_videos_read(l, i, &video, &err);
 *   ss_videos_free(l);
 */
#ifndef SS_PROBE_VIDEOS_H
#define SS_PROBE_VIDEOS_H

#include "base/err.h"
#include "base/video.h"

#include <stdbool.h>
#include <stddef.h>

enum { SS_VIDEOS_MAX = 1 << 16, SS_VIDEO_MAX_FRAMES = 1 << 14 };

typedef struct {
    int frames;  /* of a strip; 0: pictures are frames, and generate.json says how many */
    bool inputs; /* of a run file what networks were given, not what they made of it */
} ss_videos_options;

/* Where a video is; texts are never NULL. */
typedef struct {
    char *model; /* what is compared: the place that was named, or a model's folder in it */
    char *stage; /* what a part of a model's videos share, "sigma 0.5"; else "" */
    char *name;  /* the same for videos of two models that belong together, "0003" */
    struct ss_video_place *place;
} ss_video_entry;

typedef struct {
    int n;
    ss_video_entry *entry;
    size_t cap;
    struct ss_video_runs *runs; /* open run files */
} ss_videos;

/* Adds the videos at a path to *l, which it makes if it is NULL, and which the caller frees, also
 * on failure. Nothing but names and sizes is read. SS_USAGE where there are pictures but no videos,
 * or none at all. */
ss_code ss_videos_find(ss_videos **l, const char *path, const ss_videos_options *opt, ss_err *e);

/* Reads video i. Frames of different sizes are SS_SHAPE, a strip that is no whole number of frames
 * wide, too. Samples of generate that are not finite, whose pictures show that in a colour of its
 * own, are NaN throughout. The caller releases *v. */
ss_code ss_videos_read(const ss_videos *l, int i, ss_video *v, ss_err *e);

void ss_videos_free(ss_videos *l); /* NULL is fine */

#endif
