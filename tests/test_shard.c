/* test_shard.c - `probe --shard` and `gather`: parts of any number, in any order, killed or slow,
 * are the bytes that one process writes; and what does not fit together is an error
 */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "probe/shard.h"
#include "runfile/gather.h"
#include "runfile/run_reader.h"
#include "tests/ss_command.h"

#include <hdf5.h>
#include <sys/stat.h>

/* Runs a command of the shell as expect() does; $P is the program. */
static void shell(const char *command, int status, const char *text)
{
    const char *program = getenv("SIGMASCOPE");
    char line[4096];

    snprintf(line, sizeof line, "M=%s; D=%s; P=%s; { %s; } 2>&1", MODEL, tmp_dir,
             program ? program : "build/sigmascope", command);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int got = pclose(p), exited = WIFEXITED(got) ? WEXITSTATUS(got) : -WTERMSIG(got);

    if (exited != status)
        fail_msg("%s: exit status %d, want %d; it printed:\n%s", command, exited, status, output);
    if (text && !strstr(output, text))
        fail_msg("%s: printed\n%s\nwhich lacks \"%s\"", command, output, text);
}

static void assert_same_bytes(const char *a, const char *b)
{
    size_t na, nb;
    char *x, *y;
    ss_err e = {0};

    if (ss_file_read(in_tmp(a), 1 << 30, &x, &na, &e) != SS_OK ||
        ss_file_read(in_tmp(b), 1 << 30, &y, &nb, &e) != SS_OK)
        fail_msg("%s", e.msg);
    assert_int_equal(na, nb);
    for (size_t i = 0; i < na; i++)
        if (x[i] != y[i])
            fail_msg("%s and %s differ at byte %zu of %zu", a, b, i, na);
    ss_free(x);
    ss_free(y);
}

/* ---- the division ---- */

static void test_division(void **state)
{
    static const ss_shard_work works[] = {
        {8, 2, 4, 8, false},  {3, 1, 4, 1, false},  {3, 2, 5, 4, false}, {1, 7, 77, 77, false},
        {16, 3, 10, 7, true}, {2, 1, 64, 16, true}, {1, 1, 1, 1, false}, {5, 3, 8, 24, false},
    };

    (void)state;
    for (size_t k = 0; k < N_OF(works); k++) {
        const ss_shard_work *w = &works[k];
        const int64_t level = (int64_t)w->inputs * w->samples, all = level * w->levels;
        const int64_t unit = w->whole_inputs ? level : w->batch;

        for (int n = 1; n <= 40; n++) {
            int64_t at = 0;

            for (int i = 0; i < n; i++) {
                const ss_run_part p = ss_shard_part((ss_shard){i, n}, w);

                assert_true(p.index == i && p.count == n);
                assert_true(p.first == at && p.end >= at);
                /* no pass is divided, no part has much more than the others */
                assert_true(p.end % level % w->batch == 0);
                assert_true(!w->whole_inputs || p.end % w->samples == 0);
                assert_true((p.end - p.first) * n <= all + 2 * unit * n);
                at = p.end;
            }
            assert_true(at == all);
        }
    }
    const ss_run_part whole = ss_shard_part((ss_shard){0}, &works[0]);
    assert_true(whole.index == 0 && whole.count == 1 && whole.first == 0 && whole.end == 64);
    const ss_run_part third = ss_shard_part((ss_shard){2, 8}, &works[0]); /* a noise level each */
    assert_true(third.first == 16 && third.end == 24);
}

static void test_names(void **state)
{
    static const struct {
        const char *path, *whole;
        int index, count;
    } names[] = {
        {"run.h5", NULL, 0, 0},
        {"run.3-of-7.h5", "run.h5", 3, 7},
        {"a.b/run.unet.0-of-1.h5", "a.b/run.unet.h5", 0, 1},
        {"run.12-of-128", "run", 12, 128},
        {"a/3-of-7.h5", NULL, 0, 0},
        {"run.3-of-7x.h5", NULL, 0, 0},
        {"run.-3-of-7.h5", NULL, 0, 0},
    };
    ss_err e = {0};

    (void)state;
    for (size_t i = 0; i < N_OF(names); i++) {
        ss_shard s;
        char *whole;

        assert_int_equal(ss_shard_parse_path(names[i].path, &whole, &s, &e), SS_OK);
        if (!names[i].whole) {
            assert_null(whole);
            continue;
        }
        assert_string_equal(whole, names[i].whole);
        assert_true(s.index == names[i].index && s.count == names[i].count);
        char *back = ss_shard_path(whole, s);
        assert_string_equal(back, names[i].path);
        ss_free(back);
        ss_free(whole);
    }
}

