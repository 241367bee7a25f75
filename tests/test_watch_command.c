/* test_watch_command.c - `sigmascope watch`: a folder of checkpoints that grows, shrinks and
 * breaks, by child processes
 */
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "tests/made_model.h"
#include "tests/ss_command.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define PLAN " --sigmas 0.5,5 --inputs noise:white --samples 1 --progress never "
#define SOON " --settle 0.02 --every 0.05 "
#define ONCE PLAN SOON " --once --report-runs 0 "

/* A small network that takes pictures alone. */
static const char config[] =
    "{\"_class_name\": \"UNet2DModel\", \"sample_size\": 8, \"in_channels\": 3, "
    "\"out_channels\": 3, \"block_out_channels\": [8, 8], \"layers_per_block\": 1, "
    "\"norm_num_groups\": 4, \"down_block_types\": [\"DownBlock2D\", \"DownBlock2D\"], "
    "\"up_block_types\": [\"UpBlock2D\", \"UpBlock2D\"], \"attention_head_dim\": 4}";

static double factor; /* of the last convolution */

static void scale(const char *name, float *values, size_t n)
{
    for (size_t i = 0; i < n && strcmp(name, "conv_out.weight") == 0; i++)
        values[i] *= (float)factor;
}

/* Makes a checkpoint whose answer is `by` times as large. */
static void checkpoint(const char *name, double by)
{
    factor = by;
    make_model(in_tmp(name), config, scale);
}

static void shell(const char *command)
{
    char line[2048];

    snprintf(line, sizeof line, "D=%s; P=${SIGMASCOPE:-build/sigmascope}; %s", tmp_dir, command);
    if (system(line) != 0)
        fail_msg("%s failed", command);
}

static int count(const char *text)
{
    int n = 0;

    for (const char *p = output; (p = strstr(p, text)); p++)
        n++;
    return n;
}

static void check_count(const char *text, int want)
{
    if (count(text) != want)
        fail_msg("\"%s\" came %d times, not %d, in\n%s", text, count(text), want, output);
}

/* The state in a folder; json_decref it. */
static json_t *state_of(const char *name)
{
    char path[600];
    ss_json j;
    ss_err e = {0};

    snprintf(path, sizeof path, "%s/%s/watch.json", tmp_dir, name);
    if (ss_json_load(&j, path, &e) != SS_OK)
        fail_msg("%s", e.msg);
    json_t *root = json_incref(j.root);
    ss_json_release(&j);
    return root;
}

static json_t *entry(json_t *state, size_t i)
{
    json_t *x = json_array_get(json_object_get(state, "checkpoints"), i);

    assert_non_null(x);
    return x;
}

static double number(json_t *x, const char *key)
{
    double v = NAN;

    ss_json_number(json_object_get(x, key), &v);
    return v;
}

/* ---- a watch in the background ---- */

typedef struct {
    pid_t pid;
    char said[512];
} background;

