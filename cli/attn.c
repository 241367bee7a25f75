/* attn.c - `sigmascope attn`: attention entropy, and why logits are large */
#include "analyze/one/attention.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/tables.h"

#include <limits.h>

enum { OPT_LAYERS = 1, OPT_TOP, OPT_BY_INPUT };

static const cli_option options[] = {
    CLI_GROUP("What to judge"),
    {OPT_LAYERS, "layers", "GLOB", "only attention layers whose path matches; repeatable"},
    CLI_GROUP("Output"),
    {OPT_TOP, "top", "N", "at most N rows a table (default 12, with --json all)"},
    {OPT_BY_INPUT, "by-input", NULL, "each input by itself, too"},
    {0},
};

typedef struct {
    const char *const *globs;
    int n_globs, top;
    bool finding; /* a head is not finite */
    cli_tables out;
} report;

static ss_code show_sentence(report *rep, const ss_attn *a, ss_err *e)
{
    char *text = ss_attn_sentence(a);
    ss_code rc = text ? SS_OK : ss_no_memory(e, "attention");

    if (text && !rep->out.data)
        printf("\n%s\n", text);
    else if (text && json_object_set_new(rep->out.tables, "verdict", json_string(text)) != 0)
        rc = ss_no_memory(e, "attention");
    ss_free(text);
    return rc;
}

/* Prints the tables of one input, or those and the verdict over all inputs. */
static ss_code show_input(report *rep, ss_run *r, const ss_not_finite *bad, int input, ss_err *e)
{
    ss_attn a;
    ss_table t;
    ss_code rc = ss_attn_find(r, bad, rep->globs, rep->n_globs, input, &a, e);

    if (rc != SS_OK)
        return rc;
    if ((rc = ss_attn_heads_table(r, &a, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    if (rc == SS_OK && (rc = ss_attn_logits_table(r, &a, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    if (rc == SS_OK && (rc = ss_attn_shares_table(r, &a, rep->top, &t, e)) == SS_OK)
        rc = cli_show(&rep->out, &t, e);
    if (rc == SS_OK && input == SS_ALL)
        rc = cli_show_frames(&rep->out, r, rep->globs, rep->n_globs, rep->top, e);
    if (rc == SS_OK && input == SS_ALL)
        rc = show_sentence(rep, &a, e);
    rep->finding |= a.n_bad > 0;
    ss_attn_release(&a);
    return rc;
}

static ss_code attention(const char *path, report *rep, bool by_input, ss_err *e)
{
    ss_run *r = NULL;
    ss_not_finite bad = {0};
    ss_code rc = ss_run_open(path, &r, e);

    if (rc == SS_OK && (rc = ss_not_finite_find(r, &bad, e)) == SS_OK && ss_not_finite_any(&bad))
        rc = cli_say_not_finite(&rep->out, &bad, SS_BAD_HEADS, NULL, e);
    for (int i = 0; rc == SS_OK && by_input && i < r->n_inputs; i++)
        rc = show_input(rep, r, &bad, i, e);
    if (rc == SS_OK)
        rc = show_input(rep, r, &bad, SS_ALL, e);
    if (rc == SS_OK && !ss_run_is_text(r) && !ss_run_is_vae(r))
        rc = cli_show_mechanism(&rep->out, &r, NULL, 1, e); /* of a denoiser's training */
    ss_not_finite_release(&bad);
    ss_run_close(r);
    return cli_show_end(&rep->out, rc, e);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    const char **globs = NULL;
    int n_globs = 0, id;
    int64_t top = -1;
    bool by_input = false;
    cli_parser p;
    ss_err e = {0};

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        switch (id) {
        case OPT_LAYERS: cli_append(&p, &globs, &n_globs); break;
        case OPT_TOP: cli_int(&p, 0, 1 << 20, &top); break;
        case OPT_BY_INPUT: by_input = true; break;
        }
    }
    if (cli_stop(&p, 1, 1)) {
        ss_free(globs);
        return p.status;
    }

    report rep = {.globs = globs,
                  .n_globs = n_globs,
                  .top = top >= 0          ? (int)top
                         : cli_as_data(&p) ? INT_MAX
                                           : 12,
                  .out = cli_tables_begin(&p)};
    ss_code rc = attention(p.operands[0], &rep, by_input, &e);
    ss_free(globs);
    return rc == SS_OK ? cli_flush(&p, rep.finding ? CLI_FINDING : CLI_OK) : cli_fail(&p, &e);
}

static const cli_example examples[] = {
    {"sigmascope attn late.h5", "collapsed heads, sinks, and why logits are large."},
    {"sigmascope attn late.h5 --layers 'mid_block.*' --top 0 --json",
     "every head of some layers, for scripts."},
    {0},
};

const cli_command cmd_attn = {
    "attn",
    "RUN.h5",
    "attention: entropy, collapsed heads, sinks, why logits are large",
    "Prints, for a run file: the entropy of every attention head over noise levels, divided by\n"
    "the logarithm of the number of keys; heads that collapsed, and those with a sink; and for\n"
    "each layer whether its logits are large, and whether that comes from large inputs of the\n"
    "product q k or from an entropy that collapsed. Of attention over the frames of a video also\n"
    "the share on the own frame, those beside it, and reference frames, and how far it reaches.\n"
    "Heads that are inf or NaN come first. Exit\n"
    "status 3: there are such heads.",
    options,
    CLI_TABLES | CLI_TAKES_RUNS,
    run,
    examples,
};