#define QUICK " --quiet --class 3 --samples 1 --sigmas 1 --modules conv_in"

static void test_wrong_values(void **state)
{
    (void)state;
    static const char *const values[] = {"7/7",   "3",    "-1/7", "1/0", "a/b",
                                         "1/2/3", "1/2 ", "",     "+1/2"};
    char command[256];

    for (size_t i = 0; i < N_OF(values); i++) {
        snprintf(command, sizeof command, "probe $M -o $D/x.h5 --shard '%s'" QUICK, values[i]);
        expect(command, 2, "--shard takes K/N, part K from 0 to N - 1 of N, or env; not '");
    }
    expect("probe $M -o $D/x.2-of-7.h5 --shard 3/7" QUICK, 2,
           "x.2-of-7.h5 is the file of part 2 of 7, but --shard asks for part 3 of 7");
    expect("gather $D/x.h5", 2, "-o RUN.h5 is missing");
    expect("gather -o $D/x.h5", 2, "expected PART... -o RUN.h5");
    assert_int_equal(count_files(tmp_dir), 0);
}

/* ---- the environment ---- */

/* With these variables and no other of a launcher, the part is `file`, or the error is `text`. */
static void with(const char *variables, const char *file, const char *text)
{
    char command[1024];

    snprintf(command, sizeof command,
             "env -u RANK -u WORLD_SIZE %s $P probe $M -o $D/e.h5 --shard env --progress never "
             "--class 3 --samples 1 --sigmas 1 --modules conv_in",
             variables);
    shell(command, file ? 0 : 2, text);
    if (file) {
        assert_true(access(in_tmp(file), F_OK) == 0);
        unlink(in_tmp(file));
    }
    assert_int_equal(count_files(tmp_dir), 0);
}

static void test_environment(void **state)
{
    (void)state;
    with("SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=7", "e.3-of-7.h5",
         "part 3 of 7, by SLURM_ARRAY_TASK_ID: ");
    with("SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=10 "
         "SLURM_ARRAY_TASK_MAX=14 SLURM_ARRAY_TASK_STEP=2",
         "e.2-of-3.h5", "by SLURM_ARRAY_TASK_ID");
    with(
        "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1", NULL,
        "the array's 3 tasks are a list, not one from 1 in steps of 1, so SLURM_ARRAY_TASK_ID=7 is "
        "no part; give --shard K/N");
    with("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1 "
         "SLURM_ARRAY_TASK_MAX=6 SLURM_ARRAY_TASK_STEP=1",
         NULL, "SLURM_ARRAY_TASK_ID=1 is no part");
    with("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", "e.1-of-2.h5", "OMPI_COMM_WORLD_RANK");
    with("PMI_RANK=0 PMI_SIZE=2", "e.0-of-2.h5", "by PMI_RANK");
    with("RANK=4 WORLD_SIZE=5", "e.4-of-5.h5", "by RANK");
    with("SLURM_PROCID=1 SLURM_NTASKS=3", "e.1-of-3.h5", "by SLURM_PROCID");

    /* several: the launcher that is nearest, a world of one says nothing, what a batch script hands
     * down contradicts nothing */
    with("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2 PMI_RANK=1 PMI_SIZE=2 SLURM_PROCID=0 "
         "SLURM_NTASKS=8",
         "e.1-of-2.h5", "by OMPI_COMM_WORLD_RANK");
    with("RANK=0 WORLD_SIZE=1 SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3", "e.2-of-3.h5",
         "by SLURM_ARRAY_TASK_ID");
    with("RANK=1 WORLD_SIZE=3 SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=1", "e.1-of-3.h5",
         "by RANK");
    with("RANK=0 WORLD_SIZE=1", "e.0-of-1.h5", "part 0 of 1, by RANK");
    with("RANK=1 WORLD_SIZE=2 SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=3", NULL,
         "RANK says part 1 of 2, SLURM_ARRAY_TASK_ID says part 1 of 3; give --shard K/N");

    with("", NULL, "none of OMPI_COMM_WORLD_RANK, PMI_RANK, RANK, SLURM_ARRAY_TASK_ID and");
    with("RANK=3", NULL, "RANK is set, but WORLD_SIZE is not");
    with("PMI_SIZE=3", NULL, "PMI_SIZE is set, but PMI_RANK is not");
    with("RANK=three WORLD_SIZE=4", NULL, "RANK is 'three', no whole number");
    with("RANK=4 WORLD_SIZE=4", NULL, "RANK is 4 and WORLD_SIZE is 4");
}

