/* frames.h - which frames of a video figures show, side by side in tiles half as large as pictures'
 *
 *   int frames[SS_FRAMES_SHOWN], n = ss_frames_shown(size, frames);
 *   ss_frames_tile(size, TILE, &h, &w);
 *   rc = ss_tiles_new(&t, rows, columns * n, h, w, &err);
 *   ss_frames_put(&t, row, column, x, size, limit);          // all n of them
 *   ss_frames_say(&caption, size);
 */
#ifndef SS_REPORTS_FRAMES_H
#define SS_REPORTS_FRAMES_H

#include "base/sample_size.h"
#include "base/str.h"
#include "reports/page/tiles.h"

enum { SS_FRAMES_SHOWN = 4 };

/* At most SS_FRAMES_SHOWN frames, evenly spread and with both ends, from 0; of a picture {0}.
 * Returns how many. */
int ss_frames_shown(ss_sample_size size, int frames[SS_FRAMES_SHOWN]);

/* The size of tiles: ss_tiles_fit() with half the side for videos. */
void ss_frames_tile(ss_sample_size size, int side, int *h, int *w);

/* Puts the shown frames of a sample x into the tiles of a column, as ss_tiles_picture() does. */
void ss_frames_put(ss_tiles *t, int row, int column, const float *x, ss_sample_size size,
                   double limit);

/* Adds which frames are shown; nothing for pictures. */
void ss_frames_say(ss_str *caption, ss_sample_size size);

#endif
