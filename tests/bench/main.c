/* main.c - the table of all rows: see bench.h */
#include "base/json.h"
#include "base/log.h"
#include "base/str.h"
#include "base/table.h"
#include "base/threads.h"
#include "tests/bench/bench.h"

#include <getopt.h>
#include <math.h>
#include <omp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*rows)(bench *b);
} groups[] = {
#define X(name) {#name, bench_rows_##name},
    BENCH_GROUPS(X)
#undef X
};
static const struct {
    const char *name;
    void (*work)(const bench *b, char **args);
} children[] = {
#define X(name) {#name, bench_child_##name},
    BENCH_CHILDREN(X)
#undef X
};

enum { N_GROUPS = sizeof groups / sizeof *groups };

void bench_die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("bench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

void bench_need(ss_code rc, const ss_err *e)
{
    if (rc != SS_OK)
        bench_die("%s", e->msg);
}

bench_row bench_row_of(const char *unit, const char *name, ...)
{
    bench_row r = {.unit = unit, .ours = NAN, .theirs = NAN, .limit = NAN};
    va_list ap;

    va_start(ap, name);
    vsnprintf(r.name, sizeof r.name, name, ap);
    va_end(ap);
    return r;
}

void bench_add_bar(bench_row *r, bench_what what, double bound)
{
    r->bar[r->n_bars++] = (bench_bar){what, bound};
}

/* "ratio <= 0.7, limit >= 75 %" and whether that is so; "-" where a number is missing. */
static void judge(const bench_row *r, char *text, size_t n, const char **met)
{
    ss_str s = {0};
    bool missed = false, unknown = r->n_bars == 0;

    for (int i = 0; i < r->n_bars; i++) {
        const bench_bar *b = &r->bar[i];
        double value = NAN;

        if (i)
            ss_str_add(&s, ", ");
        switch (b->what) {
        case BENCH_RATIO:
            ss_str_addf(&s, "ratio <= %g", b->bound);
            value = r->ours / r->theirs - b->bound;
            break;
        case BENCH_OURS:
            ss_str_addf(&s, "ours <= %g %s", b->bound, r->unit);
            value = r->ours - b->bound;
            break;
        case BENCH_OF_LIMIT:
            ss_str_addf(&s, "limit >= %g %%", b->bound);
            value = b->bound - 100 * r->limit / r->ours;
        }
        unknown |= isnan(value);
        missed |= value > 0;
    }
    snprintf(text, n, "%s", s.s ? s.s : "");
    ss_str_release(&s);
    *met = missed ? "NO" : unknown ? "-" : "yes";
}

void bench_report(bench *b, const bench_row *r)
{
    char bars[96];
    const char *met;
    ss_table *t = b->table;

    judge(r, bars, sizeof bars, &met);
    ss_table_row(t);
    ss_table_text(t, r->name);
    ss_table_number(t, r->ours);
    ss_table_number(t, r->theirs);
    ss_table_text(t, r->unit);
    ss_table_number(t, r->ours / r->theirs);
    ss_table_number(t, r->limit);
    ss_table_number(t, 100 * r->limit / r->ours);
    ss_table_text(t, r->note ? r->note : bars);
    ss_table_text(t, met);
    fprintf(stderr, "%s: %.4g %s, PyTorch %.4g, limit %.4g: %s\n", r->name, r->ours, r->unit,
            r->theirs, r->limit, met);
}

static void begin_table(bench *b)
{
    static const struct {
        const char *name;
        ss_col_kind kind;
        const char *format;
    } columns[] = {
        {"case", SS_COL_TEXT, NULL},
        {"ours", SS_COL_NUMBER, "%.4g"},
        {"pytorch", SS_COL_NUMBER, "%.4g"},
        {"unit", SS_COL_TEXT, NULL},
        {"ratio", SS_COL_NUMBER, "%.3f"},
        {"limit", SS_COL_NUMBER, "%.4g"},
        {"% of limit", SS_COL_NUMBER, "%.0f"},
        {"bar", SS_COL_TEXT, NULL},
        {"met", SS_COL_TEXT, NULL},
    };
    ss_err e = {0};
    ss_ctx *c;

    bench_need(ss_table_init(b->table, "bench", &e), &e);
    bench_need(ss_ctx_new(&(ss_ctx_options){.device = b->device, .threads = b->threads}, &c, &e),
               &e);
    if (b->device)
        ss_table_note(b->table, "%s", ss_ctx_device_text(c));
    else
        ss_table_note(b->table, "%s; peak %.1f GFLOP/s, memory %.1f GB/s", ss_ctx_device_text(c),
                      b->peak * 1e-9, b->bandwidth * 1e-9);
    ss_ctx_free(c);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ss_table_column(b->table, columns[i].name, columns[i].kind, columns[i].format);
}

static void print_json(const ss_table *t)
{
    json_t *j = ss_table_json(t);

    if (!j || json_dumpf(j, stdout, JSON_INDENT(2)) != 0)
        bench_die("cannot write the table");
    putchar('\n');
    json_decref(j);
}

static void usage(FILE *f)
{
    fputs("usage: bench [--json] [--slow] [--threads N] [ROWS...]\n"
          "       bench --device D [--reference D] [--tiny] [--json] device\n"
          "Times us beside PyTorch ($PYTHON, or python3) and beside the limits of the machine;\n"
          "with --device us on a GPU, and PyTorch on the same one or on that of --reference.\n"
          "ROWS:",
          f);
    for (int g = 0; g < N_GROUPS; g++)
        fprintf(f, " %s", groups[g].name);
    fputs(" (all, if none is named)\n", f);
}

static bool asked(const char *group, int n, char **names)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], group) == 0)
            return true;
    return n == 0;
}

