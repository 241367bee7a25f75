/* moving.h - videos of pictures that move over a canvas, drawn from random numbers
 *
 * An item is a gray picture [h][w] in [-1,1], -1 being empty. It lies on a canvas [H][W], H >= h
 * and W >= w, and moves by whole pixels:
 *
 *   top-left corner in frame f   p_f = p_0 + f v,  v uniform in {-speed .. speed}^2 without 0
 *   wrap                         p_f modulo H, W: what leaves on one side comes in on the other
 *   bounce                       p_f reflected at 0 and H - h, 0 and W - w: it stays inside
 *   p_0                          the middle; with `offset` any place
 *
 * An item that grows or shrinks does so about the middle of its box, from half its size to all of
 * it or back, evenly over the frames. Where two items meet, the brighter value is seen.
 *
 *   ss_moving_path p = ss_moving_draw(&opt, rng, 0, box);
 *   ss_moving_clear(box, canvas);
 *   ss_moving_add(&p, box, item, frame, frames, canvas);
 *
 * Nothing but +, -, *, / and comparisons: the same bits everywhere.
 */
#ifndef SS_PROBE_MOVING_H
#define SS_PROBE_MOVING_H

#include "base/rng.h"

#include <stdbool.h>

#define SS_MOVING_LAWS(X) \
    X(WRAP, "wrap")       \
    X(BOUNCE, "bounce")
#define X(name, text) SS_MOVING_##name,
typedef enum { SS_MOVING_LAWS(X) SS_N_MOVING_LAWS } ss_moving_law;
#undef X

typedef enum { SS_KEEPS_SIZE, SS_GROWS, SS_SHRINKS, SS_N_SIZE_LAWS } ss_size_law;

typedef struct {
    ss_moving_law law;
    int speed;    /* largest step along one side, in pixels a frame; 1 and more */
    bool offset;  /* begins anywhere, not in the middle */
    double still; /* chance, 0 to 1, that an item is held still */
    double zoom;  /* chance that it grows or shrinks, each in half of these */
} ss_moving_options;

/* wrap, speed 2, from the middle, always moving, never of another size. */
ss_moving_options ss_moving_defaults(void);

typedef struct {
    int h, w; /* of the item */
    int H, W; /* of the canvas */
} ss_moving_box;

typedef struct {
    ss_moving_law law;
    int y, x, vy, vx;
    ss_size_law size;
} ss_moving_path;

enum { SS_MOVING_NUMBERS = 8 }; /* of a stream, that one path is drawn by */

/* Draws a path by numbers first .. first + SS_MOVING_NUMBERS - 1 of r. */
ss_moving_path ss_moving_draw(const ss_moving_options *opt, ss_rng r, uint64_t first,
                              ss_moving_box box);

/* Sets the canvas [H][W] to -1. */
void ss_moving_clear(ss_moving_box box, float *canvas);
/* Adds an item [h][w] as it is in frame f of `frames` to the canvas [H][W]. */
void ss_moving_add(const ss_moving_path *p, ss_moving_box box, const float *item, int f, int frames,
                   float *canvas);

/* The direction of a path: 0 right, 1 right and down, 2 down, ... clockwise to 7, right and up;
 * SS_MOVING_STILL where it stands. */
enum { SS_MOVING_STILL = 8, SS_N_DIRECTIONS };
int ss_moving_direction(const ss_moving_path *p);

#endif
