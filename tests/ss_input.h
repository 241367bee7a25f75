/* ss_input.h - inputs in one line, for the tests of probe/input.h */
#ifndef SS_TEST_INPUT_H
#define SS_TEST_INPUT_H

#include "probe/input.h"
#include "tests/ss_tmp.h"

/* The input that a spec names; one that is refused fails the test. */
static inline ss_input *parsed(const char *spec)
{
    ss_err e = {0};
    ss_input *in = NULL;

    if (ss_input_parse(spec, &in, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return in;
}

static inline ss_input *opened_as(const char *spec, ss_sample_size size, int samples)
{
    ss_err e = {0};
    ss_input *in = parsed(spec);

    if (ss_input_open(in, size, samples, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return in;
}

static inline ss_input *opened(const char *spec, int h, int w, int c, int samples)
{
    return opened_as(spec, (ss_sample_size){0, h, w, c}, samples);
}

/* The spec is fine, but opening it fails with this code and a message that has this in it. */
static inline void assert_not_opened_as(const char *spec, ss_sample_size size, int samples,
                                        ss_code code, const char *text)
{
    ss_err e = {0};
    ss_input *in = parsed(spec);

    assert_int_equal(ss_input_open(in, size, samples, &e), code);
    if (!strstr(e.msg, text) || strncmp(e.msg, "input '", 7) != 0)
        fail_msg("'%s' should hold '%s'", e.msg, text);
    ss_input_free(in);
}

static inline void assert_not_opened(const char *spec, int h, int w, int c, int samples,
                                     ss_code code, const char *text)
{
    assert_not_opened_as(spec, (ss_sample_size){0, h, w, c}, samples, code, text);
}

static inline void sample(const ss_input *in, int i, float *x)
{
    assert_int_equal(ss_input_sample(in, i, (ss_rng){0}, x, NULL), SS_OK);
}

/* "KIND:PATH-IN-THE-TEMPORARY-FOLDER"; good until the next call. */
static inline const char *spec_of(const char *kind, const char *name)
{
    static char spec[512];

    snprintf(spec, sizeof spec, "%s:%s", kind, in_tmp(name));
    return spec;
}

#endif
