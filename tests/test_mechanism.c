/* test_mechanism.c - which divergence is it: the right name on the numbers of real trainings, and
 * on short ones; no name where it cannot be known */
#include "analyze/training/mechanism.h"
#include "base/mem.h"
#include "tests/run_mechanism.h"
#include "tests/ss_command.h"

static const struct {
    ss_mechanism name;
    mech_spec spec;
} cases[] = {
    {SS_MECHANISM_STREAM, {MECH_TABLE(mech_stream)}},
    {SS_MECHANISM_LOGITS, {MECH_TABLE(mech_logits)}},
    {SS_MECHANISM_STREAM, {MECH_TABLE(mech_plateau)}},
    {SS_MECHANISM_SPIKE, {MECH_TABLE(mech_spike)}},
    {SS_MECHANISM_RATE, {MECH_TABLE(mech_rate)}},
    {SS_MECHANISM_WEIGHTS, {MECH_TABLE(mech_weights)}},
    {SS_MECHANISM_DATA, {MECH_TABLE(mech_data), .outlier = 9}},
    {SS_MECHANISM_LOGITS, {MECH_TABLE(mech_wreck)}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* The table as it was: those with a last row that was skipped end in inf. */
static mech_spec spec_of(int i)
{
    mech_spec s = cases[i].spec;

    if (isnan(s.rows[s.n - 1].loss))
        s.bad = s.n - 1;
    return s;
}

static ss_mechanism_finding find(const mech_spec *const *specs, const int64_t *steps, int n)
{
    ss_mechanism_finding m;
    ss_run *runs[8];
    ss_err e = {0};
    char name[32];

    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%d.h5", i);
        if (mech_write(in_tmp(name), specs[i], &e) != SS_OK ||
            ss_run_open_any(in_tmp(name), &runs[i], &e) != SS_OK)
            fail_msg("%s", e.msg);
    }
    if (ss_mechanism_find(runs, steps, n, &m, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int i = 0; i < n; i++)
        ss_run_close(runs[i]);
    return m;
}

static void check(const char *what, ss_mechanism_finding *m, ss_mechanism name, const char *text)
{
    if (m->name != name) {
        for (int i = 0; i < m->n; i++)
            print_message("%-8s %-34s %10.4g %10.4g %d %s\n",
                          ss_mechanism_key(m->rows[i].mechanism), m->rows[i].measure,
                          m->rows[i].value, m->rows[i].threshold, m->rows[i].speaks,
                          m->rows[i].where);
        fail_msg("%s: %s, want %s", what, m->sentence, ss_mechanism_text(name));
    }
    if (!strstr(m->sentence, text))
        fail_msg("%s: '%s' lacks '%s'", what, m->sentence, text);
    ss_mechanism_release(m);
}

static void check_one(const char *what, const mech_spec *s, ss_mechanism name, const char *text)
{
    ss_mechanism_finding m = find(&s, NULL, 1);

    check(what, &m, name, text);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        const mech_spec s = spec_of(i);

        check_one(ss_mechanism_text(cases[i].name), &s, cases[i].name,
                  ss_mechanism_text(cases[i].name));
    }
}

/* All activations and logits times 2: another unit is no other mechanism. */
static void test_scaled(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        mech_spec s = spec_of(i);

        s.scale = 2;
        check_one("scaled", &s, cases[i].name, "");
    }
}

/* Every other step, and without the first ones. Of the spike and the bad sample the step itself has
 * to stay, and of ten times the rate, which had three finite ones, all do. */
static void test_steps_dropped(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        mech_spec s = spec_of(i);

        if (cases[i].name == SS_MECHANISM_RATE)
            continue;
        s.every = 2;
        s.first = cases[i].name == SS_MECHANISM_DATA ? 1 : 0;
        check_one("every other step", &s, cases[i].name, "");
        s.every = 1;
        s.first = 1;
        check_one("without the first step", &s, cases[i].name, "");
    }
}

