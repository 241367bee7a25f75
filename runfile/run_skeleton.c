/* run_skeleton.c - makes a run file with all its groups, axes and empty data sets
 *
 * All that HDF5 does for a writer happens here, before the first noise level: the file has
 * everything but the numbers of noise levels, and is closed.
 */
#include "base/mem.h"
#include "base/str.h"
#include "runfile/h5.h"
#include "runfile/run_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5_hl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A file under construction; after the first failure additions do nothing. */
struct build {
    hid_t file;
    hid_t *axes; /* the scales, [n_axes] */
    const char *shown;
    const ss_run_spec *spec;
    ss_run_layout *l;
    ss_code rc;
    ss_err *e;
};

static void failed(struct build *b, const char *group, const char *name)
{
    if (b->rc == SS_OK)
        b->rc = ss_h5_fail(b->e, SS_IO, "%s: cannot create %s%s%s", b->shown, group,
                           *group ? "/" : "", name);
}

/* Adds an attribute of n values; 0: one that is no list. */
static void put_values(struct build *b, const char *name, hid_t type, hid_t mem, hsize_t n,
                       const void *value)
{
    if (b->rc != SS_OK)
        return;
    hid_t space = n ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(b->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);

    if (a < 0 || H5Awrite(a, mem, value) < 0)
        failed(b, "attribute", name);
    H5Aclose(a);
    H5Sclose(space);
}

static void put_attribute(struct build *b, const char *name, hid_t type, hid_t mem,
                          const void *value)
{
    put_values(b, name, type, mem, 0, value);
}

/* Adds a text of variable length: HDF5 keeps it outside of the object header, which has 64 KiB. */
static void put_text(struct build *b, const char *name, const char *text)
{
    hid_t type = ss_h5_text_type();

    put_attribute(b, name, type, type, &(const char *){text ? text : ""});
    H5Tclose(type);
}

static void put_attributes(struct build *b)
{
    const ss_run_spec *s = b->spec;
    const ss_run_part *part = &b->l->part;
    char version[32];

    snprintf(version, sizeof version, "%d.%d", SS_RUN_MAJOR, SS_RUN_MINOR);
    put_text(b, "format", SS_RUN_FORMAT);
    put_text(b, "version", version);
    put_text(b, "tool", s->tool);
    put_text(b, "command", s->command);
    put_text(b, "model_path", s->model_path);
    put_text(b, "family", s->family);
    put_text(b, "model_sha256", s->model_sha256);
    put_text(b, "device", s->device);
    put_text(b, "precision", s->precision);
    put_text(b, "condition", s->condition);
    put_text(b, "prediction_type", s->prediction_type);
    put_text(b, "schedule", s->schedule);
    put_text(b, "created", s->created);
    put_text(b, "plan", s->plan);
    put_text(b, "ignored_tensors", s->ignored_tensors);
    put_text(b, "component", s->component);
    put_text(b, "role", s->role ? s->role : SS_RUN_DENOISER);
    put_text(b, "weight_notes", s->weight_notes);
    if (s->trained_frames) {
        put_text(b, "reference_frames", s->reference_frames);
        put_attribute(b, "trained_frames", H5T_STD_I32LE, H5T_NATIVE_INT, &s->trained_frames);
    }
    put_attribute(b, "threads", H5T_STD_I32LE, H5T_NATIVE_INT, &s->threads);
    put_attribute(b, "seed", H5T_STD_U64LE, H5T_NATIVE_UINT64, &s->seed);
    if (!s->steps)
        put_values(b, SS_RUN_PART, H5T_STD_I64LE, H5T_NATIVE_INT64, SS_RUN_PART_VALUES,
                   (const int64_t[]){part->index, part->count, part->first, part->end});
    put_attribute(b, "complete", H5T_STD_I32LE, H5T_NATIVE_INT, &(int){0});
}

static void make_group(struct build *b, const char *path)
{
    if (b->rc != SS_OK || ss_h5_has(b->file, path))
        return;
    hid_t lcpl = H5Pcreate(H5P_LINK_CREATE);

    H5Pset_create_intermediate_group(lcpl, true);
    hid_t g = H5Gcreate2(b->file, path, lcpl, H5P_DEFAULT, H5P_DEFAULT);

    if (g < 0)
        failed(b, "", path);
    H5Gclose(g);
    H5Pclose(lcpl);
}

