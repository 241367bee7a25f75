/* test_story.c - the divergence in seconds: a tiny network overflows a narrow format, and does not
 * with the activation penalty; and what is read of its logs
 */
#include "analyze/story_parts.h"
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

static void read_story(ss_story *s)
{
    ss_err e = {0};

    if (ss_story_read(in_tmp("story"), s, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

static void test_short_story(void **state)
{
    (void)state;
    char command[256];
    ss_story s;
    ss_err e = {0};

    assert_int_equal(ss_story_read(in_tmp("story"), &s, &e), SS_USAGE);
    assert_non_null(strstr(e.msg, "no folder in it holds a training run"));
    for (int seed = 0; seed < 2; seed++) {
        train("baseline", seed, "");
        train("penalty", seed, "--set penalty.coefficient=0.05");
    }
    read_story(&s);
    assert_int_equal(s.n, 4);
    for (int i = 0; i < s.n; i++) {
        const ss_training_log *l = &s.logs[i];
        const bool baseline = strncmp(l->name, "baseline", 8) == 0;

        if ((l->first_overflow > 0) != baseline)
            fail_msg("%s: first overflow at step %lld", l->name, (long long)l->first_overflow);
        assert_int_equal(l->steps, 120);
        assert_true(l->ms > 0);
        assert_true(baseline ? l->skipped > 50 : l->skipped < 20);
        assert_true(l->largest > (baseline ? 15 : 5) && isfinite(l->largest));
        assert_int_equal(l->n_points, 7); /* steps 1, 20, 40 ... 120 */
        assert_true(isfinite(l->loss));
    }
    assert_int_equal(s.findings[SS_FINDING_PENALTY].verdict,
                     SS_STORY_UNDECIDED); /* one arm lacks */
    assert_non_null(strstr(s.findings[SS_FINDING_PENALTY].numbers, "no overflow in 2 of 2 seeds"));
    assert_int_equal(s.findings[SS_FINDING_ADAM].verdict, SS_STORY_UNDECIDED);
    assert_int_equal(s.findings[SS_FINDING_BLOBS].verdict, SS_STORY_UNDECIDED);
    ss_story_release(&s);

    /* the same once more, in the place of the penalty at every 8th step */
    snprintf(command, sizeof command,
             "cd %s/story && cp -r penalty-0 penalty8-0 && cp -r penalty-1 penalty8-1", tmp_dir);
    assert_int_equal(system(command), 0);
    read_story(&s);
    assert_int_equal(s.findings[SS_FINDING_PENALTY].verdict, SS_STORY_HOLDS);
    ss_story_release(&s);

    expect("probe $D/story/penalty-0/step-000120 -o $D/story/penalty-0/probe.h5 --quiet --class 1 "
           "--sigmas 0.1,1,10",
           0, NULL);
    expect("report $D/story/penalty-0/probe.h5 --story $D/story -o $D/report", 0, "index.html");
    size_t n;
    char *page;
    assert_int_equal(ss_file_read(in_tmp("report/index.html"), 1 << 24, &page, &n, &e), SS_OK);
    assert_non_null(strstr(page, "The eight findings"));
    assert_non_null(strstr(page, "6 training runs: "));
    assert_non_null(strstr(page, "penalty8-1"));
    ss_free(page);
    expect("report $D/story/penalty-0/probe.h5 --story $D/nowhere -o $D/report2", 1, "nowhere");
}

static void put_runs(ss_training_log *logs, int *n, const char *arm, double largest)
{
    for (int seed = 0; seed < 2; seed++, ++*n) {
        logs[*n] = (ss_training_log){.first_overflow = 600, .largest = largest, .entropy = NAN};
        snprintf(logs[*n].name, sizeof logs[*n].name, "%s-%d", arm, seed);
    }
}

/* What nobody measured neither holds nor fails. */
static void test_unknown_numbers(void **state)
{
    (void)state;
    ss_training_log logs[8];
    ss_story s = {.folder = (char[]){"nowhere"}, .logs = logs};
    ss_err e = {0};

    put_runs(logs, &s.n, "rare999", NAN);
    put_runs(logs, &s.n, "rare98", 1);
    put_runs(logs, &s.n, "baseline", 5);
    put_runs(logs, &s.n, "cosine", 5);
    assert_int_equal(ss_story_judge(&s, &e), SS_OK);
    assert_int_equal(s.findings[SS_FINDING_ADAM].verdict, SS_STORY_UNDECIDED);
    assert_int_equal(s.findings[SS_FINDING_ENTROPY].verdict, SS_STORY_UNDECIDED);
    assert_int_equal(s.findings[SS_FINDING_GROWTH].verdict, SS_STORY_UNDECIDED); /* 0 / 0 */
    for (int i = 0; i < SS_N_FINDINGS; i++) {
        ss_free(s.findings[i].test);
        ss_free(s.findings[i].numbers);
    }
    logs[0].largest = 5;
    logs[1].largest = 6;
    for (int i = 4; i < 6; i++)
        logs[i].entropy = 0.5;
    assert_int_equal(ss_story_judge(&s, &e), SS_OK);
    assert_int_equal(s.findings[SS_FINDING_ADAM].verdict, SS_STORY_HOLDS);
    assert_int_equal(s.findings[SS_FINDING_ENTROPY].verdict, SS_STORY_HOLDS);
    assert_non_null(strstr(s.findings[SS_FINDING_ADAM].numbers, "largest |x| 5.5 (5 to 6)"));
    for (int i = 0; i < SS_N_FINDINGS; i++) {
        ss_free(s.findings[i].test);
        ss_free(s.findings[i].numbers);
    }
}

/* Without probes, what only they tell is unknown, in the sentences too. */
static void test_no_probes(void **state)
{
    (void)state;
    ss_training_log logs[8];
    ss_story s = {.folder = (char[]){"nowhere"}, .logs = logs};
    ss_err e = {0};

    for (int runs = 0; runs < 2; runs++) {
        if (runs) {
            put_runs(logs, &s.n, "baseline", 5);
            put_runs(logs, &s.n, "blind", 5);
        }
        assert_int_equal(ss_story_judge(&s, &e), SS_OK);
        for (int i = 0; i < SS_N_FINDINGS; i++) {
            ss_story_finding *f = &s.findings[i];

            if (!runs || i == SS_FINDING_SPECTRUM || i == SS_FINDING_BLOBS)
                assert_int_equal(f->verdict, SS_STORY_UNDECIDED);
            if (f->verdict == SS_STORY_UNDECIDED &&
                (strstr(f->numbers, "It holds") || strstr(f->numbers, "Only a network")))
                fail_msg("undecided, but: %s", f->numbers);
            if (i == SS_FINDING_SPECTRUM || i == SS_FINDING_BLOBS)
                assert_non_null(strstr(f->numbers, "unknown, no probe tells"));
            if (!runs && i == SS_FINDING_PENALTY)
                assert_non_null(strstr(f->numbers, "baseline no runs; every step: no runs"));
            ss_free(f->test);
            ss_free(f->numbers);
        }
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

    write_file(in_tmp("story/baseline-1/log.jsonl"), log, sizeof log - 1);
    write_file(in_tmp("story/baseline-1/events.jsonl"), events, sizeof events - 1);
    if (ss_training_log_read(in_tmp("story/baseline-1"), &l, &e) != SS_OK)
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
    assert_int_equal(remove(in_tmp("story/baseline-1/log.jsonl")), 0);
    assert_int_equal(ss_training_log_read(in_tmp("story/baseline-1"), &l, &e), SS_IO);
    assert_non_null(strstr(e.msg, "log.jsonl"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_story),
        cmocka_unit_test(test_unknown_numbers),
        cmocka_unit_test(test_no_probes),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, make_story, remove_tmp);
}
