/* sections.h - the parts of a run's page
 *
 * Each writes its heading, figures and tables, or nothing where the run does not have what it
 * needs; summary.c links to the anchors named here, under the same conditions.
 */
#ifndef SS_REPORTS_SECTIONS_H
#define SS_REPORTS_SECTIONS_H

#include "analyze/findings/analysis.h"
#include "reports/page/page.h"

/* The sections in the order of the page. Each is a function ss_section_NAME, and its heading has
 * the anchor #NAME; channels has another one, #tokens. */
#define SS_SECTIONS(X) \
    X(nonfinite)       \
    X(growth)          \
    X(player)          \
    X(heat)            \
    X(headroom)        \
    X(keep)            \
    X(bands)           \
    X(histograms)      \
    X(inputs)          \
    X(attention)       \
    X(maps)            \
    X(channels)        \
    X(loss)            \
    X(weights)
#define X(name) ss_code ss_section_##name(ss_page *p, const ss_analysis *x, ss_err *e);
SS_SECTIONS(X)
#undef X

/* #heat of a text encoder: module by token, a figure for each of the first prompts. */
ss_code ss_section_prompts(ss_page *p, const ss_analysis *x, ss_err *e);

enum { SS_SHOWN_INPUTS = 8 }; /* inputs that a figure shows: the first ones of many */

/* The list of the network's structure, #structure, each row an anchor of its own, #structure-1;
 * nothing where the run has none. */
void ss_section_structure(ss_page *p, const ss_run *r);

#endif
