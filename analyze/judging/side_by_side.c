/* side_by_side.c - see side_by_side.h
 *
 *   list the clips of both; pair them; draw some
 *   for each pair: tokens, copies, an entry of the key and one of the page
 *   sort the page's entries by their names, which say nothing; write both
 */
#include "analyze/judging/side_by_side.h"

#include "analyze/judging/aspects.h"
#include "analyze/judging/clips.h"
#include "base/asset.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/near.h"
#include "base/offline_page.h"
#include "base/outdir.h"
#include "base/png.h"
#include "base/rng.h"
#include "base/str.h"
#include "base/version.h"
#include "probe/player.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TOKEN = 16 };

SS_ASSET(ss_sbs_js, "analyze/judging/sbs.js");
SS_ASSET(ss_sbs_body, "analyze/judging/sbs.html");

extern const char ss_sbs_js[], ss_sbs_body[];

typedef struct {
    const ss_clip *a, *b;
    uint32_t drawn; /* random */
    char id[TOKEN + 1], token_a[TOKEN + 1], token_b[TOKEN + 1];
    json_t *shown; /* entry of the page */
} pair;

typedef struct {
    const ss_sbs_options *opt;
    ss_clips a, b;
    pair *pairs;
    int n;
    bool asked[SS_N_ASPECTS];
    char page[TOKEN + 1];
    ss_outdir dir;
} job;

ss_sbs_options ss_sbs_defaults(void)
{
    return (ss_sbs_options){.fps = 8};
}

static void release(job *g)
{
    for (int i = 0; g->pairs && i < g->n; i++)
        json_decref(g->pairs[i].shown);
    ss_free(g->pairs);
    ss_clips_release(&g->a);
    ss_clips_release(&g->b);
    ss_outdir_discard(&g->dir);
}

static ss_code read_aspects(job *g, ss_err *e)
{
    const char *at = g->opt->aspects;
    char name[32], hint[SS_NEAR];

    for (int i = 0; i < SS_N_ASPECTS; i++)
        g->asked[i] = !at;
    while (at && *at) {
        const size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : 0, at);
        const int k = ss_aspect_find(name);

        if (k < 0)
            return ss_fail(e, SS_USAGE,
                           "--aspects: no aspect '%.*s'%s; there are beauty, softness, movement, "
                           "consistency, defect, relevance and preference",
                           n < 64 ? (int)n : 64, at,
                           ss_near_in(name,
                                      "beauty softness movement consistency defect relevance "
                                      "preference",
                                      hint));
        g->asked[k] = true;
        at += n + (at[n] == ',');
    }
    for (int i = 0; i < SS_N_ASPECTS; i++) {
        if (g->asked[i])
            return SS_OK;
    }
    return ss_fail(e, SS_USAGE, "--aspects names none");
}

static ss_code open_clips(job *g, ss_err *e)
{
    const ss_sbs_options *o = g->opt;
    ss_code rc = ss_clips_open(o->a, o->b ? 0 : 1, o->frames, &g->a, e);

    if (rc != SS_OK)
        return rc;
    return ss_clips_open(o->b ? o->b : o->a, o->b ? 0 : 2, o->frames, &g->b, e);
}

/* Pairs two sorted lists by name. */
static ss_code make_pairs(job *g, ss_sbs_summary *sum, ss_err *e)
{
    int i = 0, j = 0;

    if (!(g->pairs = ss_calloc((size_t)g->a.n, sizeof *g->pairs)))
        return ss_no_memory(e, "pairs");
    if (g->a.n == 1 && g->b.n == 1) {
        g->pairs[g->n++] = (pair){.a = &g->a.clips[0], .b = &g->b.clips[0]};
        i = j = 1;
    }
    while (i < g->a.n && j < g->b.n) {
        const int order = strcmp(g->a.clips[i].name, g->b.clips[j].name);

        if (order == 0)
            g->pairs[g->n++] = (pair){.a = &g->a.clips[i], .b = &g->b.clips[j]};
        i += order <= 0;
        j += order >= 0;
    }
    sum->alone_a = g->a.n - g->n;
    sum->alone_b = g->b.n - g->n;
    if (!g->n)
        return ss_fail(e, SS_USAGE,
                       "%s and %s have nothing of the same name: '%s' is alone in the one, '%s' in "
                       "the other",
                       g->a.name, g->b.name, SS_SHOW(g->a.clips[0].name),
                       SS_SHOW(g->b.clips[0].name));
    return SS_OK;
}

static int by_drawn(const void *a, const void *b)
{
    const pair *p = a, *q = b;

    return p->drawn != q->drawn ? (p->drawn < q->drawn ? -1 : 1) : strcmp(p->a->name, q->a->name);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const pair *)a)->id, ((const pair *)b)->id);
}

