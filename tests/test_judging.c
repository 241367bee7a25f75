/* test_judging.c - pages of pairs, the votes of judges, and what they say
 *
 * Numbers of binomial intervals are scipy's (1.17.1, binomtest), those of kappa are in the sources
 * that kappa.h names.
 */
#include "analyze/judging/clips.h"
#include "analyze/judging/side_by_side.h"
#include "analyze/judging/win_rates.h"
#include "analyze/math/binomial.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/png.h"
#include "tests/ss_command.h"

#include <sys/stat.h>

static void test_intervals_are_scipys(void **state)
{
    (void)state;
    static const struct {
        int64_t k, n;
        double low, high, p;
    } cases[] = {
        {8, 10, 0.4439045376923585, 0.9747892736731665, 0.109375},
        {0, 7, 0, 0.4096163972250487, 0.015625},
        {7, 7, 0.5903836027749514, 1, 0.015625},
        {1, 3, 0.008403758659612647, 0.9057006759492866, 1},
        {137, 300, 0.39930759245733766, 0.5148899207648611, 0.1487925577410309},
        {5000, 9000, 0.5452174436921963, 0.5658576850949689, 5.581401567014391e-26},
        {0, 0, 0, 1, 1},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        double low, high;

        ss_binomial_interval(cases[i].k, cases[i].n, &low, &high);
        assert_true(fabs(low - cases[i].low) < 1e-10); /* worst seen: 1e-12 */
        assert_true(fabs(high - cases[i].high) < 1e-10);
        const double p = ss_binomial_fair(cases[i].k, cases[i].n);
        assert_true(fabs(p - cases[i].p) < 1e-10 * cases[i].p);
    }
}

static void test_kappa_is_the_sources(void **state)
{
    (void)state;
    /* Fleiss 1971's diagnoses, as they are often quoted: 14 judges, 10 items, 5 categories */
    static const int fleiss[] = {0, 0, 0, 0, 14, 0, 2, 6, 4, 2, 0, 0, 3, 5, 6, 0, 3,
                                 9, 2, 0, 2, 2,  8, 1, 1, 7, 7, 0, 0, 0, 3, 2, 6, 3,
                                 0, 2, 5, 3, 2,  2, 6, 5, 2, 1, 0, 0, 2, 2, 3, 7};
    int a[52], b[52], n = 0;
    ss_agreement k = ss_fleiss_kappa(fleiss, 10, 5);

    assert_int_equal(k.items, 10);
    assert_true(fabs(k.raw - 0.378) < 5e-4 && fabs(k.kappa - 0.210) < 5e-4);
    /* 20 twice yes, 5 and 10 apart, 15 twice no: kappa 0.4 */
    static const int cells[2][2] = {{20, 5}, {10, 15}};
    for (int i = 0; i < 4; i++) {
        for (int c = 0; c < cells[i / 2][i % 2]; c++, n++) {
            a[n] = i / 2;
            b[n] = i % 2;
        }
    }
    a[n] = -1; /* not judged by one: no item */
    b[n++] = 0;
    k = ss_cohen_kappa(a, b, n, 2);
    assert_int_equal(k.items, 50);
    assert_true(fabs(k.raw - 0.7) < 1e-12 && fabs(k.kappa - 0.4) < 1e-12);
    k = ss_cohen_kappa(a, b, 20, 2); /* all alike: chance explains it */
    assert_true(k.raw == 1 && isnan(k.kappa));
    k = ss_fleiss_kappa((const int[]){1, 0, 0, 1}, 2, 2); /* items of one judge */
    assert_true(k.items == 0 && isnan(k.raw) && isnan(k.kappa));
}

/* ---- votes ---- */

#define KEY                                                                                   \
    "{\"format\": \"sigmascope-sbs\", \"version\": 1, \"page\": \"page\", \"a\": \"early\", " \
    "\"b\": \"late\", \"aspects\": [\"beauty\", \"defect\"], \"pairs\": ["                    \
    "{\"id\": \"p2\", \"name\": \"0002\", \"a\": \"a2\", \"b\": \"b2\"},"                     \
    "{\"id\": \"p1\", \"name\": \"0001\", \"a\": \"a1\", \"b\": \"b1\"},"                     \
    "{\"id\": \"p3\", \"name\": \"0003\", \"a\": \"a3\", \"b\": \"b3\"}]}"

