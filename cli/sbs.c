/* sbs.c - `sigmascope sbs`: a page to judge pairs, and what the votes say */
#include "analyze/judging/clips.h"
#include "analyze/judging/side_by_side.h"
#include "analyze/judging/votes.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/outdir.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/tables.h"
#include "reports/votes.h"

#include <string.h>

#define RATES "win-rates.json"

enum {
    OPT_OUTPUT = 1,
    OPT_FRAMES,
    OPT_FPS,
    OPT_PAIRS,
    OPT_ASPECTS,
    OPT_VOTES,
    OPT_KEY,
    OPT_FORCE,
};

static const cli_option options[] = {
    CLI_GROUP("Output"),
    {OPT_OUTPUT, "output", "DIR", "the folder to write; with --votes: for the figure (optional)"},
    CLI_GROUP("Pairs"),
    {OPT_FRAMES, "frames", "N|files",
     "frames in each picture, from left to right (default: what generate.json says, else 1); "
     "files: "
     "the pictures of a folder are the frames of one video"},
    {OPT_FPS, "fps", "F", "frames a second (default 8)"},
    {OPT_PAIRS, "pairs", "N", "at most so many pairs, drawn at random"},
    {OPT_ASPECTS, "aspects", "LIST",
     "what is asked: beauty,softness,movement,consistency,defect,relevance,preference (default: "
     "all)"},
    CLI_GROUP("Votes"),
    {OPT_VOTES, "votes", NULL, "the operands are files of votes, exported from a page"},
    {OPT_KEY, "key", "PATH",
     "with --votes: the page's folder, or its sbs.json (default: the one beside the first file)"},
    CLI_GROUP("Output"),
    {OPT_FORCE, "force", NULL, "replace DIR if sbs made it"},
    {0},
};

typedef struct {
    ss_sbs_options page;
    bool votes;
    const char *key;
} request;

static void take_option(cli_parser *p, int id, request *q)
{
    switch (id) {
    case OPT_OUTPUT: q->page.output = p->arg; break;
    case OPT_FRAMES:
        if (strcmp(p->arg, "files") == 0)
            q->page.frames = SS_CLIPS_FILES;
        else
            cli_count(p, 1, SS_CLIP_MAX_FRAMES, &q->page.frames);
        break;
    case OPT_FPS:
        cli_double(p, &q->page.fps);
        if (!(q->page.fps > 0 && q->page.fps <= 1000))
            cli_usage(p, "--fps takes a number over 0, up to 1000, not '%s'", p->arg);
        break;
    case OPT_PAIRS: cli_count(p, 1, SS_CLIPS_MAX, &q->page.pairs); break;
    case OPT_ASPECTS: q->page.aspects = p->arg; break;
    case OPT_VOTES: q->votes = true; break;
    case OPT_KEY: q->key = p->arg; break;
    case OPT_FORCE: q->page.replace = true; break;
    }
}

static ss_code write_page(const request *q, const cli_parser *p, ss_err *e)
{
    ss_sbs_options o = q->page;
    ss_sbs_summary sum;

    o.a = p->operands[0];
    o.b = p->n_operands > 1 ? p->operands[1] : NULL;
    o.seed = p->common.seed;
    const ss_code rc = ss_sbs_write(&o, &sum, e);
    if (rc != SS_OK)
        return rc;
    if (sum.alone_a || sum.alone_b)
        ss_note("left out, as the other side has none of the same name: %d of A, %d of B",
                sum.alone_a, sum.alone_b);
    if (p->common.json)
        printf("{\"pairs\": %d, \"alone_a\": %d, \"alone_b\": %d}\n", sum.pairs, sum.alone_a,
               sum.alone_b);
    else
        printf("%d pairs\n%s/index.html\n", sum.pairs, o.output);
    return SS_OK;
}

/* Finds sbs.json: PATH or in PATH, or beside the votes. The caller frees it. */
static ss_code find_key(const request *q, const char *votes, char **path, ss_err *e)
{
    const char *slash = strrchr(votes, '/');
    ss_str beside = {0};

    ss_str_addn(&beside, votes, slash ? (size_t)(slash + 1 - votes) : 0);
    ss_str_add(&beside, SS_SBS_KEY);
    *path = !q->key             ? ss_str_detach(&beside)
            : ss_is_dir(q->key) ? ss_path_join(q->key, SS_SBS_KEY)
                                : ss_strdup(q->key);
    ss_str_release(&beside);
    if (!*path)
        return ss_no_memory(e, votes);
    if (ss_file_exists(*path))
        return SS_OK;
    ss_free(*path);
    *path = NULL;
    return ss_fail(e, SS_USAGE, "%s: no %s %s it: --key names the folder that `sbs` wrote",
                   q->key ? q->key : votes, SS_SBS_KEY, q->key ? "in" : "beside");
}

enum { N_TABLES = 5 };