static void draw_some(job *g)
{
    const ss_rng r = ss_rng_stream(g->opt->seed, "pairs", 0, 0);

    if (!g->opt->pairs || g->opt->pairs >= g->n)
        return;
    for (int i = 0; i < g->n; i++)
        g->pairs[i].drawn = ss_rng_u32(r, (uint64_t)i);
    qsort(g->pairs, (size_t)g->n, sizeof *g->pairs, by_drawn);
    g->n = g->opt->pairs;
}

/* The first digits of the SHA-256 of a text. */
static ss_code short_hash(const ss_str *text, char out[TOKEN + 1], ss_err *e)
{
    char hex[65];
    ss_code rc =
        text->failed ? ss_no_memory(e, "a name") : ss_sha256_bytes(text->s, text->len, hex, e);

    if (rc == SS_OK)
        snprintf(out, TOKEN + 1, "%.*s", TOKEN, hex);
    return rc;
}

static ss_code make_token(const job *g, const ss_clip *c, const char *side, char *out, ss_err *e)
{
    ss_str text = {0};
    char hex[65];
    ss_code rc = ss_sha256_file(c->files[0], hex, e);

    if (rc != SS_OK)
        return rc;
    ss_str_addf(&text, "%llu/%s/%s/%s", (unsigned long long)g->opt->seed, side, c->name, hex);
    rc = short_hash(&text, out, e);
    ss_str_release(&text);
    return rc;
}

static ss_code name_pair(const job *g, pair *p, ss_err *e)
{
    ss_str text = {0};
    ss_code rc = make_token(g, p->a, "a", p->token_a, e);

    if (rc == SS_OK)
        rc = make_token(g, p->b, "b", p->token_b, e);
    if (rc == SS_OK) {
        const bool first = strcmp(p->token_a, p->token_b) < 0;

        ss_str_addf(&text, "%s/%s", first ? p->token_a : p->token_b,
                    first ? p->token_b : p->token_a);
        rc = short_hash(&text, p->id, e);
    }
    ss_str_release(&text);
    return rc;
}

static ss_code copy_png(const char *from, const char *to, int frames, ss_err *e)
{
    ss_image im = {0};
    ss_code rc = ss_image_read_png(from, &im, e);

    if (rc == SS_OK && im.w % frames != 0)
        rc = ss_fail(e, SS_SHAPE, "%s: %d columns are not %d frames of the same width", from, im.w,
                     frames);
    if (rc == SS_OK)
        rc = ss_image_write_png(to, &im, e);
    ss_image_release(&im);
    return rc;
}

