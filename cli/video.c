/* video.c - `sigmascope video`: how videos move, flicker, boil, jump and drift */
#include "reports/video.h"

#include "analyze/math/frechet.h"
#include "analyze/video/set.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/tables.h"
#include "models/file/npy.h"
#include "probe/videos.h"

#include <limits.h>
#include <string.h>

enum {
    OPT_FRAMES = 1,
    OPT_SEEN,
    OPT_WINDOW,
    OPT_OVERLAP,
    OPT_TOP,
    OPT_OUTPUT,
    OPT_SHOW,
    OPT_TITLE,
    OPT_FORCE
};
enum { ROWS = 20, SHOWN = 2 }; /* defaults of --top and --show */
enum { MOST_SHOWN = 24 };      /* videos on a page one by one */

static const cli_option options[] = {
    CLI_GROUP("Videos"),
    {OPT_FRAMES, "frames", "N",
     "pictures are strips of N frames from left to right, a video each (default: a picture is a "
     "frame; generate.json says it itself)"},
    {OPT_SEEN, "seen", NULL,
     "of run files what networks were given (default: what they made of it)"},
    {OPT_WINDOW, "window", "N",
     "videos are made of windows of N frames: frames where one ends are compared with others"},
    {OPT_OVERLAP, "overlap", "M", "frames that a window shares with the one before (default 0)"},
    CLI_GROUP("Output"),
    {OPT_TOP, "top", "N", "at most N rows a table (default 20, with --json all)"},
    {OPT_OUTPUT, "output", "DIR", "write a page with figures, DIR/index.html"},
    {OPT_SHOW, "show", "N",
     "the page shows the first N videos of each model and stage one by one (default 2), 24 at "
     "most"},
    {OPT_TITLE, "title", "TEXT", "the page's title (default: the names of the models)"},
    {OPT_FORCE, "force", NULL, "replace a page that is there"},
    {0},
};

typedef struct {
    ss_videos_options from;
    ss_video_options opt;
    int top, show;
    cli_tables out;
    ss_video_report_options page; /* folder NULL: none */
} request;

/* True if the page is to show video i: it is one of the first of its model and stage. */
static bool is_shown(const request *q, const ss_videos *l, const ss_video_set *s, int i)
{
    int before = 0, shown = 0;

    for (int k = 0; k < i && q->page.folder; k++) {
        shown += s->video[k].video.x != NULL;
        before += strcmp(l->entry[k].model, l->entry[i].model) == 0 &&
                  strcmp(l->entry[k].stage, l->entry[i].stage) == 0;
    }
    return q->page.folder && before < q->show && shown < MOST_SHOWN;
}

/* Measures the videos one by one. */
static ss_code measure_all(const request *q, const ss_videos *l, ss_video_set *s, ss_err *e)
{
    ss_progress progress;
    ss_code rc = SS_OK;

    if (!(s->video = ss_calloc((size_t)l->n + 1, sizeof *s->video)))
        return ss_no_memory(e, "videos");
    ss_progress_begin(&progress, "video", l->n);
    for (int i = 0; i < l->n && rc == SS_OK; i++) {
        ss_measured_video *to = &s->video[i];
        ss_video v;

        *to = (ss_measured_video){
            .model = l->entry[i].model, .stage = l->entry[i].stage, .name = l->entry[i].name};
        s->n = i + 1;
        if ((rc = ss_videos_read(l, i, &v, e)) != SS_OK)
            break;
        rc = ss_video_measure(&v, &q->opt, &to->m, e);
        if (rc == SS_OK && is_shown(q, l, s, i)) {
            to->video = v;
        } else {
            ss_video_measures_shrink(&to->m);
            ss_video_release(&v);
        }
        ss_progress_step(&progress, i + 1, "");
    }
    ss_progress_end(&progress);
    return rc;
}

static ss_code show_table(request *q, ss_code rc, ss_table *t, ss_err *e)
{
    if (rc != SS_OK)
        return rc;
    ss_table_spread(t, q->top);
    return cli_show(&q->out, t, e);
}

