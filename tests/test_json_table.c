/* test_json_table.c - JSON that names what is wrong with it, and tables in both forms */
#include "base/json.h"
#include "base/mem.h"
#include "base/table.h"
#include "tests/ss_tmp.h"

#include <math.h>

static ss_code parse(ss_json *j, const char *text, ss_err *e)
{
    return ss_json_parse(j, "config.json", text, strlen(text), e);
}

static void test_getters(void **state)
{
    (void)state;
    static const char *const acts[] = {"relu", "silu", NULL};
    ss_json j;
    ss_err e = {0};

    assert_int_equal(parse(&j,
                           "{\"n\": 32, \"eps\": 1e-5, \"one\": 1, \"act\": \"silu\", \"on\": "
                           "true, \"nothing\": null, \"list\": [1, 2]}",
                           &e),
                     SS_OK);
    assert_int_equal(ss_json_int(&j, "n", 8), 32);
    assert_int_equal(ss_json_int(&j, "absent", 8), 8);
    assert_int_equal(ss_json_int(&j, "nothing", 9), 9);
    assert_true(ss_json_double(&j, "eps", 0) == 1e-5);
    assert_true(ss_json_double(&j, "one", 0) == 1);
    assert_true(ss_json_bool(&j, "on", false));
    assert_string_equal(ss_json_string(&j, "act", "?"), "silu");
    assert_int_equal(ss_json_choice(&j, "act", acts, 0), 1);
    assert_int_equal(ss_json_choice(&j, "absent", acts, 0), 0);
    assert_true(ss_json_has(&j, "n"));
    assert_false(ss_json_has(&j, "nothing"));
    assert_int_equal(json_array_size(ss_json_get(&j, "list")), 2);
    assert_int_equal(ss_json_done(&j, &e), SS_OK);
    ss_json_release(&j);
    ss_json_release(&j);
}

static void assert_complaint(const char *text, void (*ask)(ss_json *), ss_code code,
                             const char *want)
{
    ss_json j;
    ss_err e = {0};

    assert_int_equal(parse(&j, text, &e), SS_OK);
    ask(&j);
    assert_int_equal(ss_json_done(&j, &e), code);
    assert_string_equal(e.msg, want);
    ss_json_release(&j);
}

static void ask_int(ss_json *j)
{
    assert_int_equal(ss_json_int(j, "k", 5), 5);
}

static void ask_choice(ss_json *j)
{
    static const char *const choices[] = {"silu", "gelu", NULL};

    assert_int_equal(ss_json_choice(j, "k", choices, 1), 1);
}

static void ask_twice(ss_json *j)
{
    ss_json_bool(j, "k", false);
    assert_int_equal(ss_json_int(j, "good", 5), 5); /* the default from the first error on */
    ss_json_string(j, "k", NULL);
}

static void ask_custom(ss_json *j)
{
    ss_json_complain(j, SS_SHAPE, "k", "needs %d entries", 4);
}

static void test_complaints_name_file_key_and_value(void **state)
{
    (void)state;
    assert_complaint("{\"k\": 1.5}", ask_int, SS_FORMAT,
                     "config.json: \"k\" is 1.5; expected an integer");
    assert_complaint("{\"k\": \"ta\\u001bnh\"}", ask_choice, SS_UNSUPPORTED,
                     "config.json: \"k\" is \"ta\\u001Bnh\"; supported: silu, gelu");
    assert_complaint("{\"k\": 3}", ask_choice, SS_FORMAT,
                     "config.json: \"k\" is 3; expected a string");
    assert_complaint("{\"k\": {}, \"good\": 1}", ask_twice, SS_FORMAT,
                     "config.json: \"k\" is {}; expected true or false");
    assert_complaint("{\"k\": [1,2]}", ask_custom, SS_SHAPE,
                     "config.json: \"k\" is [1,2]; needs 4 entries");
    assert_complaint("{}", ask_custom, SS_SHAPE, "config.json: \"k\" is missing; needs 4 entries");
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    char text[2000];
    ss_json j;
    ss_err e = {0};

    memset(text, '7', sizeof text);
    memcpy(text, "{\"k\":\"", 6);
    memcpy(text + sizeof text - 3, "\"}", 3);
    assert_int_equal(parse(&j, text, &e), SS_OK);
    ask_int(&j);
    assert_int_equal(ss_json_done(&j, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "777...; expected an integer"));
    assert_true(strlen(e.msg) < 200);
    ss_json_release(&j);
}