/* ---- the same bytes ---- */

/* The time that files record may be given. */
static void test_time(void **state)
{
    static const struct {
        const char *epoch, *created, *note;
    } times[] = {
        {"0", "1970-01-01T00:00:00Z", NULL},
        {"1700000000", "2023-11-14T22:13:20Z", NULL},
        {"yesterday", NULL, "SOURCE_DATE_EPOCH is 'yesterday', no number of seconds"},
        {"-1", NULL, "the time of now is recorded"},
    };
    char command[512];

    (void)state;
    for (size_t i = 0; i < N_OF(times); i++) {
        ss_run *r;
        ss_err e = {0};

        snprintf(
            command, sizeof command,
            "SOURCE_DATE_EPOCH=%s $P probe $M -o $D/t.h5 --force --class 3 --samples 1 --sigmas 1 "
            "--modules conv_in",
            times[i].epoch);
        shell(command, 0, times[i].note);
        assert_int_equal(ss_run_open(in_tmp("t.h5"), &r, &e), SS_OK);
        if (times[i].created)
            assert_string_equal(r->created, times[i].created);
        else
            assert_true(strcmp(r->created, "2026") > 0 && strlen(r->created) == 20);
        ss_run_close(r);
    }
    unlink(in_tmp("t.h5"));
}

static uint64_t shuffled; /* which numbers were drawn */

/* Runs all parts of n and gathers them in some order; the result is the file `whole`. */
static void divide(const char *probe, int n, const char *whole)
{
    char command[2048], parts[512] = "";
    int order[16];
    const ss_rng rng = ss_rng_stream(1, "order", 0, 0);

    for (int k = 0; k < n; k++) {
        snprintf(command, sizeof command, "$P %s -o $D/p.h5 --quiet --threads %d --shard %d/%d",
                 probe, k ? 1 : 2, k, n);
        shell(command, 0, "p.");
        order[k] = k;
    }
    for (int k = n - 1; k > 0; k--) {
        const int j = (int)(ss_rng_uniform(rng, shuffled++) * (k + 1)), was = order[k];

        order[k] = order[j];
        order[j] = was;
    }
    for (int k = 0; k < n; k++)
        snprintf(parts + strlen(parts), sizeof parts - strlen(parts), " $D/p.%d-of-%d.h5", order[k],
                 n);
    snprintf(command, sizeof command, "$P gather%s -o $D/p.h5 --quiet", parts);
    shell(command, 0, "p.h5");
    assert_same_bytes("p.h5", whole);
    shell("rm $D/p.*", 0, NULL);
}

/* One process, and 1, 2, 3 and 7 of them. The parts have other numbers of threads than the whole;
 * the first has as many. */
static void test_same(const char *probe)
{
    static const int counts[] = {1, 2, 3, 7};
    char command[2048];

    /* the same name as that of the parts, since it is in the command that the file records */
    snprintf(command, sizeof command,
             "$P %s -o $D/p.h5 --quiet --threads 2 >/dev/null && mv $D/p.h5 $D/whole.h5", probe);
    shell(command, 0, NULL);
    for (size_t i = 0; i < N_OF(counts); i++)
        divide(probe, counts[i], "whole.h5");
    unlink(in_tmp("whole.h5"));
}

static void test_image(void **state)
{
    (void)state;
    /* 3 noise levels, 5 passes each; passes end within an input */
    test_same("probe $M --class 3 --inputs noise:white --inputs grating:2,30 --samples 5 --batch 2 "
              "--sigmas 0.1,2,50 --dump conv_in --dump mid_block --dump-dtype f16");
}

