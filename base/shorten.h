/* shorten.h - names that fit a width and still tell each other apart
 *
 *   char *shown[3];
 *   rc = ss_shorten((const char *const[]){"down_blocks.0.resnets.0.conv1",
 *                                         "down_blocks.0.resnets.1.conv1", "mid"}, 3, 24, shown);
 *   // "down_blocks..nets.0.conv1", ..., "mid"
 *
 * A text gives way in its middle: HEAD..TAIL, the cut as near to the middle as it can be so that no
 * other text of the list begins with HEAD and ends with TAIL. Where no cut of that width does, the
 * shown text is longer, at most the text itself.
 */
#ifndef SS_BASE_SHORTEN_H
#define SS_BASE_SHORTEN_H

#include "base/err.h"

#include <stddef.h>

/* Characters that a terminal shows for well-formed UTF-8. */
int ss_display_width(const char *text);

/* Sets shown[i] to text i in at most `width` characters where that is possible; distinct texts stay
 * distinct, a text that fits is left as it is. Each is the caller's, ss_free; on SS_NOMEM there is
 * none. */
ss_code ss_shorten(const char *const *texts, size_t n, int width, char **shown, ss_err *e);

#endif
