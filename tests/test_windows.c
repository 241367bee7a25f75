/* test_windows.c - windows of frames against diffusers' FreeNoise, and starts of img2img
 *
 * Golden data: tests/golden/windows.safetensors, written by make_windows.py.
 */
#include "base/mem.h"
#include "models/file/safetensors.h"
#include "models/sampling/sampler.h"
#include "models/sampling/sampler_config.h"
#include "models/sampling/schedule_config.h"
#include "probe/windows.h"
#include "tests/ss_tmp.h"

enum { MOST = 64, N = 24 };

static ss_safetensors *golden;

static int open_golden(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    return ss_safetensors_open("tests/golden/windows.safetensors", &golden, NULL);
}

static int close_golden(void **state)
{
    ss_safetensors_close(golden);
    return remove_tmp(state);
}

/* Loads a tensor of at most `most` values; returns how many, 0 if there is none. */
static int load(const char *name, int most, float *out)
{
    const ss_stored_tensor *t = ss_safetensors_find(golden, name);

    if (!t)
        return 0;
    const int64_t n = t->dim[0] * (t->rank > 1 ? t->dim[1] : 1);
    assert_true(n <= most);
    ss_values_to_f32(t->dtype, t->data, (size_t)n, out);
    return (int)n;
}

static ss_windows make(int length, int size, int overlap)
{
    ss_windows w;
    ss_err e = {0};

    if (ss_windows_make(length, size, overlap, &w, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return w;
}

/* Each block of a stride has the noise of the block that is one window before it, in some order. */
static void assert_shuffled(const char *what, const ss_windows *w, const int *source)
{
    for (int f = 0; f < w->size; f++)
        assert_int_equal(source[f], f);
    for (int f = w->size; f < w->length; f += w->stride) {
        bool used[MOST] = {false};

        for (int i = 0; i < w->stride && f + i < w->length; i++) {
            int at = -1;

            for (int j = 0; j < w->stride && at < 0; j++) {
                if (!used[j] && source[f - w->size + j] == source[f + i])
                    at = j;
            }
            if (at < 0)
                fail_msg("%s: frame %d has the noise of %d", what, f + i, source[f + i]);
            used[at] = true;
        }
    }
}

static void compare_windows(int length, int size, int stride)
{
    char name[96];
    float want[MOST * MOST], got[MOST * MOST];
    int theirs[MOST], ours[MOST];
    ss_windows w = make(length, size, size - stride);
    ss_err e = {0};

    for (int join = SS_JOIN_FLAT; join <= SS_JOIN_PYRAMID; join++) {
        snprintf(name, sizeof name, "%d-%d-%d-%s.share", length, size, stride,
                 join == SS_JOIN_FLAT ? "flat" : "pyramid");
        assert_int_equal(load(name, MOST * MOST, want), w.n * size);
        ss_windows_share(&w, (ss_join)join, got);
        assert_close(name, got, want, w.n * size, 1e-6, 0); /* worst seen: 6e-8 */
    }
    snprintf(name, sizeof name, "%d-%d-%d.noise", length, size, stride);
    assert_int_equal(load(name, MOST, want), length);
    for (int f = 0; f < length; f++)
        theirs[f] = (int)want[f];
    assert_shuffled("diffusers", &w, theirs);
    assert_int_equal(ss_windows_noise(&w, SS_NOISE_SHUFFLED, 3, ours, &e), SS_OK);
    assert_shuffled(name, &w, ours);
    ss_windows_release(&w);
}

static void test_windows_are_those_of_free_noise(void **state)
{
    (void)state;
    compare_windows(16, 8, 4);
    compare_windows(25, 16, 4);
    compare_windows(10, 4, 3);
    compare_windows(9, 5, 2);
    compare_windows(8, 8, 4);
    compare_windows(7, 3, 3);
}

/* Windows cover all frames, the last ends at the end, and the parts at a frame sum to one. */
static void test_laws_of_windows(void **state)
{
    (void)state;
    float share[MOST * MOST];

    for (int length = 1; length <= 12; length++) {
        for (int size = 1; size <= length; size++) {
            for (int overlap = 0; overlap < size; overlap++) {
                ss_windows w = make(length, size, overlap);

                assert_int_equal(w.from[0], 0);
                assert_int_equal(w.from[w.n - 1] + size, length);
                assert_int_equal(ss_window_first_new(&w, 0), 0);
                for (int k = 1; k < w.n; k++) {
                    assert_true(w.from[k] > w.from[k - 1]);
                    assert_int_equal(w.from[k] + ss_window_first_new(&w, k), w.from[k - 1] + size);
                }
                for (int join = 0; join < SS_N_JOINS; join++) {
                    ss_windows_share(&w, (ss_join)join, share);
                    for (int f = 0; f < length; f++) {
                        double sum = 0;

                        for (int k = 0; k < w.n; k++)
                            if (f >= w.from[k] && f < w.from[k] + size)
                                sum += share[k * size + f - w.from[k]];
                        assert_true(fabs(sum - 1) < 1e-6);
                    }
                    for (int k = 0; k < w.n && join == SS_JOIN_STATES; k++)
                        for (int i = 0; i < size; i++)
                            assert_true(share[k * size + i] == (i >= ss_window_first_new(&w, k)));
                }
                ss_windows_release(&w);
            }
        }
    }
}

static void test_noise_of_frames(void **state)
{
    (void)state;
    ss_windows w = make(10, 4, 1);
    int a[10], b[10];
    ss_err e = {0};

    assert_int_equal(ss_windows_noise(&w, SS_NOISE_FRESH, 0, a, &e), SS_OK);
    for (int f = 0; f < 10; f++)
        assert_int_equal(a[f], f);
    assert_int_equal(ss_windows_noise(&w, SS_NOISE_REPEATED, 0, a, &e), SS_OK);
    for (int f = 0; f < 10; f++)
        assert_int_equal(a[f], f % 4);
    int changed = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        assert_int_equal(ss_windows_noise(&w, SS_NOISE_SHUFFLED, seed, a, &e), SS_OK);
        assert_int_equal(ss_windows_noise(&w, SS_NOISE_SHUFFLED, 0, b, &e), SS_OK);
        changed += memcmp(a, b, sizeof a) != 0;
    }
    assert_true(changed > 3);
    ss_windows_release(&w);
}

static void test_refused(void **state)
{
    (void)state;
    ss_windows w;
    ss_join join;
    ss_frame_noise noise;
    ss_err e = {0};

    assert_int_equal(ss_windows_make(8, 9, 0, &w, &e), SS_USAGE);
    assert_string_equal(e.msg, "windows of 9 frames in a video of 8; expected 1 to 8");
    assert_int_equal(ss_windows_make(8, 0, 0, &w, &e), SS_USAGE);
    assert_int_equal(ss_windows_make(8, 4, 4, &w, &e), SS_USAGE);
    assert_string_equal(e.msg, "windows of 4 frames overlap by 4; expected 0 to 3");
    assert_int_equal(ss_windows_make(8, 4, -1, &w, &e), SS_USAGE);
    assert_int_equal(ss_join_parse("round", &join, &e), SS_USAGE);
    assert_string_equal(e.msg, "'round' is none of separate, states, flat, pyramid, sequence");
    assert_int_equal(ss_frame_noise_parse("pink", &noise, &e), SS_USAGE);
    assert_string_equal(e.msg, "'pink' is none of fresh, shuffled, repeated");
}

/* ---- starts ---- */

static void compare_start(const char *scheduler, double strength)
{
    char name[96];
    float clean[N], noise[N], want[N], x[N], t[32];
    const char *path = in_tmp("scheduler_config.json");
    const char *config = ss_safetensors_metadata(golden, scheduler);
    ss_sampler_options o;
    ss_schedule *schedule;
    ss_sampler *s;
    ss_err e = {0};

    write_file(path, config, strlen(config));
    if (ss_sampler_options_load(path, NULL, &o, &e) != SS_OK ||
        ss_schedule_load(path, &schedule, &e) != SS_OK ||
        ss_sampler_new(&o, schedule, 10, &s, &e) != SS_OK ||
        ss_sampler_shorten(s, strength, &e) != SS_OK)
        fail_msg("%s", e.msg);
    snprintf(name, sizeof name, "%s-10-%g.t", scheduler, strength);
    assert_int_equal(load(name, 32, t), ss_sampler_count(s));
    for (int i = 0, step = 0; i < ss_sampler_count(s); i++) {
        const ss_sampler_point *p = ss_sampler_at(s, i);

        assert_true(fabs((double)p->timestep - t[i]) < 1e-3);
        if (p->step >= 0)
            assert_int_equal(p->step, step++);
    }
    load("clean", N, clean);
    load("noise", N, noise);
    snprintf(name, sizeof name, "%s-10-%g.start", scheduler, strength);
    assert_int_equal(load(name, N, want), N);
    ss_sampler_noised(s, clean, noise, N, x);
    assert_close(name, x, want, N, 2e-6, 2e-6); /* worst seen: 4e-7 */
    ss_sampler_free(s);
    ss_schedule_free(schedule);
}

static void test_starts_are_those_of_img2img(void **state)
{
    (void)state;
    static const char *const schedulers[] = {"ddim", "ddpm", "euler", "heun"};

    for (int i = 0; i < 4; i++) {
        compare_start(schedulers[i], 0.3);
        compare_start(schedulers[i], 0.65);
        compare_start(schedulers[i], 0.8);
    }
}

static void test_strength_is_checked(void **state)
{
    (void)state;
    const ss_sampler_options o = ss_sampler_defaults(SS_SAMPLER_DDIM);
    ss_schedule *schedule;
    ss_sampler *s;
    ss_err e = {0};

    assert_int_equal(ss_schedule_load(NULL, &schedule, &e), SS_OK);
    assert_int_equal(ss_sampler_new(&o, schedule, 10, &s, &e), SS_OK);
    assert_int_equal(ss_sampler_shorten(s, 1, &e), SS_OK);
    assert_int_equal(ss_sampler_count(s), 10);
    assert_int_equal(ss_sampler_shorten(s, 0.05, &e), SS_USAGE);
    assert_string_equal(e.msg, "strength 0.05 leaves no step of 10; expected more than 0, at most "
                               "1, and steps * strength of at least 1");
    assert_int_equal(ss_sampler_shorten(s, 1.5, &e), SS_USAGE);
    assert_int_equal(ss_sampler_shorten(s, (double)NAN, &e), SS_USAGE);
    assert_int_equal(ss_sampler_count(s), 10);
    ss_sampler_free(s);
    ss_schedule_free(schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_are_those_of_free_noise),
        cmocka_unit_test(test_laws_of_windows),
        cmocka_unit_test(test_noise_of_frames),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_starts_are_those_of_img2img),
        cmocka_unit_test(test_strength_is_checked),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