static void test_channels(void **state)
{
    (void)state;
    test_same("probe $M --class 3 --inputs noise:white --inputs checker:2 --inputs noise:blue "
              "--samples 3 --batch 2 --sigmas 0.1,50 --channels --modules 'down_blocks.*'");
}

static void test_video(void **state)
{
    (void)state;
    test_same(
        "probe tests/golden/motion/rotary --size 4x6 --frames 7 --inputs noise:white --inputs "
        "checker:2 --samples 2 --batch 1 --timesteps 10,500,900 --dump conv_in");
}

/* A whole pipeline in small, with its tokenizer. */
static void make_pipeline(void)
{
    if (access(in_tmp("sd"), F_OK) != 0)
        shell("T=tests/golden/tokenizers; cp -r tests/golden/pipelines/sd $D/sd && "
              "cp -r $T/clip $D/sd/tokenizer && cp $T/vocab.json $T/merges.txt $D/sd/tokenizer/",
              0, NULL);
}

static void test_text(void **state)
{
    (void)state;
    make_pipeline();
    test_same("probe $D/sd/text_encoder --prompt 'a cat' --prompt 'two dogs' "
              "--prompt 'a very small house' --prompt ''");
}

static void test_components(void **state)
{
    (void)state;
    make_pipeline();
    shell(
        "o='-o $D/p.h5 --components text,denoiser --prompt a --prompt cat --samples 2 --batch 1 "
        "--sigmas 0.5,20 --quiet --threads 1'; eval $P probe $D/sd $o >/dev/null && mkdir $D/w && "
        "mv $D/p.* $D/w/ && for k in 0 1 2; do eval $P probe $D/sd $o --shard $k/3; done && "
        "for c in text_encoder unet; do $P gather $D/p.$c.*-of-3.h5 -o $D/g.h5 && "
        "cmp $D/g.h5 $D/w/p.$c.h5 && rm $D/g.h5 || exit 1; done",
        0, "/p.unet.2-of-3.h5");
    shell("$P gather $D/p.*-of-3.h5 -o $D/g.h5", 2, "is a part of another run than");
    shell("$P probe $D/sd -o $D/q.h5 --components all --prompt a --shard 0/2", 2,
          "vae decodes what the whole run of the denoiser made; probe and gather the others first, "
          "then probe --components vae --inputs latents:");
    shell("rm -r $D/p.* $D/w", 0, NULL);
    test_same("probe $D/sd --components vae --inputs grating:4,30 --inputs checker:2 --samples 2");
}

/* ---- launchers ---- */

#define LAUNCHED_AS "$M l.h5 --class 3 --sigmas 1,2,3 --modules conv_in --quiet"
#define LAUNCHED "$M --class 3 --samples 2 --sigmas 1,2,3,4 --modules conv_in --quiet --threads 1"

/* Starts parts as docs/clusters.md does, where what they need works, and gathers them; the
 * recorded command is that of one process with the same options. */
static void launched(const char *needs, const char *launch, const char *same)
{
    char command[2048];

    snprintf(command, sizeof command,
             "{ %s; } >/dev/null 2>&1 || exit 3; export M D P; cd $D; "
             "case $P in /*) ;; *) P=$OLDPWD/$P; esac; M=$OLDPWD/$M; "
             "{ %s; } >/dev/null && $P gather l.*-of-3.h5 -o l.h5 && mv l.h5 g.h5 && rm l.* && "
             "%s >/dev/null && cmp l.h5 g.h5 && rm l.h5 g.h5 || exit 1",
             needs, launch, same);
    const char *program = getenv("SIGMASCOPE");
    char line[4096];

    snprintf(line, sizeof line, "M=%s; D=%s; P=%s; { %s; } 2>&1", MODEL, tmp_dir,
             program ? program : "build/sigmascope", command);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    output[fread(output, 1, sizeof output - 1, p)] = '\0';
    const int got = pclose(p);

    if (WIFEXITED(got) && WEXITSTATUS(got) == 3)
        skip_because("`%s` fails here", needs);
    else if (got)
        fail_msg("%s printed:\n%s", command, output);
}

