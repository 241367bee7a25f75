/* test_score.c - how good samples are, from a distance of two normal distributions to the command
 *
 * Golden file: tests/golden/frechet.safetensors, written by make_frechet.py with numpy and scipy.
 * The data of the commands are pictures of 8 x 8 in three classes that no two pixels' noise hides;
 * samples are folders as `generate` leaves them, made here.
 */
#include "analyze/math/frechet.h"
#include "analyze/one/score.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/png.h"
#include "base/rng.h"
#include "models/file/safetensors.h"
#include "probe/samples.h"
#include "tests/ss_command.h"
#include "train/judge.h"

#include <sys/stat.h>

/* ---- the distance ---- */

/* NAME.PART of the golden file in double: the sum of a value and what its rounding left. */
static double *golden(const char *name, const char *part, int64_t *n)
{
    double *out = NULL;
    ss_err e = {0};

    for (int low = 0; low < 2; low++) {
        char path[200];
        ss_array a;

        snprintf(path, sizeof path, "tests/golden/frechet.safetensors#%s.%s%s", name, part,
                 low ? ".low" : "");
        if (ss_safetensors_load_f32(path, &a, &e) != SS_OK)
            fail_msg("%s", e.msg);
        *n = 1;
        for (int i = 0; i < a.rank; i++)
            *n *= a.dim[i];
        if (!out)
            assert_non_null(out = calloc((size_t)*n, sizeof *out));
        for (int64_t i = 0; i < *n; i++)
            out[i] += a.values[i];
        ss_array_release(&a);
    }
    return out;
}

