/* test_base.c - errors, memory, strings, globs, numbers, what may reach a terminal */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "tests/ss_test.h"

#include <stdio.h>

static void test_errors_carry_code_and_text(void **state)
{
    (void)state;
    ss_err e = {0};

    assert_int_equal(ss_fail(&e, SS_SHAPE, "%s is [%d]", "bias", 3), SS_SHAPE);
    assert_string_equal(e.msg, "bias is [3]");
    assert_int_equal(ss_fail_prefix(&e, "unet.%s", "st"), SS_SHAPE);
    assert_string_equal(e.msg, "unet.st: bias is [3]");
    assert_int_equal(ss_fail(NULL, SS_IO, "nobody listens"), SS_IO);
    assert_int_equal(ss_no_memory(&e, "a tape"), SS_NOMEM);
    assert_int_equal(e.code, SS_NOMEM);
    assert_string_equal(e.msg, "a tape: out of memory");
    assert_int_equal(ss_no_memory(NULL, "a tape"), SS_NOMEM);
    assert_string_equal(ss_code_text(SS_NOMEM), "out of memory");
    assert_string_equal(ss_code_text((ss_code)999), "unknown error");
}

static void test_errors_cannot_drive_a_terminal(void **state)
{
    (void)state;
    ss_err e;

    ss_fail(&e, SS_USAGE, "'%s'\n\t%s", "\x1b[2J\x07\x7f\r",
            "\xc2\x9b"
            "31m \xc3\xa9");
    assert_string_equal(e.msg, "'?[2J?"
                               "?"
                               "?'\n\t?"
                               "?31m \xc3\xa9");
    ss_fail_prefix(&e, "%s",
                   "a\x1b"
                   "b");
    assert_string_equal(e.msg, "a?b: '?[2J?"
                               "?"
                               "?'\n\t?"
                               "?31m \xc3\xa9");
}

