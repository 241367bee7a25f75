/* test_bisect.c - the search over checkpoints and the search for a smallest set, on predicates
 * whose answers are known
 */
#include "analyze/math/bisect.h"
#include "analyze/math/subset.h"
#include "base/rng.h"
#include "tests/ss_test.h"

/* A row of checkpoints as text: g, b, s (skip), e (an error). */
typedef struct {
    const char *row;
    int tried[64];
} row_ctx;

static ss_code try_row(void *ctx, int i, ss_bisect_verdict *v, ss_err *e)
{
    row_ctx *c = ctx;

    assert_in_range(i, 0, strlen(c->row) - 1);
    assert_int_equal(c->tried[i]++, 0); /* never twice */
    if (c->row[i] == 'e')
        return ss_fail(e, SS_IO, "checkpoint %d: gone", i);
    *v = c->row[i] == 'g' ? SS_GOOD : c->row[i] == 'b' ? SS_BAD : SS_SKIP;
    return SS_OK;
}

static ss_bisection search(const char *row, bool exhaustive)
{
    row_ctx c = {.row = row};
    ss_bisection b;
    ss_err e = {0};

    if (ss_bisect_search((int)strlen(row), exhaustive, try_row, &c, &b, &e) != SS_OK)
        fail_msg("%s: %s", row, e.msg);
    return b;
}

static void test_rows(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        int first_bad, last_good, between;
        bool monotone;
    } cases[] = {
        {"b", 0, -1, 0, true},
        {"g", -1, 0, 0, true},
        {"s", -1, -1, 1, true},
        {"gb", 1, 0, 0, true},
        {"bg", 0, -1, 0, false},
        {"bbbbbbbb", 0, -1, 0, true},
        {"gggggggg", -1, 7, 0, true},
        {"ssssssss", -1, -1, 8, true},
        {"ggggggbb", 6, 5, 0, true},
        {"gsb", 2, 0, 1, true},
        {"ggsssbbb", 5, 1, 3, true},
        {"sggbbbbs", 3, 2, 0, true},
        {"ggbgbbbb", 2, 1, 0, false},         /* the neighbour before the good one is bad */
        {"ggggbgbg", 4, 3, 0, false},         /* ends good: found at the half */
        {"gggggbgbbbbbbbbb", 5, 4, 0, false}, /* the neighbour behind the bad one is good */
        {"gggbgggg", 3, 2, 0, false}, /* a lone one next to the half: not between good ones */
    };

    for (size_t i = 0; i < N_OF(cases); i++) {
        for (int exhaustive = 0; exhaustive < 2; exhaustive++) {
            if (!exhaustive && i == N_OF(cases) - 1)
                continue;
            ss_bisection b = search(cases[i].row, exhaustive);

            if (b.first_bad != cases[i].first_bad || b.last_good != cases[i].last_good ||
                b.n_between != cases[i].between || b.monotone != cases[i].monotone)
                fail_msg("%s, %d: bad %d, good %d, %d between, monotone %d", cases[i].row,
                         exhaustive, b.first_bad, b.last_good, b.n_between, b.monotone);
            ss_bisection_release(&b);
        }
    }
}

/* Every boundary of every length is found, in few tries. */
static void test_monotone(void **state)
{
    (void)state;
    for (int n = 1; n < 64; n++) {
        for (int bad = 0; bad <= n; bad++) {
            char row[64] = {0};

            memset(row, 'g', (size_t)n);
            memset(row + bad, 'b', (size_t)(n - bad));
            ss_bisection b = search(row, false);
            assert_int_equal(b.first_bad, bad < n ? bad : -1);
            assert_int_equal(b.last_good, bad - 1);
            assert_true(b.monotone);
            assert_true(b.n_tried <= 2 + ceil(log2(n + 1)) + 4);
            ss_bisection_release(&b);
        }
    }
}

/* Whatever the row: what is called first bad is bad, what is before it was found good or skipped
 * as far as it was tried, and nothing untried lies between the two. */