/* The checkpoints of a training, probed, in any order; two, three and five of them. */
static void test_checkpoints(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const mech_spec table = spec_of(i);
        const int good = table.bad;
        mech_spec s[5];
        const mech_spec *list[5];
        int64_t steps[5];

        for (int n = 2; n <= 5; n++) {
            for (int k = 0; k < n; k++) {
                const int at = n - 1 - k;

                s[at] = table;
                s[at].probe = true;
                s[at].bad = table.n;
                s[at].first = 1 + k * (good - 2) / (n - 1);
                steps[at] = table.rows[s[at].first].step;
                list[at] = &s[at];
            }
            ss_mechanism_finding m = find(list, steps, n);
            check("checkpoints", &m, cases[i].name, "");
        }
    }
}

static void test_one_run(void **state)
{
    (void)state;
    mech_spec s = spec_of(1);

    s.probe = true;
    s.first = s.bad - 1;
    s.bad = s.n;
    check_one("one run", &s, SS_MECHANISM_NONE, "one run has levels and no growth");
    check_one("one run", &s, SS_MECHANISM_NONE, "agrees with: logits run away");
    s.bad_weights = true;
    check_one("bad weights", &s, SS_MECHANISM_NONE, "inf or NaN from the first run on");
}

/* A checkpoint whose weights are inf or NaN shows no growth, whatever its activations are. */
static void test_bad_weights(void **state)
{
    (void)state;
    mech_spec s[3];
    const mech_spec *list[] = {&s[0], &s[1], &s[2]};
    const int64_t steps[] = {1, 2, 3};

    for (int i = 0; i < 3; i++) {
        s[i] = spec_of(0);
        s[i].probe = true;
        s[i].first = 1 + 5 * i;
        s[i].bad_weights = i == 2;
    }
    ss_mechanism_finding m = find(list, steps, 3);
    assert_true(m.bad);
    assert_int_equal(m.n_points, 2);
    check("bad weights", &m, m.name, "at step 3 a weight is the first that is inf or NaN");
}

static void test_cannot_be_told(void **state)
{
    (void)state;
    mech_spec s = spec_of(0);

    s.bad = 0;
    check_one("from the first", &s, SS_MECHANISM_NONE, "from the first measured step on");
    s.bad = 3;
    check_one("too few", &s, SS_MECHANISM_NONE, "only 2 finite measured steps before step 350");
    s = spec_of(0);
    s.n = 1;
    s.bad = 1;
    check_one("one step", &s, SS_MECHANISM_NONE, "only 0 finite measured steps before the end");
    s.n = 6;
    s.first = 1;
    s.bad = 6;
    check_one("no growth", &s, SS_MECHANISM_NONE, "nothing grew");

    s = spec_of(0);
    s.no_attention = true;
    check_one("not recorded", &s, SS_MECHANISM_NONE,
              "\"residual stream grows\" and \"logits run away\" differ in the attention");
    s.no_modules = true;
    check_one("no attention", &s, SS_MECHANISM_STREAM, "there is no attention");
}

/* Values that a clamp cut off: the largest is its limit. */
static void test_clamped(void **state)
{
    (void)state;
    static mech_row rows[16];
    mech_spec s = spec_of(0);

    memcpy(rows, s.rows, sizeof mech_stream);
    for (int i = 0; i < s.n; i++) {
        rows[i].stream = fmin(rows[i].stream, 80);
        rows[i].others = fmin(rows[i].others, 40);
    }
    s.rows = rows;
    s.bad = s.n;
    s.plan = "{\"interventions\": [\"clamp:80@*\"]}";
    check_one("clamped", &s, SS_MECHANISM_NONE, "stands at the limit of clamp:80@*");
    s.plan = "{\"model\": {\"remedies\": {\"clamp\": 80}}}";
    check_one("remedy", &s, SS_MECHANISM_STREAM, "blocks clamp their outputs to 80");
}

/* A sample that is far larger than the others, but whose picture is not, is no bad one; a batch all
 * of whose samples are is none either. */
