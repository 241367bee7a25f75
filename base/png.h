/* png.h - pictures in memory, read and written with libpng */
#ifndef SS_BASE_PNG_H
#define SS_BASE_PNG_H

#include "base/err.h"

#include <stdint.h>

/* A picture [h][w][c], c = 1 (gray) or 3 (RGB), 8 bits a value. */
typedef struct {
    int h, w, c;
    uint8_t *data; /* owned; ss_image_release frees */
} ss_image;

enum { SS_IMAGE_MAX_SIDE = 16384 };

/* Reads any PNG: palettes, 1-16 bits and alpha are brought to 8-bit gray or RGB
 * (alpha is dropped, as PIL's convert("RGB") does). */
ss_code ss_image_read_png(const char *path, ss_image *im, ss_err *e);

/* Writes the picture whole or not at all. */
ss_code ss_image_write_png(const char *path, const ss_image *im, ss_err *e);

void ss_image_release(ss_image *im);

#endif
