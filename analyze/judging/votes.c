/* votes.c - see votes.h */
#include "analyze/judging/votes.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PAIRS = 100000, MAX_NAME = 200 };

void ss_sbs_key_release(ss_sbs_key *k)
{
    ss_free(k->pairs);
    ss_json_release(&k->json);
    *k = (ss_sbs_key){0};
}

void ss_votes_release(ss_votes *v)
{
    for (int i = 0; i < v->n; i++) {
        ss_free(v->ballots[i].judge);
        ss_free(v->ballots[i].file);
        ss_free(v->ballots[i].vote);
        ss_free(v->ballots[i].left);
    }
    ss_free(v->ballots);
    v->ballots = NULL;
    v->n = 0;
}

/* The text at a key of an object, NULL if it is none or empty. */
static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text && *text ? text : NULL;
}

static void check_format(ss_json *j, const char *format)
{
    const char *is = ss_json_string(j, "format", "");

    if (strcmp(is, format) != 0)
        ss_json_complain(j, SS_FORMAT, "format", "expected \"%s\"", format);
    if (ss_json_int(j, "version", 1) != 1)
        ss_json_complain(j, SS_UNSUPPORTED, "version", "known: 1");
}

static ss_code read_asked(ss_sbs_key *k, ss_err *e)
{
    const json_t *list = ss_json_get(&k->json, "aspects");

    if (!json_array_size(list))
        ss_json_complain(&k->json, SS_FORMAT, "aspects", "expected a list of aspects");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        const int aspect = name ? ss_aspect_find(name) : -1;

        if (aspect >= 0)
            k->asked[aspect] = true;
        else
            ss_json_complain(&k->json, SS_FORMAT, "aspects", "number %zu is no aspect", i + 1);
    }
    return ss_json_done(&k->json, e);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const ss_sbs_pair *)a)->id, ((const ss_sbs_pair *)b)->id);
}

static ss_code read_pairs(ss_sbs_key *k, ss_err *e)
{
    const json_t *list = ss_json_get(&k->json, "pairs");
    const size_t n = json_array_size(list);

    if (n < 1 || n > MAX_PAIRS) {
        ss_json_complain(&k->json, SS_FORMAT, "pairs", "expected a list of 1 to %d pairs",
                         MAX_PAIRS);
        return ss_json_done(&k->json, e);
    }
    if (!(k->pairs = ss_calloc(n, sizeof *k->pairs)))
        return ss_no_memory(e, k->json.name);
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_array_get(list, i);
        ss_sbs_pair *to = &k->pairs[k->n++];

        *to = (ss_sbs_pair){text_of(p, "id"), text_of(p, "name"), text_of(p, "a"), text_of(p, "b")};
        if (!to->id || !to->name || !to->a || !to->b || strcmp(to->a, to->b) == 0)
            return ss_fail(e, SS_FORMAT,
                           "%s: pair %zu: expected \"id\", \"name\", and different \"a\" and \"b\"",
                           k->json.name, i + 1);
    }
    qsort(k->pairs, n, sizeof *k->pairs, by_id);
    for (size_t i = 1; i < n; i++) {
        if (by_id(&k->pairs[i - 1], &k->pairs[i]) == 0)
            return ss_fail(e, SS_FORMAT, "%s: two pairs are called '%s'", k->json.name,
                           SS_SHOW(k->pairs[i].id));
    }
    return SS_OK;
}

ss_code ss_sbs_key_read(const char *path, ss_sbs_key *k, ss_err *e)
{
    *k = (ss_sbs_key){0};
    ss_code rc = ss_json_load(&k->json, path, e);

    if (rc == SS_OK) {
        static const char *const texts[] = {"page", "a", "b"};

        check_format(&k->json, "sigmascope-sbs");
        for (int i = 0; i < 3; i++) {
            if (!*ss_json_string(&k->json, texts[i], ""))
                ss_json_complain(&k->json, SS_FORMAT, texts[i], "expected a name");
        }
        k->page = ss_json_string(&k->json, "page", "");
        k->a = ss_json_string(&k->json, "a", "");
        k->b = ss_json_string(&k->json, "b", "");
        rc = read_asked(k, e);
    }
    if (rc == SS_OK)
        rc = read_pairs(k, e);
    if (rc != SS_OK)
        ss_sbs_key_release(k);
    return rc;
}

/* Which of a pair's clips a token is. */
static ss_vote side_of(const ss_sbs_pair *p, const char *token)
{
    if (!token)
        return SS_VOTE_NONE;
    return strcmp(token, p->a) == 0   ? SS_VOTE_A
           : strcmp(token, p->b) == 0 ? SS_VOTE_B
                                      : SS_VOTE_NONE;
}