static void test_bad_sample(void **state)
{
    (void)state;
    mech_spec s = spec_of(6);

    check_one("sample 2", &s, SS_MECHANISM_DATA, "sample 2, step");
    s.whole_batch = true;
    ss_mechanism_finding m = find((const mech_spec *[]){&s}, NULL, 1);
    assert_int_not_equal(m.name, SS_MECHANISM_DATA);
    ss_mechanism_release(&m);
    s.outlier = 0;
    m = find((const mech_spec *[]){&s}, NULL, 1);
    assert_int_not_equal(m.name, SS_MECHANISM_DATA);
    ss_mechanism_release(&m);
}

/* Two of one step, or steps that go back, are the caller's: here they are sorted. No memory is an
 * error at every allocation, and leaks nothing. */
static void test_no_memory(void **state)
{
    (void)state;
    const mech_spec s = spec_of(0);
    ss_run *r;
    ss_err e = {0};
    bool done = false;

    assert_int_equal(mech_write(in_tmp("m.h5"), &s, &e), SS_OK);
    for (unsigned long k = 1; !done; k++) {
        ss_mechanism_finding m;

        assert_int_equal(ss_run_open_any(in_tmp("m.h5"), &r, &e), SS_OK);
        ss_mem_fail_at(k);
        const ss_code rc = ss_mechanism_find(&r, NULL, 1, &m, &e);
        ss_mem_fail_at(0);
        ss_run_close(r);
        done = rc == SS_OK;
        if (!done)
            assert_int_equal(rc, SS_NOMEM);
        ss_mechanism_release(&m);
    }
}

/* A stale step with a jump after logits ran away is what they did; one before any growth of them is
 * the spike. */
static void test_spike_after_logits(void **state)
{
    (void)state;
    static mech_row rows[20];
    mech_spec s = spec_of(1);
    const int last = s.bad - 1;

    memcpy(rows, s.rows, sizeof mech_logits);
    s.rows = rows;
    rows[last].staleness = 7.8;
    rows[last].share = 0.15;
    rows[last].loss = 6;
    check_one("after", &s, SS_MECHANISM_LOGITS, "");
    s = spec_of(0);
    memcpy(rows, s.rows, sizeof mech_stream);
    s.rows = rows;
    rows[6].staleness = 7.8;
    rows[6].share = 0.15;
    rows[6].loss = 6;
    check_one("alone", &s, SS_MECHANISM_SPIKE, "a.weight, step 800");
}

/* fp32 holds what comes after: a stream that was thrown, and logits that stay. That is no growth.
 */
static void test_thrown(void **state)
{
    (void)state;
    static mech_row rows[32];
    mech_spec s = spec_of(1);
    const int good = s.bad;

    memcpy(rows, s.rows, (size_t)good * sizeof *rows);
    for (int i = good; i < good + 8; i++) {
        rows[i] = rows[good - 1];
        rows[i].step += 20 * (i - good + 1);
        rows[i].stream = 3e7;
        rows[i].logit = 5e9;
    }
    s.rows = rows;
    s.n = s.bad = good + 8;
    check_one("thrown", &s, SS_MECHANISM_LOGITS, "");
}

/* Each row of the table is one of the finding, and each required row of the name speaks for it. */
static void test_table(void **state)
{
    (void)state;
    const mech_spec s = spec_of(1), *list[] = {&s};
    ss_mechanism_finding m = find(list, NULL, 1);
    ss_table t;
    ss_err e = {0};
    int n = 0;

    assert_int_equal(ss_mechanism_table(&m, &t, &e), SS_OK);
    assert_int_equal(json_array_size(t.rows), m.n);
    assert_non_null(strstr(t.note, "logits run away"));
    for (int i = 0; i < m.n; i++) {
        if (m.rows[i].mechanism == m.name && m.rows[i].required) {
            assert_int_equal(m.rows[i].speaks, SS_SPEAKS_FOR);
            n++;
        }
    }
    assert_int_equal(n, 4);
    ss_table_release(&t);
    ss_mechanism_release(&m);
}