static void test_malformed_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[1]",
        "{",
        "{\"a\":\"\xff\"}",
        "{} {}",
        "{\"a\":01}",
        "{'a': 'b'}",
        /* what Python refuses, too */
        "{\"a\":nan}",
        "{\"a\":NaNs}",
        "{\"a\":+Infinity}",
        "{\"a\":- Infinity}",
        "{\"a\":-NaN}",
        "{NaN:1}",
        "{\"a\":1.e999}",
        "{\"a\":0x1e999}",
        "{\"a\":01e999}",
        "{\"a\":\"\\ud800}",
        "{\"a\":\"\\",
        "{\"a\":\"\\u",
    };
    ss_json j;
    ss_err e = {0};

    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(parse(&j, bad[i], &e), SS_FORMAT);
        assert_memory_equal(e.msg, "config.json: ", 13);
        assert_null(j.root);
    }
    parse(&j, "{\n  \"a\": 1,\n}", &e);
    assert_string_equal(e.msg, "config.json: line 3, column 1: string or '}' expected near '}'");
}

/* Numbers that Python's json.dump writes and json.load reads. */
static void test_json_of_python(void **state)
{
    (void)state;
    static const char text[] =
        "\xef\xbb\xbf{\"up\":Infinity,\"down\": -Infinity, \"no\" : NaN,\"list\":[NaN,-Infinity,1],"
        "\"far\":1e999,\"low\":-1.5E+4000,\"long\":123456789012345678901234567890,"
        "\"max\":9223372036854775807,\"small\":1e-999,\"text\":\"NaN, \\\"-Infinity 1e999\","
        "\"path\":\"a\\udcffb\\ud83d\",\"smile\":\"\\ud83d\\ude00\",\"nul\":\"x\\u0000y\","
        "\"twice\":1,\"twice\":2,\"back\":\"C:\\\\\"}";
    static const struct {
        const char *key;
        double x;
    } numbers[] = {{"up", INFINITY},
                   {"down", -INFINITY},
                   {"far", INFINITY},
                   {"low", -INFINITY},
                   {"long", 123456789012345678901234567890.0},
                   {"small", 0},
                   {"twice", 2}};
    ss_json j;
    ss_err e = {0};
    double x = 0;

    assert_int_equal(ss_json_parse(&j, "config.json", text, sizeof text - 1, &e), SS_OK);
    for (size_t i = 0; i < N_OF(numbers); i++) {
        assert_true(ss_json_number(ss_json_get(&j, numbers[i].key), &x));
        if (x != numbers[i].x)
            fail_msg("%s is %g", numbers[i].key, x);
    }
    assert_true(ss_json_number(ss_json_get(&j, "no"), &x) && isnan(x));
    assert_true(ss_json_number(json_array_get(ss_json_get(&j, "list"), 1), &x) && x == -INFINITY);
    assert_false(ss_json_number(ss_json_get(&j, "text"), &x));
    assert_false(ss_json_number(NULL, &x));
    assert_int_equal(ss_json_int(&j, "max", 0), INT64_MAX);
    assert_string_equal(ss_json_string(&j, "text", ""), "NaN, \"-Infinity 1e999");
    assert_string_equal(ss_json_string(&j, "path", ""), "a\ufffdb\ufffd");
    assert_string_equal(ss_json_string(&j, "smile", ""), "\U0001f600");
    assert_string_equal(ss_json_string(&j, "nul", ""), "x\ufffdy");
    assert_string_equal(ss_json_string(&j, "back", ""), "C:\\");
    assert_int_equal(ss_json_done(&j, &e), SS_OK);
    /* an option that takes a number takes a finite one */
    assert_true(ss_json_double(&j, "down", 0.5) == 0.5);
    assert_int_equal(ss_json_done(&j, &e), SS_FORMAT);
    assert_string_equal(e.msg, "config.json: \"down\" is \"-Infinity\"; expected a finite number");
    ss_json_release(&j);
}

static void test_deep_json_is_refused(void **state)
{
    (void)state;
    char *text = malloc(1 << 20);
    ss_json j;
    ss_err e = {0};

    memset(text, '[', 1 << 20);
    memcpy(text, "{\"a\":", 5);
    assert_int_equal(ss_json_parse(&j, "deep", text, 1 << 20, &e), SS_FORMAT);
    free(text);
}

static void test_files_and_unread_keys(void **state)
{
    (void)state;
    static const char text[] = "{\"_class_name\": \"UNet\", \"a\": 1, \"odd\": null}";
    ss_json j;
    ss_err e = {0};

    write_file(in_tmp("config.json"), text, sizeof text - 1);
    assert_int_equal(ss_json_load(&j, in_tmp("config.json"), &e), SS_OK);
    ss_json_int(&j, "a", 0);
    assert_string_equal(ss_json_unread(&j), "odd");
    ss_json_has(&j, "odd");
    assert_null(ss_json_unread(&j));
    ss_json_release(&j);
    assert_int_equal(ss_json_load(&j, in_tmp("none"), &e), SS_IO);
    write_file(in_tmp("twice.json"), "{\"a\":1,\"a\":2}", 13);
    assert_int_equal(ss_json_load(&j, in_tmp("twice.json"), &e), SS_OK);
    assert_int_equal(ss_json_int(&j, "a", 0), 2);
    ss_json_release(&j);
    assert_int_equal(ss_json_load_strict(&j, in_tmp("twice.json"), &e), SS_FORMAT);
    ss_json_release(&j);
}