/* Makes the tables of the votes; those of agreement only of several judges. */
static ss_code make_tables(const ss_votes *v, const ss_win_rates *w, ss_table t[N_TABLES], int *n,
                           ss_err *e)
{
    ss_code rc = ss_win_rates_table(v, w, &t[(*n)++], e);

    if (rc == SS_OK && v->n > 1)
        rc = ss_pair_rates_table(v, w, &t[(*n)++], e);
    if (rc == SS_OK && v->n > 1)
        rc = ss_agreement_table(v, w, &t[(*n)++], e);
    if (rc == SS_OK)
        rc = ss_judges_table(v, &t[(*n)++], e);
    if (rc == SS_OK && v->n > 2)
        rc = ss_judge_pairs_table(v, &t[(*n)++], e);
    return rc;
}

/* Writes the figure and the tables into the folder. A figure that cannot be drawn is left out. */
static ss_code write_rates(const request *q, const ss_votes *v, const ss_win_rates *w,
                           const ss_table *t, int n, ss_err *e)
{
    json_t *all = json_object();
    ss_outdir dir = {0};
    ss_code rc = ss_outdir_open(&dir, q->page.output, RATES, q->page.replace, e);
    char *path = rc == SS_OK ? ss_path_join(dir.tmp, RATES) : NULL;

    for (int i = 0; i < n; i++)
        json_object_set_new(all, t[i].title, ss_table_json(&t[i]));
    if (rc == SS_OK)
        rc = path ? ss_json_write(path, all, JSON_INDENT(1) | JSON_REAL_PRECISION(9), e)
                  : ss_no_memory(e, RATES);
    if (rc == SS_OK && (rc = ss_votes_draw(v, w, dir.tmp, e)) == SS_UNSUPPORTED) {
        ss_note("%s", e->msg);
        rc = SS_OK;
    }
    if (rc == SS_OK)
        rc = ss_outdir_commit(&dir, e);
    ss_outdir_discard(&dir);
    ss_free(path);
    json_decref(all);
    return rc;
}

static ss_code show_votes(const request *q, const cli_parser *p, cli_tables *out, ss_err *e)
{
    ss_sbs_key key = {0};
    ss_votes votes = {.key = &key};
    ss_win_rates rates;
    ss_table tables[N_TABLES] = {0};
    char *path = NULL;
    int n = 0;
    ss_code rc = find_key(q, p->operands[0], &path, e);

    if (rc == SS_OK)
        rc = ss_sbs_key_read(path, &key, e);
    for (int i = 0; i < p->n_operands && rc == SS_OK; i++)
        rc = ss_votes_add(&votes, p->operands[i], e);
    if (rc == SS_OK)
        rc = ss_win_rates_of(&votes, &rates, e);
    if (rc == SS_OK)
        rc = make_tables(&votes, &rates, tables, &n, e);
    if (rc == SS_OK && q->page.output)
        rc = write_rates(q, &votes, &rates, tables, n, e);
    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = cli_show(out, &tables[i], e);
    if (rc == SS_OK && q->page.output && !p->common.json)
        printf("\n%s/win-rates.png\n", q->page.output);
    for (int i = 0; i < n; i++)
        ss_table_release(&tables[i]);
    ss_votes_release(&votes);
    ss_sbs_key_release(&key);
    ss_free(path);
    return cli_show_end(out, rc, e);
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    request q = {.page = ss_sbs_defaults()};
    cli_tables tables = {0};
    cli_parser p;
    ss_err e = {0};
    char *command = cli_command_line(argc, argv);
    int id, status;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END)
        take_option(&p, id, &q);
    if (!p.stop && !q.votes && !q.page.output)
        cli_usage(&p, "-o DIR is missing");
    if (!p.stop && !q.votes && q.key)
        cli_usage(&p, "--key belongs to --votes");
    if (cli_stop(&p, 1, q.votes ? -1 : 2)) {
        ss_free(command);
        return p.status;
    }
    tables = cli_tables_begin(&p);
    q.page.command = command;
    const ss_code rc = q.votes ? show_votes(&q, &p, &tables, &e) : write_page(&q, &p, &e);
    status = rc == SS_OK ? cli_flush(&p, CLI_OK) : cli_fail(&p, &e);
    ss_free(command);
    return status;
}

static const cli_example examples[] = {
    {"sigmascope sbs before after -o page", "a page for judges, who export their votes."},
    {"sigmascope sbs --votes votes-*.json --key page",
     "how often each wins, and how far judges agree."},
    {0},
};

const cli_command cmd_sbs = {
    "sbs",
    "A B -o DIR | --votes FILES...",
    "a page to judge pairs aspect by aspect, and what the votes say",
    "Writes a page that shows pairs of pictures or videos of two folders, in random order and on\n"
    "random sides, under names that do not say whose they are. Judges open DIR/index.html, vote,\n"
    "and export their votes; --votes prints from these how often A wins in each aspect, with "
    "exact\n"
    "95 % intervals, and how far judges agree. A and B are folders of PNG pictures, which "
    "--frames\n"
    "makes strips of frames, of videos, of folders of frames, or folders of models that "
    "`generate`\n"
    "wrote; one such folder with two models may stand for both.",
    options,
    CLI_TABLES | CLI_SEED | CLI_PROGRESS,
    run,
    examples,
};