static background start(const char *args)
{
    background b = {0};
    char command[4096];
    static int n;

    snprintf(b.said, sizeof b.said, "%s/said-%d", tmp_dir, n++);
    snprintf(command, sizeof command, "D=%s; exec %s watch %s >%s 2>&1", tmp_dir,
             getenv("SIGMASCOPE") ? getenv("SIGMASCOPE") : "build/sigmascope", args, b.said);
    b.pid = fork();
    assert_true(b.pid >= 0);
    if (b.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves none behind */
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return b;
}

static void pause_for(double seconds)
{
    nanosleep(&(struct timespec){(time_t)seconds, (long)(fmod(seconds, 1) * 1e9)}, NULL);
}

/* Reads what it said so far into output. */
static void read_said(const background *b)
{
    FILE *f = fopen(b->said, "r");
    size_t n = f ? fread(output, 1, sizeof output - 1, f) : 0;

    output[n] = '\0';
    if (f)
        fclose(f);
}

static void wait_for(const background *b, const char *text)
{
    for (int i = 0; i < 600; i++) {
        read_said(b);
        if (strstr(output, text))
            return;
        pause_for(0.05);
    }
    kill(b->pid, SIGKILL);
    fail_msg("it did not say \"%s\" within 30 s, but\n%s", text, output);
}

/* Sends a signal and waits; the exit status, or -signal. */
static int finish(const background *b, int signal)
{
    int status;

    if (signal)
        kill(b->pid, signal);
    assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
    read_said(b);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- tests ---- */

static int make_training(void **state)
{
    const int failed = make_tmp(state);

    if (failed)
        return failed;
    setenv("SIGMASCOPE_CACHE", "none", 1);
    setenv("D", tmp_dir, 1); /* for commands of --on-alarm */
    mkdir(in_tmp("grows"), 0777);
    checkpoint("grows/step-100", 1200);
    checkpoint("grows/step-200", 2450);
    checkpoint("grows/step-400", 4750);
    checkpoint("grows/step-800", 9640);
    return 0;
}

/* The soonest step of a forecast table of `analyze --json`. */
static double soonest(json_t *table)
{
    json_t *row, *columns = json_object_get(table, "columns"), *x;
    double least = INFINITY;
    size_t i, at = 0;

    json_array_foreach(columns, i, x)
    {
        if (strcmp(json_string_value(json_object_get(x, "name")), "at step") == 0)
            at = i;
    }
    json_array_foreach(json_object_get(table, "rows"), i, row)
    {
        double v;

        if (ss_json_number(json_is_array(row) ? json_array_get(row, at)
                                              : json_object_get(row, "at step"),
                           &v) &&
            v < least)
            least = v;
    }
    return least;
}

/* All that is there is taken in the order of the steps; numbers are those of analyze. */
static void test_series(void **ignored)
{
    ss_json j;
    ss_err e = {0};

    (void)ignored;
    expect("watch $D/grows -o $D/series" ONCE, 0, "step-100: |x| up to ");
    check_count("fp16 headroom", 4);
    assert_true(strstr(output, "step-200: ") < strstr(output, "step-400: "));
    check_count("forecast unknown yet", 1); /* of one run there is none, of two no number */
    assert_non_null(strstr(output, "4 checkpoints, 4 of them probed now, 0 alarms"));
    shell("$P analyze $D/series/runs/*.h5 --json > $D/analyze.json");
    if (ss_json_load(&j, in_tmp("analyze.json"), &e) != SS_OK)
        fail_msg("%s", e.msg);
    json_t *state = state_of("series");
    json_t *forecast = json_object_get(entry(state, 3), "forecast");
    static const char *const formats[] = {"fp16", "fp8-e5m2"};
    for (size_t i = 0; i < N_OF(formats); i++) {
        char title[40];

        snprintf(title, sizeof title, "forecast %s", formats[i]);
        const double want = soonest(json_object_get(j.root, title));
        const double got = number(json_object_get(forecast, formats[i]), "step");

        if (!isfinite(want) || fabs(got - want) > 1e-6 * want)
            fail_msg("%s: %.9g, analyze says %.9g", title, got, want);
    }
    json_decref(state);
    ss_json_release(&j);
    expect("watch $D/grows -o $D/series" ONCE, 0, "4 checkpoints, 0 of them probed now");
    expect("watch $D/grows -o $D/series --json" ONCE, 0, "{\"event\":\"end\",\"why\":\"once\"");
    shell("grep -aq largest/all $D/series/events.out.tfevents.* && "
          "grep -aq 'largest/sigma 5' $D/series/events.out.tfevents.* && "
          "grep -aq forecast/fp16 $D/series/events.out.tfevents.* && "
          "grep -aq conv_out $D/series/events.out.tfevents.*");
}

/* Rules over one run and over the trend, each once a checkpoint; what the command gets. */
static void test_alarms(void **ignored)
{
    (void)ignored;
    expect("watch $D/grows -o $D/alarmed" ONCE
           "--alarm 'forecast(fp8-e5m2, conv_out) < 1000000' --alarm 'absmax(conv_out) > 1e9' "
           "--alarm 'absmax(*, sigma>1) > 10' --on-alarm "
           "'printf \"%s|\" \"$SIGMASCOPE_CHECKPOINT\" $SIGMASCOPE_STEP $SIGMASCOPE_MODULE "
           "$SIGMASCOPE_SIGMA \"$SIGMASCOPE_RULE\" $SIGMASCOPE_REPORT \"$SIGMASCOPE_ALARM\" "
           ">> $D/told; echo $SIGMASCOPE_VALUE >> $D/told'",
           3, "ALARM step-400: conv_out at sigma ");
    check_count("ALARM ", count("by its trend") + 4); /* the last rule holds in all four */
    assert_true(count("by its trend") >= 1);
    assert_null(strstr(output, "1e9"));
    shell("test $(wc -l < $D/told) = $(grep -c '\"rule\"' $D/alarmed/watch.json)");
    shell("grep -q \"^$D/grows/step-100|100|.*|5|absmax(\\*, sigma>1) > 10|"
          "step-100: .* at sigma 5, noise:white, sample 0: .*|[0-9.]*$\" $D/told");
    shell("cp $D/told $D/told.before");
    expect("watch $D/grows -o $D/alarmed" ONCE "--on-alarm 'echo again >> $D/told'", 3,
           "0 of them probed now");
    check_count("ALARM", 0);
    shell("cmp $D/told $D/told.before");
    expect("watch $D/grows -o $D/stopped" ONCE "--alarm 'absmax(*) > 0' --stop-on-alarm --json", 3,
           "{\"event\":\"alarm\",\"rule\":\"absmax(*) > 0\"");
    check_count("\"event\":\"checkpoint\"", 1);
    expect("watch $D/grows -o $D/command" ONCE
           "--alarm 'absmax(*) > 0' --stop-on-alarm --on-alarm 'exit 7'",
           3, "the command ended with exit status 7");
    expect("watch $D/grows -o $D/hangs" ONCE
           "--alarm 'absmax(*) > 0' --stop-on-alarm --alarm-timeout 0.2 --on-alarm 'sleep 60'",
           3, "the command was ended after 0.2 s");
}

/* A rule that holds by default: the answer overflows fp16. */
static void test_default_rules(void **ignored)
{
    (void)ignored;
    mkdir(in_tmp("over"), 0777);
    checkpoint("over/checkpoint-5", 1e6);
    expect("watch $D/over -o $D/over-out" ONCE, 3, "ALARM checkpoint-5: conv_out at sigma ");
    check_count("over 65504 (fp16) by a factor of", 1);
    expect("watch $D/over -o $D/over-bf16 --format bf16" ONCE, 0, "bf16 headroom");
}

static void break_one(const char *name, float *values, size_t n)
{
    if (strcmp(name, "mid_block.resnets.0.conv1.weight") == 0)
        values[n / 2] = NAN;
}

/* Weights that are NaN, after finite ones: an alarm, and a line that says what is finite. */
static void test_nan(void **ignored)
{
    (void)ignored;
    shell("mkdir $D/nan && cp -r $D/grows/step-100 $D/grows/step-200 $D/nan/");
    make_model(in_tmp("nan/step-300"), config, break_one);
    expect("watch $D/nan -o $D/nan-out" ONCE, 3, "step-300: ");
    check_count(" values are inf or NaN; |x| up to ", 1);
    check_count("ALARM step-300: mid_block.resnets.0.conv1 at sigma ", 2);
    check_count("forecast now", 1); /* both rules: overflow(fp16) counts inf, too */
}

/* The state cannot be written for a while: it is said, the watch lives, and all is written later.
 */
static void test_state_later(void **ignored)
{
    (void)ignored;
    shell("mkdir $D/pile && cp -r $D/grows/step-100 $D/pile/");
    const background b = start("$D/pile -o $D/pile-out --report-runs 0" PLAN SOON);
    wait_for(&b, "step-100: |x| up to ");
    shell("until grep -q logged $D/pile-out/watch.json; do sleep 0.05; done; sleep 0.2; "
          "rm $D/pile-out/watch.json && mkdir $D/pile-out/watch.json && "
          "cp -r $D/grows/step-200 $D/pile/");
    wait_for(&b, "the state cannot be written: ");
    wait_for(&b, "step-200: |x| up to ");
    shell("rmdir $D/pile-out/watch.json");
    for (int i = 0; i < 600 && access(in_tmp("pile-out/watch.json"), F_OK) != 0; i++)
        pause_for(0.05);
    assert_int_equal(finish(&b, SIGINT), 128 + SIGINT);
    check_count("the state cannot be written", 1);
    expect("watch $D/pile -o $D/pile-out" ONCE, 0, "2 checkpoints, 0 of them probed now");
}

/* Half-written, damaged, copied, linked, rewritten, gone. */
static void test_broken(void **ignored)
{
    (void)ignored;
    shell("mkdir -p $D/broken/runs $D/broken/tmp-checkpoint-3 $D/broken/samples-7 && "
          "cp -r $D/grows/step-100 $D/broken/ && cp -r $D/grows/step-200 $D/broken/step-200 && "
          "truncate -s -1000 $D/broken/step-200/*.safetensors && "
          "cp $D/grows/step-100/* $D/broken/tmp-checkpoint-3 && echo x > $D/broken/samples-7/a.txt "
          "&& "
          "ln -s step-100 $D/broken/latest && cp -r $D/grows/step-100 $D/broken/last && "
          "ln -s nowhere $D/broken/step-9 && mkdir $D/broken/step-300 && "
          "echo '{' > $D/broken/step-300/config.json");
    expect("watch $D/broken -o $D/broken-out" ONCE, 0, "step-100: |x| up to ");
    check_count("broken/step-200 cannot be read, and is skipped until it changes", 1);
    check_count("broken/step-300 cannot be read", 1);
    check_count("broken/last has the content of step-100, and is not probed again", 1);
    assert_non_null(strstr(output, "1 checkpoint, 1 of them probed now"));
    assert_null(strstr(output, "latest"));
    assert_null(strstr(output, "samples-7"));
    assert_null(strstr(output, "tmp-checkpoint"));

    shell("cp -r $D/grows/step-200/* $D/broken/step-200/ && rm -r $D/broken/step-100 && "
          "rm -r $D/broken/last && cp -r $D/grows/step-400 $D/broken/last");
    expect("watch $D/broken -o $D/broken-out" ONCE, 0, "step-200: |x| up to ");
    check_count("last: |x| up to ", 1); /* other content under the same name */
    assert_non_null(strstr(output, "3 checkpoints, 2 of them probed now"));
    shell("touch $D/broken/last/config.json");
    expect("watch $D/broken -o $D/broken-out" ONCE, 0, "3 checkpoints, 0 of them probed now");
    shell("test $(ls $D/broken-out/runs | wc -l) = 3");
}

/* Single files of weights, with --config; shards are none, nor is an optimiser's state. */
static void test_files(void **ignored)
{
    (void)ignored;
    shell("mkdir $D/files && cp $D/grows/step-100/*.safetensors $D/files/step_100.safetensors && "
          "cp $D/grows/step-200/*.safetensors $D/files/step_200.safetensors && "
          "echo x > $D/files/optimizer.pt && "
          "echo x > $D/files/model-00001-of-00002.safetensors");
    expect("watch $D/files -o $D/files-out --config $D/grows/step-100" ONCE, 0,
           "2 checkpoints, 2 of them probed now");
    assert_null(strstr(output, "cannot be read"));
    assert_true(strstr(output, "step_100.safetensors: ") <
                strstr(output, "step_200.safetensors: "));
}

static void test_usage(void **ignored)
{
    (void)ignored;
    expect("bisect $D/grows --fail 'forecast(fp16) < 10'", 2,
           "it is for `sigmascope watch --alarm`");
    expect("watch $D/grows", 2, "-o DIR is missing");
    expect("watch -o $D/x", 2, "DIR is missing");
    expect("watch $D/grows -o $D/x --alarm 'forecast(fp16)'", 2, "expected '>', '>=', '<' or '<='");
    expect("watch $D/grows -o $D/x --alarm 'forecast(fp16, sigma>1) < 3'", 2, "no condition");
    expect("watch $D/grows -o $D/x --every -1", 2, "--every takes seconds");
    expect("watch $D/grows -o $D/wrong" ONCE "--alarm 'absmax(nothing) > 3'", 2, "--alarm: ");
    expect("watch $D/grows -o $D/wrong" ONCE "--prompt cat", 2, "--keep-going");
    expect("watch $D/grows -o $D/grows" ONCE, 1, "is not empty and no watch made it");
    expect("watch $D/grows -o $D/kept" ONCE "--until 100", 0, "1 checkpoint, 1 of them");
    expect("watch $D/grows -o $D/kept" ONCE "--seed 3", 2, "was begun with other options of probe");
    expect("watch $D/over -o $D/kept" ONCE, 2, "choose another -o");
    expect("watch $D/none -o $D/none-out" ONCE, 0,
           "not there yet; waiting for the first checkpoint");
}

/* A folder that comes later; a lock; a signal. */
static void test_waits(void **ignored)
{
    const background b = start("$D/later -o $D/later-out" PLAN SOON);

    (void)ignored;
    wait_for(&b, "not there yet; waiting for the first checkpoint");
    expect("watch $D/later -o $D/later-out" ONCE, 1, "another watch (process ");
    shell("mkdir $D/later && cp -r $D/grows/step-100 $D/later/.step-100 && "
          "mv $D/later/.step-100 $D/later/step-100");
    wait_for(&b, "step-100: |x| up to ");
    shell("cp -r $D/grows/step-200 $D/later/.step-200 && mv $D/later/.step-200 $D/later/step-200");
    wait_for(&b, "step-200: |x| up to ");
    for (int i = 0; i < 600 && access(in_tmp("later-out/report/index.html"), F_OK) != 0; i++)
        pause_for(0.05);
    assert_int_equal(access(in_tmp("later-out/report/index.html"), F_OK), 0);
    assert_int_equal(finish(&b, SIGTERM), 128 + SIGTERM);
    check_count("waiting for the first checkpoint", 1);
    assert_non_null(strstr(output, "2 checkpoints, 2 of them probed now"));
    expect("watch $D/later -o $D/later-out --idle 0.2" PLAN SOON, 0, "0 of them probed now");
    shell("grep -q '2 checkpoints' $D/later-out/report/index.html");
}

/* A training writes a file of weights bit by bit: it is taken once, whole. */
static void test_slow_writer(void **ignored)
{
    (void)ignored;
    mkdir(in_tmp("slow"), 0777);
    const background b =
        start("$D/slow -o $D/slow-out --settle 0.4 --every 0.05 --report-runs 0" PLAN);
    shell("mkdir $D/slow/step-100 && cp $D/grows/step-100/config.json $D/slow/step-100/ && "
          "f=$(basename $D/grows/step-100/*.safetensors); s=$(stat -c %s $D/grows/step-100/$f); "
          "i=0; while [ $i -lt 12 ]; do dd if=$D/grows/step-100/$f bs=$((s / 12 + 1)) skip=$i "
          "count=1 "
          "status=none >> $D/slow/step-100/$f; sleep 0.1; i=$((i + 1)); done");
    wait_for(&b, "step-100: |x| up to ");
    assert_int_equal(finish(&b, SIGINT), 128 + SIGINT);
    check_count("|x| up to", 1);
    assert_null(strstr(output, "cannot be read"));
}

/* Rotation keeps the last checkpoint alone, whatever the watch does then. */
static void test_rotation(void **ignored)
{
    (void)ignored;
    mkdir(in_tmp("rotates"), 0777);
    const background b = start("$D/rotates -o $D/rotates-out --report-runs 0" PLAN SOON);
    shell("for i in $(seq 1 25); do cp -r $D/grows/step-100 $D/rotates/.s && "
          "mv $D/rotates/.s $D/rotates/checkpoint-$i && sleep 0.07 && "
          "rm -rf $D/rotates/checkpoint-$((i - 1)); done");
    wait_for(&b, "checkpoint-25: |x| up to ");
    assert_int_equal(finish(&b, SIGINT), 128 + SIGINT);
    assert_null(strstr(output, "could not be probed"));
    json_t *state = state_of("rotates-out");
    const int n = (int)json_array_size(json_object_get(state, "checkpoints"));
    assert_true(n >= 2);
    json_decref(state);
    check_count("|x| up to", n);
}

/* The state without times, and without how commands ended, which a kill may hide. */
static json_t *lasting_state(const char *name)
{
    json_t *state = state_of(name), *x, *alarm;
    size_t i, k;

    json_array_foreach(json_object_get(state, "checkpoints"), i, x)
    {
        json_object_del(x, "probed");
        json_object_del(x, "look");
        json_array_foreach(json_object_get(x, "alarms"), k, alarm)
            json_object_del(alarm, "command");
    }
    return state;
}

/* Killed at 24 random moments: nothing is probed or told twice, and the end is that of a watch that
 * was not disturbed. */
static void test_kill(void **ignored)
{
#define RULES " --alarm 'absmax(*) > 20' --on-alarm 'echo \"$SIGMASCOPE_CHECKPOINT\" >> %s' "
    char args[1200], once[1400];
    uint32_t seed = 12345;
    int alive = 0;

    (void)ignored;
    snprintf(args, sizeof args, "$D/grows -o $D/killed --report-runs 2" PLAN SOON RULES,
             in_tmp("rung"));
    for (int i = 0; i < 24; i++) {
        const background b = start(args);

        seed = seed * 1664525u + 1013904223u;
        pause_for(0.02 + 0.5 * (seed >> 8) / 16777216.0 * (i % 3 + 1) / 3);
        alive += waitpid(b.pid, NULL, WNOHANG) == 0;
        kill(b.pid, SIGKILL);
        waitpid(b.pid, NULL, 0);
    }
    assert_int_equal(alive, 24);
    snprintf(once, sizeof once, "watch %s --once", args);
    expect(once, 3, "4 checkpoints, ");
    snprintf(once, sizeof once, "watch $D/grows -o $D/whole --report-runs 2 --once" PLAN SOON RULES,
             in_tmp("rung-whole"));
    expect(once, 3, "4 checkpoints, 4 of them probed now");
    /* a kill between the note that an alarm is said and the command leaves it out: never twice */
    shell("sort $D/rung-whole > $D/rung.all && sort $D/rung > $D/rung.sorted && "
          "test -z \"$(uniq -d $D/rung.sorted)\" && test -z \"$(comm -23 $D/rung.sorted "
          "$D/rung.all)\"");
    json_t *killed = lasting_state("killed"), *whole = lasting_state("whole");
    assert_true(json_equal(killed, whole));
    json_decref(killed);
    json_decref(whole);
    shell("test \"$(ls $D/killed/runs)\" = \"$(ls $D/whole/runs)\" || { ls $D/killed/runs >&2; "
          "exit 1; }");
    shell("! ls -A $D/killed | grep -e tmp- -e old- >&2 && test -f $D/killed/report/index.html");
    shell("for f in $D/whole/runs/*; do $P compare $f $D/killed/runs/$(basename $f) --fail-over 1 "
          ">$D/compared || { cat $D/compared; exit 1; }; done");
}

/* No room for a run: said, waited out, and nothing half is left; then it goes on. */
static void test_full_disk(void **ignored)
{
    struct rlimit limit = {1 << 16, RLIM_INFINITY}, before;
    const double patience = 0.2;

    (void)ignored;
    getrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit.rlim_cur, before.rlim_max}), 0);
    const background b = start("$D/grows -o $D/full --report-runs 0" PLAN SOON);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    wait_for(&b, "could not be probed, and is tried again at the next look: ");
    assert_non_null(strstr(output, strerror(EFBIG)));
    pause_for(patience);
    read_said(&b);
    check_count("step-100 could not be probed", 1); /* once, and it lives on */
    assert_int_equal(prlimit(b.pid, RLIMIT_FSIZE, &before, NULL), 0);
    wait_for(&b, "step-800: |x| up to ");
    assert_true(strstr(output, "step-100: ") < strstr(output, "step-200: "));
    assert_int_equal(finish(&b, SIGINT), 128 + SIGINT);
    assert_non_null(strstr(output, "4 checkpoints, 4 of them probed now"));
    shell("test $(ls $D/full/runs | wc -l) = 4");
}

