/* run_layout.c - see run_layout.h */
#include "runfile/run_layout.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The label of a module in axes. */
static const char *module_label(const char *path)
{
    return *path ? path : SS_RUN_ROOT;
}

static const char *label_module(const ss_run_spec *spec, int64_t i)
{
    return module_label(spec->modules[i].path);
}

static const char *label_port(const ss_run_spec *spec, int64_t i)
{
    (void)spec;
    return ss_port_name((ss_port)i);
}

static const char *label_input(const ss_run_spec *spec, int64_t i)
{
    return spec->inputs[i];
}

static const char *label_picture(const ss_run_spec *spec, int64_t i)
{
    return spec->pictures[i];
}

static const char *label_layer(const ss_run_spec *spec, int64_t i)
{
    return spec->layers[i].path;
}

static const char *label_parameter(const ss_run_spec *spec, int64_t i)
{
    return spec->parameters[i].name;
}

char *ss_run_link_name(const char *path)
{
    const char *label = module_label(path), *s;
    const size_t room = 4 * strlen(label) + 1;
    char *shown = ss_alloc(room, 1);
    ss_str b = {0};

    if (!shown)
        return NULL;
    s = ss_printable(label, shown, room);

    if (strcmp(s, ".") == 0) /* to HDF5 this is the group itself */
        ss_str_add(&b, "%2E");
    else
        for (; *s; s++) {
            if (*s == '/' || *s == '%')
                ss_str_addf(&b, "%%%02X", (unsigned char)*s);
            else
                ss_str_addn(&b, s, 1);
        }
    ss_free(shown);
    return ss_str_detach(&b);
}

size_t ss_run_value_bytes(ss_run_set_type type)
{
    return type == SS_SET_F16 ? 2 : type == SS_SET_F32 ? 4 : 8;
}

/* A layout under construction; after the first failure additions do nothing. */
struct maker {
    ss_run_layout *l;
    ss_code rc;
    ss_err *e;
};

static void out_of_memory(struct maker *m)
{
    if (m->rc == SS_OK)
        m->rc = ss_no_memory(m->e, "layout of the run file");
}

/* Adds an axis and returns its index; -1 for an empty one, which no data set can have. */
static int add_axis(struct maker *m, const char *name, ss_run_axis axis)
{
    ss_run_layout *l = m->l;

    if (m->rc != SS_OK || axis.n == 0)
        return -1;
    ss_run_axis *axes = ss_grow(l->axes, &l->cap_axes, l->n_axes + 1, sizeof *axes);
    if (axes)
        l->axes = axes;
    axis.name = axes ? ss_strdup(name) : NULL;
    if (!axis.name) {
        out_of_memory(m);
        return -1;
    }
    axes[l->n_axes] = axis;
    return (int)l->n_axes++;
}

/* Returns the axis `name` if its length is n, or else the axis NAME_n: dimensions of equal size
 * share an axis. */
static int size_axis(struct maker *m, const char *name, int64_t n)
{
    ss_run_layout *l = m->l;
    char full[64];
    bool taken = false;

    snprintf(full, sizeof full, "%s_%lld", name, (long long)n);
    for (size_t i = 0; i < l->n_axes; i++) {
        if (strcmp(l->axes[i].name, full) == 0)
            return (int)i;
        if (strcmp(l->axes[i].name, name) == 0) {
            if (l->axes[i].n == n)
                return (int)i;
            taken = true;
        }
    }
    return add_axis(m, taken ? full : name, (ss_run_axis){.n = n, .kind = SS_AXIS_COUNT});
}

/* Finds the axes of a sample's dimensions, channels last, and returns how many there are. */
static int shape_axes(struct maker *m, ss_shape s, int *axis)
{
    static const char *const names[][4] = {
        {"channel"},
        {"token", "channel"},
        {"height", "width", "channel"},
        {"frame", "height", "width", "channel"},
    };

    if (s.rank < 1 || s.rank > 4) {
        if (m->rc == SS_OK)
            m->rc = ss_fail(m->e, SS_UNSUPPORTED, "a sample of %d dimensions", s.rank);
        return 0;
    }
    for (int i = 0; i < s.rank; i++)
        axis[i] = size_axis(m, names[s.rank - 1][i], s.dim[i]);
    return s.rank;
}

