/* test_modulate.c - modulate, geglu and their gradients on a device beside the CPU's, bit for bit
 * but for the sums
 */
#include "tests/cuda/beside.h"

#define CALL(name, call)                                                                       \
    static ss_code name(const ss_side *s, ss_tensor *const x[], ss_tensor *y, const void *arg, \
                        ss_err *e)                                                             \
    {                                                                                          \
        (void)arg;                                                                             \
        return s->be->call;                                                                    \
    }
CALL(call_modulate, modulate(s->d, x[0], x[1], y, e))
CALL(call_back_modulate, back_modulate(s->d, x[0], x[1], x[2], y, NULL, e))
CALL(call_geglu, geglu(s->d, x[0], y, e))
CALL(call_back_geglu, back_geglu(s->d, x[0], x[1], y, e))

static const int64_t sizes[] = {1, 3, 4, 7, 13, 33, 40, 132};

static int64_t random_size(void)
{
    return sizes[beside_below(N_OF(sizes))];
}

static void test_modulate(void **state)
{
    (void)state;
    beside_open();
    for (int k = 0; k < 40; k++) {
        const int64_t N = 1 + beside_below(3), C = random_size();
        const ss_shape x = ss_shape_of(N, random_size(), C), mod = ss_shape_of(N, C * (1 + k % 2));

        beside_compare(&(ss_beside){
            .what = "modulate", .run = call_modulate, .n_in = 2, .in = {{x}, {mod}}, .out = x});
        beside_compare(&(ss_beside){.what = "gradient of modulate",
                                    .run = call_back_modulate,
                                    .n_in = 3,
                                    .in = {{x}, {mod}, {x}},
                                    .out = x});
    }
    beside_close();
}

static void test_geglu(void **state)
{
    (void)state;
    beside_open();
    for (int k = 0; k < 40; k++) {
        const int64_t N = 1 + beside_below(3), T = random_size(), K = random_size();
        const ss_shape x = ss_shape_of(N, T, 2 * K), y = ss_shape_of(N, T, K);

        beside_compare(
            &(ss_beside){.what = "geglu", .run = call_geglu, .n_in = 1, .in = {{x}}, .out = y});
        beside_compare(&(ss_beside){.what = "gradient of geglu",
                                    .run = call_back_geglu,
                                    .n_in = 2,
                                    .in = {{x}, {y}},
                                    .out = x});
    }
    beside_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modulate),
        cmocka_unit_test(test_geglu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