static void fill(ss_table *t)
{
    assert_int_equal(ss_table_init(t, "growth", NULL), SS_OK);
    ss_table_column(t, "module", SS_COL_TEXT, NULL);
    ss_table_column(t, "step", SS_COL_NUMBER, NULL);
    ss_table_column(t, "absmax", SS_COL_NUMBER, "%.1f");
    ss_table_column(t, "verdict", SS_COL_TEXT, NULL);
    ss_table_row(t);
    ss_table_text(t, "down_blocks.1.resnets.0.conv1");
    ss_table_number(t, 1200);
    ss_table_number(t, 3.14159);
    ss_table_text(t, "fine");
    ss_table_row(t);
    ss_table_text(t, "mid");
    ss_table_number(t, NAN);
    ss_table_number(t, INFINITY);
    ss_table_text(t, "\xc3\xbc\x1b");
}

static void assert_printed(const ss_table *t, int width, const char *want)
{
    char *got = NULL;
    size_t n;
    FILE *f = open_memstream(&got, &n);

    ss_table_print(t, f, width);
    fclose(f);
    assert_string_equal(got, want);
    free(got);
}

static void test_tables_as_text(void **state)
{
    (void)state;
    ss_table t;

    fill(&t);
    assert_printed(&t, 0,
                   "growth\n"
                   "module                         step  absmax  verdict\n"
                   "down_blocks.1.resnets.0.conv1  1200     3.1  fine\n"
                   "mid                               -     inf  \xc3\xbc\\x1b\n");
    ss_table_note(&t, "of %d runs", 2);
    assert_printed(&t, 40,
                   "growth\n"
                   "of 2 runs\n"
                   "module             step  absmax  verdict\n"
                   "down_blo..0.conv1  1200     3.1  fine\n"
                   "mid                   -     inf  \xc3\xbc\\x1b\n");
    assert_printed(&t, 10,
                   "growth\n"
                   "of 2 runs\n"
                   "module        step  absmax  verdict\n"
                   "down_..conv1  1200     3.1  fine\n"
                   "mid              -     inf  \xc3\xbc\\x1b\n");
    ss_table_release(&t);
}

static void test_tables_as_json(void **state)
{
    (void)state;
    ss_table t;

    fill(&t);
    json_t *j = ss_table_json(&t);
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(9));

    assert_string_equal(
        text, "{\"title\":\"growth\",\"note\":null,\"rows\":["
              "{\"module\":\"down_blocks.1.resnets.0.conv1\",\"step\":1200,\"absmax\":3.14159,"
              "\"verdict\":\"fine\"},"
              "{\"module\":\"mid\",\"step\":null,\"absmax\":\"inf\","
              "\"verdict\":\"\xc3\xbc\\u001B\"}]}");
    free(text);
    json_decref(j);
    ss_table_release(&t);
}

static void test_tables_survive_odd_rows(void **state)
{
    (void)state;
    ss_table t;

    assert_int_equal(ss_table_init(&t, "odd", NULL), SS_OK);
    ss_table_column(&t, "a", SS_COL_TEXT, NULL);
    ss_table_column(&t, "b", SS_COL_NUMBER, NULL);
    ss_table_row(&t);
    ss_table_text(&t, "caf\xc3"); /* cut UTF-8 */
    assert_printed(&t, 80, "odd\na        b\ncaf\\xc3  -\n");
    json_t *j = ss_table_json(&t);

    assert_non_null(j);
    json_decref(j);
    ss_mem_fail_at(1);
    ss_table_note(&t, "lost");
    assert_null(ss_table_json(&t));
    assert_printed(&t, 80, "odd: out of memory\n");
    ss_table_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_getters),
        cmocka_unit_test(test_complaints_name_file_key_and_value),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_malformed_json_is_refused),
        cmocka_unit_test(test_json_of_python),
        cmocka_unit_test(test_deep_json_is_refused),
        cmocka_unit_test(test_files_and_unread_keys),
        cmocka_unit_test(test_tables_as_text),
        cmocka_unit_test(test_tables_as_json),
        cmocka_unit_test(test_tables_survive_odd_rows),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
