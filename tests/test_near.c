/* test_near.c - edit distances, and the hints made of them */
#include "base/near.h"
#include "base/rng.h"
#include "tests/ss_test.h"

/* Draws a word of at most five letters of three, so that near ones are common. */
static void draw(ss_rng r, uint64_t at, char word[6])
{
    const int n = (int)(ss_rng_u32(r, 8 * at) % 6);

    for (int i = 0; i < n; i++)
        word[i] = (char)('a' + ss_rng_u32(r, 8 * at + 1 + (uint64_t)i) % 3);
    word[n] = '\0';
}

static void test_distance_laws(void **state)
{
    const ss_rng r = ss_rng_stream(1, "words", 0, 0);

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char a[6], b[6], swapped[6];

        draw(r, 2 * (uint64_t)i, a);
        draw(r, 2 * (uint64_t)i + 1, b);
        const int d = ss_edit_distance(a, b), na = (int)strlen(a), nb = (int)strlen(b);
        assert_int_equal(d, ss_edit_distance(b, a));
        assert_true(d <= (na > nb ? na : nb) && d >= abs(na - nb));
        assert_int_equal(d == 0, strcmp(a, b) == 0);
        for (int k = 0; k + 1 < na; k++) {
            memcpy(swapped, a, sizeof a);
            swapped[k] = a[k + 1];
            swapped[k + 1] = a[k];
            assert_int_equal(ss_edit_distance(a, swapped), a[k] != a[k + 1]);
        }
    }
    assert_int_equal(ss_edit_distance("anaylze", "analyze"), 1);
    assert_int_equal(ss_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(ss_edit_distance("", "abc"), 3);
    assert_int_equal(ss_edit_distance("ca", "abc"), 3); /* 2 if a part were edited twice */
}

static void test_long_names(void **state)
{
    char a[200], b[200], hint[SS_NEAR];
    const char *known[] = {b};

    (void)state;
    memset(a, 'a', sizeof a - 1);
    a[sizeof a - 1] = '\0';
    memcpy(b, a, sizeof a);
    b[100] = 'b';
    assert_int_equal(ss_edit_distance(a, b), 0); /* their first 63 bytes */
    assert_string_equal(ss_near(a, known, 1, hint), "");
}

static void test_hints(void **state)
{
    static const char *const known[] = {"analyze", "probe", "train", "video", "attn", "sbs"};
    static const struct {
        const char *name, *hint;
    } cases[] = {
        {"anaylze", " - did you mean 'analyze'?"},
        {"anal", " - did you mean 'analyze'?"},
        {"prob", " - did you mean 'probe'?"},
        {"tran", " - did you mean 'train'?"},
        {"frobnicate", ""},
        {"x", ""},
        {"", ""},
        {"brobes", " - did you mean 'probe'?"},
        {"grober", " - did you mean 'probe'?"},
        {"trout", ""},
    };
    char hint[SS_NEAR];

    (void)state;
    for (size_t i = 0; i < N_OF(cases); i++)
        assert_string_equal(ss_near(cases[i].name, known, N_OF(known), hint), cases[i].hint);
    assert_string_equal(ss_near_in("fp8-e4m", "fp16, fp8-e4m3, fp8-e5m2", hint),
                        " - did you mean 'fp8-e4m3'?");
    assert_string_equal(ss_near_in("fp17", "bf16|fp16|fp32", hint), " - did you mean 'fp16'?");
    assert_string_equal(ss_near_in("fp1", "bf16|fp15|fp16|x", hint),
                        " - did you mean 'fp15' or 'fp16'?");
    assert_string_equal(ss_near_in("aa", "aa1|aa2|aa3|aa4", hint), ""); /* too many to be a hint */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distance_laws),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_hints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
