/* frame_files.h - a video as a folder of pictures */
#ifndef SS_PROBE_FRAME_FILES_H
#define SS_PROBE_FRAME_FILES_H

#include "base/png.h"

/* Makes the folder, and writes into it 0000.png, 0001.png ... of a strip of equally wide frames,
 * from left to right. */
ss_code ss_frame_files_write(const char *folder, const ss_image *strip, int frames, ss_err *e);

#endif