static const char *write_text(const char *name, const char *text)
{
    const char *path = in_tmp(name);

    write_file(path, text, strlen(text));
    return path;
}

#define VOTE(pair, aspect, choice, left)                                         \
    "{\"pair\": \"" pair "\", \"aspect\": \"" aspect "\", \"choice\": \"" choice \
    "\", \"left\": \"" left "\"}"
#define VOTES(judge, list)                                                                       \
    "{\"format\": \"sigmascope-votes\", \"version\": 1, \"page\": \"page\", \"judge\": \"" judge \
    "\", \"votes\": [" list "]}"

static void test_votes_are_counted(void **state)
{
    (void)state;
    static const char *const files[] = {
        VOTES("Ann", VOTE("p1", "beauty", "a1", "a1") "," VOTE("p2", "beauty", "a2", "b2") "," VOTE(
                         "p3", "beauty", "b3", "b3") "," VOTE("p1", "defect", "same", "a1")),
        VOTES("Bob", VOTE("p1", "beauty", "b1", "b1") "," VOTE("p2", "beauty", "a2", "a2") "," VOTE(
                         "p3", "beauty", "a3", "a3")),
        VOTES("Cy", VOTE("p1", "beauty", "a1", "a1")),
    };
    ss_sbs_key key;
    ss_votes v = {.key = &key};
    ss_win_rates w;
    ss_err e = {0};

    assert_int_equal(ss_sbs_key_read(write_text("sbs.json", KEY), &key, &e), SS_OK);
    assert_string_equal(key.pairs[0].name, "0001"); /* sorted */
    for (int i = 0; i < 3; i++) {
        char name[16];

        snprintf(name, sizeof name, "v%d.json", i);
        if (ss_votes_add(&v, write_text(name, files[i]), &e) != SS_OK)
            fail_msg("%s", e.msg);
    }
    assert_int_equal(ss_win_rates_of(&v, &w, &e), SS_OK);
    const ss_aspect_result *beauty = &w.aspects[SS_ASPECT_BEAUTY];
    assert_int_equal(beauty->votes.a, 5);
    assert_int_equal(beauty->votes.b, 2);
    assert_true(fabs(beauty->votes.rate - 5.0 / 7) < 1e-12);
    /* p1: 2 of 3 for A, p2: both for A, p3: one each */
    assert_int_equal(beauty->pairs.a, 2);
    assert_int_equal(beauty->pairs.b, 0);
    assert_int_equal(beauty->pairs.same, 1);
    /* P: 1/3, 1, 0; shares 5/7 and 2/7 */
    assert_int_equal(beauty->agreement.items, 3);
    assert_true(fabs(beauty->agreement.raw - 4.0 / 9) < 1e-12);
    assert_true(fabs(beauty->agreement.kappa - (4.0 / 9 - 29.0 / 49) / (20.0 / 49)) < 1e-12);
    assert_int_equal(w.aspects[SS_ASPECT_DEFECT].votes.same, 1);
    assert_true(isnan(w.aspects[SS_ASPECT_DEFECT].votes.rate));
    assert_false(w.aspects[SS_ASPECT_MOVEMENT].asked);
    expect("sbs --votes $D/v0.json $D/v1.json $D/v2.json", 0, "Fleiss'");
    assert_non_null(strstr(output, "Ann        4  0.667")); /* on the left in 2 of 3 */
    assert_non_null(strstr(output, "every two judges"));
    expect("sbs --votes $D/v0.json $D/v1.json -o $D/rates --json", 0, "\"win rates by pairs\"");
    assert_true(ss_file_exists(in_tmp("rates/win-rates.json")));
    expect("sbs --votes $D/v0.json $D/v1.json", 0, "Cohen's");
    expect("sbs --votes $D/v0.json -o $D/rates", 1, "--force");
    ss_votes_release(&v);
    ss_sbs_key_release(&key);
}

