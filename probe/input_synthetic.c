/* input_synthetic.c - noise, and pictures made by a formula: one serves every sample */
#include "base/str.h"
#include "probe/input_source.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

static ss_code refuse(const ss_input *in, const char *arg, const char *expected, ss_err *e)
{
    char shown[64];

    return ss_fail(e, SS_USAGE, "'%s' is no %s, expected %s",
                   ss_printable(arg, shown, sizeof shown), in->source->form, expected);
}

static ss_code parse_noise(ss_input *in, const char *arg, ss_err *e)
{
    for (ss_noise_color color = 0; color < SS_NOISE_N_COLORS; color++) {
        if (strcmp(arg, ss_noise_name(color)) == 0) {
            in->color = color;
            return SS_OK;
        }
    }
    return refuse(in, arg, "one of them", e);
}

static ss_code parse_constant(ss_input *in, const char *arg, ss_err *e)
{
    if (ss_parse_double(arg, &in->number[0]) && isfinite((float)in->number[0]))
        return SS_OK;
    return refuse(in, arg, "a number", e);
}

static ss_code parse_grating(ss_input *in, const char *arg, ss_err *e)
{
    const char *angle = ss_input_parse_number(arg, ',', &in->number[0]);

    if (angle && in->number[0] > 0 && ss_parse_double(angle, &in->number[1]))
        return SS_OK;
    return refuse(in, arg, "a positive number of cycles per image and an angle in degrees", e);
}

static ss_code parse_checker(ss_input *in, const char *arg, ss_err *e)
{
    int64_t px;

    if (!ss_parse_i64(arg, &px) || px < 1 || px > INT32_MAX)
        return refuse(in, arg, "a whole number of pixels, at least 1", e);
    in->number[0] = (double)px;
    return SS_OK;
}

/* Returns the value at pixel (y, x), the same in every channel. */
typedef double formula(const ss_input *in, int y, int x);

static ss_code make_picture(ss_input *in, formula *value, ss_err *e)
{
    ss_code rc = ss_input_allocate(in, 1, e);

    if (rc != SS_OK)
        return rc;
    float *p = in->pictures;

    for (int y = 0; y < in->size.height; y++) {
        for (int x = 0; x < in->size.width; x++) {
            double v = value(in, y, x);

            for (int c = 0; c < in->size.channels; c++)
                *p++ = (float)v;
        }
    }
    ss_input_hold(in, 0);
    return SS_OK;
}

static double constant(const ss_input *in, int y, int x)
{
    (void)y, (void)x;
    return in->number[0];
}

/* Computes the cycles per pixel along x and y. */
static void grating_frequency(const ss_input *in, double *fx, double *fy)
{
    double f =
        in->number[0] / (in->size.height < in->size.width ? in->size.height : in->size.width);
    double angle = fmod(in->number[1], 360) * PI / 180;

    *fx = f * cos(angle);
    *fy = f * sin(angle);
}

static double grating(const ss_input *in, int y, int x)
{
    double fx, fy;

    grating_frequency(in, &fx, &fy);
    return cos(2 * PI * (fx * x + fy * y));
}

static double checker(const ss_input *in, int y, int x)
{
    int px = (int)in->number[0];

    return (y / px + x / px) % 2 ? -1 : 1;
}

static ss_code load_constant(ss_input *in, ss_err *e)
{
    return make_picture(in, constant, e);
}

static ss_code load_grating(ss_input *in, ss_err *e)
{
    double fx, fy;

    /* a finer wave would be aliased to a coarser one */
    grating_frequency(in, &fx, &fy);
    if (fmax(fabs(fx), fabs(fy)) > 0.5 * (1 + 1e-12))
        return ss_fail(e, SS_USAGE,
                       "%d x %d pixels cannot show %g cycles at %g degrees: a cycle takes at least "
                       "2 pixels",
                       in->size.height, in->size.width, in->number[0], in->number[1]);
    return make_picture(in, grating, e);
}

static ss_code load_checker(ss_input *in, ss_err *e)
{
    int side = in->size.height > in->size.width ? in->size.height : in->size.width;

    if (in->number[0] >= side)
        return ss_fail(e, SS_USAGE, "squares of %g pixels, but a picture has %d x %d",
                       in->number[0], in->size.height, in->size.width);
    return make_picture(in, checker, e);
}

const ss_input_source ss_source_noise = {
    .name = "noise",
    .form = "white|pink|blue",
    .kind = SS_INPUT_NOISE,
    .parse = parse_noise,
};

const ss_input_source ss_source_constant = {
    .name = "constant",
    .form = "V",
    .kind = SS_INPUT_CLEAN,
    .pictures = true,
    .parse = parse_constant,
    .load = load_constant,
};

const ss_input_source ss_source_grating = {
    .name = "grating",
    .form = "CYCLES,ANGLE",
    .kind = SS_INPUT_CLEAN,
    .pictures = true,
    .parse = parse_grating,
    .load = load_grating,
};

const ss_input_source ss_source_checker = {
    .name = "checker",
    .form = "PX",
    .kind = SS_INPUT_CLEAN,
    .pictures = true,
    .parse = parse_checker,
    .load = load_checker,
};
