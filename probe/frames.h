/* frames.h - videos of files, that others are made from
 *
 *   PATH                 its videos
 *   a.png                one: its frames from left to right, as wide as high
 *   DIR of generate      the samples of its model
 *   DIR/01-NAME          those of one model, if there are several
 *   others               as ss_videos_find has them: folders of frames, run files
 *
 *   ss_frames f;
 *   rc = ss_frames_read("base/01-unet", &f, &err);
 *   rc = ss_frames_fit(&f, 0, 3, 32, 32, 1, x, &err); // frame 3 of video 0
 *   ss_frames_release(&f);
 */
#ifndef SS_PROBE_FRAMES_H
#define SS_PROBE_FRAMES_H

#include "base/png.h"

typedef struct {
    int videos, frames; /* frames of each */
    int height, width;  /* of each frame */
    ss_image *image;    /* [videos][frames] */
} ss_frames;

/* Reads all videos of a place. SS_USAGE if they have not the same numbers of frames and pixels, if
 * they are of several models, or if one is not finite. */
ss_code ss_frames_read(const char *path, ss_frames *f, ss_err *e);
void ss_frames_release(ss_frames *f); /* {0} is fine */

/* x [h][w][c] = a frame, as ss_picture_fit makes it. Videos begin again after the last. */
ss_code ss_frames_fit(const ss_frames *f, int video, int frame, int h, int w, int c, float *x,
                      ss_err *e);

#endif