static ss_code show(request *q, const ss_video_set *s, ss_err *e)
{
    const bool groups = q->out.data || s->n_groups < s->n;
    ss_table t;
    ss_code rc = show_table(q, ss_video_change_table(s, false, &t, e), &t, e);

    if (rc == SS_OK)
        rc = show_table(q, ss_video_motion_table(s, false, &t, e), &t, e);
    if (rc == SS_OK)
        rc = show_table(q, ss_video_seam_table(s, false, &t, e), &t, e);
    if (rc == SS_OK)
        rc = show_table(q, ss_video_boiling_table(s, &t, e), &t, e);
    if (rc == SS_OK && groups)
        rc = show_table(q, ss_video_change_table(s, true, &t, e), &t, e);
    if (rc == SS_OK && groups)
        rc = show_table(q, ss_video_motion_table(s, true, &t, e), &t, e);
    if (rc == SS_OK && groups)
        rc = show_table(q, ss_video_seam_table(s, true, &t, e), &t, e);
    if (rc == SS_OK && (q->out.data || s->n_comparisons))
        rc = show_table(q, ss_video_comparison_table(s, &t, e), &t, e);
    if (rc == SS_OK && (q->out.data || s->n_distances))
        rc = show_table(q, ss_video_distance_table(s, &t, e), &t, e);
    return rc;
}

static ss_code write_page(request *q, const ss_video_set *s, ss_err *e)
{
    ss_report_summary sum;
    const ss_code rc = ss_video_report_write(s, &q->page, &sum, e);

    if (rc == SS_OK && sum.n_missing)
        ss_warn("%d of %d figures are missing from the page: %s", sum.n_missing,
                sum.n_missing + sum.n_figures, sum.problem);
    if (rc == SS_OK)
        ss_note("%s/index.html", q->page.folder);
    return rc;
}

static ss_code run_videos(request *q, char *const *paths, int n, ss_err *e)
{
    ss_videos *l = NULL;
    ss_video_set s = {0};
    ss_code rc = SS_OK;

    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = ss_videos_find(&l, paths[i], &q->from, e);
    if (rc == SS_OK)
        rc = measure_all(q, l, &s, e);
    if (rc == SS_OK)
        rc = ss_video_set_compare(&s, &q->opt, e);
    if (rc == SS_OK)
        rc = show(q, &s, e);
    if (rc == SS_OK && q->page.folder)
        rc = write_page(q, &s, e);
    ss_video_set_release(&s);
    ss_videos_free(l);
    return rc;
}

/* Reads features [videos][features] and fits a normal distribution to them. */
static ss_code read_features(const char *file, int64_t *rows, ss_gaussian *g, ss_err *e)
{
    ss_array a;
    ss_code rc = ss_array_load_f32(file, &a, e);

    if (rc != SS_OK)
        return rc;
    if (a.rank != 2 || a.dim[0] < 2 || a.dim[1] < 1 || a.dim[1] > 1 << 13)
        rc = ss_fail(e, SS_SHAPE,
                     "%s: expected an array [videos, features] of 2 videos or more and 1 to 8192 "
                     "features, it has %d sides%s",
                     file, a.rank, a.rank == 2 ? " of other sizes" : "");
    else if ((rc = ss_gaussian_of(a.values, a.dim[0], (int)a.dim[1], NULL, g, e)) != SS_OK)
        ss_fail_prefix(e, "%s", file);
    *rows = a.dim[0];
    ss_array_release(&a);
    return rc;
}