/* Puts vote number i of a file into the ballot. */
static ss_code put_vote(const ss_sbs_key *k, ss_ballot *b, const json_t *j, size_t i, ss_err *e)
{
    const char *id = text_of(j, "pair"), *name = text_of(j, "aspect"),
               *choice = text_of(j, "choice");
    const ss_sbs_pair wanted = {.id = id}, *p = NULL;
    const int aspect = name ? ss_aspect_find(name) : -1;

    if (id)
        p = bsearch(&wanted, k->pairs, (size_t)k->n, sizeof *k->pairs, by_id);
    if (!p)
        return ss_fail(e, SS_FORMAT, "%s: vote %zu is on a pair '%s', which is not on the page",
                       b->file, i + 1, id ? SS_SHOW(id) : "");
    if (aspect < 0 || !k->asked[aspect])
        return ss_fail(e, SS_FORMAT, "%s: vote %zu is on '%s', which the page does not ask",
                       b->file, i + 1, name ? SS_SHOW(name) : "");
    const ss_vote left = side_of(p, text_of(j, "left"));
    const ss_vote vote = choice && strcmp(choice, "same") == 0 ? SS_VOTE_SAME : side_of(p, choice);
    const ptrdiff_t at = p - k->pairs;
    if (vote == SS_VOTE_NONE || left == SS_VOTE_NONE)
        return ss_fail(e, SS_FORMAT, "%s: vote %zu: its %s is none of its pair's two", b->file,
                       i + 1, vote == SS_VOTE_NONE ? "choice" : "left");
    if (b->left[at] != SS_VOTE_NONE && b->left[at] != (unsigned char)left)
        return ss_fail(e, SS_FORMAT,
                       "%s: vote %zu: pair %s has its sides exchanged since an earlier "
                       "vote",
                       b->file, i + 1, SS_SHOW(p->name));
    if (b->vote[at * SS_N_ASPECTS + aspect] != SS_VOTE_NONE)
        return ss_fail(e, SS_FORMAT, "%s: vote %zu is the second one on the %s of pair %s", b->file,
                       i + 1, name, SS_SHOW(p->name));
    b->vote[at * SS_N_ASPECTS + aspect] = (unsigned char)vote;
    b->left[at] = (unsigned char)left;
    b->n++;
    return SS_OK;
}

static ss_code check_judge(const ss_votes *v, ss_json *j, const char *judge, ss_err *e)
{
    const char *page = ss_json_string(j, "page", "");

    check_format(j, "sigmascope-votes");
    if (ss_json_done(j, e) != SS_OK)
        return j->err.code;
    if (strcmp(page, v->key->page) != 0)
        return ss_fail(e, SS_FORMAT,
                       "%s: votes on the page '%s', but %s is the key of '%s': other files, or "
                       "another seed",
                       j->name, SS_SHOW(page), v->key->json.name, SS_SHOW(v->key->page));
    if (!*judge || strlen(judge) > MAX_NAME)
        ss_json_complain(j, SS_FORMAT, "judge", "expected a name of at most %d bytes", MAX_NAME);
    for (int i = 0; i < v->n; i++) {
        if (strcmp(v->ballots[i].judge, judge) == 0)
            return ss_fail(e, SS_FORMAT, "%s: votes of the judge '%s', as %s is, too", j->name,
                           SS_SHOW(judge), v->ballots[i].file);
    }
    if (!json_is_array(ss_json_get(j, "votes")))
        ss_json_complain(j, SS_FORMAT, "votes", "expected a list of votes");
    return v->n < SS_JUDGES_MAX ? ss_json_done(j, e)
                                : ss_fail(e, SS_USAGE, "more than %d judges", SS_JUDGES_MAX);
}

/* Appends an empty ballot, which the caller fills. */
static ss_code new_ballot(ss_votes *v, const char *path, const char *judge, ss_err *e)
{
    const size_t pairs = (size_t)v->key->n;
    ss_ballot *grown = ss_realloc(v->ballots, (size_t)v->n + 1, sizeof *grown);

    if (!grown)
        return ss_no_memory(e, path);
    v->ballots = grown;
    ss_ballot *b = &v->ballots[v->n++];
    *b = (ss_ballot){.judge = ss_strdup(judge),
                     .file = ss_strdup(path),
                     .vote = ss_alloc(pairs, SS_N_ASPECTS),
                     .left = ss_alloc(pairs, 1)};
    if (!b->judge || !b->file || !b->vote || !b->left)
        return ss_no_memory(e, path);
    memset(b->vote, SS_VOTE_NONE, pairs * SS_N_ASPECTS);
    memset(b->left, SS_VOTE_NONE, pairs);
    return SS_OK;
}

ss_code ss_votes_add(ss_votes *v, const char *path, ss_err *e)
{
    ss_json j = {0};
    ss_code rc = ss_json_load(&j, path, e);

    if (rc != SS_OK)
        return rc;
    const char *judge = ss_json_string(&j, "judge", "");
    rc = check_judge(v, &j, judge, e);
    if (rc == SS_OK)
        rc = new_ballot(v, path, judge, e);
    const json_t *list = ss_json_get(&j, "votes");
    for (size_t i = 0; i < json_array_size(list) && rc == SS_OK; i++)
        rc = put_vote(v->key, &v->ballots[v->n - 1], json_array_get(list, i), i, e);
    ss_json_release(&j);
    return rc;
}