static void test_random_rows(void **state)
{
    (void)state;
    const ss_rng rng = ss_rng_stream(7, "rows", 0, 0);

    for (int k = 0; k < 2000; k++) {
        char row[40] = {0};
        float x[40];
        int n;

        ss_rng_normals(rng, (uint64_t)k * 40, x, 40);
        n = 1 + (int)(fabsf(x[39]) * 1000) % 38;
        for (int i = 0; i < n; i++)
            row[i] = x[i] < -1.5f ? 's' : x[i] < 0.3f ? 'g' : 'b';
        ss_bisection b = search(row, false), all = search(row, true);

        assert_true((b.first_bad < 0) || all.first_bad <= b.first_bad);
        if (b.first_bad >= 0)
            assert_int_equal(row[b.first_bad], 'b');
        for (int i = 0; i < b.first_bad; i++) {
            assert_int_not_equal(b.verdict[i], SS_BAD);
            if (i > b.last_good)
                assert_int_equal(b.verdict[i], SS_SKIP);
        }
        assert_int_equal(all.n_tried, n);
        ss_bisection_release(&b);
        ss_bisection_release(&all);
    }
}

static void test_error_ends_search(void **state)
{
    (void)state;
    row_ctx c = {.row = "gggeeebb"};
    ss_bisection b;
    ss_err e = {0};

    assert_int_equal(ss_bisect_search(8, false, try_row, &c, &b, &e), SS_IO);
    assert_string_equal(e.msg, "checkpoint 3: gone");
    assert_null(b.verdict);
}

/* Sufficient: everything of `need`, and something of `either` unless that is 0. */
typedef struct {
    unsigned need, either;
    int calls;
} set_ctx;

static ss_code try_set(void *ctx, const int *items, int n, bool *suffices, ss_err *e)
{
    set_ctx *c = ctx;
    unsigned have = 0;

    if (c->calls-- == 0)
        return ss_fail(e, SS_IO, "no more");
    for (int i = 0; i < n; i++)
        have |= 1u << items[i];
    *suffices = (have & c->need) == c->need && (!c->either || (have & c->either));
    return SS_OK;
}

static unsigned minimal(unsigned need, unsigned either, int n, int *tries)
{
    set_ctx c = {need, either, -1};
    int items[32];
    unsigned left = 0;
    ss_err e = {0};

    for (int i = 0; i < n; i++)
        items[i] = i;
    assert_int_equal(ss_subset_minimal(items, &n, try_set, &c, tries, &e), SS_OK);
    for (int i = 0; i < n; i++) {
        left |= 1u << items[i];
        assert_true(i == 0 || items[i] > items[i - 1]);
    }
    return left;
}

static void test_subset(void **state)
{
    (void)state;
    int tries;

    assert_int_equal(minimal(0, 0, 16, &tries), 0);
    assert_int_equal(tries, 1);
    assert_int_equal(minimal(0, 0, 0, &tries), 0);
    assert_int_equal(tries, 0);
    assert_int_equal(minimal(1, 0, 1, &tries), 1);
    assert_int_equal(minimal(0xffff, 0, 16, &tries), 0xffff);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(minimal(1u << i, 0, 20, &tries), 1u << i);
        assert_true(tries <= 12);
    }
    for (unsigned need = 0; need < 1u << 9; need++)
        assert_int_equal(minimal(need, 0, 9, &tries), need);
    for (unsigned either = 1; either < 1u << 8; either++) {
        const unsigned left = minimal(0x100, either, 9, &tries) & ~0x100u;

        assert_true((left & either) == left && left && (left & (left - 1)) == 0); /* just one */
    }
}

static void test_subset_error(void **state)
{
    (void)state;
    set_ctx c = {.need = 5, .calls = 3};
    int items[] = {0, 1, 2, 3}, n = 4, tries;
    ss_err e = {0};

    assert_int_equal(ss_subset_minimal(items, &n, try_set, &c, &tries, &e), SS_IO);
    assert_int_equal(tries, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_random_rows), cmocka_unit_test(test_error_ends_search),
        cmocka_unit_test(test_subset),      cmocka_unit_test(test_subset_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