/* Not even the state has room. */
static void test_no_room_for_state(void **ignored)
{
    struct rlimit before;

    (void)ignored;
    expect("watch $D/grows -o $D/tight" ONCE "--until 100", 0, "1 checkpoint");
    shell("rm $D/tight/events*");
    getrlimit(RLIMIT_FSIZE, &before);
    shell("cp $D/tight/watch.json $D/tight.json");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){700, before.rlim_max}), 0);
    const background b = start("$D/grows -o $D/tight --report-runs 0" PLAN SOON);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    wait_for(&b, "tried again at the next look");
    shell("cmp $D/tight.json $D/tight/watch.json"); /* whole, as it was */
    assert_int_equal(prlimit(b.pid, RLIMIT_FSIZE, &before, NULL), 0);
    wait_for(&b, "step-800: |x| up to ");
    assert_int_equal(finish(&b, SIGINT), 128 + SIGINT);
    expect("watch $D/grows -o $D/tight" ONCE, 0, "4 checkpoints, 0 of them");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series),        cmocka_unit_test(test_alarms),
        cmocka_unit_test(test_default_rules), cmocka_unit_test(test_broken),
        cmocka_unit_test(test_nan),           cmocka_unit_test(test_state_later),
        cmocka_unit_test(test_files),         cmocka_unit_test(test_usage),
        cmocka_unit_test(test_waits),         cmocka_unit_test(test_slow_writer),
        cmocka_unit_test(test_rotation),      cmocka_unit_test(test_kill),
        cmocka_unit_test(test_full_disk),     cmocka_unit_test(test_no_room_for_state),
    };

    return cmocka_run_group_tests(tests, make_training, getenv("KEEP") ? NULL : remove_tmp);
}
