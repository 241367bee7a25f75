/* test_tables.c - tables as text of any width, as JSON and as CSV; names that are shortened */
#include "base/mem.h"
#include "base/rng.h"
#include "base/shorten.h"
#include "base/str.h"
#include "base/table.h"
#include "tests/ss_test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- shortening ---- */

enum { NAMES = 24 };

static uint32_t drawn(uint64_t *at, uint32_t below)
{
    return ss_rng_u32(ss_rng_stream(7, "names", 0, 0), (*at)++) % below;
}

/* A path of a UNet, with few different parts, so that many differ in one place only. */
static char *draw_name(uint64_t *at)
{
    static const char *const parts[] = {"down_blocks", "up_blocks",          "attentions",
                                        "resnets",     "transformer_blocks", "attn1",
                                        "conv",        "\xc3\xbcx",          ".."};
    const uint32_t n = 1 + drawn(at, 6);
    ss_str s = {0};

    for (uint32_t i = 0; i < n; i++)
        ss_str_addf(&s, "%s%s.%u", i ? "." : "", parts[drawn(at, N_OF(parts))], drawn(at, 3));
    return ss_str_detach(&s);
}

static void test_shortened_names_stay_apart(void **state)
{
    (void)state;
    uint64_t at = 0;
    int n_shorter = 0;

    for (int round = 0; round < 2000; round++) {
        char *name[NAMES], *shown[NAMES];
        const int width = 4 + (int)drawn(&at, 60);

        for (int i = 0; i < NAMES; i++)
            name[i] = draw_name(&at);
        assert_int_equal(ss_shorten((const char *const *)name, NAMES, width, shown, NULL), SS_OK);
        for (int i = 0; i < NAMES; i++) {
            const int w = ss_display_width(name[i]);

            assert_true(ss_utf8_valid(shown[i], strlen(shown[i])));
            assert_true(ss_display_width(shown[i]) <= w);
            if (w <= width)
                assert_string_equal(shown[i], name[i]);
            n_shorter += strcmp(shown[i], name[i]) != 0;
            for (int k = 0; k < i; k++)
                assert_int_equal(strcmp(shown[i], shown[k]) == 0, strcmp(name[i], name[k]) == 0);
        }
        for (int i = 0; i < NAMES; i++) {
            ss_free(name[i]);
            ss_free(shown[i]);
        }
    }
    assert_in_range(n_shorter, 2000, 2000 * NAMES);
}

static void assert_shortened(const char *const *names, size_t n, int width, const char *const *want)
{
    char *shown[8];

    assert_true(n <= N_OF(shown));
    assert_int_equal(ss_shorten(names, n, width, shown, NULL), SS_OK);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(shown[i], want[i]);
        ss_free(shown[i]);
    }
}

