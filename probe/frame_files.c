/* frame_files.c - see frame_files.h */
#include "probe/frame_files.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

ss_code ss_frame_files_write(const char *folder, const ss_image *strip, int frames, ss_err *e)
{
    const size_t row = (size_t)(strip->w / frames) * (size_t)strip->c;
    ss_image im = {.h = strip->h, .w = strip->w / frames, .c = strip->c};
    ss_code rc = SS_OK;

    if (mkdir(folder, 0777) != 0)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    im.data = ss_alloc((size_t)strip->h, row);
    if (!im.data)
        return ss_no_memory(e, folder);
    for (int k = 0; k < frames && rc == SS_OK; k++) {
        char name[32];

        for (int y = 0; y < strip->h; y++)
            memcpy(im.data + (size_t)y * row,
                   strip->data + ((size_t)y * (size_t)frames + (size_t)k) * row, row);
        snprintf(name, sizeof name, "%04d.png", k);
        char *path = ss_path_join(folder, name);
        rc = path ? ss_image_write_png(path, &im, e) : ss_no_memory(e, folder);
        ss_free(path);
    }
    ss_image_release(&im);
    return rc;
}
