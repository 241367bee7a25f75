/* depth.c - see depth.h */
#include "probe/depth.h"

#include "base/file.h"
#include "base/mem.h"
#include "models/file/npy.h"
#include "probe/network.h"
#include "probe/picture.h"
#include "probe/picture_files.h"
#include "probe/warp.h"

#include <math.h>
#include <string.h>

struct ss_depth {
    ss_depth_options opt;
    ss_sample_size size;
    int frames;    /* of `values` */
    float *values; /* [frames][H][W] units, of files */
    ss_model *net;
    ss_ctx *ctx; /* of the network */
};

void ss_depth_close(ss_depth *d)
{
    if (!d)
        return;
    ss_model_close(d->net); /* unbinds before the context goes */
    ss_ctx_free(d->ctx);
    ss_free(d->values);
    ss_free(d);
}

/* Depth in units of v from -1 to 1. */
static float depth_of_value(const ss_depth *d, float v)
{
    const double near = 1 / d->opt.near, far = 1 / d->opt.far;

    return (float)(1 / (far + fmin(fmax((v + 1.0) / 2, 0), 1) * (near - far)));
}

static ss_code read_picture(const ss_depth *d, const char *path, float *z, ss_err *e)
{
    ss_image im = {0};
    ss_code rc = ss_image_read_png(path, &im, e);

    if (rc == SS_OK)
        rc = ss_picture_fit(&im, z, d->size.height, d->size.width, 1, e);
    for (int64_t i = 0; i < ss_sample_area(d->size) && rc == SS_OK; i++)
        z[i] = depth_of_value(d, z[i]);
    ss_image_release(&im);
    return rc;
}

static ss_code make_room(ss_depth *d, int frames, ss_err *e)
{
    d->frames = frames;
    d->values = ss_alloc((size_t)frames, (size_t)ss_sample_area(d->size) * sizeof *d->values);
    return d->values ? SS_OK : ss_no_memory(e, d->opt.file);
}

static ss_code read_folder(ss_depth *d, ss_err *e)
{
    enum { MOST = 100000 };
    ss_names list = {0};
    ss_code rc = ss_names_of_pngs(d->opt.file, &list, e);

    if (rc == SS_OK && (list.n < 1 || list.n > MOST))
        rc = ss_fail(e, SS_USAGE, "%s: 1 to %d PNG files are depths of frames, not %zu",
                     d->opt.file, MOST, list.n);
    if (rc == SS_OK)
        rc = make_room(d, (int)list.n, e);
    for (size_t i = 0; i < list.n && rc == SS_OK; i++) {
        char *path = ss_path_join(d->opt.file, list.name[i]);

        rc = path ? read_picture(d, path, d->values + (int64_t)i * ss_sample_area(d->size), e)
                  : ss_no_memory(e, d->opt.file);
        ss_free(path);
    }
    ss_names_release(&list);
    return rc;
}

static ss_code take_array(ss_depth *d, const ss_array *a, ss_err *e)
{
    const int h = d->size.height, w = d->size.width, rank = a->rank;

    if ((rank != 2 && rank != 3) || a->dim[rank - 2] != h || a->dim[rank - 1] != w ||
        (rank == 3 && (a->dim[0] < 1 || a->dim[0] > INT32_MAX)))
        return ss_fail(e, SS_SHAPE, "%s: expected depths [%d,%d], or [F,%d,%d]", d->opt.file, h, w,
                       h, w);
    ss_code rc = make_room(d, rank == 3 ? (int)a->dim[0] : 1, e);
    for (int64_t i = 0; rc == SS_OK && i < d->frames * ss_sample_area(d->size); i++) {
        const float v = a->values[i];

        if (!isfinite(v))
            rc = ss_fail(e, SS_FORMAT, "%s: depth %lld is not finite", d->opt.file, (long long)i);
        d->values[i] = (float)fmin(fmax(v, d->opt.near), d->opt.far);
    }
    return rc;
}

static ss_code read_files(ss_depth *d, ss_err *e)
{
    const char *path = d->opt.file;
    const size_t n = strlen(path);
    ss_array a = {0};
    ss_code rc;

    if (ss_is_dir(path))
        return read_folder(d, e);
    if (n > 4 && strcmp(path + n - 4, ".png") == 0) {
        rc = make_room(d, 1, e);
        return rc == SS_OK ? read_picture(d, path, d->values, e) : rc;
    }
    rc = ss_array_load_f32(path, &a, e);
    if (rc == SS_OK)
        rc = take_array(d, &a, e);
    ss_array_release(&a);
    return rc;
}

/* Opens the network, whose noise schedule does not matter: it is not asked about noise. */
static ss_code open_network(ss_depth *d, const ss_ctx_options *device, ss_err *e)
{
    const ss_network_options o = {.model = d->opt.model};
    const ss_model_options files = ss_network_files(&o);
    ss_code rc = ss_model_open(d->opt.model, &files, &d->net, e);

    if (rc != SS_OK)
        return rc;
    const ss_model_info *about = ss_model_about(d->net);
    if (about->role != SS_DENOISER || about->net.sample_frames ||
        about->net.in_channels != d->size.channels || about->net.out_channels != 1)
        return ss_fail(e, SS_SHAPE,
                       "%s: takes %lld channels and answers %lld; a network of depth takes "
                       "pictures of %d channels and answers 1",
                       d->opt.model, (long long)about->net.in_channels,
                       (long long)about->net.out_channels, d->size.channels);
    rc = ss_ctx_new(device, &d->ctx, e);
    return rc == SS_OK ? ss_model_bind(d->net, d->ctx, e) : rc;
}

ss_code ss_depth_open(const ss_depth_options *opt, ss_sample_size size,
                      const ss_ctx_options *device, ss_depth **out, ss_err *e)
{
    ss_depth *d = ss_calloc(1, sizeof *d);
    ss_code rc = SS_OK;

    if (!d)
        return ss_no_memory(e, "depths");
    d->opt = *opt;
    d->size = size;
    if (opt->model)
        rc = open_network(d, device, e);
    else if (opt->file)
        rc = read_files(d, e);
    if (rc == SS_OK)
        *out = d;
    else
        ss_depth_close(d);
    return rc;
}

static ss_code ask_network(ss_depth *d, const float *x, float *z, ss_err *e)
{
    const float timestep = 0;
    const ss_condition none = {0};
    ss_tensor *in = ss_upload(d->ctx, ss_sample_batch(1, d->size), x);
    ss_tensor *y = ss_model_forward(d->ctx, d->net, in, &timestep, &none);
    ss_code rc = ss_ctx_finish(d->ctx, e);

    if (rc == SS_OK)
        rc = ss_download(d->ctx, y, z, e);
    ss_release(in);
    ss_release(y);
    for (int64_t i = 0; i < ss_sample_area(d->size) && rc == SS_OK; i++)
        z[i] = depth_of_value(d, isfinite(z[i]) ? z[i] : -1);
    return rc;
}

ss_code ss_depth_of(ss_depth *d, const float *x, int frame, float *z, ss_err *e)
{
    const int64_t area = ss_sample_area(d->size);
    ss_code rc = SS_OK;

    if (d->opt.model)
        rc = ask_network(d, x, z, e);
    else if (d->values)
        memcpy(z, d->values + (frame < d->frames ? frame : d->frames - 1) * area,
               (size_t)area * sizeof *z);
    for (int64_t i = 0; i < area && rc == SS_OK; i++)
        z[i] = (float)((d->opt.model || d->values ? z[i] : d->opt.plane) / SS_WARP_UNITS);
    return rc;
}