/* The bundled pair, whose decoder grew: by every command that says it, and the report. */
static void test_commands(void **state)
{
    (void)state;
    static const char name[] = "Mechanism: residual stream grows: ";
    static const char inputs[] =
        "--class 3 --inputs noise:white --samples 2 --sigmas 0.02:80:3 --quiet";
    char text[400];

    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "probe demo/fashion-mnist/step-%s -o $D/p%d.h5 %s",
                 i ? "06000" : "00250", i, inputs);
        expect(text, 0, NULL);
    }
    expect("analyze $D/p0.h5 $D/p1.h5", 0, name);
    expect("analyze $D/p0.h5 $D/p1.h5 --json", 0, "\"name\": \"residual stream grows\"");
    expect("attn $D/p1.h5", 0, "Mechanism: not identified: one run has levels and no growth");
    expect("report $D/p0.h5 $D/p1.h5 -o $D/report", 0, NULL);
    expect(
        "report $D/p0.h5 $D/p1.h5 -o $D/report2; grep -c 'id=\"mechanism\"' $D/report2/index.html",
        0, "1");
    snprintf(text, sizeof text,
             "bisect demo/fashion-mnist/step-* --fail 'absmax(*) > 200' --cache $D %s", inputs);
    expect(text, 3, name);
}

/* Live: too large a rate, in the JSON of the training and in its file. */
static void live_rate(const char *isa)
{
    FILE *f = fopen(in_tmp("rate.json"), "w");
    char text[400], here[200];

    assert_non_null(f);
    assert_non_null(getcwd(here, sizeof here));
    fprintf(f,
            "{\"output\": \"x\", \"steps\": 15, \"batch\": 4,"
            " \"model\": \"%s/train/configs/fast-16.unet.json\", \"data\": {\"kind\": \"shapes\"},"
            " \"optimizer\": {\"kind\": \"adam\", \"lr\": 0.1}, \"statistics\": {\"every\": 3}}",
            here);
    fclose(f);
    setenv("SIGMASCOPE_ISA", isa, 1);
    snprintf(text, sizeof text, "train $D/rate.json -o $D/rate-%s --json --quiet", isa);
    expect(text, 0, "\"mechanism\": \"updates spike: too large a rate\"");
    unsetenv("SIGMASCOPE_ISA");
    snprintf(text, sizeof text, "analyze $D/rate-%s/statistics.h5", isa);
    expect(text, 0, "Mechanism: updates spike: too large a rate");
}

/* Live: batches of a rare class, which come at step 100. The second moment does not expect them. */
static void test_live_rare(void **state)
{
    (void)state;
    FILE *f = fopen(in_tmp("rare.json"), "w");
    char here[200];

    assert_non_null(f);
    assert_non_null(getcwd(here, sizeof here));
    fprintf(f,
            "{\"output\": \"x\", \"steps\": 101, \"batch\": 2,"
            " \"model\": \"%s/train/configs/fast-16.unet.json\","
            " \"data\": {\"kind\": \"shapes\", \"rare\": 2},"
            " \"optimizer\": {\"kind\": \"adam\", \"lr\": 3e-3, \"warmup\": 20},"
            " \"statistics\": {\"every\": 20}}",
            here);
    fclose(f);
    expect("train $D/rare.json -o $D/rare --quiet", 0,
           "Mechanism: updates spike: stale second moment: staleness ");
    assert_non_null(strstr(output, "step 100)"));
}

static void test_live_rate(void **state)
{
    (void)state;
    live_rate("base");
    live_rate("v3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_thrown),
        cmocka_unit_test(test_spike_after_logits),
        cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_steps_dropped),
        cmocka_unit_test(test_checkpoints),
        cmocka_unit_test(test_one_run),
        cmocka_unit_test(test_bad_weights),
        cmocka_unit_test(test_cannot_be_told),
        cmocka_unit_test(test_clamped),
        cmocka_unit_test(test_bad_sample),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_live_rate),
        cmocka_unit_test(test_live_rare),
    };
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
