/* player.h - an HTML page that plays videos, two of them side by side
 *
 *   const char *const strips[] = {"01-early/0000.png", "01-early/0001.png"};
 *   ss_player_video v = {.title = "early", .strips = strips, .n_strips = 2,
 *                        .frames = 16, .fps = 8};
 *   rc = ss_player_write("DIR/player.html", &v, 1, NULL, &err);
 *
 * It plays, steps, scrubs, changes the speed, shows two videos of one sample beside each other and
 * their difference. It works from files: no network, no player.
 */
#ifndef SS_PROBE_PLAYER_H
#define SS_PROBE_PLAYER_H

#include "base/err.h"

/* The samples of one model or of one stage. A strip is a PNG picture that holds the frames of a
 * sample from left to right, as ss_gallery_draw draws them. */
typedef struct {
    const char *title;
    const char *const *strips; /* [n_strips] paths from the page's folder; sample k is beside the
                                  sample k of other videos */
    int n_strips;
    int frames; /* of each strip */
    double fps;
} ss_player_video;

/* Writes the page. texts: [samples] shown below each sample, NULL: none. SS_USAGE for videos
 * without strips or frames, and for fps that is not a positive number. */
ss_code ss_player_write(const char *path, const ss_player_video *videos, int n,
                        const char *const *texts, ss_err *e);

/* clips.js, which draws frames of strips on a page (base/offline_page.h) before its own scripts. */
extern const char ss_clips_js[];

#endif
