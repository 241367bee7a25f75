/* input_source.c - functions that sources of inputs share, see input_source.h */
#include "probe/input_source.h"

#include "base/mem.h"
#include "base/str.h"

#include <stddef.h>
#include <string.h>

const char *ss_input_parse_number(const char *text, char end, double *value)
{
    char number[64];
    const char *stop = strchr(text, end);
    size_t n = stop ? (size_t)(stop - text) : 0;

    if (n == 0 || n >= sizeof number)
        return NULL;
    memcpy(number, text, n);
    number[n] = '\0';
    return ss_parse_double(number, value) ? stop + 1 : NULL;
}

ss_code ss_input_parse_path(ss_input *in, const char *arg, ss_err *e)
{
    if (!*arg)
        return ss_fail(e, SS_USAGE, "expected %s:%s", in->source->name, in->source->form);
    in->path = ss_strdup(arg);
    return in->path ? SS_OK : ss_no_memory(e, "a source");
}

ss_code ss_input_allocate(ss_input *in, int n, ss_err *e)
{
    const size_t size = (size_t)ss_sample_values(in->size); /* checked by ss_input_open */

    in->pictures = ss_alloc((size_t)n, size * sizeof *in->pictures);
    if (!in->pictures)
        return ss_fail(e, SS_NOMEM, "no memory for %d pictures of %zu values", n, size);
    in->n_pictures = n;
    return SS_OK;
}

ss_code ss_input_name(ss_input *in, int i, const char *path, ss_err *e)
{
    const char *slash = strrchr(path, '/');

    if (!in->names) {
        in->names = ss_calloc((size_t)in->n_pictures, sizeof *in->names);
        in->n_names = in->names ? in->n_pictures : 0;
    }
    if (!in->names || !(in->names[i] = ss_strdup(slash ? slash + 1 : path)))
        return ss_no_memory(e, "a source");
    return SS_OK;
}

float *ss_input_picture(const ss_input *in, int i)
{
    return in->pictures + i * ss_sample_values(in->size);
}

float *ss_input_frame(const ss_input *in, int i, int f)
{
    return ss_input_picture(in, i) + f * ss_sample_area(in->size) * in->size.channels;
}

void ss_input_hold(ss_input *in, int i)
{
    const size_t bytes =
        (size_t)(ss_input_frame(in, i, 1) - ss_input_frame(in, i, 0)) * sizeof(float);

    for (int f = 1; f < in->size.frames; f++)
        memcpy(ss_input_frame(in, i, f), ss_input_picture(in, i), bytes);
}
