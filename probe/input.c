/* input.c - see input.h: specs, samples, filters */
#include "probe/input.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/near.h"
#include "base/str.h"
#include "probe/input_source.h"

#include <assert.h>
#include <string.h>

static const ss_input_source *const sources[] = {
    &ss_source_images,  &ss_source_idx,    &ss_source_tensor,   &ss_source_raw,
    &ss_source_latents, &ss_source_noise,  &ss_source_constant, &ss_source_grating,
    &ss_source_checker, &ss_source_moving,
};
enum { N_SOURCES = sizeof sources / sizeof *sources };

static const char *const filter_names[] = {[SS_LOWPASS] = "lowpass", [SS_HIGHPASS] = "highpass"};
enum { N_FILTERS = sizeof filter_names / sizeof *filter_names };

/* Adds the spec to a message. */
static ss_code name_spec(const char *spec, ss_code rc, ss_err *e)
{
    char shown[160];

    if (e)
        ss_fail_prefix(e, "input '%s'", ss_printable(spec, shown, sizeof shown));
    return rc;
}

/* Returns the text after "NAME:", or NULL if it does not begin with that. */
static const char *after(const char *text, const char *name)
{
    size_t n = strlen(name);

    return strncmp(text, name, n) == 0 && text[n] == ':' ? text + n + 1 : NULL;
}

static ss_code unknown_source(const char *text, ss_err *e)
{
    char shown[64], kind[64], hint[SS_NEAR];
    const char *names[N_SOURCES + N_FILTERS];
    ss_str known = {0};

    snprintf(kind, sizeof kind, "%.*s", (int)strcspn(text, ":"), text);
    for (int i = 0; i < N_SOURCES + N_FILTERS; i++)
        names[i] = i < N_SOURCES ? sources[i]->name : filter_names[i - N_SOURCES];
    for (int i = 0; i < N_SOURCES; i++)
        ss_str_addf(&known, "%s%s:%s", i ? ", " : "", sources[i]->name, sources[i]->form);
    for (int i = 0; i < N_FILTERS; i++)
        ss_str_addf(&known, ", %s:CUTOFF:SPEC", filter_names[i]);
    ss_fail(e, SS_USAGE, "'%s' is not a kind of input%s; there are %s",
            ss_printable(text, shown, sizeof shown),
            ss_near(kind, names, N_SOURCES + N_FILTERS, hint), known.s ? known.s : "some");
    ss_str_release(&known);
    return SS_USAGE;
}

/* Parses one filter at the front of *spec, if there is one, and moves *spec after it. The innermost
 * filter is read last and applied first, so the list is filled from its end. */
static ss_code take_filter(ss_input *in, const char **spec, bool *found, ss_err *e)
{
    char shown[64];

    *found = false;
    for (int i = 0; i < N_FILTERS; i++) {
        const char *cutoff = after(*spec, filter_names[i]);

        if (!cutoff)
            continue;
        if (in->n_filters == SS_INPUT_MAX_FILTERS)
            return ss_fail(e, SS_USAGE, "more than %d filters", SS_INPUT_MAX_FILTERS);

        ss_input_filter_step *step = &in->filter[SS_INPUT_MAX_FILTERS - 1 - in->n_filters++];
        const char *rest = ss_input_parse_number(cutoff, ':', &step->cutoff);

        if (!rest || !(step->cutoff > 0))
            return ss_fail(e, SS_USAGE,
                           "'%s' should be %s:CUTOFF:SPEC, CUTOFF a positive number of cycles per "
                           "image and SPEC what is filtered",
                           ss_printable(*spec, shown, sizeof shown), filter_names[i]);
        step->kind = (ss_filter_kind)i;
        *spec = rest;
        *found = true;
        return SS_OK;
    }
    return SS_OK;
}

static ss_code parse_spec(ss_input *in, const char *spec, ss_err *e)
{
    bool found;

    do {
        ss_code rc = take_filter(in, &spec, &found, e);

        if (rc != SS_OK)
            return rc;
    } while (found);
    for (int i = 0; i < N_SOURCES; i++) {
        const char *arg = after(spec, sources[i]->name);

        if (arg) {
            in->source = sources[i];
            return in->source->parse(in, arg, e);
        }
    }
    return unknown_source(spec, e);
}

ss_code ss_input_parse(const char *spec, ss_input **out, ss_err *e)
{
    ss_input *in = ss_calloc(1, sizeof *in);
    ss_code rc;

    if (!in)
        return name_spec(spec, ss_no_memory(e, "a source"), e);
    in->label = ss_strdup(spec);
    rc = in->label ? parse_spec(in, spec, e) : ss_no_memory(e, "a source");
    if (rc != SS_OK) {
        ss_input_free(in);
        return name_spec(spec, rc, e);
    }
    *out = in;
    return SS_OK;
}

