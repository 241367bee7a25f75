/* film.c - see film.h
 *
 *   ffmpeg -f rawvideo -pix_fmt gray|rgb24 -s WxH -r FPS -i - ... PATH.mp4
 *
 * reads frame after frame from the pipe, row by row.
 */
#include "probe/film.h"

#include "base/child.h"
#include "base/str.h"

#include <stdio.h>
#include <unistd.h>

enum { SMALLEST = 256 };

static const char *program = "ffmpeg";

void ss_film_program(const char *name)
{
    program = name;
}

/* Factor by which frames are enlarged: H.264 with half the colours takes even sides only. */
static int enlarge(int w, int h)
{
    const int side = w < h ? w : h, k = side < SMALLEST ? SMALLEST / side : 1;

    return (w % 2 || h % 2) && k % 2 ? k + 1 : k;
}

static void feed(ss_child *c, const ss_image *strip, int frames)
{
    const size_t w = (size_t)(strip->w / frames), pixel = (size_t)strip->c;
    bool reads = true;

    for (int f = 0; f < frames; f++) {
        for (int y = 0; y < strip->h && reads; y++)
            reads = ss_child_feed(
                c, strip->data + ((size_t)y * (size_t)strip->w + (size_t)f * w) * pixel, w * pixel);
    }
}

ss_code ss_film_write(const char *path, const ss_image *strip, int frames, double fps, ss_err *e)
{
    const int w = frames > 0 ? strip->w / frames : 0, k = w > 0 ? enlarge(w, strip->h) : 1;
    char size[32], rate[32], scale[80], complaint[200];
    ss_str file = {0};
    ss_child ffmpeg;

    if (w < 1 || w * frames != strip->w)
        return ss_fail(e, SS_SHAPE, "%s: %d columns are not %d frames of the same width", path,
                       strip->w, frames);
    snprintf(size, sizeof size, "%dx%d", w, strip->h);
    snprintf(rate, sizeof rate, "%.6g", fps);
    snprintf(scale, sizeof scale, "scale=%d:%d:flags=neighbor", w * k, strip->h * k);
    ss_str_addf(&file, "file:%s", path); /* else a ':' or '-' in it would mean something */
    if (file.failed)
        return ss_no_memory(e, path);
    const char *const arguments[] = {"-y",
                                     "-loglevel",
                                     "error",
                                     "-f",
                                     "rawvideo",
                                     "-pix_fmt",
                                     strip->c == 3 ? "rgb24" : "gray",
                                     "-s",
                                     size,
                                     "-r",
                                     rate,
                                     "-i",
                                     "-",
                                     "-an",
                                     "-vf",
                                     scale,
                                     "-c:v",
                                     "libx264",
                                     "-crf",
                                     "12",
                                     "-pix_fmt",
                                     "yuv420p",
                                     "-movflags",
                                     "+faststart",
                                     file.s,
                                     NULL};
    ss_code rc = ss_child_start(&ffmpeg, program, arguments, NULL, e);
    if (rc == SS_OK) {
        feed(&ffmpeg, strip, frames);
        if (ss_child_end(&ffmpeg, complaint, sizeof complaint) != 0)
            rc = ss_fail(e, SS_UNSUPPORTED, "%s: %s failed: %s", path, program, complaint);
    }
    if (rc != SS_OK)
        unlink(path);
    ss_str_release(&file);
    return rc;
}
