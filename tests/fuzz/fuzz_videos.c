/* fuzz_videos.c - files that say how videos are made */
#include "probe/chain_file.h"
#include "probe/deforum.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

void fuzz_chain(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    ss_chain k = {0};
    ss_err e = {0};

    fuzz_check(ss_chain_parse("chain.json", text, size, "/nowhere", &k, &e), &e);
    ss_chain_release(&k);
    free(text);
}

void fuzz_deforum(const uint8_t *data, size_t size)
{
    ss_deforum_plan p = {0};
    ss_err e = {0};

    fuzz_check(ss_deforum_plan_read(fuzz_file("deforum.json", data, size), &p, &e), &e);
    ss_deforum_plan_release(&p);
}