/* `video fvd A B`: the distance of two files of features. */
static ss_code run_distance(request *q, char *const *files, ss_err *e)
{
    ss_gaussian a = {0}, b = {0};
    int64_t n[2];
    double distance = 0;
    ss_table t;
    ss_code rc = read_features(files[0], &n[0], &a, e);

    if (rc == SS_OK)
        rc = read_features(files[1], &n[1], &b, e);
    if (rc == SS_OK)
        rc = ss_frechet_distance(&a, &b, &distance, e);
    if (rc == SS_OK)
        rc = ss_table_init(&t, "Frechet distance", e);
    if (rc == SS_OK) {
        ss_table_column(&t, "A", SS_COL_TEXT, NULL);
        ss_table_column(&t, "B", SS_COL_TEXT, NULL);
        ss_table_column(&t, "features", SS_COL_NUMBER, "%.0f");
        ss_table_column(&t, "videos A", SS_COL_NUMBER, "%.0f");
        ss_table_column(&t, "videos B", SS_COL_NUMBER, "%.0f");
        ss_table_column(&t, "distance", SS_COL_NUMBER, "%.6g");
        if (n[0] <= a.n || n[1] <= a.n)
            ss_table_note(&t, "fewer videos than features: the distance is too large, by about a "
                              "constant / videos; compare it with others of as many videos only");
        ss_table_row(&t);
        ss_table_text(&t, files[0]);
        ss_table_text(&t, files[1]);
        ss_table_number(&t, a.n);
        ss_table_number(&t, (double)n[0]);
        ss_table_number(&t, (double)n[1]);
        ss_table_number(&t, distance);
        rc = cli_show(&q->out, &t, e);
    }
    ss_gaussian_release(&a);
    ss_gaussian_release(&b);
    return rc;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    request q = {.top = -1, .show = SHOWN};
    char *command = cli_command_line(argc, argv);
    cli_parser p;
    ss_err e = {0};
    int id, status;
    ss_code rc;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_FRAMES: cli_count(&p, 1, SS_VIDEO_MAX_FRAMES, &q.from.frames); break;
        case OPT_SEEN: q.from.inputs = true; break;
        case OPT_WINDOW: cli_count(&p, 1, SS_VIDEO_MAX_FRAMES, &q.opt.window); break;
        case OPT_OVERLAP: cli_count(&p, 0, SS_VIDEO_MAX_FRAMES, &q.opt.overlap); break;
        case OPT_TOP: cli_count(&p, 1, INT_MAX, &q.top); break;
        case OPT_OUTPUT: q.page.folder = p.arg; break;
        case OPT_SHOW: cli_count(&p, 0, 1000, &q.show); break;
        case OPT_TITLE: q.page.title = p.arg; break;
        case OPT_FORCE: q.page.replace = true; break;
        }
    }
    if (!p.stop && q.opt.overlap && q.opt.overlap >= q.opt.window)
        cli_usage(&p, "--overlap M needs --window N with N over M");
    if (!p.stop && q.page.title && !q.page.folder)
        cli_usage(&p, "--title is of the page: -o DIR is missing");
    if (cli_stop(&p, 1, -1)) {
        status = p.status;
        goto out;
    }
    q.opt.seed = p.common.seed;
    q.page.measured = q.opt;
    q.page.command = command;
    q.out = cli_tables_begin(&p);
    if (q.top < 0)
        q.top = cli_as_data(&p) ? INT_MAX : ROWS;
    if (strcmp(p.operands[0], "fvd") == 0) {
        if (p.n_operands != 3) {
            status = cli_usage(&p, "fvd takes two files of features");
            goto out;
        }
        rc = run_distance(&q, p.operands + 1, &e);
    } else {
        rc = run_videos(&q, p.operands, p.n_operands, &e);
    }
    rc = cli_show_end(&q.out, rc, &e);
    status = rc == SS_OK ? cli_flush(&p, CLI_OK) : cli_fail(&p, &e);
out:
    ss_free(command);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope video generated",
     "flicker, drift and boiling of the videos that `generate` wrote."},
    {"sigmascope video strips --frames 16 -o page",
     "pictures that are strips of 16 frames; a page with figures."},
    {"sigmascope video fvd real.npy made.npy", "Frechet distance of two files of features."},
    {0},
};

const cli_command cmd_video = {
    "video",
    "FRAMES|RUN.h5... [-o DIR]",
    "flicker, boiling, seams, motion and drift of videos",
    "FRAMES is a folder of PNG frames, numbered, or of such folders; a folder of strips, with\n"
    "--frames N; or a folder that `generate` wrote, whose models are compared sample by sample. "
    "Of\n"
    "RUN.h5 it takes what a network of videos made of its inputs. Prints, by video and by model:\n"
    "how frames differ and drift; how they move, by our own optical flow; how what should stay "
    "the\n"
    "same along the motion boils; and whether frames change more where windows meet.\n"
    "\n"
    "`sigmascope video fvd A B` prints the Frechet distance of two files of features, an array\n"
    "[videos, features] as NAME.npy or FILE#NAME of a safetensors file: with those of I3D, FVD.",
    options,
    CLI_TABLES | CLI_SEED | CLI_PROGRESS,
    run,
    examples,
};
