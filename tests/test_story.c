/* test_story.c - the divergence in seconds: a tiny network overflows a narrow format, and does not
 * with the activation penalty; and what is read of its logs
 */
#include "analyze/training/story_judge.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/ss_command.h"

#include <math.h>
#include <sys/stat.h>

/* e3m4 has the largest number 15.5. */
static const char config[] =
    "{\"steps\": 120, \"batch\": 16, \"init\": {\"zero\": [\"*.conv2\", \"*.to_out.0\"]},"
    " \"model\": {\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 1,"
    "  \"out_channels\": 1, \"layers_per_block\": 1, \"block_out_channels\": [8, 16],"
    "  \"down_block_types\": [\"DownBlock2D\", \"AttnDownBlock2D\"],"
    "  \"up_block_types\": [\"AttnUpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 8,"
    "  \"norm_num_groups\": 4, \"num_class_embeds\": 4},"
    " \"data\": {\"kind\": \"shapes\", \"null_class\": 3, \"dropout\": 0.1},"
    " \"optimizer\": {\"lr\": 2e-2, \"warmup\": 20},"
    " \"precision\": {\"format\": \"e3m4\", \"gradient\": \"e5m2\", \"scope\": \"blocks\"},"
    " \"loss_scale\": {\"dynamic\": true, \"initial\": 1024}, \"on_nonfinite\": \"skip\","
    " \"statistics\": {\"every\": 20}, \"checkpoints\": {\"every\": 1000}}";

static int make_story(void **state)
{
    if (make_tmp(state) != 0)
        return -1;
    write_file(in_tmp("train.json"), config, sizeof config - 1);
    mkdir(in_tmp("story"), 0777);
    return 0;
}

static void train(const char *arm, int seed, const char *more)
{
    char command[512];

    snprintf(command, sizeof command,
             "train $D/train.json --quiet --threads 1 --json --seed %d -o $D/story/%s-%d %s > "
             "$D/summary.json; case $? in 0|3) mv $D/summary.json $D/story/%s-%d/summary.json ;; "
             "*) false ;; esac", /* 3: most steps were skipped */
             seed, arm, seed, more, arm, seed);
    expect(command, 0, NULL);
}

