/* fuzz_judging.c - the key of a page of pairs, and the votes that judges exported from it */
#include "analyze/judging/win_rates.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static const char usual_key[] =
    "{\"format\": \"sigmascope-sbs\", \"version\": 1, \"page\": \"page\", \"a\": \"early\","
    " \"b\": \"late\", \"aspects\": [\"beauty\", \"defect\"], \"pairs\": ["
    "{\"id\": \"p1\", \"name\": \"0001\", \"a\": \"a1\", \"b\": \"b1\"},"
    "{\"id\": \"p2\", \"name\": \"0002\", \"a\": \"a2\", \"b\": \"b2\"}]}";
static const char usual_votes[] =
    "{\"format\": \"sigmascope-votes\", \"version\": 1, \"page\": \"page\", \"judge\": \"Ann\","
    " \"votes\": [{\"pair\": \"p1\", \"aspect\": \"beauty\", \"choice\": \"a1\", \"left\": "
    "\"b1\"}]}";

/* The first byte says which of the two the rest is; the other is as it should be. */
void fuzz_votes(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    const bool key_is = data[0] & 1;
    const char *key_path = key_is ? fuzz_file("sbs.json", data + 1, size - 1)
                                  : fuzz_file("sbs.json", usual_key, sizeof usual_key - 1);
    const char *paths[] = {fuzz_file("usual.json", usual_votes, sizeof usual_votes - 1),
                           key_is ? NULL : fuzz_file("votes.json", data + 1, size - 1)};
    ss_sbs_key key;
    ss_votes v = {.key = &key};
    ss_win_rates w;
    ss_table t;
    ss_err e = {0};
    ss_code rc = ss_sbs_key_read(key_path, &key, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK)
        return;
    for (int i = 0; i < 2 && paths[i]; i++)
        fuzz_check(ss_votes_add(&v, paths[i], &e), &e);
    fuzz_check(ss_win_rates_of(&v, &w, &e), &e);
    fuzz_check(ss_win_rates_table(&v, &w, &t, &e), &e);
    ss_table_release(&t);
    fuzz_check(ss_judges_table(&v, &t, &e), &e);
    ss_table_release(&t);
    ss_votes_release(&v);
    ss_sbs_key_release(&key);
}
