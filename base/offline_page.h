/* offline_page.h - an HTML page that shows data by scripts of its own, without a network
 *
 *   <!DOCTYPE html> ... <style>CSS</style> ... BODY
 *   <script type="application/json" id="data">DATA</script>
 *   <script>SCRIPT</script> ...
 *
 * Whatever the data's texts hold, they end neither the script element nor the page: each '<' in
 * them is \u003c, and scripts show them as text only.
 */
#ifndef SS_BASE_OFFLINE_PAGE_H
#define SS_BASE_OFFLINE_PAGE_H

#include "base/err.h"

#include <jansson.h>

typedef struct {
    const char *title, *css, *body; /* our own: written as they are */
    const char *const *scripts;     /* ends in NULL */
} ss_offline_page;

/* A stylesheet for `css`: colours for light and dark, controls, .row, .clips, .muted. */
extern const char ss_offline_css[];

/* Writes the page whole or not at all. data of NULL is SS_NOMEM, as in ss_json_write. */
ss_code ss_offline_page_write(const char *path, const ss_offline_page *p, const json_t *data,
                              ss_err *e);

#endif
