/* player.c - see player.h */
#include "probe/player.h"

#include "base/asset.h"
#include "base/offline_page.h"
#include "base/str.h"

#include <math.h>

SS_ASSET(ss_clips_js, "probe/clips.js");
SS_ASSET(ss_player_js, "probe/player.js");
SS_ASSET(ss_player_body, "probe/player.html");

extern const char ss_player_js[], ss_player_body[];

static ss_code check(const ss_player_video *v, ss_err *e)
{
    if (v->n_strips > 0 && v->frames > 0 && v->fps > 0 && isfinite(v->fps))
        return SS_OK;
    return ss_fail(e, SS_USAGE,
                   "a player of %s: %d samples of %d frames, %g a second; all must be positive",
                   SS_SHOW(v->title), v->n_strips, v->frames, v->fps);
}

static json_t *describe(const ss_player_video *v)
{
    json_t *samples = json_array();

    for (int i = 0; i < v->n_strips; i++)
        json_array_append_new(samples, json_pack("[s]", v->strips[i]));
    return json_pack("{s:s, s:i, s:f, s:o}", "title", v->title, "frames", v->frames, "fps", v->fps,
                     "samples", samples);
}

ss_code ss_player_write(const char *path, const ss_player_video *videos, int n,
                        const char *const *texts, ss_err *e)
{
    static const char *const scripts[] = {ss_clips_js, ss_player_js, NULL};
    const ss_offline_page page = {"Videos", ss_offline_css, ss_player_body, scripts};
    json_t *list = json_array(), *words = json_array();
    ss_code rc = n > 0 ? SS_OK : ss_fail(e, SS_USAGE, "%s: no videos to play", path);

    for (int i = 0; i < n && rc == SS_OK; i++) {
        if ((rc = check(&videos[i], e)) == SS_OK &&
            json_array_append_new(list, describe(&videos[i])) != 0)
            rc = ss_no_memory(e, path);
    }
    for (int i = 0; texts && n > 0 && i < videos[0].n_strips; i++) {
        json_t *text = json_string(texts[i]);

        json_array_append_new(words, text ? text : json_string("(not UTF-8)"));
    }
    json_t *data = json_pack("{s:o, s:o}", "videos", list, "texts", words);
    if (rc == SS_OK)
        rc = ss_offline_page_write(path, &page, data, e);
    json_decref(data);
    return rc;
}