static void test_cuts_keep_what_tells_apart(void **state)
{
    (void)state;
    static const char *const names[] = {
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q", "mid_block.attentions.0"};
    static const char *const want[] = {"down_blocks.0.attentions.0..to_q",
                                       "down_blocks.0.attentions.1..to_q",
                                       "mid_block.attentions.0"};
    /* no cut of 8 characters tells these apart: they are longer */
    static const char *const close[] = {"aaaaaaaaXaaaaaaa", "aaaaaaaaYaaaaaaa"};
    static const char *const longer[] = {"a..Xaaaaaaa", "a..Yaaaaaaa"};

    assert_shortened(names, 3, 32, want);
    assert_shortened(close, 2, 8, longer);
}

/* ---- columns ---- */

static void fill(ss_table *t)
{
    static const char *const two[] = {"up_blocks.0", "up_blocks.0.upsamplers.0"};

    assert_int_equal(ss_table_init(t, "growth", NULL), SS_OK);
    ss_table_column(t, "module", SS_COL_MODULE, NULL);
    ss_table_column(t, "port", SS_COL_TEXT, NULL);
    ss_table_usual(t, "output");
    ss_table_column(t, "sigma", SS_COL_AXIS, NULL);
    ss_table_column(t, "largest absmax", SS_COL_NUMBER, "%.3g");
    ss_table_row(t);
    ss_table_module(t, "up_blocks.0.upsamplers.0.conv", two, 2);
    ss_table_text(t, "output");
    ss_table_number(t, 2.28744);
    ss_table_number(t, 1.0 / 3);
    ss_table_row(t);
    ss_table_none(t);
    ss_table_none(t);
    ss_table_number(t, 80);
    ss_table_number(t, INFINITY);
}

static char *printed(const ss_table *t, int width)
{
    char *got = NULL;
    size_t n;
    FILE *f = open_memstream(&got, &n);

    ss_table_print(t, f, width);
    fclose(f);
    return got;
}

static void assert_printed(const ss_table *t, int width, const char *want)
{
    char *got = printed(t, width);

    assert_string_equal(got, want);
    free(got);
}

static void test_forms_of_a_table(void **state)
{
    (void)state;
    char *got = NULL;
    size_t n;
    ss_table t;

    fill(&t);
    assert_printed(&t, 0,
                   "growth\n"
                   "module                               sigma  largest absmax\n"
                   "up_blocks.0 = .upsamplers.0 = .conv  2.287           0.333\n"
                   "-                                       80             inf\n");
    /* a heading of several words takes two lines before a name is shortened */
    assert_printed(&t, 54,
                   "growth\n"
                   "                                            largest\n"
                   "module                               sigma   absmax\n"
                   "up_blocks.0 = .upsamplers.0 = .conv  2.287    0.333\n"
                   "-                                       80      inf\n");
    assert_printed(&t, 40,
                   "growth\n"
                   "                                 largest\n"
                   "module                    sigma   absmax\n"
                   "up_blocks.0..s.0 = .conv  2.287    0.333\n"
                   "-                            80      inf\n");
    json_t *j = ss_table_json(&t);
    char *text = json_dumps(json_object_get(j, "rows"), JSON_COMPACT | JSON_REAL_PRECISION(9));

    assert_string_equal(text,
                        "[{\"module\":\"up_blocks.0.upsamplers.0.conv\",\"also\":["
                        "\"up_blocks.0\",\"up_blocks.0.upsamplers.0\"],\"port\":\"output\","
                        "\"sigma\":2.28744,\"largest absmax\":0.333333333},{\"module\":null,"
                        "\"also\":[],\"port\":null,\"sigma\":80,\"largest absmax\":\"inf\"}]");
    free(text);
    json_decref(j);

    FILE *f = open_memstream(&got, &n);
    assert_int_equal(ss_table_csv(&t, f, NULL), SS_OK);
    fclose(f);
    assert_string_equal(got, "module,also,port,sigma,largest absmax\n"
                             "up_blocks.0.upsamplers.0.conv,up_blocks.0 up_blocks.0.upsamplers.0,"
                             "output,2.28744,0.3333333333333333\n"
                             ",,,80,inf\n");
    free(got);
    ss_table_release(&t);
}

static void test_csv_is_quoted(void **state)
{
    (void)state;
    char *got = NULL;
    size_t n;
    ss_table t;

    assert_int_equal(ss_table_init(&t, "odd", NULL), SS_OK);
    ss_table_column(&t, "a,b", SS_COL_TEXT, NULL);
    ss_table_column(&t, "x", SS_COL_NUMBER, NULL);
    ss_table_column(&t, "first", SS_COL_MODULE, NULL);
    ss_table_row(&t);
    ss_table_text(&t, "say \"so\",\nthen");
    ss_table_number(&t, NAN);
    ss_table_module(&t, "conv", NULL, 0);
    ss_table_row(&t); /* ends early */
    ss_table_text(&t, "-");
    FILE *f = open_memstream(&got, &n);

    assert_int_equal(ss_table_csv(&t, f, NULL), SS_OK);
    fclose(f);
    assert_string_equal(got, "\"a,b\",x,first,first also\n"
                             "\"say \"\"so\"\",\nthen\",nan,conv,\n"
                             "-,nan,,\n");
    free(got);
    ss_table_release(&t);
}

/* Noise levels of a schedule are close to each other; four digits would make them look the same. */
static void test_levels_stay_apart(void **state)
{
    (void)state;
    ss_table t;

    assert_int_equal(ss_table_init(&t, "levels", NULL), SS_OK);
    ss_table_column(&t, "sigma", SS_COL_AXIS, NULL);
    for (int i = 0; i < 2; i++) {
        ss_table_row(&t);
        ss_table_number(&t, 157.407 + 0.002 * i);
    }
    assert_printed(&t, 0, "levels\n  sigma\n157.407\n157.409\n");
    ss_table_release(&t);
}

/* Long names: a pipe takes them whole, whatever COLUMNS says. */
static void test_pipes_get_whole_names(void **state)
{
    (void)state;
    char long_name[1001], *got = NULL;
    size_t n;
    ss_table t;

    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(ss_table_init(&t, "names", NULL), SS_OK);
    ss_table_column(&t, "name", SS_COL_TEXT, NULL);
    ss_table_row(&t);
    ss_table_text(&t, long_name);
    setenv("COLUMNS", "40", 1);
    FILE *f = open_memstream(&got, &n);
    ss_table_print(&t, f, 0);
    fclose(f);
    unsetenv("COLUMNS");
    assert_non_null(strstr(got, long_name));
    free(got);
    ss_table_release(&t);
}

/* Reads back what a table prints on a terminal of so many columns, at most n - 1 bytes. */
static void print_on_terminal(const ss_table *t, int columns, int width, char *out, size_t n)
{
    const struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    const int master = posix_openpt(O_RDWR | O_NOCTTY);

    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    FILE *f = fopen(ptsname(master), "r+");

    assert_non_null(f);
    assert_int_equal(ioctl(fileno(f), TIOCSWINSZ, &size), 0);
    ss_table_print(t, f, width);
    assert_int_equal(fflush(f), 0);
    const ssize_t got = read(master, out, n - 1);

    assert_true(got > 0);
    out[got] = '\0';
    fclose(f);
    close(master);
}

static void test_terminals_have_a_width(void **state)
{
    (void)state;
    static const char whole[] = "up_blocks.0 = .upsamplers.0 = .conv";
    char text[2000];
    ss_table t;

    fill(&t);
    print_on_terminal(&t, 200, 0, text, sizeof text);
    assert_non_null(strstr(text, whole));
    print_on_terminal(&t, 40, 0, text, sizeof text);
    assert_null(strstr(text, whole));
    assert_non_null(strstr(text, ".."));
    print_on_terminal(&t, 40, SS_TABLE_WIDE, text, sizeof text);
    assert_non_null(strstr(text, whole));
    setenv("COLUMNS", "40", 1);
    print_on_terminal(&t, 200, 0, text, sizeof text);
    assert_null(strstr(text, whole));
    setenv("COLUMNS", "wide", 1); /* no number: the terminal's own */
    print_on_terminal(&t, 200, 0, text, sizeof text);
    assert_non_null(strstr(text, whole));
    unsetenv("COLUMNS");
    ss_table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shortened_names_stay_apart),
        cmocka_unit_test(test_cuts_keep_what_tells_apart),
        cmocka_unit_test(test_forms_of_a_table),
        cmocka_unit_test(test_csv_is_quoted),
        cmocka_unit_test(test_levels_stay_apart),
        cmocka_unit_test(test_pipes_get_whole_names),
        cmocka_unit_test(test_terminals_have_a_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