/* Adds a data set and returns its index. The list of axes ends with -1; nan: filled with NaN,
 * unless it is larger than SS_RUN_FILL_MAX. */
static int add_set(struct maker *m, const char *group, const char *name, ss_run_set_type type,
                   bool nan, const int *axis)
{
    ss_run_layout *l = m->l;
    ss_run_set s = {.type = type, .outer = 1, .inner = 1};
    bool inside = false;
    size_t total;

    if (m->rc != SS_OK)
        return -1;
    for (; *axis >= 0; axis++) {
        int64_t *side = inside ? &s.inner : &s.outer;

        s.axis[s.rank++] = *axis;
        if (*axis == l->axis_sigma)
            inside = true;
        else if (__builtin_mul_overflow(*side, l->axes[*axis].n, side))
            goto too_large;
    }
    if (__builtin_mul_overflow((size_t)s.inner, ss_run_value_bytes(type), &s.inner_bytes) ||
        __builtin_mul_overflow(s.inner_bytes, (size_t)s.outer, &total) ||
        __builtin_mul_overflow(total, (size_t)l->n_sigmas, &total) || total > (size_t)1 << 56)
        goto too_large;
    s.nan = nan && total <= SS_RUN_FILL_MAX;

    ss_run_set *sets = ss_grow(l->sets, &l->cap_sets, l->n_sets + 1, sizeof *sets);
    if (sets)
        l->sets = sets;
    s.group = ss_strdup(group);
    s.name = ss_strdup(name);
    if (!sets || !s.group || !s.name) {
        ss_free(s.group);
        ss_free(s.name);
        out_of_memory(m);
        return -1;
    }
    sets[l->n_sets] = s;
    return (int)l->n_sets++;
too_large:
    m->rc = ss_fail(m->e, SS_UNSUPPORTED, "%s/%s would be too large", group, name);
    return -1;
}

static void add_module_sets(struct maker *m, const ss_run_spec *spec, int input, int sample)
{
    ss_run_layout *l = m->l;
    int port = add_axis(m, "port",
                        (ss_run_axis){.n = SS_N_PORTS, .kind = SS_AXIS_TEXT, .text = label_port});
    const int sigma = l->axis_sigma, module = l->axis_module;
    const int row[] = {module, port, input, sigma, sample, -1};

    l->at.stats = (int)l->n_sets;
#define X(name) add_set(m, "/stats", #name, SS_SET_F32, true, row);
    SS_STATS(X)
#undef X
    l->at.nonfinite = add_set(m, "/stats", "nonfinite", SS_SET_U64, false, row);
    if (spec->histogram) {
        const int exponent = add_axis(
            m, "exponent", (ss_run_axis){.n = SS_N_EXPONENTS, .kind = SS_AXIS_I32, .first = -127});
        const int counts[] = {module, port, input, sigma, exponent, -1};

        l->at.hist = add_set(m, "/hist", "exponent", SS_SET_U64, false, counts);
    }
    for (int i = 0; i < spec->n_channels; i++) {
        int axis[] = {port, input, sigma, size_axis(m, "channel", spec->channels[i].channels), -1};
        char *name = ss_run_link_name(spec->channels[i].path);
        ss_str group = {0};

        ss_str_addf(&group, "/channels/%s", name ? name : "");
        if (!name || group.failed)
            out_of_memory(m);
        int at = add_set(m, group.s, "absmax", SS_SET_F32, true, axis);
        add_set(m, group.s, "rms", SS_SET_F32, true, axis);
        if (i == 0)
            l->at.channels = at;
        ss_str_release(&group);
        ss_free(name);
    }
}

