/* test_video_command.c - `sigmascope video`: what it prints, compares and refuses
 *
 * The videos are those of docs/videos, made by tests/golden/make_videos.py: "windows" has noise,
 * and a seam between frames 8 and 9, that "steady" has not.
 */
#include "analyze/video/set.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/ss_command.h"

#include <jansson.h>

#define STEADY "docs/videos/steady"
#define WINDOWS "docs/videos/windows"

static json_t *run_json(const char *args)
{
    json_error_t why;

    if (run(args) != 0)
        fail_msg("%s", output);
    json_t *j = json_loads(output, 0, &why);
    if (!j)
        fail_msg("%s in %s", why.text, output);
    return j;
}

static json_t *row_of(const json_t *j, const char *table, size_t i)
{
    json_t *r = json_array_get(json_object_get(json_object_get(j, table), "rows"), i);

    if (!r)
        fail_msg("no row %zu of %s", i, table);
    return r;
}

static double number(const json_t *row, const char *column)
{
    const json_t *v = json_object_get(row, column);

    if (!v)
        fail_msg("no column %s", column);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void test_tables(void **state)
{
    (void)state;
    json_t *j = run_json("video " STEADY " " WINDOWS " --frames 16 --window 8 --json");

    for (size_t i = 0; i < 8; i++) {
        const json_t *change = row_of(j, "change", i), *seam = row_of(j, "seams", i);

        assert_true(number(change, "frames") == 16 && number(change, "not finite") == 0);
        assert_string_equal(json_string_value(json_object_get(change, "model")),
                            i < 4 ? "steady" : "windows");
        assert_true(number(seam, "joints") == 1);
        if (i >= 4) {
            assert_string_equal(json_string_value(json_object_get(seam, "stands out")), "8 to 9");
            assert_true(number(seam, "p of that") < 0.01);
            assert_true(fabs(number(seam, "p") - 1.0 / 15) < 1e-9);
        } else {
            assert_true(number(seam, "p of that") > 0.2 && number(seam, "p") > 0.1);
        }
    }
    for (size_t g = 0; g < 2; g++) {
        double flicker = 0, speed = 0;

        for (size_t i = 0; i < 4; i++) {
            flicker += number(row_of(j, "change", 4 * g + i), "flicker") / 4;
            speed += number(row_of(j, "motion", 4 * g + i), "speed") / 4;
        }
        assert_true(fabs(number(row_of(j, "change by model", g), "flicker") - flicker) < 1e-12);
        assert_true(fabs(number(row_of(j, "motion by model", g), "speed") - speed) < 1e-12);
    }
    assert_true(number(row_of(j, "seams by model", 0), "p") > 0.1);
    assert_true(number(row_of(j, "seams by model", 1), "p") < 0.001);
    const json_t *fine = row_of(j, "boiling", 1), *rough = row_of(j, "boiling", 7);
    assert_string_equal(json_string_value(json_object_get(fine, "waves")), "2 to 4 px");
    assert_true(number(rough, "fast") > number(fine, "fast") + 1);
    json_decref(j);
}

static void test_models_are_compared_by_name(void **state)
{
    (void)state;
    double difference = 0;

    json_t *j = run_json("video " STEADY " " WINDOWS " --frames 16 --json");
    const json_t *flicker = row_of(j, "models compared", 0);

    for (size_t i = 0; i < 4; i++)
        difference += (number(row_of(j, "change", 4 + i), "flicker") -
                       number(row_of(j, "change", i), "flicker")) /
                      4;
    assert_string_equal(json_string_value(json_object_get(flicker, "measure")), "flicker");
    assert_true(number(flicker, "videos") == 4 && number(flicker, "less") == 4);
    assert_true(fabs(number(flicker, "B - A") - difference) < 1e-12);
    const json_t *apart = row_of(j, "random-feature distance", 0);
    assert_true(number(apart, "videos A") == 4 && number(apart, "A to B") > 0 &&
                number(apart, "A to A") > 0);
    assert_true(number(flicker, "high") < 0 && number(flicker, "sign p") == 0.125);
    json_decref(j);
    expect("video " STEADY " --frames 16", 0, "");
    assert_null(strstr(output, "compared"));
    assert_null(strstr(output, "model  "));
}

static void test_sign_test(void **state)
{
    (void)state;
    assert_true(isnan(ss_sign_test(0, 0)));
    assert_true(ss_sign_test(3, 3) == 1);
    assert_true(fabs(ss_sign_test(10, 0) - 2.0 / 1024) < 1e-12);
    assert_true(fabs(ss_sign_test(1, 7) - 2 * 9.0 / 256) < 1e-12);
    assert_true(ss_sign_test(30000, 35000) < 1e-80 && ss_sign_test(30000, 30100) > 0.5);
}

static void test_distance(void **state)
{
    (void)state;
    /* two points each: means (1, 0) and (1, 3), variances 2 and 8 along x, 0 along y */
    unsigned char bytes[200] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    const char shape[] = "{'descr': '|i1', 'fortran_order': False, 'shape': (2, 2), }\n";
    const signed char x[] = {0, 0, 2, 0}, y[] = {-1, 3, 3, 3};

    bytes[8] = sizeof shape - 1;
    bytes[9] = 0;
    memcpy(bytes + 10, shape, sizeof shape - 1);
    memcpy(bytes + 10 + sizeof shape - 1, x, 4);
    write_file(in_tmp("x.npy"), bytes, 10 + sizeof shape - 1 + 4);
    memcpy(bytes + 10 + sizeof shape - 1, y, 4);
    write_file(in_tmp("y.npy"), bytes, 10 + sizeof shape - 1 + 4);
    json_t *j = run_json("video fvd $D/x.npy $D/y.npy --json");
    /* 3^2 + (sqrt 8 - sqrt 2)^2 */
    assert_true(fabs(number(row_of(j, "Frechet distance", 0), "distance") - 11) < 1e-9);
    json_decref(j);
    expect("video fvd $D/x.npy $D/y.npy", 0, "fewer videos than features");
    expect("video fvd $D/x.npy", 2, "two files of features");
    expect("video fvd $D/x.npy $D/none.npy", 1, "none.npy");
    expect("video fvd $D/x.npy tests/golden/frechet.safetensors#rows.x", 1, "2 and 5 features");
    expect("video fvd $D/x.npy tests/golden/frechet.safetensors#rows.mean", 1, "rows.mean");
}

static void test_usage(void **state)
{
    (void)state;
    expect("video", 2, "sigmascope video --help");
    expect("video " STEADY " --overlap 2", 2, "--overlap M needs --window N");
    expect("video " STEADY " --window 4 --overlap 4", 2, "N over M");
    expect("video " STEADY " --frames 0", 2, "--frames");
    expect("video $D/none", 1, "none");
    expect("video " STEADY " --frames 15", 1, "15 frames side by side cannot be");
    expect("video examples", 2, "no PNG file");
}

/* One frame, or pictures of one pixel: what is not defined is "-". */
static void test_what_is_not_defined(void **state)
{
    (void)state;
    expect("video docs/videos/steady/0000.png --frames 1", 0, " -");
    expect("video docs/videos/steady/0000.png --frames 512", 0, "flicker");
}

static char *page_text(const char *name)
{
    char *text;
    ss_err e = {0};

    if (ss_file_read(in_tmp(name), 1 << 24, &text, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return text;
}

static void expect_in(const char *page, const char *text)
{
    if (!strstr(page, text))
        fail_msg("the page lacks \"%s\"", text);
}

static void test_page(void **state)
{
    (void)state;
    expect("video " STEADY " " WINDOWS " --frames 16 --window 8 -o $D/page --show 1 --quiet", 0,
           NULL);
    char *page = page_text("page/index.html");
    static const char *const parts[] = {
        "<title>Videos of steady and 1 more</title>",
        "windows: frames differ by",
        "windows has more warping error than steady",
        "id=\"models\"",
        "id=\"motion\"",
        "id=\"boiling\"",
        "id=\"seams\"",
        "Video 0000 of steady",
        "Video 0000 of windows",
        "video-5-curves.png",
        "sigmascope video docs/videos/steady",
        "8 frames, 0 of them overlap",
    };
    for (size_t i = 0; i < N_OF(parts); i++)
        expect_in(page, parts[i]);
    assert_null(strstr(page, "Video 0001"));
    assert_null(strstr(page, "could not be drawn"));
    ss_free(page);
    assert_true(ss_file_exists(in_tmp("page/video-1-flow-1.png")));
    expect("video " STEADY " --frames 16 -o $D/page", 1, "page");
    expect("video " STEADY "/0000.png --frames 1 -o $D/page --force --title 'one <frame>'", 0,
           NULL);
    page = page_text("page/index.html");
    expect_in(page, "one &lt;frame&gt;");
    expect_in(page, "no video has two finite frames");
    expect_in(page, "No figure: ");
    assert_null(strstr(page, "could not be drawn"));
    ss_free(page);
    expect("video " STEADY " --frames 16 --title T", 2, "-o DIR is missing");
    expect("video " STEADY " --frames 4 -o $D/short --quiet", 0, NULL); /* 32 x 128 pixels */
    page = page_text("short/index.html");
    expect_in(page, "how it boils is not defined");
    assert_null(strstr(page, "could not be drawn"));
    ss_free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),    cmocka_unit_test(test_models_are_compared_by_name),
        cmocka_unit_test(test_sign_test), cmocka_unit_test(test_distance),
        cmocka_unit_test(test_usage),     cmocka_unit_test(test_what_is_not_defined),
        cmocka_unit_test(test_page),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
