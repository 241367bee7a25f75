/* curves.h - what the figures over sigma have in common */
#ifndef SS_REPORTS_CURVES_H
#define SS_REPORTS_CURVES_H

#include "reports/findings.h"
#include "reports/plot.h"

/* Axes of noise levels (logarithmic, where there are several and all are positive). */
void ss_curves_sigma_axis(ss_plot *p, const ss_findings *x);

/* The same of a heat map, whose columns are x->order: a label for every noise level, or for every
 * other one of many. */
void ss_curves_level_tics(ss_plot *p, const ss_findings *x);

/* Plot items for the limits of those formats that lie within a factor of 10 of `top`, to be
 * followed by the curves: each ends in ", ". */
void ss_curves_limits(ss_plot *p, const ss_findings *x, double top);

/* The first n different modules by peak, of one site each, into sites; returns how many. */
int ss_curves_largest(const ss_findings *x, ss_site *sites, int n);

/* Noise levels worth one picture each, at most n of them, evenly spread and with both ends;
 * indices into x->order. Returns how many. */
int ss_curves_levels(const ss_findings *x, int *levels, int n);

#endif