static void add_attention_sets(struct maker *m, const ss_run_spec *spec, int input, int sample)
{
    ss_run_layout *l = m->l;
    int head, row[] = {l->axis_layer, -1, input, l->axis_sigma, sample, -1};

    for (int i = 0; i < spec->n_layers; i++) {
        if (spec->layers[i].heads > l->n_heads)
            l->n_heads = spec->layers[i].heads;
    }
    head = add_axis(m, "head", (ss_run_axis){.n = l->n_heads, .kind = SS_AXIS_COUNT});
    row[1] = head;
    l->at.attention = (int)l->n_sets;
#define X(name) add_set(m, "/attention", #name, SS_SET_F32, true, row);
    SS_ATTENTION_STATS(X)
#undef X
    for (int i = 0; spec->layer_frames && i < spec->n_layers; i++) {
        if (spec->layer_frames[i] > l->n_frames)
            l->n_frames = (int)spec->layer_frames[i];
    }
    if (!l->n_frames)
        return;
    const int distance =
        add_axis(m, "distance", (ss_run_axis){.n = l->n_frames, .kind = SS_AXIS_COUNT});
    int by_frame[] = {l->axis_layer, head, input, l->axis_sigma, sample, distance, -1};
    l->at.frames = add_set(m, "/attention", "frame_mass", SS_SET_F32, true, by_frame);
    by_frame[5] = size_axis(m, "frame", l->n_frames);
    add_set(m, "/attention", "key_frame_mass", SS_SET_F32, true, by_frame);
}

static int add_picture_set(struct maker *m, const char *group, const char *name,
                           ss_run_set_type type, bool nan, ss_shape shape, int input, int sample)
{
    int axis[SS_RUN_MAX_RANK + 1] = {input, m->l->axis_sigma, sample};
    int n = shape_axes(m, shape, axis + 3);

    axis[3 + n] = -1;
    return add_set(m, group, name, type, nan, axis);
}