static void test_hostile_votes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *says;
    } cases[] = {
        {"not JSON", "bad.json"},
        {"[1, 2]", "bad.json"},
        {"{}", "expected \"sigmascope-votes\""},
        {"{\"format\": \"sigmascope-votes\", \"version\": 2}", "known: 1"},
        {"{\"format\": \"sigmascope-votes\", \"page\": \"other\", \"judge\": \"x\"}",
         "votes on the page 'other', but"},
        {"{\"format\": \"sigmascope-votes\", \"page\": \"page\", \"votes\": []}",
         "expected a name of at most"},
        {"{\"format\": \"sigmascope-votes\", \"page\": \"page\", \"judge\": \"x\", \"votes\": 3}",
         "expected a list of votes"},
        {VOTES("x", "7"), "vote 1 is on a pair ''"},
        {VOTES("x", VOTE("p9", "beauty", "a1", "a1")), "vote 1 is on a pair 'p9'"},
        {VOTES("x", VOTE("p1", "beauty", "a1", "a1") "," VOTE("p1", "charm", "a1", "a1")),
         "vote 2 is on 'charm'"},
        {VOTES("x", VOTE("p1", "movement", "a1", "a1")), "which the page does not ask"},
        {VOTES("x", VOTE("p1", "beauty", "a2", "a1")), "its choice is none of"},
        {VOTES("x", VOTE("p1", "beauty", "a1", "same")), "its left is none of"},
        {VOTES("x", VOTE("p1", "beauty", "a1", "a1") "," VOTE("p1", "defect", "a1", "b1")),
         "its sides exchanged"},
        {VOTES("x", VOTE("p1", "beauty", "a1", "a1") "," VOTE("p1", "beauty", "b1", "a1")),
         "second one on the beauty of pair 0001"},
        {VOTES("\\u001b[2J", VOTE("p1", "beauty", "a1", "a1") ",1"), "vote 2"},
    };
    ss_sbs_key key;
    ss_err e = {0};

    assert_int_equal(ss_sbs_key_read(write_text("sbs.json", KEY), &key, &e), SS_OK);
    for (size_t i = 0; i < N_OF(cases); i++) {
        ss_votes v = {.key = &key};
        const char *path = write_text("bad.json", cases[i].file);

        assert_int_not_equal(ss_votes_add(&v, path, &e), SS_OK);
        if (!strstr(e.msg, cases[i].says) || strchr(e.msg, 27))
            fail_msg("case %zu: '%s' lacks '%s'", i, e.msg, cases[i].says);
        ss_votes_release(&v);
    }
    ss_sbs_key_release(&key);
    write_text("good.json", VOTES("x", VOTE("p1", "beauty", "a1", "a1")));
    write_text("again.json", VOTES("x", VOTE("p2", "beauty", "a2", "a2")));
    expect("sbs --votes $D/good.json $D/again.json", 1, "votes of the judge 'x', as");
    expect("sbs --votes $M/config.json", 2, "no sbs.json beside it: --key names");
    expect("sbs --votes --key $M $D/good.json", 2, "no sbs.json in it");
    expect("sbs --votes --key $D/good.json $D/good.json", 1, "expected \"sigmascope-sbs\"");
    write_text("sbs.json",
               "{\"format\": \"sigmascope-sbs\", \"page\": \"p\", \"a\": \"a\", \"b\": "
               "\"b\", \"aspects\": [\"beauty\"], \"pairs\": [{\"id\": \"1\", \"name\": "
               "\"n\", \"a\": \"t\", \"b\": \"t\"}]}");
    expect("sbs --votes $D/good.json", 1, "pair 1: expected");
}

/* ---- clips and pages ---- */

