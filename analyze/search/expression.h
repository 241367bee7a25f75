/* expression.h - the language of `bisect --fail` and `watch --alarm`: what makes a run a bad one
 *
 *   expression = term { "or" term }
 *   term       = factor { "and" factor }
 *   factor     = "not" factor | "(" expression ")" | measure
 *   measure    = FUNCTION "(" [argument { "," argument }] ")" [OP NUMBER]
 *   OP         = ">" | ">=" | "<" | "<="
 *
 *   overflow(FMT [, GLOB])     the largest |x| rounds to more than the format holds, or there is
 *                              inf or NaN; without OP
 *   nonfinite(GLOB) [OP N]     how many values are inf or NaN; without OP: any
 *   absmax(GLOB) OP V          largest |x|
 *   rms(GLOB) OP V             root mean square over the samples
 *   headroom(FMT [, GLOB]) OP V   log2(largest of the format / largest |x|), bits
 *   entropy(GLOB) OP V         of an attention head: entropy / ln keys, mean over samples
 *   max_logit(GLOB) OP V       of an attention head
 *   loss() OP V                denoising loss, mean over samples
 *   forecast(FMT [, GLOB]) OP V   training steps from this run until the trend of the runs up to it
 *                              overflows the format (trend.h); without conditions
 *
 * GLOB is over module paths (or those of attention layers), * where it is left out. Any measure
 * takes conditions as further arguments: `sigma>10` (also >=, <, <=, =; = to 5 digits, as tables
 * print it) and `input=GLOB`. An argument with a comma or a parenthesis in it is quoted: 'x' or
 * "x". For example
 *
 *   overflow(fp16) or absmax(up_blocks.*, sigma>10, input=noise:*) > 3e4
 *
 * In a training's own run each sample of a step has a noise level of its own (/training/sigma), or
 * each bin of samples their mean: there a condition on sigma selects samples, or bins. A step
 * without one is skipped.
 *
 * A measure is compared place by place: at each output that a module makes (its own sums
 * included, sites.h) or head, noise level and input. It holds when it holds anywhere, so
 * "not absmax(*) > 100" says that nothing exceeds 100. Where something is inf or NaN, absmax, rms
 * and loss are taken as infinite, and headroom as minus infinity; of a head that is not finite
 * max_logit is infinite, too, and entropy 0. The forecast of a module that overflows in this run is
 * 0, and infinite where its trend leads to no overflow or, of fewer than three runs, nowhere.
 */
#ifndef SS_ANALYZE_EXPRESSION_H
#define SS_ANALYZE_EXPRESSION_H

#include "analyze/several/trend.h"

#define SS_MEASURES(X)        \
    X(OVERFLOW, "overflow")   \
    X(NONFINITE, "nonfinite") \
    X(ABSMAX, "absmax")       \
    X(RMS, "rms")             \
    X(HEADROOM, "headroom")   \
    X(ENTROPY, "entropy")     \
    X(MAX_LOGIT, "max_logit") X(LOSS, "loss") X(FORECAST, "forecast")
#define X(name, text) SS_MEASURE_##name,
typedef enum { SS_MEASURES(X) SS_N_MEASURES } ss_expression_measure;
#undef X

typedef enum { SS_OP_NONE, SS_OP_GT, SS_OP_GE, SS_OP_LT, SS_OP_LE, SS_OP_EQ } ss_expression_op;

enum { SS_EXPRESSION_CONDITIONS = 8, SS_EXPRESSION_NODES = 256, SS_EXPRESSION_DEPTH = 64 };

typedef struct {
    ss_expression_op op;
    double sigma; /* with op */
    char *input;  /* a glob; op is then SS_OP_NONE */
} ss_expression_condition;

typedef struct {
    enum { SS_NODE_OR, SS_NODE_AND, SS_NODE_NOT, SS_NODE_MEASURE } kind;
    int left, right; /* of `nodes`; NOT has left alone */
    ss_expression_measure measure;
    ss_format format;
    char *glob; /* of modules or layers */
    ss_expression_condition conditions[SS_EXPRESSION_CONDITIONS];
    int n_conditions;
    ss_expression_op op;
    double limit;
    int from, to; /* where in the text */
} ss_expression_node;

typedef struct {
    char *text;
    ss_expression_node *nodes;
    int n, root;
} ss_expression;

/* SS_USAGE with the position, what is there and what is allowed. Nothing to release then. */
ss_code ss_expression_parse(const char *text, ss_expression *x, ss_err *e);
void ss_expression_release(ss_expression *x); /* {0} is fine */

/* True if a part of it is this measure. */
bool ss_expression_has(const ss_expression *x, ss_expression_measure m);

/* The value that a measure is compared with: a number, the largest of a format, or 0. */
double ss_expression_limit(const ss_expression_node *m);

/* The place that decided. Where the expression holds, it is the first place in forward order, at
 * the noise level and input with the most extreme value; where it does not, the place that came
 * nearest. Of "and" and "or" it is of the first measure that agrees with the outcome. */
typedef struct {
    int node;         /* the measure */
    ss_site site;     /* module and port; module -1: a head or the loss */
    int layer, head;  /* -1: no attention */
    int sigma, input; /* -1: nowhere */
    int sample;       /* the one that has the value, or most of what is not finite; -1: nowhere */
    double value;     /* NaN: nothing to show */
} ss_witness;

/* SS_USAGE when a glob or condition selects nothing of the run, or what it asks for is not in it:
 * the message says which option of probe gives it. Never false for want of data. Noise levels
 * that are not finished do not count. */
ss_code ss_expression_eval(const ss_expression *x, ss_run *r, bool *holds, ss_witness *w,
                           ss_err *e);

/* The same where the runs of earlier checkpoints are known, which `forecast` needs: elsewhere it is
 * SS_USAGE. The last of the trend's steps is r's; t is NULL where there is no trend yet. */
ss_code ss_expression_eval_trend(const ss_expression *x, ss_run *r, const ss_trend *t, bool *holds,
                                 ss_witness *w, ss_err *e);

/* The same over one column alone: of a run over noise levels one of these, of a training's own run
 * one of its steps. There SS_USAGE is also that no sample of the step meets a condition on sigma,
 * and the loss is that of the step's samples, infinite where it is inf or NaN. */
ss_code ss_expression_eval_column(const ss_expression *x, ss_run *r, int column, bool *holds,
                                  ss_witness *w, ss_err *e);

/* "up_blocks.0.upsamplers.0.conv", "mid_block.attentions.0, head 3", "loss"; returns out. */
char *ss_witness_name(const ss_run *r, const ss_witness *w, char *out, size_t n);

#endif