static void add_training_sets(struct maker *m, const ss_run_spec *spec, int sample)
{
    ss_run_layout *l = m->l;
    const int step = l->axis_sigma;
    const int bin = add_axis(
        m, "bin", (ss_run_axis){.n = spec->n_bins, .kind = SS_AXIS_F64, .f64 = spec->bins});

    l->at.step = (int)l->n_sets;
#define X(name) add_set(m, "/training", #name, SS_SET_F32, true, (int[]){step, -1});
    SS_RUN_TRAINING(X)
#undef X
    l->at.level = add_set(m, "/training", "sigma", SS_SET_F32, true, (int[]){step, sample, -1});
    add_set(m, "/training", "sample_loss", SS_SET_F32, true, (int[]){step, sample, -1});
    if (bin >= 0)
        l->at.bins =
            add_set(m, "/training", "loss_by_sigma", SS_SET_F32, true, (int[]){bin, step, -1});
    if (l->axis_parameter < 0)
        return;
    l->at.updates = (int)l->n_sets;
#define X(name) \
    add_set(m, "/updates", #name, SS_SET_F32, true, (int[]){l->axis_parameter, step, -1});
    SS_RUN_UPDATES(X)
#undef X
}

static void add_sets(struct maker *m, const ss_run_spec *spec)
{
    ss_run_layout *l = m->l;
    int input, sample;

    l->axis_module =
        add_axis(m, "module",
                 (ss_run_axis){.n = spec->n_modules, .kind = SS_AXIS_TEXT, .text = label_module});
    l->axis_input = input = add_axis(
        m, "input", (ss_run_axis){.n = spec->n_inputs, .kind = SS_AXIS_TEXT, .text = label_input});
    l->axis_sigma =
        spec->steps
            ? add_axis(m, "step",
                       (ss_run_axis){.n = spec->n_sigmas, .kind = SS_AXIS_I64, .i64 = spec->steps})
            : add_axis(
                  m, "sigma",
                  (ss_run_axis){.n = spec->n_sigmas, .kind = SS_AXIS_F64, .f64 = spec->sigmas});
    sample = add_axis(m, "sample", (ss_run_axis){.n = spec->n_samples, .kind = SS_AXIS_COUNT});
    if (spec->pictures)
        add_axis(m, "picture",
                 (ss_run_axis){.n = (int64_t)spec->n_inputs * spec->n_samples,
                               .kind = SS_AXIS_TEXT,
                               .text = label_picture});
    l->axis_layer = add_axis(
        m, "layer", (ss_run_axis){.n = spec->n_layers, .kind = SS_AXIS_TEXT, .text = label_layer});
    l->axis_parameter = add_axis(
        m, "parameter",
        (ss_run_axis){.n = spec->n_parameters, .kind = SS_AXIS_TEXT, .text = label_parameter});
    l->axis_line =
        add_axis(m, "line", (ss_run_axis){.n = spec->n_structure, .kind = SS_AXIS_COUNT});

    if (spec->x.rank)
        l->at.x = add_picture_set(m, "/inputs", "x", SS_SET_F32, true, spec->x, input, sample);
    if (spec->denoised.rank)
        l->at.denoised = add_picture_set(m, "/outputs", "denoised", SS_SET_F32, true,
                                         spec->denoised, input, sample);
    if (spec->n_radii) {
        int radius = add_axis(m, "radius",
                              (ss_run_axis){.n = spec->n_radii,
                                            .kind = spec->radii ? SS_AXIS_F64 : SS_AXIS_COUNT,
                                            .f64 = spec->radii});

        l->at.psd = add_set(m, "/inputs", "psd", SS_SET_F32, true,
                            (int[]){input, l->axis_sigma, sample, radius, -1});
    }
    if (spec->loss)
        l->at.loss = add_set(m, "/outputs", "loss", SS_SET_F32, true,
                             (int[]){input, l->axis_sigma, sample, -1});
    if (l->axis_module >= 0)
        add_module_sets(m, spec, input, sample);
    if (l->axis_layer >= 0)
        add_attention_sets(m, spec, input, sample);
    if (spec->steps)
        add_training_sets(m, spec, sample);
    for (int i = 0; i < spec->n_dumps; i++) {
        char *name = ss_run_link_name(spec->dumps[i].path);

        if (!name)
            out_of_memory(m);
        int at =
            add_picture_set(m, "/activations", name, spec->dumps[i].half ? SS_SET_F16 : SS_SET_F32,
                            false, spec->dumps[i].shape, input, sample);
        if (i == 0)
            l->at.dumps = at;
        ss_free(name);
    }
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of data sets and labels of axes must be distinct. */
static ss_code check_distinct(const char *what, const char **names, int n, ss_err *e)
{
    qsort(names, (size_t)n, sizeof *names, compare_names);
    for (int i = 1; i < n; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            return ss_fail(e, SS_USAGE, "%s '%s' is given twice", what, names[i]);
    }
    return SS_OK;
}

static ss_code check_names(const ss_run_spec *spec, ss_err *e)
{
    ss_code rc = SS_OK;
    size_t most = 1;
    const size_t counts[] = {(size_t)spec->n_modules, (size_t)spec->n_inputs,
                             (size_t)spec->n_channels, (size_t)spec->n_dumps};

    for (size_t i = 0; i < 4; i++)
        most = counts[i] > most ? counts[i] : most;
    const char **names = ss_alloc(most, sizeof *names);
    if (!names)
        return ss_no_memory(e, "layout of the run file");

    for (int i = 0; i < spec->n_modules; i++)
        names[i] = spec->modules[i].path;
    rc = check_distinct("module", names, spec->n_modules, e);
    for (int i = 0; rc == SS_OK && i < spec->n_inputs; i++)
        names[i] = spec->inputs[i];
    if (rc == SS_OK)
        rc = check_distinct("input", names, spec->n_inputs, e);
    for (int i = 0; rc == SS_OK && i < spec->n_channels; i++)
        names[i] = spec->channels[i].path;
    if (rc == SS_OK)
        rc = check_distinct("channels of module", names, spec->n_channels, e);
    for (int i = 0; rc == SS_OK && i < spec->n_dumps; i++)
        names[i] = spec->dumps[i].path;
    if (rc == SS_OK)
        rc = check_distinct("activations of module", names, spec->n_dumps, e);
    ss_free(names);
    return rc;
}

static ss_code check_spec(const ss_run_spec *spec, ss_err *e)
{
    if (spec->n_inputs < 1 || spec->n_sigmas < 1 || spec->n_samples < 1)
        return ss_fail(e, SS_USAGE, "a run needs at least one input, noise level and sample");
    if (2 * (int64_t)spec->n_channels + spec->n_dumps > SS_RUN_MAX_SETS)
        return ss_fail(e, SS_UNSUPPORTED,
                       "channel statistics of %d and activations of %d modules are more than a "
                       "run file holds (%d data sets): select fewer modules",
                       spec->n_channels, spec->n_dumps, SS_RUN_MAX_SETS);
    for (int i = 0; i < spec->n_layers; i++) {
        if (spec->layers[i].heads < 1)
            return ss_fail(e, SS_USAGE, "attention layer %s has no heads", spec->layers[i].path);
        if (spec->layer_frames &&
            (spec->layer_frames[i] < 0 || spec->layer_frames[i] > SS_RUN_MAX_FRAMES))
            return ss_fail(e, SS_UNSUPPORTED, "attention layer %s has %lld frames",
                           spec->layers[i].path, (long long)spec->layer_frames[i]);
    }
    for (int i = 0; i < spec->n_channels; i++) {
        if (spec->channels[i].channels < 1)
            return ss_fail(e, SS_USAGE, "module %s has no channels", spec->channels[i].path);
    }
    for (int i = 1; spec->steps && i < spec->n_sigmas; i++) {
        if (spec->steps[i] <= spec->steps[i - 1])
            return ss_fail(e, SS_USAGE, "step %lld does not come after step %lld",
                           (long long)spec->steps[i], (long long)spec->steps[i - 1]);
    }
    for (int i = 0; !spec->steps && i < spec->n_sigmas; i++) {
        for (int j = 0; j < i; j++) {
            if (spec->sigmas[i] == spec->sigmas[j] &&
                (!spec->timesteps || spec->timesteps[i] == spec->timesteps[j]))
                return ss_fail(e, SS_USAGE, "noise level %g is given twice", spec->sigmas[i]);
        }
    }
    return check_names(spec, e);
}

#define X(kind) .kind = -1,
static const ss_run_set_index no_sets = {SS_RUN_SET_KINDS(X)};
#undef X

ss_code ss_run_layout_make(ss_run_layout *l, const ss_run_spec *spec, ss_err *e)
{
    struct maker m = {.l = l, .e = e};

    *l = (ss_run_layout){
        .at = no_sets,
        .n_modules = spec->n_modules,
        .n_inputs = spec->n_inputs,
        .n_sigmas = spec->n_sigmas,
        .n_samples = spec->n_samples,
        .n_layers = spec->n_layers,
        .n_radii = spec->n_radii,
        .n_channels = spec->n_modules ? spec->n_channels : 0,
        .n_dumps = spec->n_dumps,
        .part = spec->part,
        .level = (int64_t)spec->n_inputs * spec->n_samples,
    };
    if (!l->part.count)
        l->part = (ss_run_part){0, 1, 0, l->level * spec->n_sigmas};
    m.rc = check_spec(spec, e);
    if (m.rc == SS_OK)
        add_sets(&m, spec);
    if (m.rc != SS_OK)
        ss_run_layout_release(l);
    return m.rc;
}

void ss_run_layout_release(ss_run_layout *l)
{
    for (size_t i = 0; i < l->n_axes; i++)
        ss_free(l->axes[i].name);
    for (size_t i = 0; i < l->n_sets; i++) {
        ss_free(l->sets[i].group);
        ss_free(l->sets[i].name);
    }
    ss_free(l->axes);
    ss_free(l->sets);
    *l = (ss_run_layout){0};
}