/* A strip of frames of one gray, w pixels each. */
static void write_strip(const char *name, int frames, uint8_t gray)
{
    enum { H = 6, W = 5, MOST = 4 };
    uint8_t data[H * W * MOST];
    const ss_image im = {.h = H, .w = W * frames, .c = 1, .data = data};
    ss_err e = {0};

    memset(data, gray, sizeof data);
    if (ss_image_write_png(in_tmp(name), &im, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void make_folders(void)
{
    char name[64];

    mkdir(in_tmp("black"), 0777);
    mkdir(in_tmp("white"), 0777);
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "black/same-%d.png", i);
        write_strip(name, 4, (uint8_t)(10 * i));
        snprintf(name, sizeof name, "white/same-%d.png", i);
        write_strip(name, 4, (uint8_t)(255 - 10 * i));
    }
    write_strip("white/alone.png", 4, 9);
}

static void test_folders_of_every_kind(void **state)
{
    (void)state;
    ss_clips c;
    ss_err e = {0};
    char name[64];

    mkdir(in_tmp("mixed"), 0777);
    mkdir(in_tmp("mixed/walk"), 0777);
    mkdir(in_tmp("mixed/empty"), 0777);
    for (int i = 11; i >= 0; i--) {
        snprintf(name, sizeof name, "mixed/walk/%04d.png", i);
        write_strip(name, 1, 7);
    }
    write_strip("mixed/a.PNG", 2, 7);
    write_text("mixed/film.MP4", "not really");
    write_text("mixed/notes.txt", "no clip");
    write_text("mixed/.hidden.png", "no clip");
    assert_int_equal(ss_clips_open(in_tmp("mixed"), 0, 2, &c, &e), SS_OK);
    assert_int_equal(c.n, 3);
    assert_string_equal(c.clips[0].name, "a");
    assert_int_equal(c.clips[0].frames, 2);
    assert_true(c.clips[0].png && !c.clips[1].png);
    assert_string_equal(c.clips[2].name, "walk");
    assert_int_equal(c.clips[2].n_files, 12);
    assert_non_null(strstr(c.clips[2].files[11], "walk/0011.png"));
    assert_int_equal(c.clips[2].frames, 1);
    ss_clips_release(&c);
    assert_int_equal(ss_clips_open(in_tmp("mixed/walk"), 0, SS_CLIPS_FILES, &c, &e), SS_OK);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.clips[0].n_files, 12);
    ss_clips_release(&c);
    assert_int_equal(ss_clips_open(in_tmp("mixed/empty"), 0, 0, &c, &e), SS_USAGE);
    write_strip("mixed/film.png", 1, 7);
    assert_int_equal(ss_clips_open(in_tmp("mixed"), 0, 2, &c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "'film'"));
    /* a folder that `generate` wrote */
    write_text(
        "generate.json",
        "{\"format\": \"sigmascope-generate\", \"version\": 1, \"samples\": 1, \"frames\": 4,"
        "\"conditions\": [\"class 3\"], \"models\": ["
        "{\"folder\": \"black\", \"pictures\": [\"black/same-0.png\"], \"nonfinite\": [0], "
        "\"absmax\": [1]}, {\"folder\": \"white\", \"pictures\": [\"white/same-0.png\"], "
        "\"nonfinite\": [0], \"absmax\": [1]}]}");
    assert_int_equal(ss_clips_open(in_tmp("white/"), 0, 0, &c, &e), SS_OK);
    assert_string_equal(c.name, "white");
    assert_int_equal(c.n, 1);
    assert_int_equal(c.clips[0].frames, 4);
    assert_string_equal(c.clips[0].text, "class 3");
    ss_clips_release(&c);
    assert_int_equal(ss_clips_open(tmp_dir, 2, 0, &c, &e), SS_OK);
    assert_string_equal(c.name, "white");
    ss_clips_release(&c);
    assert_int_equal(ss_clips_open(tmp_dir, 0, 0, &c, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "2 models"));
    assert_int_equal(ss_clips_open(tmp_dir, 3, 0, &c, &e), SS_USAGE);
    expect("sbs $D -o $D/two", 0, "1 pairs");
    remove(in_tmp("generate.json"));
}