static void check_names(int n, char **names)
{
    for (int i = 0; i < n; i++) {
        int g = 0;

        while (g < N_GROUPS && strcmp(names[i], groups[g].name) != 0)
            g++;
        if (g == N_GROUPS) {
            usage(stderr);
            bench_die("there are no rows '%s'", names[i]);
        }
    }
}

static int be_child(const bench *b, const char *name, char **args)
{
    for (size_t i = 0; i < sizeof children / sizeof *children; i++) {
        if (strcmp(children[i].name, name) != 0)
            continue;
        children[i].work(b, args);
        return 0;
    }
    bench_die("--child %s: no such work", name);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"slow", no_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'},
        {"child", required_argument, NULL, 'c'},
        {"device", required_argument, NULL, 'd'},
        {"reference", required_argument, NULL, 'r'},
        {"tiny", no_argument, NULL, 'y'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    ss_table table;
    bench b = {.program = argv[0], .threads = omp_get_max_threads(), .table = &table};
    bool json = false;
    int c;

    ss_threads_limit_spinning(argv);

    while ((c = getopt_long(argc, argv, "+jst:c:d:r:yh", options, NULL)) != -1) {
        int64_t n;

        switch (c) {
        case 'j': json = true; break;
        case 's': b.slow = true; break;
        case 'd': b.device = optarg; break;
        case 'r': b.reference = optarg; break;
        case 'y': b.tiny = true; break;
        case 't':
            if (!ss_parse_i64(optarg, &n) || n < 1 || n > 1024)
                bench_die("--threads %s: expected 1 to 1024", optarg);
            b.threads = (int)n;
            break;
        case 'c': return be_child(&b, optarg, argv + optind);
        case 'h': usage(stdout); return 0;
        default: usage(stderr); return 2;
        }
    }
    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER); /* the table says it all */
    check_names(argc - optind, argv + optind);
    if (!b.reference)
        b.reference = b.device;
    bench_use_device(b.device);
    if (b.device)
        b.peak = b.bandwidth = NAN; /* of a device: sigmascope selftest */
    else
        bench_measure_machine(&b);
    begin_table(&b);
    for (int g = 0; g < N_GROUPS; g++)
        if (asked(groups[g].name, argc - optind, argv + optind))
            groups[g].rows(&b);
    if (json)
        print_json(&table);
    else
        ss_table_print(&table, stdout, 0);
    ss_table_release(&table);
    return 0;
}