/* Makes a contiguous data set, allocated in the file at once, and returns its id, < 0 on failure.
 * fill: a value of the type mem, or NULL for a hole. */
static hid_t make_set(struct build *b, const char *group, const char *name, int rank,
                      const hsize_t *dim, hid_t type, hid_t mem, const void *fill)
{
    hid_t set = -1;

    if (b->rc != SS_OK)
        return -1;
    hid_t space = H5Screate_simple(rank, dim, NULL), dcpl = H5Pcreate(H5P_DATASET_CREATE);
    hid_t parent = H5Gopen2(b->file, group, H5P_DEFAULT);

    H5Pset_layout(dcpl, H5D_CONTIGUOUS);
    H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY);
    if (H5Tis_variable_str(type) <= 0) /* pointers into the file are always initialised */
        H5Pset_fill_time(dcpl, fill ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(dcpl, false); /* equal runs give equal bytes */
    if (fill)
        H5Pset_fill_value(dcpl, mem, fill);
    if (parent >= 0)
        set = H5Dcreate2(parent, name, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    if (set < 0)
        failed(b, group, name);
    H5Gclose(parent);
    H5Pclose(dcpl);
    H5Sclose(space);
    return set;
}

/* Attaches the scale of an axis to a dimension, and links it into the group, where netCDF readers
 * look for it. The axis `exponent` is linked into the root, where such readers look next, because
 * the data set that it labels has the same name. */
static void attach(struct build *b, hid_t set, const char *group, int dimension, int axis)
{
    char path[64];
    const char *name;

    if (b->rc != SS_OK)
        return;
    name = b->l->axes[axis].name;
    if (H5DSattach_scale(set, b->axes[axis], (unsigned)dimension) < 0 ||
        H5DSset_label(set, (unsigned)dimension, name) < 0) {
        failed(b, group, name);
        return;
    }
    if (strcmp(group, "/axes") == 0)
        return;
    snprintf(path, sizeof path, "/axes/%s", name);
    hid_t parent = H5Gopen2(b->file, strcmp(name, "exponent") == 0 ? "/" : group, H5P_DEFAULT);
    if (H5Lexists(parent, name, H5P_DEFAULT) == 0 &&
        H5Lcreate_hard(b->file, path, parent, name, H5P_DEFAULT, H5P_DEFAULT) < 0)
        failed(b, group, name);
    H5Gclose(parent);
}

/* Makes a data set with values along one axis. */
static void put_along(struct build *b, const char *group, const char *name, int axis, hid_t type,
                      hid_t mem, const void *values)
{
    hsize_t n = (hsize_t)b->l->axes[axis].n;
    hid_t set = make_set(b, group, name, 1, &n, type, mem, NULL);

    if (b->rc == SS_OK && H5Dwrite(set, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        failed(b, group, name);
    attach(b, set, group, 0, axis);
    H5Dclose(set);
}

/* Makes the labels of an axis of texts printable; texts and bytes are one block. */
static char **printable_texts(const ss_run_spec *spec, const ss_run_axis *a)
{
    size_t bytes = 0;

    for (int64_t i = 0; i < a->n; i++)
        bytes += 4 * strlen(a->text(spec, i)) + 1;
    char **texts = ss_alloc((size_t)a->n * sizeof *texts + bytes, 1);
    if (!texts)
        return NULL;
    char *at = (char *)(texts + a->n);

    for (int64_t i = 0; i < a->n; i++) {
        size_t room = 4 * strlen(a->text(spec, i)) + 1;

        texts[i] = ss_printable(a->text(spec, i), at, room);
        at += room;
    }
    return texts;
}

static void make_text_axis(struct build *b, const ss_run_axis *a, hid_t *set)
{
    hsize_t n = (hsize_t)a->n;
    hid_t type = ss_h5_text_type();
    char **texts = printable_texts(b->spec, a);

    if (!texts && b->rc == SS_OK)
        b->rc = ss_no_memory(b->e, b->shown);
    *set = make_set(b, "/axes", a->name, 1, &n, type, type, NULL);
    if (b->rc == SS_OK && H5Dwrite(*set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, texts) < 0)
        failed(b, "/axes", a->name);
    ss_free(texts);
    H5Tclose(type);
}

static void make_number_axis(struct build *b, const ss_run_axis *a, hid_t *set)
{
    hsize_t n = (hsize_t)a->n;
    const void *values = a->kind == SS_AXIS_F64 ? (const void *)a->f64 : a->i64;
    hid_t type = a->kind == SS_AXIS_F64 ? H5T_IEEE_F64LE : H5T_STD_I64LE;
    hid_t mem = a->kind == SS_AXIS_F64 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64;
    int32_t *counts = NULL;

    if (a->kind == SS_AXIS_COUNT || a->kind == SS_AXIS_I32) {
        counts = ss_alloc((size_t)a->n, sizeof *counts);
        if (!counts) {
            if (b->rc == SS_OK)
                b->rc = ss_no_memory(b->e, b->shown);
            return;
        }
        for (int64_t i = 0; i < a->n; i++)
            counts[i] = a->first + (int32_t)i;
        values = counts;
        type = H5T_STD_I32LE;
        mem = H5T_NATIVE_INT32;
    }
    *set = make_set(b, "/axes", a->name, 1, &n, type, mem, NULL);
    if (b->rc == SS_OK && H5Dwrite(*set, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        failed(b, "/axes", a->name);
    ss_free(counts);
}

static void make_axes(struct build *b)
{
    make_group(b, "/axes");
    for (size_t i = 0; i < b->l->n_axes && b->rc == SS_OK; i++) {
        const ss_run_axis *a = &b->l->axes[i];

        if (a->kind == SS_AXIS_TEXT)
            make_text_axis(b, a, &b->axes[i]);
        else
            make_number_axis(b, a, &b->axes[i]);
        if (b->rc == SS_OK && H5DSset_scale(b->axes[i], a->name) < 0)
            failed(b, "/axes", a->name);
    }
}

/* Writes the texts of the structure, a data set for each column; `texts` has room for one. */
static void put_structure(struct build *b, const char **texts)
{
    const ss_run_spec *s = b->spec;
    hid_t text = ss_h5_text_type();

    make_group(b, "/structure");
#define X(name)                              \
    for (int i = 0; i < s->n_structure; i++) \
        texts[i] = s->structure[i].name;     \
    put_along(b, "/structure", #name, b->l->axis_line, text, text, texts);
    SS_STRUCTURE_TEXTS(X)
#undef X
    H5Tclose(text);
}

/* Writes the data sets whose values are known before the first noise level. */
static void put_known(struct build *b)
{
    const ss_run_spec *s = b->spec;
    const ss_run_layout *l = b->l;
    size_t n = (size_t)(s->n_modules > s->n_parameters ? s->n_modules : s->n_parameters);
    n = n > (size_t)s->n_layers ? n : (size_t)s->n_layers;
    n = n > (size_t)s->n_sigmas ? n : (size_t)s->n_sigmas;
    n = n > (size_t)s->n_structure ? n : (size_t)s->n_structure;
    void *room = ss_calloc(n, sizeof(int64_t)); /* the widest of the types below */
    hid_t text = ss_h5_text_type();

    if (!room && b->rc == SS_OK)
        b->rc = ss_no_memory(b->e, b->shown);
    if (b->rc != SS_OK)
        goto out;

    put_along(b, "/axes", "done", l->axis_sigma, H5T_STD_U8LE, H5T_NATIVE_UINT8, room);
    if (s->timesteps)
        put_along(b, "/axes", "timestep", l->axis_sigma, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                  s->timesteps);
    if (s->n_modules) {
        const char **kinds = room;
        for (int i = 0; i < s->n_modules; i++)
            kinds[i] = s->modules[i].kind ? s->modules[i].kind : "";
        put_along(b, "/axes", "module_kind", l->axis_module, text, text, kinds);
        uint8_t *blocks = room;
        for (int i = 0; i < s->n_modules; i++)
            blocks[i] = s->modules[i].block;
        put_along(b, "/axes", "module_block", l->axis_module, H5T_STD_U8LE, H5T_NATIVE_UINT8,
                  blocks);
    }
    if (s->n_layers) {
        int64_t *keys = room;
        for (int i = 0; i < s->n_layers; i++)
            keys[i] = s->layers[i].keys;
        make_group(b, "/attention");
        put_along(b, "/attention", "keys", l->axis_layer, H5T_STD_I64LE, H5T_NATIVE_INT64, keys);
        for (int i = 0; i < s->n_layers; i++)
            keys[i] = s->layers[i].heads;
        put_along(b, "/attention", "heads", l->axis_layer, H5T_STD_I64LE, H5T_NATIVE_INT64, keys);
        if (l->n_frames)
            put_along(b, "/attention", "frames", l->axis_layer, H5T_STD_I64LE, H5T_NATIVE_INT64,
                      s->layer_frames);
    }
    if (s->n_parameters) {
        float *values = room;
        make_group(b, "/weights");
        for (int i = 0; i < s->n_parameters; i++)
            values[i] = s->parameters[i].absmax;
        put_along(b, "/weights", "absmax", l->axis_parameter, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                  values);
        for (int i = 0; i < s->n_parameters; i++)
            values[i] = s->parameters[i].rms;
        put_along(b, "/weights", "rms", l->axis_parameter, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                  values);
        uint64_t *counts = room;
        for (int i = 0; i < s->n_parameters; i++)
            counts[i] = s->parameters[i].nonfinite;
        put_along(b, "/weights", "nonfinite", l->axis_parameter, H5T_STD_U64LE, H5T_NATIVE_UINT64,
                  counts);
    }
    if (s->n_structure)
        put_structure(b, room);
out:
    H5Tclose(text);
    ss_free(room);
}

static void make_column_set(struct build *b, ss_run_set *s, hid_t f16)
{
    hsize_t dim[SS_RUN_MAX_RANK];
    hid_t type = s->type == SS_SET_F32   ? H5T_IEEE_F32LE
                 : s->type == SS_SET_F16 ? f16
                                         : H5T_STD_U64LE;

    for (int i = 0; i < s->rank; i++)
        dim[i] = (hsize_t)b->l->axes[s->axis[i]].n;
    make_group(b, s->group);
    hid_t set = make_set(b, s->group, s->name, s->rank, dim, type, H5T_NATIVE_FLOAT,
                         s->nan ? &(float){NAN} : NULL);
    for (int i = 0; i < s->rank; i++)
        attach(b, set, s->group, i, s->axis[i]);
    if (b->rc == SS_OK) {
        s->offset = H5Dget_offset(set);
        if (s->offset == HADDR_UNDEF)
            failed(b, s->group, s->name);
    }
    H5Dclose(set);
}

static void find_done(struct build *b)
{
    if (b->rc != SS_OK)
        return;
    hid_t set = H5Dopen2(b->file, "/axes/done", H5P_DEFAULT);

    b->l->done_offset = H5Dget_offset(set);
    if (b->l->done_offset == HADDR_UNDEF)
        failed(b, "/axes", "done");
    H5Dclose(set);
}

/* Flushes the file to disk, before it gets its name. */
static ss_code flush_file(const char *path, const char *shown, ss_err *e)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool bad = fd < 0 || fsync(fd) != 0;
    int why = errno;

    if (fd >= 0)
        close(fd);
    return bad ? ss_fail(e, SS_IO, "%s: %s", shown, strerror(why)) : SS_OK;
}

ss_code ss_run_skeleton(const char *path, const char *shown, const ss_run_spec *spec,
                        ss_run_layout *l, ss_err *e)
{
    struct build b = {.file = -1, .shown = shown, .spec = spec, .l = l, .e = e};

    b.axes = ss_alloc(l->n_axes, sizeof *b.axes);
    if (!b.axes)
        return ss_no_memory(e, shown);
    for (size_t i = 0; i < l->n_axes; i++)
        b.axes[i] = -1;
    b.file = ss_h5_create(path, e);
    if (b.file < 0) {
        ss_free(b.axes);
        return SS_IO;
    }
    hid_t f16 = ss_h5_f16_type();
    ss_h5_failure first = {0};

    ss_h5_watch(&first);
    put_attributes(&b);
    make_axes(&b);
    put_known(&b);
    for (size_t i = 0; i < l->n_sets; i++)
        make_column_set(&b, &l->sets[i], f16);
    find_done(&b);

    for (size_t i = 0; i < l->n_axes; i++)
        H5Dclose(b.axes[i]);
    H5Tclose(f16);
    ss_free(b.axes);
    H5Fclose(b.file);
    ss_h5_watch(NULL);
    if (first.any && b.rc == SS_OK) /* closing a data set may write */
        b.rc = ss_fail(e, SS_IO, "%s: cannot create the file: %s", shown, first.why);
    if (b.rc == SS_OK)
        b.rc = flush_file(path, shown, e);
    return b.rc;
}
