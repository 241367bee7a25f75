/* tiles.h - many small pictures on one sheet
 *
 *   ss_tiles t;
 *   rc = ss_tiles_new(&t, rows, columns, h, w, &err);
 *   ss_tiles_picture(&t, row, column, x, h0, w0, c, limit);
 *   ss_image_write_png(path, &t.sheet, &err);
 *   ss_image_release(&t.sheet);
 */
#ifndef SS_REPORTS_TILES_H
#define SS_REPORTS_TILES_H

#include "base/png.h"

enum { SS_TILE_GAP = 2 };

typedef struct {
    ss_image sheet;
    int rows, columns, h, w; /* of tiles, and pixels of each */
} ss_tiles;

/* A sheet in mid-grey, which neither theme hides. SS_NOMEM. */
ss_code ss_tiles_new(ss_tiles *t, int rows, int columns, int h, int w, ss_err *e);

/* The size of tiles for pictures [h0][w0]: whole multiples of small ones, at most `side`. */
void ss_tiles_fit(int h0, int w0, int side, int *h, int *w);

/* Puts x [h0][w0][c] into a tile: c of 1 or 2 is gray (the first), 3 and more are RGB (the first
 * three). -limit to limit become black to white; what is not finite is magenta. Larger pictures
 * are averaged over areas, smaller ones repeated. */
void ss_tiles_picture(ss_tiles *t, int row, int column, const float *x, int h0, int w0, int c,
                      double limit);

/* Magnitudes x [h0][w0] in viridis, logarithmically from low to high. */
void ss_tiles_map(ss_tiles *t, int row, int column, const float *x, int h0, int w0, double low,
                  double high);

/* Draws a frame on the rim of a tile, in the red of what is wrong. */
void ss_tiles_mark(ss_tiles *t, int row, int column);

#endif
