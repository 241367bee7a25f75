/* votes.h - reads the key of a page of pairs, and the votes that judges exported from it
 *
 *   {"format": "sigmascope-votes", "version": 1, "page": "PAGE", "judge": "NAME",
 *    "votes": [{"pair": "PAIR", "aspect": "beauty", "choice": "TOKEN" or "same",
 *               "left": "TOKEN"}, ...]}
 *
 *   rc = ss_sbs_key_read("page/sbs.json", &key, &err);        // side_by_side.h
 *   ss_votes v = {.key = &key};
 *   rc = ss_votes_add(&v, "votes-ann.json", &err);            // each judge's file
 *   ss_votes_release(&v);
 *   ss_sbs_key_release(&key);
 */
#ifndef SS_ANALYZE_VOTES_H
#define SS_ANALYZE_VOTES_H

#include "analyze/judging/aspects.h"
#include "base/json.h"

enum { SS_JUDGES_MAX = 1000 };

typedef struct {
    const char *id, *name, *a, *b; /* borrowed from the file's JSON */
} ss_sbs_pair;

typedef struct {
    ss_json json; /* holds the texts */
    const char *page, *a, *b;
    bool asked[SS_N_ASPECTS];
    ss_sbs_pair *pairs; /* [n], sorted by id */
    int n;
} ss_sbs_key;

/* Reads the key. SS_FORMAT, with the file and what is wrong, if it is not as side_by_side.h has it.
 */
ss_code ss_sbs_key_read(const char *path, ss_sbs_key *k, ss_err *e);
void ss_sbs_key_release(ss_sbs_key *k); /* {0} is fine */

typedef enum { SS_VOTE_A, SS_VOTE_B, SS_VOTE_SAME, SS_VOTE_NONE } ss_vote;

typedef struct {
    char *judge;
    char *file;          /* that the votes are from */
    unsigned char *vote; /* [pairs][SS_N_ASPECTS], an ss_vote each */
    unsigned char *left; /* [pairs] which was on the left: SS_VOTE_A or _B; _NONE: no vote */
    int n;               /* votes */
} ss_ballot;

typedef struct {
    const ss_sbs_key *key; /* borrowed */
    ss_ballot *ballots;    /* [n], in the order of the files */
    int n;
} ss_votes;

/* Adds the votes of a file. SS_FORMAT, with the file, the vote and what is wrong with it, for a
 * file that is no file of votes, votes of another page, of pairs or aspects that are not on it, for
 * two votes on the same question, and for a judge of whom a file was added before. */
ss_code ss_votes_add(ss_votes *v, const char *path, ss_err *e);
void ss_votes_release(ss_votes *v); /* {0} is fine */

#endif
