/* video.h - the page of `sigmascope video`: DIR/index.html and its pictures */
#ifndef SS_REPORTS_VIDEO_H
#define SS_REPORTS_VIDEO_H

#include "analyze/video/set.h"
#include "reports/report.h"

typedef struct {
    const char *folder, *title, *command; /* title NULL: made from the models' names */
    bool replace;                         /* a folder that is there, if it is a report */
    ss_video_options measured;
} ss_video_report_options;

/* Writes the folder whole or not at all. Videos whose frames are kept have a section each; of a set
 * that was compared. */
ss_code ss_video_report_write(const ss_video_set *s, const ss_video_report_options *opt,
                              ss_report_summary *summary, ss_err *e);

#endif