static void read_story(ss_story *s, ss_story_judgement *j)
{
    ss_err e = {0};

    if (ss_story_read(in_tmp("story"), s, &e) != SS_OK || ss_story_judge(s, j, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void release(ss_story *s, ss_story_judgement *j)
{
    ss_story_judgement_release(j);
    ss_story_release(s);
}

static void test_short_story(void **state)
{
    (void)state;
    char command[256];
    ss_story s;
    ss_story_judgement j;
    ss_err e = {0};

    assert_int_equal(ss_story_read(in_tmp("story"), &s, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "no folder in it holds a training run"));
    for (int seed = 0; seed < 3; seed++) {
        train("baseline", seed, "");
        train("penalty", seed, "--set penalty.coefficient=0.05");
    }
    read_story(&s, &j);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.regime[0].n, 6);
    for (int i = 0; i < s.regime[0].n; i++) {
        const ss_story_run *r = &s.regime[0].runs[i];
        const ss_training_log *l = &r->log;
        const bool baseline = strncmp(l->name, "baseline", 8) == 0;

        if ((l->first_overflow > 0) != baseline)
            fail_msg("%s: first overflow at step %lld", l->name, (long long)l->first_overflow);
        assert_int_equal(l->steps, 120);
        assert_int_equal(l->planned, 120);
        assert_true(l->ms > 0);
        assert_true(baseline ? l->skipped > 50 : l->skipped < 20);
        assert_float_equal(l->limit, 15.5, 0);
        assert_true(l->largest > 5 && l->largest <= 15.5); /* of block outputs: they are rounded */
        assert_int_equal(l->n_points, 7);                  /* steps 1, 20, 40 ... 120 */
        assert_true(isfinite(l->loss));
        assert_true(r->number[SS_STORY_LARGEST] <= 1);
        assert_true(r->number[SS_STORY_OVERFLOW] ==
                    (baseline ? (double)l->first_overflow / 120 : 1));
    }
    /* one of its claims is decided, the samples were not scored */
    const ss_story_answer *penalty = &j.answer[0][SS_FINDING_PENALTY];
    assert_int_equal(penalty->verdict, SS_STORY_UNASKED);
    assert_non_null(strstr(penalty->numbers, "largest |x| over the format's"));
    assert_non_null(strstr(penalty->numbers, "as claimed"));
    assert_int_equal(j.answer[0][SS_FINDING_RESCUE].verdict, SS_STORY_UNASKED);
    release(&s, &j);

    /* the same once more, as arms of another finding, and in a regime of its own */
    snprintf(command, sizeof command,
             "cd %s/story && for i in 0 1 2; do cp -r penalty-$i rescue-$i; "
             "cp -r penalty-$i rescue8-$i; cp -r baseline-$i cosine-$i; done",
             tmp_dir);
    assert_int_equal(system(command), 0);
    read_story(&s, &j);
    assert_int_equal(j.answer[0][SS_FINDING_RESCUE].verdict, SS_STORY_HOLDS);
    assert_int_equal(j.answer[0][SS_FINDING_COSINE].verdict, SS_STORY_HOLDS);
    assert_int_equal(j.answer[0][SS_FINDING_POSTPONE].verdict, SS_STORY_UNDECIDED);
    release(&s, &j);
    snprintf(
        command, sizeof command,
        "cd %s/story && mkdir stream logits another && mv penalty-* rescue-* baseline-* stream "
        "&& mv cosine-* logits && mv rescue8-* another",
        tmp_dir);
    assert_int_equal(system(command), 0);
    read_story(&s, &j);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.regime[0].name, "stream");
    assert_string_equal(s.regime[1].name, "logits");
    assert_string_equal(s.regime[2].name, "another");
    assert_int_equal(j.answer[0][SS_FINDING_RESCUE].verdict, SS_STORY_UNASKED);
    release(&s, &j);
    expect("analyze $D/story", 0, "residual stream grows: not asked");
    expect("analyze $D/story --json > $D/story.json", 0, NULL);

    expect("probe $D/story/stream/penalty-0/step-000120 -o $D/story/stream/penalty-0/probe.h5 "
           "--quiet --class 1 --sigmas 0.1,1,10",
           0, NULL);
    expect("report $D/story/stream/penalty-0/probe.h5 --story $D/story -o $D/report", 0,
           "index.html");
    size_t n;
    char *page;
    assert_int_equal(ss_file_read(in_tmp("report/index.html"), 1 << 24, &page, &n, &e), SS_OK);
    assert_non_null(strstr(page, "The findings, put to the test"));
    assert_non_null(strstr(page, "residual stream grows: 9 training runs; of 22 findings"));
    assert_non_null(strstr(page, "logits run away: 3 training runs; "));
    assert_non_null(strstr(page, "rescue8-1"));
    ss_free(page);
    expect("report $D/story/stream/penalty-0/probe.h5 --story $D/nowhere -o $D/report2", 1,
           "nowhere");
}

/* The second divergence in seconds: the same motion blocks in a frozen network whose activations
 * are at the limit, and in one that was trained with the penalty. */
static void test_video_story(void **state)
{
    (void)state;
    static const char *const arms[][2] = {{"motion", "baseline"}, {"small", "penalty"}};
    char command[512];
    ss_story s;
    ss_story_judgement j;
    ss_err e = {0};

    assert_int_equal(mkdir(in_tmp("videos"), 0777), 0);
    assert_int_equal(mkdir(in_tmp("videos/video"), 0777), 0);
    for (int i = 0; i < 6; i++) {
        const char *const *arm = arms[i / 3];

        snprintf(command, sizeof command,
                 "train $D/train.json --quiet --threads 1 --seed %d -o $D/videos/video/%s-%d "
                 "--set optimizer.lr=2e-3 --set motion.frames=4 --set data.stills=true --set "
                 "batch=4 --set 'freeze=[\"*\","
                 "\"!*.motion.*\"]' --set init.from=$D/story/stream/%s-%d/step-000120; "
                 "case $? in 0|3) ;; *) false ;; esac",
                 i % 3, arm[0], i % 3, arm[1], i % 3);
        expect(command, 0, NULL);
    }
    if (ss_story_read(in_tmp("videos"), &s, &e) != SS_OK || ss_story_judge(&s, &j, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (int i = 0; i < s.regime[0].n; i++) {
        const ss_story_run *r = &s.regime[0].runs[i];
        const bool large = strncmp(r->log.name, "motion", 6) == 0;

        if (large ? r->number[SS_STORY_SKIPPED] < 0.1 : r->number[SS_STORY_SKIPPED] > 0.05)
            fail_msg("%s: %g of the steps are skipped", r->log.name, r->number[SS_STORY_SKIPPED]);
    }
    assert_int_equal(j.answer[0][SS_FINDING_MOTION].verdict, SS_STORY_HOLDS);
    release(&s, &j);
    expect("analyze $D/videos", 0, "1. With motion blocks in a frozen pretrain");
}

/* Runs of an arm that have one number, and nothing else. */
static void put_runs(ss_story_regime *g, const char *arm, ss_story_number what, const double *x,
                     int n)
{
    for (int seed = 0; seed < n; seed++) {
        ss_story_run *r = &g->runs[g->n++];

        *r = (ss_story_run){.log = {.seed = seed}};
        for (int i = 0; i < SS_N_STORY_NUMBERS; i++)
            r->number[i] = NAN;
        r->number[what] = x[seed];
        snprintf(r->log.name, sizeof r->log.name, "%s-%d", arm, seed);
    }
}

static void expect_answer(ss_story *s, ss_finding_id f, ss_story_verdict verdict, const char *says)
{
    ss_story_judgement j;
    ss_err e = {0};

    assert_int_equal(ss_story_judge(s, &j, &e), SS_OK);
    if (j.answer[0][f].verdict != verdict)
        fail_msg("%s: %s", ss_story_verdict_text(j.answer[0][f].verdict), j.answer[0][f].numbers);
    if (!strstr(j.answer[0][f].numbers, says))
        fail_msg("'%s' is not in '%s'", says, j.answer[0][f].numbers);
    ss_story_judgement_release(&j);
}

/* The same seed is compared with the same; what nobody measured, or too few, decides nothing. */
static void test_verdicts(void **state)
{
    (void)state;
    static const double slow[] = {5, 600, 70, 800}, fast[] = {1, 100, 11, 150};
    static const double small[] = {1, 2, 3, NAN};
    ss_story_run runs[16];
    ss_story s = {.n = 1};
    ss_story_regime *g = &s.regime[0];

    g->runs = runs;
    put_runs(g, "rare999", SS_STORY_PEAK, slow, 3);
    expect_answer(&s, SS_FINDING_ADAM, SS_STORY_UNASKED, "no runs");
    put_runs(g, "rare98", SS_STORY_PEAK, fast, 3);
    expect_answer(&s, SS_FINDING_ADAM, SS_STORY_HOLDS, "5.76 (5 to 6.36; 95 %: 4.21 to 7.87)");
    g->n = 0;
    put_runs(g, "rare999", SS_STORY_PEAK, fast, 3);
    put_runs(g, "rare98", SS_STORY_PEAK, slow, 3);
    expect_answer(&s, SS_FINDING_ADAM, SS_STORY_FAILS, "the contrary");
    g->n = 0; /* what overflowed is at the limit, which is not below it */
    put_runs(g, "rescue", SS_STORY_LARGEST, (const double[]){1, 1, 1}, 3);
    put_runs(g, "rescue8", SS_STORY_LARGEST, (const double[]){0.2, 0.3, 0.2}, 3);
    expect_answer(&s, SS_FINDING_RESCUE, SS_STORY_FAILS, "1 (1 to 1; 95 %: 1 to 1), the contrary");
    g->n = 0;
    put_runs(g, "rare999", SS_STORY_PEAK, slow, 2);
    put_runs(g, "rare98", SS_STORY_PEAK, fast, 3);
    expect_answer(&s, SS_FINDING_ADAM, SS_STORY_UNDECIDED, "at least 3 decide");
    g->n = 0;
    put_runs(g, "rare999", SS_STORY_PEAK, slow, 4);
    put_runs(g, "rare98", SS_STORY_PEAK, small, 4);
    expect_answer(&s, SS_FINDING_ADAM, SS_STORY_UNDECIDED,
                  "undecided: all of 3 seeds as claimed, 1 not measured");
    g->n = 0;
    put_runs(g, "rare999", SS_STORY_PEAK, slow, 3);
    put_runs(g, "rare98", SS_STORY_PEAK, (const double[]){4, 100, 11}, 3);
    expect_answer(&s, SS_FINDING_ADAM, SS_STORY_UNDECIDED,
                  "undecided: seeds disagree, 2 of 3 as claimed, the interval holds 2, by "
                  "their scatter about ");
}

/* A story of videos asks for its own findings, and only for these. */
static void test_video_verdicts(void **state)
{
    (void)state;
    static const double many[] = {0.4, 0.5, 0.3}, few[] = {0.001, 0.005, 0.01};
    ss_story_run runs[16];
    ss_story s = {.n = 1};
    ss_story_regime *g = &s.regime[0];
    ss_story_judgement j;
    ss_err e = {0};

    g->runs = runs;
    assert_int_equal(ss_story_findings(&s).from, 0);
    assert_int_equal(ss_story_findings(&s).to, SS_FINDING_MOTION);
    snprintf(g->name, sizeof g->name, "video");
    assert_int_equal(ss_story_findings(&s).from, SS_FINDING_MOTION);
    assert_int_equal(ss_story_findings(&s).to, SS_N_FINDINGS);
    put_runs(g, "norm", SS_STORY_SKIPPED, few, 3);
    expect_answer(&s, SS_FINDING_MOTION_NORM, SS_STORY_HOLDS, "as claimed");
    assert_int_equal(ss_story_judge(&s, &j, &e), SS_OK);
    assert_null(j.answer[0][SS_FINDING_GROWTH].numbers);
    ss_story_judgement_release(&j);
    put_runs(g, "learned", SS_STORY_SKIPPED, few, 3);
    expect_answer(&s, SS_FINDING_MOTION_LEARNED, SS_STORY_FAILS, "the contrary");
    put_runs(g, "free", SS_STORY_SKIPPED, many, 3);
    expect_answer(&s, SS_FINDING_UNFROZEN, SS_STORY_HOLDS, "0.4 (0.3 to 0.5");
    put_runs(g, "rotary", SS_STORY_LENGTH, few, 3);
    put_runs(g, "conv", SS_STORY_LENGTH, many, 3);
    expect_answer(&s, SS_FINDING_LENGTH, SS_STORY_FAILS, "positions by NTK not measured");
}

/* Numbers that were measured apart; anything else in their file is an error. */
static void test_numbers_file(void **state)
{
    (void)state;
    static const char good[] = "{\"length\": 1.25}", bad[] = "{\"length\": \"long\"}";
    ss_story s;
    ss_story_judgement j;
    ss_err e = {0};

    assert_int_equal(mkdir(in_tmp("apart"), 0777), 0);
    expect("train $D/train.json --quiet --threads 1 -o $D/apart/rotary-0 --steps 2", 0, NULL);
    write_file(in_tmp("apart/rotary-0/numbers.json"), good, sizeof good - 1);
    if (ss_story_read(in_tmp("apart"), &s, &e) != SS_OK || ss_story_judge(&s, &j, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_float_equal(s.regime[0].runs[0].number[SS_STORY_LENGTH], 1.25, 0);
    assert_true(isnan(s.regime[0].runs[0].number[SS_STORY_LENGTH_NTK]));
    assert_float_equal(s.regime[0].runs[0].number[SS_STORY_SKIPPED], 0, 0);
    release(&s, &j);
    write_file(in_tmp("apart/rotary-0/numbers.json"), bad, sizeof bad - 1);
    assert_int_equal(ss_story_read(in_tmp("apart"), &s, &e), SS_FORMAT);
    assert_non_null(strstr(e.msg, "length"));
}

/* Student's t with 2 degrees of freedom is 4.302652730, with 3 3.182446305. */
static void test_decision(void **state)
{
    (void)state;
    static const double x[] = {0.7885, 0.896, 0.5745, NAN}, y[] = {24, 37, 68};
    ss_decision d = ss_decide(x, 3, 0.999, false);

    assert_float_equal(d.mean, 0.753, 1e-12);
    assert_float_equal(d.low, 0.346437, 1e-6);
    assert_float_equal(d.high, 1.159563, 1e-6);
    assert_float_equal(d.least, 0.5745, 0);
    assert_float_equal(d.most, 0.896, 0);
    assert_int_equal(d.side, SS_SIDE_UNKNOWN); /* they agree, but the interval does not */
    assert_int_equal(d.n_over, 0);
    assert_int_equal(d.needed, 5); /* 3.182 s / 2 = 0.261 > 0.246 > 2.776 s / sqrt(5) */
    d = ss_decide(y, 3, 10, true);
    assert_float_equal(d.mean, 39.23202, 1e-4);
    assert_float_equal(d.low, 10.69538, 1e-4);
    assert_int_equal(d.side, SS_SIDE_OVER);
    assert_int_equal(d.needed, 0);
    assert_int_equal(ss_decide(y, 3, 1000, true).side, SS_SIDE_UNDER);
    d = ss_decide(y, 3, 30, true); /* seeds disagree */
    assert_int_equal(d.side, SS_SIDE_UNKNOWN);
    assert_int_equal(d.n_over, 2);
    assert_true(d.needed > 3);
    d = ss_decide(x, 4, 0, false);
    assert_int_equal(d.missing, 1);
    assert_int_equal(d.side, SS_SIDE_UNKNOWN);
    assert_int_equal(ss_decide(x, 2, 0, false).side, SS_SIDE_UNKNOWN);
    d = ss_decide((const double[]){1, 1, 1}, 3, 0.999, false);
    assert_int_equal(d.side, SS_SIDE_OVER);
    d = ss_decide((const double[]){1, 1, 1}, 3, 1, false);
    assert_int_equal(d.side, SS_SIDE_UNKNOWN);
    assert_int_equal(d.needed, 0);
    d = ss_decide((const double[]){0, -1, INFINITY}, 3, 1, true);
    assert_int_equal(d.n, 0);
    assert_true(isnan(d.mean));

    /* the law: nothing changes when numbers and threshold are multiplied (a ratio), or moved */
    for (int i = 1; i < 40; i++) {
        const double t = 5.0 * i, m[] = {y[0] * 7, y[1] * 7, y[2] * 7};
        const double a[] = {y[0] + 9, y[1] + 9, y[2] + 9};

        assert_int_equal(ss_decide(y, 3, t, true).side, ss_decide(m, 3, 7 * t, true).side);
        assert_int_equal(ss_decide(y, 3, t, true).needed, ss_decide(m, 3, 7 * t, true).needed);
        assert_int_equal(ss_decide(y, 3, t, false).side, ss_decide(a, 3, t + 9, false).side);
    }
}

/* Numbers that were put there. */
static void test_log(void **state)
{
    (void)state;
    static const char log[] =
        "{\"step\":1,\"loss\":1.0,\"staleness\":9.0,\"skipped\":false}\n"
        "{\"step\":100,\"loss\":0.5,\"staleness\":1.5,\"skipped\":false}\n"
        "{\"step\":101,\"loss\":null,\"staleness\":null,\"skipped\":true}\n"
        "{\"step\":102,\"loss\":0.3,\"staleness\":2.5,\"skipped\":true}\n{\"step\":10";
    static const char events[] =
        "{\"step\":90,\"event\":\"spike\",\"loss\":3.0}\n"
        "{\"step\":101,\"event\":\"overflow\",\"module\":\"up_blocks.0.resnets.0\",\"sigma\":50}\n"
        "{\"step\":101,\"event\":\"overflow\",\"module\":\"mid_block\",\"sigma\":0.1}\n"
        "{\"step\":102,\"event\":\"gradient_overflow\",\"parameter\":\"x\"}\n"
        "{\"step\":102,\"event\":\"overflow\",\"module\":\"up_blocks.1\",\"sigma\":null}\n";
    ss_training_log l;
    ss_err e = {0};

    write_file(in_tmp("story/stream/baseline-1/log.jsonl"), log, sizeof log - 1);
    write_file(in_tmp("story/stream/baseline-1/events.jsonl"), events, sizeof events - 1);
    if (ss_training_log_read(in_tmp("story/stream/baseline-1"), &l, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_string_equal(l.name, "baseline-1");
    assert_int_equal(l.seed, 1);
    assert_int_equal(l.steps, 102);
    assert_int_equal(l.first_overflow, 101);
    assert_int_equal(l.first_skipped, 101);
    assert_int_equal(l.skipped, 2);
    assert_int_equal(l.last_good, 100);
    assert_int_equal(l.spikes, 1);
    assert_int_equal(l.overflows, 3);
    assert_int_equal(l.by_stage[SS_STAGE_DECODER], 2);
    assert_int_equal(l.by_stage[SS_STAGE_MIDDLE], 1);
    assert_int_equal(l.high_noise, 1);
    assert_string_equal(l.module, "up_blocks.0.resnets.0");
    assert_float_equal(l.loss, 0.6, 1e-12);
    assert_float_equal(l.staleness, 2.5, 0); /* from step 100 on */
    assert_int_equal(remove(in_tmp("story/stream/baseline-1/log.jsonl")), 0);
    assert_int_equal(ss_training_log_read(in_tmp("story/stream/baseline-1"), &l, &e), SS_IO);
    assert_non_null(strstr(e.msg, "log.jsonl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_story),  cmocka_unit_test(test_video_story),
        cmocka_unit_test(test_verdicts),     cmocka_unit_test(test_video_verdicts),
        cmocka_unit_test(test_numbers_file), cmocka_unit_test(test_decision),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, make_story, remove_tmp);
}
