/* show_videos.h - what makes the videos of a folder of samples move: player.html, and mp4 files */
#ifndef SS_PROBE_SHOW_VIDEOS_H
#define SS_PROBE_SHOW_VIDEOS_H

#include "base/err.h"

#include <jansson.h>

/* Writes DIR/player.html, and 0000.mp4 beside each strip 0000.png where there is an ffmpeg; a note
 * says why, if there is none. models and conditions are those of generate.json (generate.h). */
ss_code ss_show_videos(const char *dir, const json_t *models, const json_t *conditions, double fps,
                       ss_err *e);

#endif