static void forget_names(ss_input *in)
{
    for (int i = 0; i < in->n_names; i++)
        ss_free(in->names[i]);
    ss_free(in->names);
    in->names = NULL;
    in->n_names = 0;
}

void ss_input_free(ss_input *in)
{
    if (!in)
        return;
    forget_names(in);
    ss_free(in->label);
    ss_free(in->path);
    ss_free(in->pictures);
    ss_free(in);
}

const char *ss_input_label(const ss_input *in)
{
    return in->label;
}

ss_input_kind ss_input_kind_of(const ss_input *in)
{
    return in->source->kind;
}

bool ss_input_makes_pictures(const ss_input *in)
{
    return in->source->pictures;
}

bool ss_input_reads_pictures(const ss_input *in)
{
    return in->source->pictures && in->path;
}

ss_code ss_input_replace(ss_input *in, ss_sample_size size, ss_input_change *fn, void *self,
                         ss_err *e)
{
    const size_t from = (size_t)ss_sample_values(in->size), to = (size_t)ss_sample_values(size);
    float *made = ss_alloc((size_t)in->n_pictures, to * sizeof *made);
    ss_code rc = made ? SS_OK : ss_no_memory(e, "pictures");

    for (int i = 0; i < in->n_pictures && rc == SS_OK; i++)
        rc = fn(self, in->pictures + (size_t)i * from, made + (size_t)i * to, e);
    if (rc != SS_OK) {
        ss_free(made);
        return name_spec(in->label, rc, e);
    }
    ss_free(in->pictures);
    in->pictures = made;
    in->size = size;
    return SS_OK;
}

bool ss_input_is_filtered(const ss_input *in)
{
    return in->n_filters > 0;
}

const char *ss_input_sample_name(const ss_input *in, int sample)
{
    const int i = in->n_pictures == 1 ? 0 : sample;

    return i < in->n_names && in->names[i] ? in->names[i] : "";
}

/* True if a sample has a possible number of values. */
static bool is_possible(ss_sample_size s)
{
    enum { MAX_VALUES = 1 << 28 };
    int64_t values;

    return s.frames >= 0 && s.height >= 1 && s.width >= 1 && s.channels >= 1 &&
           !__builtin_mul_overflow(ss_sample_area(s), s.channels, &values) &&
           !__builtin_mul_overflow(values, ss_sample_frames(s), &values) && values <= MAX_VALUES;
}

ss_code ss_input_open(ss_input *in, ss_sample_size size, int samples, ss_err *e)
{
    ss_code rc = SS_OK;

    if (samples < 1 || !is_possible(size))
        return name_spec(in->label,
                         ss_fail(e, SS_SHAPE, "%d samples of %d x %d pixels, %d channels", samples,
                                 size.height, size.width, size.channels),
                         e);
    ss_free(in->pictures);
    forget_names(in);
    in->pictures = NULL;
    in->n_pictures = 0;
    in->size = size;
    in->samples = samples;
    if (in->source->load)
        rc = in->source->load(in, e);
    return rc == SS_OK ? rc : name_spec(in->label, rc, e);
}

ss_code ss_input_sha256(const ss_input *in, char hex[65], ss_err *e)
{
    const size_t size = (size_t)ss_sample_values(in->size) * (size_t)in->n_pictures;
    ss_str all = {0};
    ss_code rc;

    *hex = '\0';
    if (!in->path)
        return SS_OK;
    rc = ss_sha256_bytes(in->pictures, size * sizeof *in->pictures, hex, e);
    ss_str_add(&all, hex);
    for (int i = 0; i < in->n_pictures; i++)
        ss_str_addf(&all, "/%s", ss_input_sample_name(in, i));
    if (rc == SS_OK)
        rc = all.failed ? ss_no_memory(e, "a source") : ss_sha256_bytes(all.s, all.len, hex, e);
    ss_str_release(&all);
    return rc;
}

ss_code ss_input_sample(const ss_input *in, int sample, ss_rng rng, float *x, ss_err *e)
{
    if (in->source->kind == SS_INPUT_NOISE) {
        ss_code rc = ss_noise_draw(in->color, rng, in->size, x, e);

        return rc == SS_OK ? rc : name_spec(in->label, rc, e);
    }
    int picture = in->n_pictures == 1 ? 0 : sample;

    assert(sample >= 0 && picture < in->n_pictures); /* ss_input_open checked it */
    memcpy(x, ss_input_picture(in, picture), (size_t)ss_sample_values(in->size) * sizeof *x);
    return SS_OK;
}

ss_code ss_input_filter(const ss_input *in, float *x, ss_err *e)
{
    for (int i = SS_INPUT_MAX_FILTERS - in->n_filters; i < SS_INPUT_MAX_FILTERS; i++) {
        ss_code rc = ss_filter_gaussian(in->filter[i].kind, in->filter[i].cutoff, in->size, x, e);

        if (rc != SS_OK)
            return name_spec(in->label, rc, e);
    }
    return SS_OK;
}
