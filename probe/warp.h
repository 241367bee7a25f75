/* warp.h - a picture as a camera sees it that moved, given the depth of each pixel
 *
 * The camera looks along z with the field of view `fov` from top to bottom, a picture w wide and h
 * high; u = (u_x, u_y) is a pixel's place, from -1 to 1 over each side (middles of pixels: u_x =
 * (2 i + 1) / w - 1). A point X projects to
 *
 *   P(X) = (X_x / (a tan(fov / 2) X_z), X_y / (tan(fov / 2) X_z)),   a = w / h
 *
 * and the move takes it to X' = X R + T, with R = R_x R_y R_z of the angles (rows times matrices)
 * and T = (-t_x, t_y, -t_z) / 200. The new picture at u is the old one, between pixels linearly and
 * beyond the border as at the border, at
 *
 *   deforum   u - (P(X') - P(X)),   X = (v_x, v_y, depth), v from -1 to 1 over the pixels, ends
 *             included: as Deforum does it, a first step against the motion, which is exact for
 *             shifts of a plane and wrong for large turns
 *   rays      P((X - T) R^T),       X = depth (u_x a tan(fov / 2), u_y tan(fov / 2), 1): the place
 *             from which the camera, moved back, sees the point; exact for a plane at any turn
 * about z
 *
 * A point whose new depth is zero or less is taken to lie just in front of the camera.
 *
 * Source: deforum-stable-diffusion, helpers/animation.py, and the cameras of PyTorch3D that it
 * uses.
 */
#ifndef SS_PROBE_WARP_H
#define SS_PROBE_WARP_H

#include <stdbool.h>

/* Length 1 of the camera is so many units of Deforum's translations and planes. */
enum { SS_WARP_UNITS = 200 };

typedef struct {
    double translation[3]; /* x, y, z in Deforum's units */
    double rotation[3];    /* about x, y and z in degrees */
    double fov;            /* degrees, between 0 and 180 */
    bool rays;
} ss_camera_move;

/* out [h][w][c] = x [h][w][c] after the move. depth: [h][w], each over 0, in lengths of the camera;
 * out must not be x. Cannot fail. */
void ss_warp(const float *x, const float *depth, int h, int w, int c, const ss_camera_move *move,
             float *out);

#endif