static double frechet(const ss_gaussian *a, const ss_gaussian *b)
{
    ss_err e = {0};
    double d;

    if (ss_frechet_distance(a, b, &d, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return d;
}

static void test_matches_scipy(void **state)
{
    (void)state;
    static const char *const cases[] = {"one", "small", "wide", "few", "both_few", "still"};

    for (size_t i = 0; i < N_OF(cases); i++) {
        int64_t n, nn;
        ss_gaussian a = {.mean = golden(cases[i], "mean_a", &n),
                         .covariance = golden(cases[i], "cov_a", &nn)};
        ss_gaussian b = {.mean = golden(cases[i], "mean_b", &n),
                         .covariance = golden(cases[i], "cov_b", &nn)};
        double *want = golden(cases[i], "distance", &nn);

        a.n = b.n = (int)n;
        /* worst seen: 2e-13 of the distance; singular ones: 5e-8 of it, of a root of rounding */
        assert_true(fabs(frechet(&a, &b) - *want) < 1e-6 * *want);
        assert_true(fabs(frechet(&a, &b) - frechet(&b, &a)) < 1e-9 * *want);
        assert_true(frechet(&a, &a) < 1e-12 * *want);
        for (int64_t k = 0; k < n; k++) /* a shift adds its square, whatever the covariances */
            b.mean[k] = a.mean[k] + 2;
        const double shifted = frechet(&a, &b);
        for (int64_t k = 0; k < n; k++)
            b.mean[k] = a.mean[k];
        assert_true(fabs(shifted - frechet(&a, &b) - 4 * (double)n) < 1e-9 * shifted);
        ss_gaussian_release(&a);
        ss_gaussian_release(&b);
        free(want);
    }
}

static void assert_all_close(const double *got, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        assert_true(fabs(got[i] - want[i]) < 1e-7);
}

static void test_moments_match_numpy(void **state)
{
    (void)state;
    enum { ROWS = 7, N = 5 };
    int64_t n;
    double *x = golden("rows", "x", &n), *w = golden("weighted", "w", &n);
    float rows[ROWS * N];

    for (int i = 0; i < ROWS * N; i++)
        rows[i] = (float)x[i];
    for (int weighted = 0; weighted < 2; weighted++) {
        const char *name = weighted ? "weighted" : "rows";
        double *mean = golden(name, "mean", &n), *cov = golden(name, "cov", &n);
        ss_gaussian g;
        ss_err e = {0};

        assert_int_equal(ss_gaussian_of(rows, ROWS, N, weighted ? w : NULL, &g, &e), SS_OK);
        assert_all_close(g.mean, mean, N);
        assert_all_close(g.covariance, cov, N * N);
        ss_gaussian_release(&g);
        free(mean);
        free(cov);
    }
    free(x);
    free(w);
}

static void test_refuses_what_is_no_distribution(void **state)
{
    (void)state;
    double mean[2] = {0}, good[4] = {1, 0, 0, 1}, bad[4] = {1, 0, 0, -1}, nan[4] = {1, 0, 0, NAN},
           d;
    const ss_gaussian a = {2, mean, good}, negative = {2, mean, bad}, sick = {2, mean, nan};
    const ss_gaussian other = {1, mean, good};
    const float row[2] = {1, INFINITY};
    ss_gaussian g;
    ss_err e = {0};

    assert_int_equal(ss_frechet_distance(&a, &negative, &d, &e), SS_FORMAT);
    assert_int_equal(ss_frechet_distance(&sick, &a, &d, &e), SS_FORMAT);
    assert_int_equal(ss_frechet_distance(&a, &other, &d, &e), SS_SHAPE);
    assert_int_equal(ss_gaussian_of(row, 1, 2, NULL, &g, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "feature 1 of row 0"));
    assert_int_equal(ss_gaussian_of(row, 0, 2, NULL, &g, &e), SS_USAGE);
}

/* ---- scores of features ---- */

enum { WIDTH = 6, CLASSES = 3, REAL = 1200, SAMPLES = 150 };

/* Features of n pictures, of classes in turn: a place of the class, and noise. */
static void make_features(float *x, int *label, int *taken, float *sure, int n, uint64_t seed,
                          double noise)
{
    const ss_rng r = ss_rng_stream(seed, "features", 0, 0);

    for (int i = 0; i < n; i++) {
        label[i] = taken[i] = i % CLASSES;
        sure[i] = 0.5;
        for (int k = 0; k < WIDTH; k++)
            x[i * WIDTH + k] =
                (float)((k == label[i]) * 3 + noise * ss_rng_normal(r, (uint64_t)(i * WIDTH + k)));
    }
}

static float real_x[REAL * WIDTH], x[SAMPLES * WIDTH], sure[REAL], sample_sure[SAMPLES];
static int real_label[REAL], real_taken[REAL], label[SAMPLES], taken[SAMPLES];
static ss_sample_state states[SAMPLES];
static const ss_scored real = {REAL, WIDTH, real_x, real_label, real_taken, sure, NULL};
static const ss_scored samples = {SAMPLES, WIDTH, x, label, taken, sample_sure, states};

static ss_score score(uint64_t seed, double noise)
{
    ss_score s;
    ss_err e = {0};

    make_features(real_x, real_label, real_taken, sure, REAL, 1, 1);
    if (seed)
        make_features(x, label, taken, sample_sure, SAMPLES, seed, noise);
    if (ss_score_samples(&samples, &real, 0, &s, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return s;
}

/* Samples of the same distribution, 20 times: about 0 but for the reference's own share of the
 * bias, and between real ones. */
static void test_as_good_as_real(void **state)
{
    (void)state;
    const double share = SAMPLES / (SAMPLES + REAL / 2.0);
    int covered = 0;
    double sum = 0, plain = 0, own = 0;

    memset(states, 0, sizeof states);
    for (uint64_t seed = 2; seed < 22; seed++) {
        const ss_score s = score(seed, 1);

        assert_int_equal(s.right, SAMPLES);
        assert_int_equal(s.real_n, SAMPLES);
        assert_int_equal(s.draws, REAL / 2 / SAMPLES);
        assert_true(s.low < s.corrected && s.corrected < s.high);
        own = share * s.real_mean;
        covered += s.low < own && s.high > own;
        sum += s.corrected / 20;
        plain += s.distance / 20;
    }
    assert_true(fabs(plain - own) > 0.1); /* seen: 0.147 */
    assert_true(fabs(sum - own) < 0.03);  /* seen: 0.019 */
    assert_true(covered >= 17);           /* a 95 % interval; seen: 20 */
}

static void test_grows_with_noise(void **state)
{
    (void)state;
    ss_score last = score(2, 1);

    for (double noise = 1.5; noise < 4; noise += 0.5) {
        const ss_score s = score(2, noise);

        assert_true(s.distance > last.distance && s.low > last.low);
        last = s;
    }
    assert_true(last.low > last.real_most);
}

/* Backwards, with equal pictures among them: the same bits. */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    memset(states, 0, sizeof states);
    make_features(x, label, taken, sample_sure, SAMPLES, 5, 1.5);
    states[7] = SS_SAMPLE_NOT_FINITE;
    x[7 * WIDTH] = NAN;
    taken[9] = 1 - taken[9];
    memcpy(x + 3 * WIDTH, x + 6 * WIDTH, WIDTH * sizeof *x);
    const ss_score a = score(0, 0);

    for (int i = 0; i < SAMPLES / 2; i++) {
        const int j = SAMPLES - 1 - i, l = label[i], t = taken[i];
        const ss_sample_state st = states[i];

        for (int k = 0; k < WIDTH; k++) {
            const float v = x[i * WIDTH + k];

            x[i * WIDTH + k] = x[j * WIDTH + k];
            x[j * WIDTH + k] = v;
        }
        label[i] = label[j], label[j] = l;
        taken[i] = taken[j], taken[j] = t;
        states[i] = states[j], states[j] = st;
    }
    const ss_score b = score(0, 0);
    assert_memory_equal(&a, &b, sizeof a);
    memset(states, 0, sizeof states);
}

/* Samples of one class only are compared with pictures of that class. */
static void test_mix_of_classes_is_the_samples_own(void **state)
{
    (void)state;
    make_features(x, label, taken, sample_sure, SAMPLES, 6, 1);
    for (int i = 0; i < SAMPLES; i++) {
        x[i * WIDTH + label[i]] -= 3;
        x[i * WIDTH + 2] += 3;
        label[i] = taken[i] = 2;
    }
    const ss_score s = score(0, 0);
    assert_true(s.distance < 3 * s.real_most);
    for (int i = 0; i < SAMPLES; i++)
        label[i] = -1; /* nothing asked for: all classes are meant, and they are not there */
    const ss_score any = score(0, 0);
    assert_int_equal(any.asked, 0);
    assert_true(isnan(any.accuracy) && isnan(any.accuracy_low));
    assert_true(any.low > 5 * s.real_most);
}

static void test_bad_samples_count_as_wrong(void **state)
{
    (void)state;
    make_features(x, label, taken, sample_sure, SAMPLES, 7, 1);
    for (int i = 0; i < 30; i++) {
        states[i] = i < 10 ? SS_SAMPLE_FLAT : SS_SAMPLE_NOT_FINITE;
        x[i * WIDTH] = i < 10 ? x[i * WIDTH] : NAN;
        sample_sure[i] = i < 10 ? 0.5F : NAN;
    }
    ss_score s = score(0, 0);
    assert_int_equal(s.flat, 10);
    assert_int_equal(s.not_finite, 20);
    assert_int_equal(s.used, SAMPLES - 20);
    assert_int_equal(s.right, SAMPLES - 30);
    assert_true(s.confidence == 0.5);
    assert_true(isfinite(s.distance));
    for (int i = 0; i < SAMPLES; i++)
        states[i] = SS_SAMPLE_NOT_FINITE;
    s = score(0, 0);
    assert_int_equal(s.used, 0);
    assert_true(s.accuracy == 0 && s.accuracy_low == 0);
    assert_true(isnan(s.distance) && isnan(s.low) && isnan(s.confidence));
    memset(states, 0, sizeof states);
    label[4] = 77;
    ss_err e = {0};
    assert_int_equal(ss_score_samples(&samples, &real, 0, &s, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "class 77"));
}

static void test_wilson(void **state)
{
    (void)state;
    double low, high;

    ss_wilson(8, 10, &low, &high); /* statsmodels: proportion_confint(8, 10, method="wilson") */
    assert_true(fabs(low - 0.4901624715) < 1e-9 && fabs(high - 0.9433178485) < 1e-9);
    ss_wilson(0, 20, &low, &high);
    assert_true(low == 0 && fabs(high - 0.1611251581) < 1e-9);
    ss_wilson(20, 20, &low, &high);
    assert_true(high == 1 && low < 0.84);
    ss_wilson(0, 0, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

/* ---- the command ---- */

enum { SIDE = 8, PIXELS = SIDE * SIDE, PICTURES = 900, SHOWN = 60 };

/* Bars up and down, bars across, a bright square; noise on each pixel. */
static void draw(uint8_t *p, int class, int i, double noise)
{
    const ss_rng r = ss_rng_stream(3, "picture", (uint64_t)i, 0);

    for (int k = 0; k < PIXELS; k++) {
        const int row = k / SIDE, column = k % SIDE;
        const bool on = class == 0   ? column / 2 % 2
                        : class == 1 ? row / 2 % 2
                                     : row > 1 && row < 6 && column > 1 && column < 6;
        const double v = (on ? 200 : 40) + noise * ss_rng_normal(r, (uint64_t)k);

        p[k] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

static void write_idx(const char *name, int rank, int n, const uint8_t *data, size_t bytes)
{
    uint8_t file[16 + PICTURES * PIXELS] = {
        0, 0, 8, (uint8_t)rank, 0, 0, (uint8_t)(n >> 8), (uint8_t)n, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
    const size_t head = rank == 1 ? 8 : 16;

    memcpy(file + head, data, bytes);
    write_file(in_tmp(name), file, head + bytes);
}

static void write_data(void)
{
    static uint8_t pictures[PICTURES * PIXELS], labels[PICTURES];
    static const char config[] =
        "{\"data\": {\"kind\": \"idx\", \"path\": \"pictures\", \"labels\": \"labels\", \"pool\": "
        "1, \"null_class\": 3, \"dropout\": 0.1}, \"model\": {\"_class_name\": \"UNet2DModel\", "
        "\"sample_size\": 8, \"in_channels\": 1, \"out_channels\": 1, \"block_out_channels\": "
        "[8], \"layers_per_block\": 1, \"down_block_types\": [\"DownBlock2D\"], "
        "\"up_block_types\": [\"UpBlock2D\"], \"norm_num_groups\": 4, \"num_class_embeds\": 4}}";

    for (int i = 0; i < PICTURES; i++) {
        labels[i] = (uint8_t)(i % CLASSES);
        draw(pictures + i * PIXELS, labels[i], i, 25);
    }
    write_idx("pictures", 3, PICTURES, pictures, sizeof pictures);
    write_idx("labels", 1, PICTURES, labels, sizeof labels);
    write_file(in_tmp("config.json"), config, strlen(config));
}

typedef struct {
    int shift; /* the class drawn is the one asked for plus this */
    double noise;
    int flat, broken; /* how many are all black; not finite */
} sort;

/* A folder as generate leaves it. */
static void write_samples(const char *name, const sort *o)
{
    char text[16000], *t = text, *bad = malloc(4000), *at = bad, *most = malloc(4000), *m = most,
                      *pictures = malloc(4000), *p = pictures, file[64];

    mkdir(in_tmp(name), 0777);
    snprintf(file, sizeof file, "%s/01-m", name);
    mkdir(in_tmp(file), 0777);
    t += sprintf(t,
                 "{\"format\": \"sigmascope-generate\", \"version\": 1, \"samples\": %d, "
                 "\"conditions\": [",
                 SHOWN);
    for (int i = 0; i < SHOWN; i++) {
        uint8_t bytes[PIXELS] = {0};
        ss_image im = {SIDE, SIDE, 1, bytes};
        ss_err e = {0};

        if (i >= o->flat)
            draw(bytes, (i + o->shift) % CLASSES, PICTURES + i, o->noise);
        snprintf(file, sizeof file, "%s/01-m/%04d.png", name, i);
        assert_int_equal(ss_image_write_png(in_tmp(file), &im, &e), SS_OK);
        t += sprintf(t, "%s\"class %d\"", i ? ", " : "", i % CLASSES);
        p += sprintf(p, "%s\"01-m/%04d.png\"", i ? ", " : "", i);
        at += sprintf(at, "%s%d", i ? ", " : "", i >= SHOWN - o->broken);
        m += sprintf(m, "%s%s", i ? ", " : "", i == 1 ? "9.5" : "1.1");
    }
    sprintf(t,
            "], \"models\": [{\"folder\": \"01-m\", \"pictures\": [%s], \"nonfinite\": [%s], "
            "\"absmax\": [%s]}]}",
            pictures, bad, most);
    snprintf(file, sizeof file, "%s/generate.json", name);
    write_file(in_tmp(file), text, strlen(text));
    free(bad);
    free(most);
    free(pictures);
}

/* A number in the output of --json: row (0: of the real pictures) and column of a table. */
static double cell(const char *table, size_t row, const char *column)
{
    json_t *j = json_loads(output, 0, NULL);
    json_t *v = json_object_get(
        json_array_get(json_object_get(json_object_get(j, table), "rows"), row), column);

    if (!j || !v)
        fail_msg("no %s of row %zu in %s:\n%s", column, row, table, output);
    const double x_ = json_is_number(v) ? json_number_value(v) : NAN;
    json_decref(j);
    return x_;
}

static int set_up(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    write_data();
    write_samples("good", &(sort){.noise = 25});
    write_samples("swapped", &(sort){.shift = 1, .noise = 25});
    write_samples("noisy", &(sort){.noise = 300});
    write_samples("sick", &(sort){.noise = 25, .flat = 12, .broken = 15});
    return 0;
}

static void test_command(void **state)
{
    (void)state;
    static const char classes[] = "samples by class", distance[] = "distance from real pictures";

    expect("score $D/config.json $D/good $D/swapped $D/noisy $D/sick --json --quiet "
           "--classifier $D/c.safetensors",
           0, NULL);
    assert_true(cell(classes, 0, "samples") == PICTURES / 6);
    assert_true(cell(classes, 0, "accuracy") > 0.95);
    assert_true(cell(classes, 1, "accuracy") > 0.95);
    assert_true(cell(classes, 1, "beyond 1.5") == 1);
    assert_true(cell(classes, 2, "accuracy") < 0.05 && cell(classes, 2, "high") < 0.15);
    assert_true(cell(classes, 3, "accuracy") < cell(classes, 1, "accuracy"));
    assert_true(cell(classes, 4, "not finite") == 15 && cell(classes, 4, "one value") == 12);
    assert_true(cell(classes, 4, "accuracy") <= 33 / 60.0);
    assert_true(cell(distance, 3, "used") == SHOWN - 15);
    assert_true(cell(distance, 0, "distance") < cell(distance, 2, "low"));
    assert_true(cell(distance, 0, "distance") < cell(distance, 2, "low"));
    /* swapped classes are pictures as good as any */
    assert_true(fabs(cell(distance, 1, "distance") / cell(distance, 0, "distance") - 1) < 1);
}

static void test_classifier_file(void **state)
{
    (void)state;
    char *first;

    expect("score $D/config.json $D/good --classifier $D/d.safetensors --threads 1", 0, NULL);
    expect("score $D/config.json $D/good --json --quiet --threads 2 --seed 0", 0, NULL);
    assert_non_null(first = strdup(output));
    expect("score $D/config.json $D/good --json --quiet --classifier $D/d.safetensors", 0, NULL);
    assert_non_null(strstr(output, "read from"));
    assert_string_equal(strstr(output, "\"rows\""), strstr(first, "\"rows\"")); /* the same bits */
    free(first);
    expect("score $D/config.json $D/good --json --quiet --seed 1", 0, NULL); /* another one */

    static const char more[] = "{\"data\": {\"kind\": \"shapes\"}, \"model\": \"u.json\"}";
    write_file(in_tmp("other.json"), more, strlen(more));
    static const char u[] =
        "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1, "
        "\"out_channels\": 1, \"block_out_channels\": [8], \"layers_per_block\": 1, "
        "\"down_block_types\": [\"DownBlock2D\"], \"up_block_types\": [\"UpBlock2D\"], "
        "\"norm_num_groups\": 4}";
    write_file(in_tmp("u.json"), u, strlen(u));
    expect("score $D/other.json $D/good --classifier $D/d.safetensors", 1,
           "d.safetensors: this classifier was trained on other data or sizes");
    write_file(in_tmp("no.safetensors"), "12345678", 8);
    expect("score $D/config.json $D/good --classifier $D/no.safetensors", 1, "no.safetensors");
    expect("score $D/config.json $D/good --classifier tests/golden/frechet.safetensors", 1,
           "frechet.safetensors: not a classifier that `sigmascope score` wrote");
}

/* Writes generate.json into a folder of its own, beside picture 0000.png of the good samples. */
static void hostile(const char *json, int status, const char *text)
{
    mkdir(in_tmp("bad"), 0777);
    write_file(in_tmp("bad/generate.json"), json, strlen(json));
    expect("score $D/config.json $D/bad --classifier $D/e.safetensors --quiet", status, text);
}

#define HEAD "{\"format\": \"sigmascope-generate\", \"version\": 1, \"samples\": 2, "
#define BODY(pictures, bad, absmax)                                                      \
    HEAD "\"conditions\": [\"class 0\", \"class 1\"], \"models\": [{\"folder\": \"m\", " \
         "\"pictures\": [" pictures "], \"nonfinite\": [" bad "], \"absmax\": [" absmax "]}]}"
#define GOOD "\"../good/01-m/0000.png\""

static void test_hostile_folders(void **state)
{
    (void)state;
    expect("score $D/config.json $D/none --classifier $D/e.safetensors", 1, "no generate.json");
    hostile("{}", 1, "\"format\" is missing; expected \"sigmascope-generate\"");
    hostile("[1]", 1, "generate.json");
    hostile("{\"format\": \"sigmascope-generate\", \"samples\": 99999999}", 1, "1 to 65536");
    hostile(HEAD "\"conditions\": [\"class 0\"]}", 1, "expected a list of 2, one for each sample");
    hostile(HEAD "\"conditions\": [1, 2], \"models\": []}", 1, "expected a list of 1 to");
    hostile(HEAD "\"conditions\": [1, 2], \"models\": [3]}", 1, "model 1: expected an object");
    hostile(BODY(GOOD ", " GOOD, "0, 0", "1, 1"), 1, "not the name of a file in the folder");
    hostile(BODY("\"a\", \"/etc/passwd\"", "0, 0", "1, 1"), 1,
            "not the name of a file in the folder");
    hostile(BODY("\"a\", 7", "0, 0", "1, 1"), 1, "picture 1 is not the name");
    hostile(BODY("\"a\", \"b\"", "0, -1", "1, 1"), 1, "nonfinite of sample 1 is not a count");
    hostile(BODY("\"a\", \"b\"", "0, 1", "1, NaN"), 1, "absmax of sample 1");
    hostile(BODY("\"a..b.png\", \"b\"", "0, 0", "1, 1"), 1, "a..b.png");
    hostile(BODY("\"a\", \"b\"", "3, 3", "0, 0"), 0, NULL); /* nothing but sick ones */

    uint8_t bytes[12 * 12] = {0};
    ss_image im = {12, 12, 1, bytes};
    ss_err e = {0};
    assert_int_equal(ss_image_write_png(in_tmp("bad/large.png"), &im, &e), SS_OK);
    hostile(BODY("\"large.png\", \"b\"", "0, 0", "1, 1"), 1,
            "large.png: a picture of 12 x 12 x 1, where the configuration's are 8 x 8 x 1");
    hostile(HEAD "\"conditions\": [\"class 9\", \"class 1\"], \"models\": [{\"folder\": \"m\", "
                 "\"pictures\": [\"a\", \"b\"], \"nonfinite\": [1, 1], \"absmax\": [0, 0]}]}",
            2, "sample 0 is of class 9, and the data have 0 to 2");
}

static void test_data_that_cannot_judge(void **state)
{
    (void)state;
    static const char none[] =
        "{\"data\": {\"kind\": \"idx\", \"path\": \"pictures\"}, \"model\": \"u.json\"}";

    write_file(in_tmp("none.json"), none, strlen(none));
    expect("score $D/none.json $D/good", 2, "the data have 0 classes");
    expect("score $D/config.json", 2, "SAMPLES");
    expect("score $D/missing.json $D/good", 1, "missing.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_scipy),
        cmocka_unit_test(test_moments_match_numpy),
        cmocka_unit_test(test_refuses_what_is_no_distribution),
        cmocka_unit_test(test_as_good_as_real),
        cmocka_unit_test(test_grows_with_noise),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_mix_of_classes_is_the_samples_own),
        cmocka_unit_test(test_bad_samples_count_as_wrong),
        cmocka_unit_test(test_wilson),
        cmocka_unit_test(test_command),
        cmocka_unit_test(test_classifier_file),
        cmocka_unit_test(test_hostile_folders),
        cmocka_unit_test(test_data_that_cannot_judge),
    };
    return cmocka_run_group_tests(tests, set_up, remove_tmp);
}
