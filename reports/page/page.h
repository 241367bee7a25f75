/* page.h - one HTML page of a report while it is being written */
#ifndef SS_REPORTS_PAGE_H
#define SS_REPORTS_PAGE_H

#include "base/file.h"
#include "base/png.h"
#include "reports/page/html.h"
#include "reports/page/plot.h"
#include "reports/page/rows.h"
#include "reports/report.h"

/* Sizes of figures in CSS pixels. */
enum {
    SS_PAGE_WIDTH = 900,
    SS_PLOT_WIDTH = 490,  /* of a figure with one panel: its letters are 9 pixels at 390 */
    SS_PANEL_WIDTH = 440, /* of a panel of several */
    SS_ROW_HEIGHT = 17,   /* of a heat map, or of a bar among others */
    SS_HEAT_FRAME = 110,  /* height of a heat map beside its rows */
    SS_PANEL_HEIGHT = 270 /* of one of many panels */
};

typedef struct {
    FILE *f;       /* the page, in memory until it ends */
    char *text;    /* what f wrote, */
    size_t length; /* and its bytes; the struct must stay where it is */
    FILE *list;    /* the list of contents, written along */
    char *items;
    size_t items_length;
    long contents_at; /* where the list goes in text; 0: nowhere */
    int n_sections;
    char *path;                 /* of the file, owned */
    const char *folder;         /* where pictures go; borrowed */
    const char *prefix;         /* of the names of pictures: "", or "run-2-"; borrowed */
    ss_report_summary *summary; /* counts figures; borrowed */
} ss_page;

/* Opens FOLDER/FILE, and writes everything up to the title. */
ss_code ss_page_begin(ss_page *p, const char *folder, const char *file, const char *prefix,
                      const char *title, ss_report_summary *summary, ss_err *e);
/* Ends the head of the page, below the title and what leads it. */
void ss_page_main(ss_page *p);
/* The list of contents goes here: what was written so far stays before it. */
void ss_page_contents(ss_page *p);
/* Ends the page and writes the file; SS_IO when any of it could not be written. */
ss_code ss_page_end(ss_page *p, ss_err *e);
void ss_page_discard(ss_page *p); /* closes it, on the way out of an error; {0} is fine */

/* A heading with the anchor #id, and a line of the contents. */
void ss_page_section(ss_page *p, const char *id, const char *title);

/* Draws the figure and releases the plot. A figure that gnuplot cannot draw leaves a line that
 * says why and is counted; only a lack of memory ends a report. The caption is escaped text. */
ss_code ss_page_figure(ss_page *p, ss_plot *plot, const char *name, int width, int height,
                       const char *alt, const char *caption, ss_err *e);

/* In place of a figure that would be empty: a line that says why. Not counted as missing. */
void ss_page_nothing(ss_page *p, const char *why);

/* Prints the table and releases it. */
void ss_page_table(ss_page *p, ss_table *t);

/* A table of facts: what, and its value, as text. */
void ss_page_facts_begin(ss_page *p);
void ss_page_fact(ss_page *p, const char *what, const char *value);
void ss_page_facts_end(ss_page *p);

#endif
