/* sections.h - the parts of a run's page, in the order in which one reads them
 *
 * Each writes its heading, figures and tables, or nothing where the run does not have what it
 * needs; summary.c links to the anchors named here, under the same conditions.
 */
#ifndef SS_REPORTS_SECTIONS_H
#define SS_REPORTS_SECTIONS_H

#include "reports/analysis.h"
#include "reports/page/page.h"

ss_code ss_section_growth(ss_page *p, const ss_analysis *x, ss_err *e);     /* #growth */
ss_code ss_section_player(ss_page *p, const ss_analysis *x, ss_err *e);     /* #player */
ss_code ss_section_heat(ss_page *p, const ss_analysis *x, ss_err *e);       /* #heat */
ss_code ss_section_headroom(ss_page *p, const ss_analysis *x, ss_err *e);   /* #headroom */
ss_code ss_section_keep(ss_page *p, const ss_analysis *x, ss_err *e);       /* #keep */
ss_code ss_section_nonfinite(ss_page *p, const ss_analysis *x, ss_err *e);  /* #nonfinite */
ss_code ss_section_bands(ss_page *p, const ss_analysis *x, ss_err *e);      /* #bands */
ss_code ss_section_histograms(ss_page *p, const ss_analysis *x, ss_err *e); /* #histograms */
ss_code ss_section_attention(ss_page *p, const ss_analysis *x, ss_err *e);  /* #attention */
ss_code ss_section_inputs(ss_page *p, const ss_analysis *x, ss_err *e);     /* #inputs */
ss_code ss_section_maps(ss_page *p, const ss_analysis *x, ss_err *e);       /* #maps */
ss_code ss_section_channels(ss_page *p, const ss_analysis *x, ss_err *e);   /* #channels, #tokens */
ss_code ss_section_loss(ss_page *p, const ss_analysis *x, ss_err *e);       /* #loss */
ss_code ss_section_weights(ss_page *p, const ss_analysis *x, ss_err *e);    /* #weights */

/* The list of the network's structure, #structure, each row an anchor of its own, #structure-1;
 * nothing where the run has none. */
void ss_section_structure(ss_page *p, const ss_run *r);

#endif
