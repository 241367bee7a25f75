/* curves.h - parts that the figures over sigma share */
#ifndef SS_REPORTS_CURVES_H
#define SS_REPORTS_CURVES_H

#include "analyze/findings/analysis.h"
#include "reports/page/plot.h"

/* An axis of noise levels: logarithmic where all are positive. sigma = inf, an input without any
 * signal, is drawn at the right edge, a bit above the highest finite one, and labelled "inf". */
typedef struct {
    double low, high; /* of the finite levels; low > high without any */
    int n;
    bool infinite; /* there are levels with sigma = inf */
} ss_sigma_axis;

void ss_sigma_axis_init(ss_sigma_axis *a);
void ss_sigma_axis_add(ss_sigma_axis *a, double sigma);
/* All finished levels of a run. */
ss_sigma_axis ss_sigma_axis_of(const ss_analysis *x);
/* The place at which a level is drawn. */
double ss_sigma_axis_at(const ss_sigma_axis *a, double sigma);
/* Sets label, scale and range of a panel; a single level is left to gnuplot. */
void ss_sigma_axis_set(ss_plot *p, const ss_sigma_axis *a);

/* ss_sigma_axis_set() of a run. */
void ss_curves_sigma_axis(ss_plot *p, const ss_analysis *x);
/* Level k of x->order on that axis. */
void ss_curves_sigma(ss_plot *p, const ss_analysis *x, int k);

/* The same of a heat map, whose columns are x->order: a label for every noise level, or for every
 * other one of many. */
void ss_curves_level_tics(ss_plot *p, const ss_analysis *x);

/* The level line of a format's largest number, with its name. */
void ss_curves_limit(ss_plot *p, const ss_format *f);
/* The limits of those formats that lie within a factor of 10 of `top`. */
void ss_curves_limits(ss_plot *p, const ss_analysis *x, double top);

/* The first n different modules by peak, of one site each, into sites; returns how many. */
int ss_curves_largest(const ss_analysis *x, ss_site *sites, int n);

/* Noise levels worth one picture each, at most n of them, evenly spread and with both ends;
 * indices into x->order. Returns how many. */
int ss_curves_levels(const ss_analysis *x, int *levels, int n);

#endif
