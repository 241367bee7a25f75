/* film.h - a video as an mp4 file, by ffmpeg where there is one */
#ifndef SS_PROBE_FILM_H
#define SS_PROBE_FILM_H

#include "base/png.h"

/* Writes a strip of frames from left to right, as ss_gallery_draw draws them, to PATH.mp4 (H.264);
 * frames below 256 pixels are enlarged by a whole factor. SS_UNSUPPORTED where there is no ffmpeg,
 * or one that does not write H.264; SS_SHAPE if the frames are not equally wide. On failure there
 * is no file. */
ss_code ss_film_write(const char *path, const ss_image *strip, int frames, double fps, ss_err *e);

/* The program to run: "ffmpeg", or another that a test sets. */
void ss_film_program(const char *program);

#endif