static ss_code copy_bytes(const char *from, const char *to, ss_err *e)
{
    ss_map map;
    ss_outfile o;
    ss_code rc = ss_map_open(from, &map, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_outfile_open(&o, to, e);
    if (rc == SS_OK) {
        fwrite(map.data, 1, map.size, o.f);
        rc = ss_outfile_commit(&o, e);
    }
    ss_map_close(&map);
    return rc;
}

/* Copies the files of a clip under its token; *shown: what the page needs of it. */
static ss_code copy_clip(const job *g, const ss_clip *c, const char *token, json_t **shown,
                         ss_err *e)
{
    json_t *sources = json_array();
    ss_code rc = SS_OK;

    for (int i = 0; i < c->n_files && rc == SS_OK; i++) {
        char name[64], ending[16], number[16] = "";

        if (c->n_files > 1)
            snprintf(number, sizeof number, "-%04d", i);
        snprintf(name, sizeof name, "clips/%s%s%s", token, number,
                 ss_clip_ending(c->files[i], ending));
        char *to = ss_path_join(g->dir.tmp, name);
        rc = !to      ? ss_no_memory(e, name)
             : c->png ? copy_png(c->files[i], to, c->frames, e)
                      : copy_bytes(c->files[i], to, e);
        ss_free(to);
        json_array_append_new(sources, json_string(name));
    }
    *shown = json_pack("{s:s, s:b, s:i, s:o}", "token", token, "png", c->png, "frames", c->frames,
                       "sources", sources);
    return rc;
}

/* Copies the clip with the smaller token first, so that times of files say nothing either. */
static ss_code copy_pair(const job *g, pair *p, ss_err *e)
{
    const bool a_first = strcmp(p->token_a, p->token_b) < 0;
    const ss_clip *clips[2] = {a_first ? p->a : p->b, a_first ? p->b : p->a};
    const char *tokens[2] = {a_first ? p->token_a : p->token_b, a_first ? p->token_b : p->token_a};
    const char *text = strcmp(p->a->text, p->b->text) == 0 ? p->a->text : "";
    json_t *shown[2] = {NULL, NULL};
    ss_code rc = SS_OK;

    for (int i = 0; i < 2 && rc == SS_OK; i++)
        rc = copy_clip(g, clips[i], tokens[i], &shown[i], e);
    if (rc == SS_OK && !(p->shown = json_pack("{s:s, s:s, s:[O, O]}", "id", p->id, "text", text,
                                              "clips", shown[0], shown[1])))
        rc = ss_no_memory(e, "a page");
    json_decref(shown[0]);
    json_decref(shown[1]);
    return rc;
}

static ss_code copy_all(job *g, ss_err *e)
{
    char *folder = ss_path_join(g->dir.tmp, "clips");
    ss_progress progress;
    ss_str all = {0};
    ss_code rc = SS_OK;

    if (!folder)
        return ss_no_memory(e, "clips");
    if (mkdir(folder, 0777) != 0)
        rc = ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    ss_free(folder);
    ss_progress_begin(&progress, "sbs", g->n);
    for (int i = 0; i < g->n && rc == SS_OK; i++) {
        rc = name_pair(g, &g->pairs[i], e);
        if (rc == SS_OK)
            rc = copy_pair(g, &g->pairs[i], e);
        if (rc == SS_OK)
            ss_progress_step(&progress, i + 1, "");
    }
    ss_progress_end(&progress);
    if (rc == SS_OK) {
        qsort(g->pairs, (size_t)g->n, sizeof *g->pairs, by_id);
        for (int i = 0; i < g->n; i++)
            ss_str_add(&all, g->pairs[i].id);
        rc = short_hash(&all, g->page, e);
    }
    ss_str_release(&all);
    return rc;
}

static ss_code write_page(const job *g, ss_err *e)
{
    static const char *const scripts[] = {ss_clips_js, ss_sbs_js, NULL};
    const ss_offline_page page = {"Side by side", ss_offline_css, ss_sbs_body, scripts};
    char *path = ss_path_join(g->dir.tmp, "index.html");
    json_t *aspects = json_array(), *pairs = json_array();

    for (int i = 0; i < SS_N_ASPECTS; i++) {
        if (g->asked[i])
            json_array_append_new(aspects, json_pack("{s:s, s:s}", "name", ss_aspect_names[i],
                                                     "question", ss_aspect_questions[i]));
    }
    for (int i = 0; i < g->n; i++)
        json_array_append(pairs, g->pairs[i].shown);
    json_t *data = json_pack("{s:s, s:f, s:o, s:o}", "page", g->page, "fps", g->opt->fps, "aspects",
                             aspects, "pairs", pairs);
    ss_code rc = path ? ss_offline_page_write(path, &page, data, e) : ss_no_memory(e, "index.html");
    json_decref(data);
    ss_free(path);
    return rc;
}

static ss_code write_key(const job *g, ss_err *e)
{
    char created[SS_TIME_TEXT], *path = ss_path_join(g->dir.tmp, SS_SBS_KEY);
    json_t *aspects = json_array(), *pairs = json_array();

    ss_time_text(created);
    for (int i = 0; i < SS_N_ASPECTS; i++) {
        if (g->asked[i])
            json_array_append_new(aspects, json_string(ss_aspect_names[i]));
    }
    for (int i = 0; i < g->n; i++) {
        const pair *p = &g->pairs[i];

        json_array_append_new(pairs, json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", p->id, "name",
                                               p->a->name, "text", p->a->text, "a", p->token_a, "b",
                                               p->token_b));
    }
    json_t *key = json_pack("{s:s, s:i, s:s, s:s*, s:s, s:s, s:I, s:s, s:s, s:o, s:o}", "format",
                            "sigmascope-sbs", "version", 1, "tool", "sigmascope " SS_VERSION,
                            "command", g->opt->command, "created", created, "page", g->page, "seed",
                            (json_int_t)g->opt->seed, "a", g->a.name, "b", g->b.name, "aspects",
                            aspects, "pairs", pairs);
    ss_code rc = SS_OK;
    if (!path)
        rc = ss_no_memory(e, SS_SBS_KEY);
    else if (!key || json_array_size(pairs) != (size_t)g->n)
        rc = ss_fail(e, SS_FORMAT, "%s or %s: a name in it is not UTF-8", g->a.name, g->b.name);
    else
        rc = ss_json_write(path, key, JSON_INDENT(1), e);
    json_decref(key);
    ss_free(path);
    return rc;
}

ss_code ss_sbs_write(const ss_sbs_options *opt, ss_sbs_summary *sum, ss_err *e)
{
    job g = {.opt = opt};
    ss_code rc = read_aspects(&g, e);

    *sum = (ss_sbs_summary){0};
    if (rc == SS_OK && !(opt->fps > 0 && isfinite(opt->fps)))
        rc = ss_fail(e, SS_USAGE, "--fps takes a positive number, not %g", opt->fps);
    if (rc == SS_OK)
        rc = open_clips(&g, e);
    if (rc == SS_OK)
        rc = make_pairs(&g, sum, e);
    if (rc == SS_OK) {
        draw_some(&g);
        sum->pairs = g.n;
        rc = ss_outdir_open(&g.dir, opt->output, SS_SBS_KEY, opt->replace, e);
    }
    if (rc == SS_OK)
        rc = copy_all(&g, e);
    if (rc == SS_OK)
        rc = write_page(&g, e);
    if (rc == SS_OK)
        rc = write_key(&g, e);
    if (rc == SS_OK)
        rc = ss_outdir_commit(&g.dir, e);
    release(&g);
    return rc;
}