#define ONE "$P probe " LAUNCHED " -o l.h5 --resume"

static void test_xargs(void **state)
{
    (void)state;
    launched("command -v xargs",
             "seq 0 2 | xargs -P 2 -I{} $P probe " LAUNCHED " -o l.h5 --shard {}/3 --resume", ONE);
}

static void test_parallel(void **state)
{
    (void)state;
    launched("command -v parallel",
             "seq 0 2 | parallel --jobs 2 $P probe " LAUNCHED " -o l.h5 --shard {}/3 --resume",
             ONE);
}

static void test_mpirun(void **state)
{
    (void)state;
    launched("command -v mpirun",
             "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun --oversubscribe "
             "--bind-to none -np 3 $P probe " LAUNCHED " -o l.h5 --shard env --resume",
             ONE);
}

static void test_torchrun(void **state)
{
    (void)state;
    launched("torchrun --no_python --nproc_per_node 1 true", /* Debian's does not run */
             "torchrun --no_python --nproc_per_node 3 $P probe " LAUNCHED
             " -o l.h5 --shard env --resume",
             ONE);
}

static void test_slurm(void **state)
{
    (void)state;
    launched(
        "sh",
        "for k in 4 6 8; do SLURM_ARRAY_TASK_ID=$k SLURM_ARRAY_TASK_MIN=4 "
        "SLURM_ARRAY_TASK_MAX=8 SLURM_ARRAY_TASK_STEP=2 SLURM_ARRAY_TASK_COUNT=3 SLURM_PROCID=0 "
        "SLURM_NTASKS=1 $P probe " LAUNCHED " -o l.h5 --shard env --resume; done",
        ONE);
}

/* The script of docs/clusters.md; with PARTS for some tasks alone. */
static void test_slurm_script(void **state)
{
    (void)state;
    launched("true",
             "mkdir bin; ln -s $P bin/sigmascope; for k in 0 1; do PATH=$D/bin:$PATH "
             "SLURM_ARRAY_TASK_ID=$k SLURM_ARRAY_TASK_COUNT=3 "
             "$OLDPWD/examples/probe-array.sbatch " LAUNCHED_AS
             "; done; PARTS=3 PATH=$D/bin:$PATH SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=1 "
             "$OLDPWD/examples/probe-array.sbatch " LAUNCHED_AS "; rm -r bin",
             "$P probe $M -o l.h5 --class 3 --sigmas 1,2,3 --modules conv_in --quiet --resume "
             "--progress "
             "never --threads 1");
}

/* ---- killed, slow, missing ---- */

#define LONG                                                                                      \
    "probe $M --class 3 --inputs noise:white --inputs noise:pink --samples 4 --batch 4 --sigmas " \
    "0.02:80:30 --dump conv_in --resume --quiet --threads 1 -o $D/k.h5"

/* A part is killed at random moments, goes on by the same command, and is what it would have been.
 */
static void test_killed(void **state)
{
    const char *times = getenv("SS_KILLS"); /* more than the usual */
    char command[1024];

    (void)state;
    shell("$P " LONG " >/dev/null && mv $D/k.h5 $D/whole.h5 && for k in 0 2; do $P " LONG
          " --shard $k/3; done",
          0, NULL);
    snprintf(command, sizeof command,
             "i=0; while [ $i -lt %s ]; do $P " LONG " --shard 1/3 & p=$!; "
             "sleep 0.$(printf %%03d $((i * 37 %% 400))); kill -9 $p; wait $p; i=$((i + 1)); "
             "[ -e $D/k.1-of-3.h5 ] && $P analyze $D/k.1-of-3.h5 >/dev/null || true; "
             "[ $((i %% 5)) -ne 0 ] || { $P " LONG " --shard 1/3 && "
             "$P gather $D/k.?-of-3.h5 -o $D/k.h5 && cmp $D/k.h5 $D/whole.h5 && "
             "rm $D/k.h5 $D/k.1-of-3.h5 || exit 1; }; done; rm -f $D/k.1-of-3.h5.tmp-*",
             times ? times : "10");
    shell(command, 0, NULL);
    shell("rm $D/k.* $D/whole.h5", 0, NULL);
}

