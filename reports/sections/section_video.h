/* section_video.h - the parts of the page on videos; each writes nothing where it has nothing */
#ifndef SS_REPORTS_SECTION_VIDEO_H
#define SS_REPORTS_SECTION_VIDEO_H

#include "analyze/video/set.h"
#include "reports/page/page.h"

enum { SS_VIDEO_GROUPS_SHOWN = 8 }; /* in figures; tables have all */

/* "MODEL, STAGE", or what of it tells the groups apart. Returns out. */
char *ss_video_group_label(const ss_video_set *s, int group, char *out, size_t n);

ss_code ss_section_video_models(ss_page *p, const ss_video_set *s, ss_err *e);  /* #models */
ss_code ss_section_video_motion(ss_page *p, const ss_video_set *s, ss_err *e);  /* #motion */
ss_code ss_section_video_boiling(ss_page *p, const ss_video_set *s, ss_err *e); /* #boiling */
ss_code ss_section_video_seams(ss_page *p, const ss_video_set *s, const ss_video_options *opt,
                               ss_err *e); /* #seams */
/* Video i, whose frames were kept: pictures and flow, curves over frames. #video-I, from 1 */
ss_code ss_section_video_one(ss_page *p, const ss_video_set *s, int i, const ss_video_options *opt,
                             ss_err *e);

#endif
