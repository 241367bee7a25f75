/* test_player.c - videos that move: the page that plays them, and mp4 files by way of ffmpeg
 *
 * No ffmpeg is needed: a script stands in for it, which keeps its arguments and what it reads.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "probe/film.h"
#include "probe/player.h"
#include "probe/show_videos.h"
#include "tests/ss_tmp.h"

#include <jansson.h>
#include <sys/stat.h>

enum { W = 3, H = 2 };

static char *read_text(const char *name, size_t *n)
{
    char *text = NULL;
    ss_err e = {0};

    if (ss_file_read(in_tmp(name), 1 << 20, &text, n, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return text;
}

/* Writes a strip whose frame k is of the gray first + step * k. */
static void write_strip(const char *name, int frames, int first, int step)
{
    uint8_t data[H * W * 16];
    const ss_image im = {.h = H, .w = W * frames, .c = 1, .data = data};
    ss_err e = {0};

    for (int i = 0; i < H * W * frames; i++)
        data[i] = (uint8_t)(first + step * (i % im.w / W));
    assert_int_equal(ss_image_write_png(in_tmp(name), &im, &e), SS_OK);
}

static void test_in_a_browser(void **state)
{
    (void)state;
    static const char *const a[] = {"a0.png", "a1.png"}, *const b[] = {"b0.png", "b1.png"};
    static const char *const texts[] = {"class 0", "class 1"};
    const ss_player_video videos[] = {
        {.title = "</script><b>first", .strips = a, .n_strips = 2, .frames = 8, .fps = 8},
        {.title = "second", .strips = b, .n_strips = 2, .frames = 4, .fps = 4},
    };
    char command[600];
    ss_err e = {0};

    mkdir(in_tmp("page"), 0777);
    for (int s = 0; s < 2; s++) {
        char name[32];

        snprintf(name, sizeof name, "page/a%d.png", s);
        write_strip(name, 8, 5 * s, 20);
        snprintf(name, sizeof name, "page/b%d.png", s);
        write_strip(name, 4, 250, -20);
    }
    assert_int_equal(ss_player_write(in_tmp("page/player.html"), videos, 2, texts, &e), SS_OK);
    char *page = read_text("page/player.html", NULL);
    assert_null(strstr(page, "</script><b>"));
    assert_null(strstr(page, "http"));
    ss_free(page);
    snprintf(command, sizeof command, "CHECK=player.js tests/browser/run %s/page/player.html >&2",
             tmp_dir);
    const int status = WEXITSTATUS(pclose(popen(command, "r")));
    if (status == 77)
        skip_because("no Chromium, so no video was played in a browser");
    assert_int_equal(status, 0);
}

static void test_refuses_what_does_not_move(void **state)
{
    (void)state;
    static const char *const strips[] = {"a.png"};
    ss_player_video v = {.title = "x", .strips = strips, .n_strips = 1, .frames = 4, .fps = 8};
    ss_err e = {0};

    assert_int_equal(ss_player_write(in_tmp("no.html"), &v, 0, NULL, &e), SS_USAGE);
    v.fps = NAN;
    assert_int_equal(ss_player_write(in_tmp("no.html"), &v, 1, NULL, &e), SS_USAGE);
    v.fps = 8;
    v.frames = 0;
    assert_int_equal(ss_player_write(in_tmp("no.html"), &v, 1, NULL, &e), SS_USAGE);
    assert_false(ss_file_exists(in_tmp("no.html")));
}

/* Makes a program that keeps its arguments and its input, prints `says`, and ends with a status. */
static const char *make_ffmpeg(const char *says, int status)
{
    const char *path = in_tmp("ffmpeg");
    char script[700];

    snprintf(script, sizeof script,
             "#!/bin/sh\necho \"$*\" >%s/arguments\ncat >%s/read\nfor last; do :; done\n"
             "echo film >\"${last#file:}\"\nprintf '%s' >&2\nexit %d\n",
             tmp_dir, tmp_dir, says, status);
    write_file(path, script, strlen(script));
    chmod(path, 0755);
    return path;
}

static void test_ffmpeg_reads_frame_by_frame(void **state)
{
    (void)state;
    uint8_t data[H * 2 * W * 3], want[sizeof data];
    const ss_image strip = {.h = H, .w = 2 * W, .c = 3, .data = data};
    size_t n;
    ss_err e = {0};

    for (size_t i = 0; i < sizeof data; i++) {
        const size_t pixel = i / 3, row = pixel / (2 * W), column = pixel % (2 * W);

        data[i] = (uint8_t)i;
        want[((column / W * H + row) * W + column % W) * 3 + i % 3] = (uint8_t)i;
    }
    ss_film_program(make_ffmpeg("", 0));
    if (ss_film_write(in_tmp("film.mp4"), &strip, 2, 12.5, &e) != SS_OK)
        fail_msg("%s", e.msg);
    char *got = read_text("read", &n);
    assert_int_equal(n, sizeof want);
    assert_memory_equal(got, want, n);
    ss_free(got);
    char *arguments = read_text("arguments", NULL);
    assert_non_null(strstr(arguments, "rgb24 -s 3x2 -r 12.5 -i -"));
    assert_non_null(strstr(arguments, "scale=384:256")); /* even sides, by a whole factor */
    ss_free(arguments);
    assert_true(ss_file_exists(in_tmp("film.mp4")));
    assert_int_equal(ss_film_write(in_tmp("film.mp4"), &strip, 4, 8, &e), SS_SHAPE);
    ss_film_program("ffmpeg");
}

static void test_without_ffmpeg_there_is_a_note(void **state)
{
    (void)state;
    json_t *models =
        json_pack("[{s:s, s:i, s:[s]}]", "folder", "a", "frames", 4, "pictures", "a/0000.png");
    json_t *conditions = json_pack("[s]", "class 1");
    ss_err e = {0};

    mkdir(in_tmp("shown"), 0777);
    mkdir(in_tmp("shown/a"), 0777);
    write_strip("shown/a/0000.png", 4, 0, 9);
    for (int sick = 0; sick < 2; sick++) {
        ss_film_program(sick ? make_ffmpeg("Unknown encoder libx264", 1) : "/no/such/ffmpeg");
        assert_int_equal(ss_show_videos(in_tmp("shown"), models, conditions, 8, &e), SS_OK);
        assert_true(ss_file_exists(in_tmp("shown/player.html")));
        assert_false(ss_file_exists(in_tmp("shown/a/0000.mp4")));
    }
    assert_non_null(strstr(e.msg, "Unknown encoder libx264"));
    ss_film_program(make_ffmpeg("", 0));
    assert_int_equal(ss_show_videos(in_tmp("shown"), models, conditions, 8, &e), SS_OK);
    assert_true(ss_file_exists(in_tmp("shown/a/0000.mp4")));
    ss_film_program("ffmpeg");
    json_decref(models);
    json_decref(conditions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_a_browser),
        cmocka_unit_test(test_refuses_what_does_not_move),
        cmocka_unit_test(test_ffmpeg_reads_frame_by_frame),
        cmocka_unit_test(test_without_ffmpeg_there_is_a_note),
    };

    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