/* Two are ready, one is still at work: what is missing is named, and nothing is written. */
static void test_slow(void **state)
{
    (void)state;
    shell(
        "for k in 0 2; do $P " LONG " --shard $k/3; done; $P " LONG
        " --sigmas 0.02:80:30 --samples "
        "4 --shard 1/3 & p=$!; while ! [ -e $D/k.1-of-3.h5 ]; do sleep 0.01; done; kill -STOP $p; "
        "$P gather $D/k.?-of-3.h5 -o $D/k.h5; echo status $?; kill -CONT $p; wait $p && "
        "$P gather $D/k.?-of-3.h5 -o $D/k.h5",
        0, "k.1-of-3.h5) is not finished, a process is writing it: sigma ");
    assert_non_null(strstr(output, " of noise:white, noise:pink\n"));
    assert_non_null(strstr(output, "status 1\n"));
    shell(
        "rm $D/k.h5; $P gather $D/k.[12]-of-3.h5 -o $D/k.h5", 1,
        "part 0 of 3 is missing: sigma 0.02, 0.02662, 0.03544, 0.04717, 0.06279, 0.08357, 0.1112, "
        "0.1481, 0.1971, 0.2624 of noise:white, noise:pink\n");
    shell("$P gather $D/k.1-of-3.h5 -o $D/k.h5", 1, "part 2 of 3 is missing: sigma 6.098, ");
    assert_non_null(strstr(output, "or gather what is there with --partial"));
    assert_int_equal(count_files(tmp_dir), 4); /* three parts and the pipeline's folder */

    /* a part of the whole run is gone on with by one process */
    shell("$P " LONG " >/dev/null && mv $D/k.h5 $D/whole.h5 && "
          "$P gather $D/k.2-of-3.h5 $D/k.0-of-3.h5 -o $D/k.h5 --partial && "
          "$P analyze $D/k.h5 | grep finished && $P " LONG " && cmp $D/k.h5 $D/whole.h5",
          0, "NOT complete, 20 of 30 noise levels finished");
    shell("$P gather $D/k.*-of-3.h5 -o $D/k.h5", 1, "k.h5: exists already; --force replaces it");
    shell("$P gather $D/k.*-of-3.h5 -o $D/k.h5 --force && cmp $D/k.h5 $D/whole.h5", 0, NULL);
    shell("rm $D/k.* $D/whole.h5", 0, NULL);
}

/* Tests what a part says of itself. */
static void test_part_alone(void **state)
{
    (void)state;
    shell("for k in 0 1 2 3 4; do $P probe $M -o $D/a.h5 --class 3 --samples 2 --sigmas 1,2,3 "
          "--shard $k/5 --modules conv_in --progress never; done",
          0, "part 1 of 5: 0 of 6 samples, at 0 of 3 noise levels (0 were there)");
    assert_non_null(strstr(output, "there is nothing to do for it"));
    expect("analyze $D/a.0-of-5.h5 --json", 0,
           "This file is part 0 of 5 of a run: 1 of 3 noise levels");
    expect("analyze $D/a.1-of-5.h5", 0, "part 1 of 5, 0 of 3 noise levels finished");
    expect("gather $D/a.*-of-5.h5 -o $D/a.h5", 0, "a.h5");
    unlink(in_tmp("a.h5"));
    /* one that has nothing is not missed */
    expect("gather $D/a.[024]-of-5.h5 -o $D/a.h5", 0, "3 of 3 noise levels");
    shell("rm $D/a.*", 0, NULL);
}

/* ---- what does not fit ---- */

#define PART "$P probe $M --class 3 --quiet --modules conv_in --sigmas 1,2 --samples 2 --batch 1 "

