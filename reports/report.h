/* report.h - run files into a folder with one HTML page and its pictures
 *
 *   ss_report_options opt = ss_report_defaults();
 *   opt.runs = paths;
 *   opt.n_runs = n;
 *   opt.folder = "report";
 *   rc = ss_report_write(&opt, &summary, &err);
 *
 * The folder has index.html, which opens from disk and asks nothing of a network, and the PNG
 * pictures beside it, each drawn for light and for dark ground. One run gives one page. Several
 * give a page that compares them (growth over training, where their training steps are known)
 * and a page for each. A training's own run file, over steps, gives a page of its own kind, alone.
 *
 * What a run does not have is left out and said so. Without gnuplot, or where it fails, the page
 * has the tables and the pictures that need no gnuplot, and says what is missing.
 */
#ifndef SS_REPORTS_REPORT_H
#define SS_REPORTS_REPORT_H

#include "base/err.h"

#include <stdbool.h>

typedef struct {
    const char *const *runs; /* run files; the first is the one others are compared with */
    int n_runs;
    const char *folder; /* to be made, or with single_file the file */
    bool single_file;   /* one HTML file with its pictures inside (page/single.h) */
    const char *steps;  /* "250,6000": of which training step each run is; NULL: from paths */
    const char
        *story; /* a folder of training runs (analyze/training/story.h), shown first; or NULL */
    const char *samples;        /* a folder that `generate` made, or NULL */
    const char *title;          /* NULL: made from the models' names */
    const char *const *formats; /* number formats; none: fp16, bf16, fp8-e4m3, fp8-e5m2 */
    int n_formats;
    const char *const *modules; /* globs; none: all */
    int n_modules;
    const char *as, *attention; /* ss_run_set_code; NULL: as each run says */
    const char *command;        /* for the record */
    bool replace;               /* a folder that is there, if it is a report */
} ss_report_options;

ss_report_options ss_report_defaults(void);

typedef struct {
    int n_figures, n_missing; /* figures that could not be drawn */
    char problem[512];        /* why the first could not */
    int n_files, n_left_out;  /* pictures of a single file, and those it has no room for */
} ss_report_summary;

/* Writes the folder, or the file, whole or not at all. */
ss_code ss_report_write(const ss_report_options *opt, ss_report_summary *summary, ss_err *e);

#endif