static void test_long_errors_are_cut(void **state)
{
    (void)state;
    ss_err e = {0};
    char text[3 * sizeof e.msg];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    ss_fail(&e, SS_IO, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    ss_fail_prefix(&e, "%s", "where");
    assert_memory_equal(e.msg, "where: xxx", 10);
}

static void test_memory_checks_products(void **state)
{
    (void)state;
    assert_null(ss_alloc(SIZE_MAX / 2, 3));
    assert_null(ss_calloc(SIZE_MAX, SIZE_MAX));
    assert_null(ss_alloc_aligned(SIZE_MAX - 8));
    void *p = ss_alloc(0, 8), *q = ss_alloc_aligned(100);

    assert_non_null(p);
    assert_int_equal((uintptr_t)q % 64, 0);
    assert_null(ss_realloc(p, SIZE_MAX / 2, 4)); /* p stays valid */
    ss_free(p);
    ss_free(q);
    ss_free(NULL);
}

static void test_kth_allocation_fails_once(void **state)
{
    (void)state;
    ss_mem_fail_at(2);
    void *a = ss_alloc(1, 1), *b = ss_alloc(1, 1), *c = ss_alloc(1, 1);

    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    ss_mem_fail_at(1);
    ss_mem_fail_at(0);
    char *d = ss_strdup("d");
    assert_string_equal(d, "d");
    ss_free(a);
    ss_free(c);
    ss_free(d);
}

static void test_arrays_grow_by_doubling(void **state)
{
    (void)state;
    size_t cap = 0;
    int *a = ss_grow(NULL, &cap, 1, sizeof *a);

    assert_int_equal(cap, 8);
    a = ss_grow(a, &cap, 8, sizeof *a);
    assert_int_equal(cap, 8);
    a = ss_grow(a, &cap, 33, sizeof *a);
    assert_int_equal(cap, 64);
    ss_mem_fail_at(1);
    assert_null(ss_grow(a, &cap, 65, sizeof *a));
    assert_int_equal(cap, 64);
    assert_null(ss_grow(a, &cap, SIZE_MAX, sizeof *a));
    ss_free(a);
}

static void test_strings_grow(void **state)
{
    (void)state;
    ss_str b = {0};

    for (int i = 0; i < 100; i++)
        ss_str_addf(&b, "%d,", i);
    ss_str_addn(&b, "endless", 3);
    ss_str_add(&b, "");
    assert_int_equal(b.len, strlen(b.s));
    char *s = ss_str_detach(&b);

    assert_null(b.s);
    assert_memory_equal(s, "0,1,2,3,", 8);
    assert_string_equal(s + strlen(s) - 6, "99,end");
    ss_free(s);

    s = ss_str_detach(&b);
    assert_string_equal(s, "");
    ss_free(s);
}

static void test_a_failed_string_stays_failed(void **state)
{
    (void)state;
    ss_str b = {0};

    ss_str_add(&b, "12345678"); /* with its NUL it fills the first room of 16 */
    ss_mem_fail_at(1);
    ss_str_add(&b, "0123456789abcdef");
    assert_true(b.failed);
    ss_str_add(&b, "x");
    ss_str_addf(&b, "%d", 1);
    assert_string_equal(b.s, "12345678");
    assert_null(ss_str_detach(&b));
    assert_false(b.failed);
}

static void test_globs(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "up_blocks.0.resnets.1", true},
        {"up_blocks.*", "up_blocks.0.resnets.1", true},
        {"up_blocks.*.resnets.1", "up_blocks.0.x.resnets.1", true},
        {"*.attn1", "mid.attn1", true},
        {"*.attn1", "mid.attn1.to_q", false},
        {"*a*a*", "banana", true},
        {"*a*a*a*a", "banana", false},
        {"?", "", false},
        {"a?c", "abc", true},
        {"[a-c]x", "bx", true},
        {"[!a-c]x", "bx", false},
        {"[!a-c]x", "dx", true},
        {"[]]", "]", true},
        {"[!]]", "]", false},
        {"[a-]", "-", true},
        {"[a-]", "b", false},
        {"[-a]", "-", true},
        {"{down,up}_blocks.*", "up_blocks.1", true},
        {"{down,up}_blocks.*", "mid_blocks.1", false},
        {"x{,y}z", "xz", true},
        {"x{,y}z", "xyz", true},
        {"x{,y}z", "xyyz", false},
        {"{a,b{c,d*}e}f", "af", true},
        {"{a,b{c,d*}e}f", "bcef", true},
        {"{a,b{c,d*}e}f", "bd...ef", true},
        {"{a,b{c,d*}e}f", "bf", false},
        {"{a}", "a", true},
        {"{[,}],x}", "}", true},
        {"{[,}],x}", ",", true},
        {"a,b", "a,b", true},
        {"a}b", "a}b", true},
        {"{*,b}c", "bc", true},
        {"{**}", "anything", true},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        if (ss_glob_match(cases[i].pattern, cases[i].text) != cases[i].match)
            fail_msg("'%s' on '%s' should be %d", cases[i].pattern, cases[i].text, cases[i].match);
        assert_int_equal(ss_glob_check(cases[i].pattern, NULL), SS_OK);
    }
}

/* The whole model has two names. Everything that matches one matches the other. */
static void test_globs_of_modules(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        bool root, child; /* matches the whole model; matches "mid" */
    } cases[] = {
        {"", true, false},
        {"(model)", true, false},
        {"*", true, true},
        {"?*", false, true},
        {"(mod*", true, false},
        {"*)", false, false},
        {"{(model),mid}", true, true},
        {"{,mid}", true, true},
        {"{?*,(model)}", true, true},
        {"[(]model)", false, false},
        {"mid", false, true},
        {"(model).mid", false, false},
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *p = cases[i].pattern;

        if (ss_glob_module(p, "") != cases[i].root || ss_glob_module(p, SS_ROOT) != cases[i].root ||
            ss_glob_module(p, "mid") != cases[i].child)
            fail_msg("'%s' should be %d of the whole model, %d of mid", p, cases[i].root,
                     cases[i].child);
    }
}

static void test_malformed_globs_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"[", "a[b", "[]", "[!]", "{a,b", "{a,{b}", "{[}"};
    ss_err e = {0};

    for (size_t i = 0; i < N_OF(bad); i++) {
        assert_int_equal(ss_glob_check(bad[i], &e), SS_USAGE);
        assert_false(ss_glob_match(bad[i], bad[i]));
    }
    ss_glob_check("{a,b", &e);
    assert_string_equal(e.msg, "pattern '{a,b' has a '{' without its '}'");
}