static char *read_text(const char *name)
{
    char *text = NULL;
    ss_err e = {0};

    if (ss_file_read(in_tmp(name), 1 << 20, &text, NULL, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return text;
}

static void test_page_does_not_tell(void **state)
{
    (void)state;
    expect("sbs $D/black $D/white --frames 4 -o $D/page", 0, "5 pairs");
    assert_non_null(strstr(output, "0 of A, 1 of B"));
    char *page = read_text("page/index.html"), *key = read_text("page/sbs.json");
    ss_sbs_key k;
    ss_err e = {0};

    assert_null(strstr(page, "black/"));
    assert_null(strstr(page, tmp_dir));
    assert_null(strstr(page, "same-"));
    assert_int_equal(ss_sbs_key_read(in_tmp("page/sbs.json"), &k, &e), SS_OK);
    assert_int_equal(k.n, 5);
    assert_int_equal(count_files(in_tmp("page/clips")), 10);
    for (int i = 0; i < k.n; i++) {
        char name[64];
        ss_image im = {0};

        /* the copies are the pictures, whichever stands first in the page */
        snprintf(name, sizeof name, "page/clips/%s.png", k.pairs[i].a);
        assert_int_equal(ss_image_read_png(in_tmp(name), &im, &e), SS_OK);
        assert_int_equal(im.w, 20);
        assert_int_equal(im.data[0], 10 * (k.pairs[i].name[5] - '0'));
        ss_image_release(&im);
        assert_non_null(strstr(page, k.pairs[i].a));
        const bool a_first = strstr(page, k.pairs[i].a) < strstr(page, k.pairs[i].b);
        assert_true(a_first == (strcmp(k.pairs[i].a, k.pairs[i].b) < 0));
    }
    ss_sbs_key_release(&k);
    expect("sbs $D/black $D/white --frames 4 -o $D/again", 0, NULL);
    expect("sbs $D/black $D/white --frames 4 -o $D/other --seed 1 --pairs 3", 0, "3 pairs");
    char *again = read_text("again/index.html"), *other = read_text("other/sbs.json");
    assert_string_equal(again, page);
    assert_int_not_equal(strncmp(strstr(other, "\"page\""), strstr(key, "\"page\""), 24), 0);
    ss_free(page);
    ss_free(key);
    ss_free(again);
    ss_free(other);
}

static void test_wrong_usage(void **state)
{
    (void)state;
    expect("sbs $D/black $D/white", 2, "-o DIR is missing");
    expect("sbs $D/black $D/white -o $D/x --key y", 2, "--key belongs to --votes");
    expect("sbs $D/black $D/white -o $D/x --aspects beauty,charm", 2, "no aspect 'charm'");
    expect("sbs $D/black $D/white -o $D/x --fps 0", 2, "--fps takes");
    expect("sbs $D/black $D/white -o $D/x --frames 3", 1, "are not 3 frames");
    expect("sbs $D/black $D/nowhere -o $D/x", 1, "nowhere");
    expect("sbs $D/black -o $D/x", 2, "need two folders");
    mkdir(in_tmp("others"), 0777);
    write_strip("others/x.png", 4, 1);
    write_strip("others/y.png", 4, 1);
    expect("sbs $D/black $D/others -o $D/x", 2, "nothing of the same name");
    assert_false(ss_file_exists(in_tmp("x/sbs.json")));
}

/* In a browser the lighter one of each pair gets the vote on beauty, and white is B. */
static void test_in_a_browser(void **state)
{
    (void)state;
    char command[700];

    expect("sbs $D/black $D/white --frames 4 -o $D/shown --fps 50", 0, NULL);
    snprintf(command, sizeof command,
             "CHECK=votes.js SAVE=%s/shown/votes.json tests/browser/run %s/shown/index.html >&2",
             tmp_dir, tmp_dir);
    const int status = WEXITSTATUS(pclose(popen(command, "r")));
    if (status == 77)
        skip_because("no Chromium, so no votes were made in a browser");
    assert_int_equal(status, 0);
    expect("sbs --votes $D/shown/votes.json", 0, "beauty            0       5     0      0.000");
    assert_non_null(strstr(output, "softness          5       0     0      1.000"));
    assert_non_null(strstr(output, "preference        0       0     5"));
}

static int set_up(void **state)
{
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    if (make_tmp(state) != 0)
        return -1;
    make_folders();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals_are_scipys),
        cmocka_unit_test(test_kappa_is_the_sources),
        cmocka_unit_test(test_votes_are_counted),
        cmocka_unit_test(test_hostile_votes_are_refused),
        cmocka_unit_test(test_folders_of_every_kind),
        cmocka_unit_test(test_page_does_not_tell),
        cmocka_unit_test(test_wrong_usage),
        cmocka_unit_test(test_in_a_browser),
    };
    return cmocka_run_group_tests(tests, set_up, remove_tmp);
}
