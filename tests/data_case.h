/* data_case.h - data sets that a test opens, or that must be refused */
#ifndef SS_TESTS_DATA_CASE_H
#define SS_TESTS_DATA_CASE_H

#include "tests/ss_tmp.h"
#include "train/data.h"

static inline ss_data *open_data(const ss_data_options *opt)
{
    ss_data *d;
    ss_err e = {0};

    if (ss_data_open(opt, &d, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return d;
}

/* The message has `want` in it. */
static inline void refused(const ss_data_options *opt, ss_code code, const char *want)
{
    ss_data *d;
    ss_err e = {0};

    assert_int_equal(ss_data_open(opt, &d, &e), code);
    if (!strstr(e.msg, want))
        fail_msg("'%s', not '...%s...'", e.msg, want);
}

/* FOLDER/captions.jsonl of the temporary folder. */
static inline void captions(const char *text)
{
    write_file(in_tmp("captions.jsonl"), text, strlen(text));
}

#endif