static void test_disagreement(void **state)
{
    (void)state;
    shell("for k in 0 1 2; do " PART "-o $D/d.h5 --shard $k/3; done", 0, NULL);
#define OTHER(options, part, how, text)                                                           \
    shell(how " -o $D/o.h5 " options "; $P gather $D/d.[02]-of-3.h5 $D/o." part ".h5 -o $D/x.h5", \
          2, text)
    OTHER("--shard 1/3 --seed 1", "1-of-3", PART, "d.0-of-3.h5: --seed is 1, the run has 0");
    OTHER("--shard 1/3 --channels --force", "1-of-3", PART, "--channels is");
    OTHER("--shard 1/3 --sigmas 1,3 --force", "1-of-3", PART, "--sigmas is 1,3, the run has 1,2");
    OTHER("--shard 1/3 --batch 2 --force", "1-of-3", PART, "--batch is 2, the run has 1");
    OTHER("--shard 1/4", "1-of-4", PART, "is one of 3 parts, ");
    OTHER("--shard 1/3 --class 3 --modules conv_in --sigmas 1,2 --samples 2 --batch 1 --quiet "
          "--force",
          "1-of-3", "$P probe demo/fashion-mnist/step-06000", "the model's SHA-256 is ");
#undef OTHER

    /* a part twice: the same bytes are fine, others are not, an unfinished one gives way */
    shell("$P gather $D/d.*-of-3.h5 -o $D/whole.h5; cp $D/d.1-of-3.h5 $D/o.h5; "
          "$P gather $D/o.h5 $D/d.*-of-3.h5 -o $D/x.h5 && cmp $D/x.h5 $D/whole.h5 && rm $D/x.h5",
          0, NULL);
    hid_t file = H5Fopen(in_tmp("o.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    hid_t set = H5Dopen2(file, "/stats/absmax", H5P_DEFAULT);
    float *x = ss_alloc((size_t)H5Dget_storage_size(set), 1);
    assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    for (size_t i = 0; i < H5Dget_storage_size(set) / sizeof *x; i++)
        x[i] *= 2;
    H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x);
    H5Dclose(set);
    H5Fclose(file);
    ss_free(x);
    shell("$P gather $D/o.h5 $D/d.*-of-3.h5 -o $D/x.h5", 2,
          "are both part 1 of 3, but differ in /stats/absmax at sigma ");
    file = H5Fopen(in_tmp("o.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    set = H5Dopen2(file, "/axes/done", H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, (uint8_t[]){0, 0});
    H5Dclose(set);
    H5Fclose(file);
    shell("$P gather $D/o.h5 $D/d.*-of-3.h5 -o $D/x.h5 && cmp $D/x.h5 $D/whole.h5 && rm $D/x.h5", 0,
          NULL);

    /* no part, another kind of run, and one that goes on as another part */
    shell("$P gather $D/d.0-of-3.h5 README.md -o $D/x.h5", 1,
          "README.md: not a readable HDF5 file");
    shell("$P gather $D/d.0-of-3.h5 $D -o $D/x.h5", 1, "is a folder, expected a run file");
    shell("$P gather $D/d.0-of-3.h5 $D/none.h5 -o $D/x.h5", 1, "none.h5: No such file");
    shell("$P gather tests/golden/outsider.h5 -o $D/x.h5", 1,
          "outsider.h5: does not say which part of a run it is");
    shell("head -c 20000 $D/d.1-of-3.h5 >$D/o.h5; $P gather $D/d.0-of-3.h5 $D/o.h5 -o $D/x.h5", 1,
          "o.h5: not a readable HDF5 file");
    shell("cp $D/d.1-of-3.h5 $D/d.2-of-3.h5; " PART "-o $D/d.h5 --shard 2/3 --resume", 2,
          "cannot be resumed: it is part 1 of 3, this is part 2 of 3");
    shell("cp $D/whole.h5 $D/d.2-of-3.h5; " PART "-o $D/d.h5 --shard 2/3 --resume", 2,
          "cannot be resumed: it is part 0 of 1, this is part 2 of 3");
    assert_true(access(in_tmp("x.h5"), F_OK) != 0);
    shell("rm $D/d.* $D/o.* $D/whole.h5", 0, NULL);
}

/* A disk that is full leaves nothing. */
static void test_full_disk(void **state)
{
    (void)state;
    shell("for k in 0 1; do " PART "-o $D/f.h5 --shard $k/2; done; mkdir $D/disk", 0, NULL);
    shell(
        "if unshare -rm true 2>/dev/null; then unshare -rm sh -c \"mount -t tmpfs -o size=64k none "
        "$D/disk && $P gather $D/f.0-of-2.h5 $D/f.1-of-2.h5 -o $D/disk/f.h5; echo status \\$?; ls "
        "-A "
        "$D/disk\"; else echo SKIP; fi",
        0, NULL);
    if (!strstr(output, "SKIP")) {
        assert_non_null(strstr(output, "No space left on device"));
        assert_non_null(strstr(output, "status 1\n"));
        assert_string_equal(strstr(output, "status 1\n"), "status 1\n");
    }
    shell("rm -r $D/f.* $D/disk", 0, NULL);
}

/* ---- damaged parts ---- */

/* Parts with damage are refused, or what they give opens; nothing crashes, and nothing is left. */
static void test_damaged(void **state)
{
    const char *times = getenv("SS_MUTATIONS"); /* more than the usual */
    const ss_rng rng = ss_rng_stream(5, "damage", 0, 0);
    char a[512], b[512], damaged[512], out[512], *bytes;
    const char *parts[3];
    ss_gather_options opt = {.parts = parts, .n_parts = 3, .output = out, .replace = true};
    int refused = 0, taken = 0;
    uint64_t at = 0;
    size_t n;
    ss_err e = {0};

    (void)state;
    shell("for k in 0 1 2; do " PART "-o $D/m.h5 --shard $k/3; done", 0, NULL);
    snprintf(a, sizeof a, "%s/m.0-of-3.h5", tmp_dir);
    snprintf(b, sizeof b, "%s/m.2-of-3.h5", tmp_dir);
    snprintf(damaged, sizeof damaged, "%s/m.1-of-3.h5", tmp_dir);
    snprintf(out, sizeof out, "%s/m.h5", tmp_dir);
    assert_int_equal(ss_file_read(damaged, 1 << 28, &bytes, &n, &e), SS_OK);
    for (int k = 0; k < (times ? atoi(times) : 60); k++) {
        ss_gather_summary sum;
        const int flips = 1 + (int)(ss_rng_uniform(rng, at++) * 3);
        const bool cut = ss_rng_uniform(rng, at++) < 0.2;
        size_t where[4];
        char was[4];

        for (int i = 0; i < flips && !cut; i++) {
            const double u = ss_rng_uniform(rng, at++);

            /* most of it is numbers; what HDF5 reads is at the beginning, and around sets */
            where[i] = (size_t)(u * (double)(i % 2 ? n : n < 40000 ? n : 40000));
            was[i] = bytes[where[i]];
            bytes[where[i]] ^= (char)(1 << (int)(ss_rng_uniform(rng, at++) * 8));
        }
        write_file(damaged, bytes, cut ? (size_t)(ss_rng_uniform(rng, at++) * (double)n) : n);
        for (int i = flips - 1; i >= 0 && !cut; i--)
            bytes[where[i]] = was[i];
        /* also first, where it is what the others are compared with */
        parts[k % 3] = damaged;
        parts[(k + 1) % 3] = a;
        parts[(k + 2) % 3] = b;
        e = (ss_err){0};
        if (ss_run_gather(&opt, &sum, &e) == SS_OK) {
            ss_run *r;

            taken++;
            if (ss_run_open(out, &r, &e) != SS_OK)
                fail_msg("mutation %d: %s", k, e.msg);
            ss_run_close(r);
        } else {
            refused++;
            assert_true(*e.msg);
        }
        unlink(out);
    }
    ss_free(bytes);
    assert_true(refused && taken);
    shell("ls $D/m.*tmp* 2>/dev/null | wc -l", 0, "0");
    shell("rm $D/m.*", 0, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_division),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_wrong_values), cmocka_unit_test(test_environment),
        cmocka_unit_test(test_time),         cmocka_unit_test(test_image),
        cmocka_unit_test(test_channels),     cmocka_unit_test(test_video),
        cmocka_unit_test(test_text),         cmocka_unit_test(test_components),
        cmocka_unit_test(test_xargs),        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_mpirun),       cmocka_unit_test(test_torchrun),
        cmocka_unit_test(test_slurm),        cmocka_unit_test(test_slurm_script),
        cmocka_unit_test(test_killed),       cmocka_unit_test(test_slow),
        cmocka_unit_test(test_part_alone),   cmocka_unit_test(test_disagreement),
        cmocka_unit_test(test_full_disk),    cmocka_unit_test(test_damaged),
    };
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
