/* rows_files.c - `analyze` and `report` of a run file of 10 GB: memory, and time beside reading the
 * file's bytes
 */
#include "base/mem.h"
#include "tests/bench/bench.h"
#include "tests/bench/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static double read_plain(const char *path)
{
    enum { PIECE = 8 << 20 };
    char *piece = ss_alloc(1, PIECE);
    const double start = bench_now();
    int f = open(path, O_RDONLY);
    ssize_t n = 1;

    while (f >= 0 && piece && n > 0)
        n = read(f, piece, PIECE);
    if (f < 0 || n < 0)
        bench_die("cannot read %s", path);
    close(f);
    ss_free(piece);
    return bench_now() - start;
}

/* Runs the program; seconds, and the most memory it held in MiB. */
static double run_program(const char *const *argv, double *most)
{
    const double start = bench_now();
    struct rusage usage;
    int status = 0;
    const pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, 1);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status != 0)
        bench_die("%s %s failed", argv[0], argv[1]);
    *most = (double)usage.ru_maxrss / 1024;
    return bench_now() - start;
}

/* Samples until the file is as large as that. Made by the program, too: what this process ever held
 * would count as its children's. */
static void make_run(const char *program, const char *model, const char *path)
{
    double most;

    run_program((const char *[]){program, "probe", model, "-o", path, "--sigmas", "0.02:80:5",
                                 "--inputs", "noise:white", "--inputs", "noise:pink", "--samples",
                                 "24", "--batch", "4", "--dump", "*", NULL},
                &most);
}

static void one(bench *b, const char *command, const char *const *argv, const char *path)
{
    bench_row r = bench_row_of("s", "%s, 10 GB", command);
    bench_row m = bench_row_of("MiB", "  memory");

    r.limit = read_plain(path);
    r.ours = run_program(argv, &m.ours);
    bench_add_bar(&m, BENCH_OURS, 512);
    bench_report(b, &r);
    bench_report(b, &m);
}

/* The program lies two folders above the bench. */
static void program_path(const bench *b, char *path, size_t n)
{
    const char *end = strrchr(b->program, '/');

    snprintf(path, n, "%.*s/../../sigmascope", end ? (int)(end - b->program) : 1,
             end ? b->program : ".");
}

void bench_rows_files(bench *b)
{
    char folder[256], path[300], report[300], program[300];

    if (!b->slow)
        return;
    bench_scratch(folder, sizeof folder);
    snprintf(path, sizeof path, "%s.h5", folder);
    snprintf(report, sizeof report, "%s-report", folder);
    program_path(b, program, sizeof program);
    bench_write_model("tests/bench/configs/cifar10", SS_F32, folder);
    make_run(program, folder, path);
    one(b, "analyze", (const char *[]){program, "analyze", path, NULL}, path);
    one(b, "report", (const char *[]){program, "report", path, "-o", report, NULL}, path);
    bench_remove_model(folder);
    unlink(path);
    fprintf(stderr, "bench: %s is left to look at\n", report);
}