/* A backtracking matcher would take 2^500 steps, a recursive one 1023 frames. */
static void test_hostile_globs_end(void **state)
{
    (void)state;
    char pattern[1025], text[5000];

    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < 1022; i += 2)
        memcpy(pattern + i, "*a", 2);
    memcpy(pattern + 1022, "b", 2);
    assert_false(ss_glob_match(pattern, text));
    memset(pattern, '{', 511);
    memset(pattern + 511, '}', 511);
    pattern[1022] = '\0';
    assert_true(ss_glob_match(pattern, ""));
    memset(pattern, '*', 1024);
    pattern[1024] = '\0';
    assert_int_equal(ss_glob_check(pattern, NULL), SS_USAGE);
}

static void test_numbers_are_whole_strings(void **state)
{
    (void)state;
    static const char *const bad[] = {"", " 1", "1 ", "1x", "x", "inf", "nan", "1e999", "-", "\n1"};
    double d = -1;
    int64_t i = -1;

    for (size_t k = 0; k < N_OF(bad); k++) {
        assert_false(ss_parse_double(bad[k], &d));
        assert_false(ss_parse_i64(bad[k], &i));
    }
    assert_true(d == -1 && i == -1);
    assert_true(ss_parse_double("-2.5e-3", &d) && d == -2.5e-3);
    assert_true(ss_parse_double("1e-320", &d) && d > 0);
    assert_true(ss_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_false(ss_parse_i64("9223372036854775808", &i));
    assert_false(ss_parse_i64("1.0", &i));
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"plain", true},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf", true},
        {"\xc0\xaf", false},         /* overlong */
        {"\xe0\x80\xaf", false},     /* overlong */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* surrogate */
        {"\xf4\x90\x80\x80", false}, /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", false},
        {"\x80", false},
        {"\xe2\x82", false}, /* cut */
        {"\xe2\x28\xa1", false},
    };

    for (size_t i = 0; i < N_OF(cases); i++)
        assert_int_equal(ss_utf8_valid(cases[i].text, strlen(cases[i].text)), cases[i].valid);
    assert_true(ss_utf8_valid("a\0b", 3));
    assert_true(ss_utf8_valid("", 0));
}

static void test_quoted(void **state)
{
    (void)state;
    ss_str s = {0};

    ss_str_add_quoted(&s, "a'b $(c)");
    assert_string_equal(s.s, "'a'\\''b $(c)'");
    ss_str_release(&s);
}

static void test_printable(void **state)
{
    (void)state;
    char out[64], small[8];

    assert_string_equal(ss_printable("conv_in.weight", out, sizeof out), "conv_in.weight");
    assert_string_equal(ss_printable("a\x1b[2J\n", out, sizeof out), "a\\x1b[2J\\x0a");
    assert_string_equal(ss_printable("\xc3\xa9\xff", out, sizeof out), "\xc3\xa9\\xff");
    assert_string_equal(ss_printable("\xc2\x9b", out, sizeof out), "\\xc2\\x9b"); /* C1: CSI */
    assert_string_equal(ss_printable("\xe2\x80\xae", out, sizeof out), "\\xe2\\x80\\xae");
    assert_string_equal(ss_printable("1234567", small, sizeof small), "1234567");
    assert_string_equal(ss_printable("12345678", small, sizeof small), "1234...");
    assert_string_equal(ss_printable("123\xc3\xa9zzzz", small, sizeof small), "123...");
    assert_string_equal(ss_printable("\xff\xff", small, sizeof small), "\\xff...");
    assert_string_equal(ss_printable("12", small, 2), ".");
    assert_string_equal(ss_printable("12", small, 1), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_carry_code_and_text),
        cmocka_unit_test(test_errors_cannot_drive_a_terminal),
        cmocka_unit_test(test_long_errors_are_cut),
        cmocka_unit_test(test_memory_checks_products),
        cmocka_unit_test(test_kth_allocation_fails_once),
        cmocka_unit_test(test_arrays_grow_by_doubling),
        cmocka_unit_test(test_strings_grow),
        cmocka_unit_test(test_a_failed_string_stays_failed),
        cmocka_unit_test(test_globs),
        cmocka_unit_test(test_globs_of_modules),
        cmocka_unit_test(test_malformed_globs_are_named),
        cmocka_unit_test(test_hostile_globs_end),
        cmocka_unit_test(test_numbers_are_whole_strings),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_quoted),
        cmocka_unit_test(test_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
