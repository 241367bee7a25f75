/* rows_dump.c - a probe that stores every activation, beside one that does not and beside writing
 * as many bytes
 *
 * Storing goes on while the next pass computes, so the limit is the longer of the two.
 */
#include "base/mem.h"
#include "probe/probe.h"
#include "tests/bench/bench.h"
#include "tests/bench/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static double probe(const char *model, const char *to, bool dump, int threads)
{
    static const char *const all[] = {"*"}, *const inputs[] = {"noise:white"};
    ss_probe_options o = ss_probe_defaults();
    ss_probe_summary s;
    ss_err e = {0};

    o.network.model = model;
    o.output = to;
    o.command = "bench";
    o.sigmas = "0.1,1,10,80";
    o.inputs = inputs;
    o.n_inputs = 1;
    o.samples = 8;
    o.batch = 4;
    o.dumps = all;
    o.n_dumps = dump;
    o.replace = true;
    o.threads = threads;
    const double start = bench_now();
    bench_need(ss_probe_run(&o, &s, &e), &e);
    return bench_now() - start;
}

/* Writes that many bytes, to the disk, as a run file is. */
static double write_plain(const char *path, size_t bytes)
{
    enum { PIECE = 8 << 20 };
    char *piece = ss_calloc(1, PIECE);
    const double start = bench_now();
    int f = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    bool good = piece && f >= 0;

    for (size_t done = 0; done < bytes && good; done += PIECE)
        good = write(f, piece, PIECE) == PIECE;
    if (!good || fsync(f) != 0 || close(f) != 0)
        bench_die("cannot write %s", path);
    const double seconds = bench_now() - start;
    unlink(path);
    ss_free(piece);
    return seconds;
}

typedef struct {
    const char *model, *path;
    int threads;
    size_t bytes;
} work;

static double run_with(void *state)
{
    work *w = state;
    struct stat s;
    const double seconds = probe(w->model, w->path, true, w->threads);

    w->bytes = stat(w->path, &s) == 0 ? (size_t)s.st_size : 0;
    return seconds;
}

static double run_without(void *state)
{
    const work *w = state;

    return probe(w->model, w->path, false, w->threads);
}

static double run_plain(void *state)
{
    const work *w = state;

    return write_plain(w->path, w->bytes);
}

void bench_rows_dump(bench *b)
{
    char folder[256], path[300];

    bench_scratch(folder, sizeof folder);
    bench_write_model("tests/bench/configs/cifar10", SS_F32, folder);
    snprintf(path, sizeof path, "%s.h5", folder);
    work w = {folder, path, b->threads, 0};
    bench_side sides[] = {{run_with, &w, 0, 0}, {run_without, &w, 0, 0}, {run_plain, &w, 0, 0}};
    bench_alternate(sides, 3, 1);
    unlink(path);
    bench_remove_model(folder);

    bench_row r = bench_row_of("s", "dump of all modules, f32: %.1f GB", 1e-9 * (double)w.bytes);
    r.ours = sides[0].median;
    r.limit = sides[1].median > sides[2].median ? sides[1].median : sides[2].median;
    bench_add_bar(&r, BENCH_OF_LIMIT, 80);
    bench_report(b, &r);
}
