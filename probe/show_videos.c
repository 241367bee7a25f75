/* show_videos.c - see show_videos.h */
#include "probe/show_videos.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/str.h"
#include "probe/film.h"
#include "probe/player.h"

#include <string.h>

static const char *text_at(const json_t *list, size_t i)
{
    const char *text = json_string_value(json_array_get(list, i));

    return text ? text : "";
}

static int frames_of(const json_t *model)
{
    return (int)json_integer_value(json_object_get(model, "frames"));
}

/* Writes the mp4 file of one strip. */
static ss_code film(const char *dir, const char *picture, int frames, double fps, ss_err *e)
{
    const size_t n = strlen(picture), ending = strlen(".png");
    char *from = ss_path_join(dir, picture);
    ss_str to = {0};
    ss_image strip = {0};
    ss_code rc = from ? ss_image_read_png(from, &strip, e) : ss_no_memory(e, picture);

    ss_str_addf(&to, "%s/", dir);
    ss_str_addn(&to, picture, n > ending ? n - ending : n);
    ss_str_add(&to, ".mp4");
    if (rc == SS_OK && to.failed)
        rc = ss_no_memory(e, picture);
    if (rc == SS_OK)
        rc = ss_film_write(to.s, &strip, frames, fps, e);
    ss_image_release(&strip);
    ss_str_release(&to);
    ss_free(from);
    return rc;
}

static ss_code film_all(const char *dir, const json_t *models, double fps, ss_err *e)
{
    ss_code rc = SS_OK;

    for (size_t m = 0; m < json_array_size(models) && rc == SS_OK; m++) {
        const json_t *model = json_array_get(models, m);
        const json_t *pictures = json_object_get(model, "pictures");

        for (size_t i = 0; i < json_array_size(pictures) && rc == SS_OK; i++)
            rc = film(dir, text_at(pictures, i), frames_of(model), fps, e);
    }
    if (rc != SS_UNSUPPORTED)
        return rc;
    ss_note("no mp4 files (%s); player.html shows the videos without", e->msg);
    return SS_OK;
}

static ss_code play(const char *dir, const json_t *models, const json_t *conditions, double fps,
                    ss_err *e)
{
    const size_t n = json_array_size(models), samples = json_array_size(conditions);
    ss_player_video *videos = ss_calloc(n, sizeof *videos);
    const char **paths = ss_calloc(n * samples, sizeof *paths);
    const char **texts = ss_calloc(samples, sizeof *texts);
    char *page = ss_path_join(dir, "player.html");
    ss_code rc = videos && paths && texts && page ? SS_OK : ss_no_memory(e, "a player");

    for (size_t m = 0; m < n && rc == SS_OK; m++) {
        const json_t *model = json_array_get(models, m);

        for (size_t i = 0; i < samples; i++)
            paths[m * samples + i] = text_at(json_object_get(model, "pictures"), i);
        videos[m] = (ss_player_video){json_string_value(json_object_get(model, "folder")),
                                      paths + m * samples, (int)samples, frames_of(model), fps};
    }
    for (size_t i = 0; i < samples && rc == SS_OK; i++)
        texts[i] = text_at(conditions, i);
    if (rc == SS_OK)
        rc = ss_player_write(page, videos, (int)n, texts, e);
    ss_free(videos);
    ss_free(paths);
    ss_free(texts);
    ss_free(page);
    return rc;
}

ss_code ss_show_videos(const char *dir, const json_t *models, const json_t *conditions, double fps,
                       ss_err *e)
{
    const ss_code rc = play(dir, models, conditions, fps, e);

    return rc == SS_OK ? film_all(dir, models, fps, e) : rc;
}
