/* run_reader.c - opening a run file: attributes and axes; see run_reader.h */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/h5.h"
#include "runfile/h5_trial.h"
#include "runfile/precision_text.h"
#include "runfile/run_cache.h"
#include "runfile/run_file.h"
#include "runfile/run_layout.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* More than any network has, and small enough to multiply without overflow. */
enum { MAX_LABELS = 1 << 20 };

static ss_code check_version(ss_run *r, hid_t file, ss_err *e)
{
    char *format = NULL, *version = NULL;
    ss_code rc = ss_h5_read_text(file, "format", &format, e);

    if (rc == SS_OK)
        rc = ss_h5_read_text(file, "version", &version, e);
    if (rc != SS_OK)
        ss_fail_prefix(e, "%s", r->path);
    else if (format && strcmp(format, SS_RUN_FORMAT) != 0)
        rc = ss_fail(e, SS_FORMAT, "%s: is not a run file, its format is \"%.60s\"", r->path,
                     ss_printable(format, (char[64]){0}, 64));
    else if (version) {
        int major, used = 0;

        if (sscanf(version, "%9d%n", &major, &used) != 1 ||
            (version[used] != '.' && version[used] != '\0'))
            rc = ss_fail(e, SS_FORMAT, "%s: version \"%s\" is not MAJOR.MINOR", r->path,
                         ss_printable(version, (char[64]){0}, 64));
        else if (major > SS_RUN_MAJOR)
            rc = ss_fail(e, SS_UNSUPPORTED,
                         "%s: has layout version %d, this program reads up to %d; use a newer one",
                         r->path, major, SS_RUN_MAJOR);
        else if (sscanf(version + used, ".%9d", &r->minor) != 1)
            r->minor = 0;
    }
    ss_free(format);
    ss_free(version);
    return rc;
}

/* Reads the emulated code from the attribute precision, "FORMAT (AS, ATTENTION)". */
static void read_code(ss_run *r)
{
    char as[16], attention[16];
    ss_round_scope scope;
    ss_attention_code code;

    if (sscanf(r->precision, "%*[^ ] (%15[^,)], %15[^)])", as, attention) == 2 &&
        ss_round_scope_parse(as, &scope, NULL) == SS_OK &&
        ss_attention_code_parse(attention, &code, NULL) == SS_OK) {
        r->as = scope;
        r->attention = code;
    }
}

/* Gives the formats that an earlier version wrote today's names. */
static ss_code name_formats(ss_run *r, ss_err *e)
{
    char *text = ss_precision_text(r->precision);

    if (!text)
        return ss_no_memory(e, r->path);
    ss_free(r->precision);
    r->precision = text;
    return SS_OK;
}

/* Finds which entries of the axis of modules are inner values. */
static ss_code read_inner(ss_run *r, ss_err *e)
{
    r->inner = ss_calloc((size_t)r->n_modules, sizeof *r->inner);
    if (!r->inner)
        return ss_no_memory(e, r->path);
    for (int m = 0; r->kinds && m < r->n_modules; m++)
        for (int k = SS_INNER_NONE + 1; k < SS_N_INNERS; k++)
            if (strcmp(r->kinds[m], ss_inner_name((ss_inner)k)) == 0)
                r->inner[m] = (ss_inner)k;
    for (int m = 0; m < r->n_modules; m++)
        r->n_real += r->inner[m] == SS_INNER_NONE;
    return SS_OK;
}

static ss_code read_attributes(ss_run *r, hid_t file, ss_err *e)
{
    int64_t complete = 1, threads = 0, seed = 0, trained = 0;
    bool part;
    char *samples = NULL;
    struct {
        const char *name;
        char **to;
    } const texts[] = {
        {"tool", &r->tool},
        {"command", &r->command},
        {"model_path", &r->model_path},
        {"family", &r->family},
        {"model_sha256", &r->model_sha256},
        {"device", &r->device},
        {"precision", &r->precision},
        {"condition", &r->condition},
        {"prediction_type", &r->prediction_type},
        {"schedule", &r->schedule},
        {"created", &r->created},
        {"plan", &r->plan},
        {"ignored_tensors", &r->ignored_tensors},
        {"component", &r->component},
        {"role", &r->role},
        {"weight_notes", &r->weight_notes},
        {"reference_frames", &r->reference_frames},
        {"samples", &samples},
    };
    ss_code rc = check_version(r, file, e);

    for (size_t i = 0; i < sizeof texts / sizeof *texts && rc == SS_OK; i++) {
        rc = ss_h5_read_text(file, texts[i].name, texts[i].to, e);
        if (rc != SS_OK)
            ss_fail_prefix(e, "%s", r->path);
        else if (!*texts[i].to && !(*texts[i].to = ss_strdup("")))
            rc = ss_no_memory(e, r->path);
    }
    if (rc == SS_OK)
        rc = name_formats(r, e);
    if (rc == SS_OK)
        read_code(r);
    if (rc == SS_OK && ((rc = ss_h5_read_i64(file, "complete", &complete, e)) != SS_OK ||
                        (rc = ss_h5_read_i64(file, "threads", &threads, e)) != SS_OK ||
                        (rc = ss_h5_read_i64(file, "seed", &seed, e)) != SS_OK ||
                        (rc = ss_h5_read_i64(file, "trained_frames", &trained, e)) != SS_OK))
        ss_fail_prefix(e, "%s", r->path);
    if (rc == SS_OK && (rc = ss_run_part_read(file, &r->part, &part, e)) != SS_OK)
        ss_fail_prefix(e, "%s", r->path);
    r->binned = samples && strcmp(samples, SS_RUN_BINS) == 0;
    ss_free(samples);
    r->complete = complete != 0;
    r->trained_frames = trained > 0 && trained <= SS_RUN_MAX_FRAMES ? (int)trained : 0;
    r->threads = threads >= 0 && threads <= INT_MAX ? (int)threads : 0;
    r->seed = (uint64_t)seed;
    r->has_seed = H5Aexists(file, "seed") > 0;
    return rc;
}

/* Reads an axis of texts. An absent one has one entry, `alone`, or none if that is NULL. */
static ss_code read_labels(ss_run *r, hid_t file, const char *name, const char *alone,
                           char ***labels, int64_t *n, bool *absent, ss_err *e)
{
    *absent = !ss_h5_has(file, name);
    if (!*absent) {
        ss_code rc = ss_h5_read_texts(file, name, MAX_LABELS, labels, n, e);

        if (rc == SS_OK && *n == 0)
            rc = ss_fail(e, SS_FORMAT, "%s: has no entry", name);
        return rc == SS_OK ? rc : ss_fail_prefix(e, "%s", r->path);
    }
    *n = alone ? 1 : 0;
    if (!alone)
        return SS_OK;
    *labels = ss_alloc(sizeof **labels + strlen(alone) + 1, 1);
    if (!*labels)
        return ss_no_memory(e, r->path);
    **labels = memcpy(*labels + 1, alone, strlen(alone) + 1);
    return SS_OK;
}

/* Reads a row of numbers as the type mem of `size` bytes. *n is the expected length, or 0 for any;
 * it becomes the length. If the row is absent, *x and *n stay as they are. */
static ss_code read_numbers(ss_run *r, hid_t file, const char *name, hid_t mem, size_t size,
                            void **x, int64_t *n, ss_err *e)
{
    ss_h5_shape shape;
    ss_code rc;

    if (!ss_h5_has(file, name))
        return SS_OK;
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) {
        ss_h5_fail(e, SS_FORMAT, "%s: %s", r->path, name);
        return SS_FORMAT;
    }
    rc = ss_h5_shape_of(set, name, &shape, e);
    if (rc == SS_OK && (shape.rank != 1 || shape.dim[0] < 1 || shape.dim[0] > MAX_LABELS ||
                        (*n && shape.dim[0] != *n)))
        rc = ss_fail(e, SS_FORMAT, "%s: expected one row of %lld numbers", name, (long long)*n);
    if (rc == SS_OK && !(*x = ss_alloc((size_t)shape.dim[0], size)))
        rc = ss_no_memory(e, name);
    if (rc == SS_OK)
        rc = ss_h5_read(set, name, 1, &(hsize_t){0}, &(hsize_t){(hsize_t)shape.dim[0]}, mem, *x, e);
    if (rc == SS_OK)
        *n = shape.dim[0];
    else
        ss_fail_prefix(e, "%s", r->path);
    H5Dclose(set);
    return rc;
}

static ss_code read_module_axes(ss_run *r, hid_t file, ss_err *e)
{
    ss_run_cache *c = r->cache;
    int64_t modules, ports, inputs, kinds;
    bool absent;
    ss_code rc;

    if (!ss_h5_has(file, "/axes/module") ||
        (!ss_h5_has(file, "/axes/sigma") && !ss_h5_has(file, "/axes/step")))
        return ss_fail(e, SS_FORMAT, "%s: is not a run file: it has no /axes/%s", r->path,
                       ss_h5_has(file, "/axes/module") ? "sigma" : "module");
    if ((rc = read_labels(r, file, "/axes/module", NULL, &r->modules, &modules, &absent, e)) !=
            SS_OK ||
        (rc = read_labels(r, file, "/axes/port", "output", &r->ports, &ports, &c->no_port, e)) !=
            SS_OK ||
        (rc = read_labels(r, file, "/axes/input", "", &r->inputs, &inputs, &c->no_input, e)) !=
            SS_OK ||
        (rc = read_labels(r, file, "/axes/module_kind", NULL, &r->kinds, &kinds, &absent, e)) !=
            SS_OK ||
        (rc = read_numbers(r, file, "/axes/module_block", H5T_NATIVE_UINT8, 1, (void **)&r->blocks,
                           &modules, e)) != SS_OK)
        return rc;
    if (r->kinds && kinds != modules)
        return ss_fail(e, SS_FORMAT, "%s: /axes/module_kind has %lld entries, /axes/module %lld",
                       r->path, (long long)kinds, (long long)modules);
    for (int64_t m = 0; m < modules; m++) { /* files of other programs may have its path, "" */
        if (!*r->modules[m])
            r->modules[m] = (char *)(uintptr_t)SS_RUN_ROOT;
    }
    r->n_modules = (int)modules;
    r->n_ports = (int)ports;
    r->n_inputs = (int)inputs;
    return read_inner(r, e);
}

/* Leaves only the done columns of a recorder's file: the others are room for steps to come, or were
 * dropped when a training was resumed. Flags are read again, since a recorder that drops columns
 * clears them before it changes their steps. */
static ss_code keep_done(ss_run *r, hid_t file, ss_err *e)
{
    ss_run_cache *c = r->cache;
    int64_t columns = c->n_columns;
    uint8_t *still = NULL;
    int n = 0;
    const ss_code rc =
        read_numbers(r, file, "/axes/done", H5T_NATIVE_UINT8, 1, (void **)&still, &columns, e);

    c->column = ss_alloc((size_t)c->n_columns, sizeof *c->column);
    if (rc != SS_OK || !c->column) {
        ss_free(still);
        return rc == SS_OK ? ss_no_memory(e, r->path) : rc;
    }
    for (int k = 0; k < c->n_columns; k++) {
        if (!r->done[k] || !still[k])
            continue;
        r->steps[n] = r->steps[k];
        r->done[n] = 1;
        c->span = k + 1;
        c->column[n++] = k;
    }
    ss_free(still);
    r->n_sigmas = r->n_done = n;
    return n ? SS_OK
             : ss_fail(e, SS_FORMAT,
                       "%s: no step is recorded yet; the recorder fills it in while the training "
                       "runs, so look again when it has done a step",
                       r->path);
}

/* The flags are read before the steps: a recorder that writes meanwhile sets a flag last. */
static ss_code read_sigma_axes(ss_run *r, hid_t file, ss_err *e)
{
    int64_t sigmas = 0;
    ss_code rc =
        read_numbers(r, file, "/axes/done", H5T_NATIVE_UINT8, 1, (void **)&r->done, &sigmas, e);

    if (rc == SS_OK)
        rc = ss_h5_has(file, "/axes/sigma")
                 ? read_numbers(r, file, "/axes/sigma", H5T_NATIVE_DOUBLE, sizeof(double),
                                (void **)&r->sigmas, &sigmas, e)
                 : read_numbers(r, file, "/axes/step", H5T_NATIVE_INT64, sizeof(int64_t),
                                (void **)&r->steps, &sigmas, e);
    if (rc != SS_OK ||
        (rc = read_numbers(r, file, "/axes/timestep", H5T_NATIVE_FLOAT, sizeof(float),
                           (void **)&r->timesteps, &sigmas, e)) != SS_OK)
        return rc;
    r->n_sigmas = r->cache->n_columns = r->cache->span = (int)sigmas;
    r->binned &= r->steps != NULL;
    if (r->binned && r->done)
        return keep_done(r, file, e);
    for (int s = 0; s < r->n_sigmas && r->sigmas; s++) { /* without it levels have no order */
        if (isnan(r->sigmas[s]) || r->sigmas[s] == -INFINITY)
            return ss_fail(e, SS_FORMAT, "%s: /axes/sigma: entry %d is %g, expected a noise level",
                           r->path, s, r->sigmas[s]);
    }
    if (!r->done || r->complete) {
        if (!r->done && !(r->done = ss_alloc((size_t)sigmas, 1)))
            return ss_no_memory(e, r->path);
        memset(r->done, 1, (size_t)sigmas); /* the file does not say which: all */
    }
    for (int s = 0; s < r->n_sigmas; s++)
        r->n_done += r->done[s] = r->done[s] != SS_RUN_NOT_DONE && r->done[s] != SS_RUN_SHARE_DONE;
    return SS_OK;
}

static ss_code read_other_axes(ss_run *r, hid_t file, ss_err *e)
{
    int64_t samples = 0, heads = 0, layers, radii = 0, bins = 0, pictures, distances = 0;
    int64_t inner_edges;
    double *values = NULL;
    bool absent;
    ss_code rc = read_numbers(r, file, "/axes/sample", H5T_NATIVE_DOUBLE, sizeof(double),
                              (void **)&values, &samples, e);

    r->cache->no_sample = samples == 0;
    r->n_samples = samples ? (int)samples : 1;
    ss_free(values);
    values = NULL;
    if (rc == SS_OK)
        rc = read_numbers(r, file, "/axes/head", H5T_NATIVE_DOUBLE, sizeof(double),
                          (void **)&values, &heads, e);
    ss_free(values);
    values = NULL;
    if (rc == SS_OK)
        rc = read_numbers(r, file, "/axes/distance", H5T_NATIVE_DOUBLE, sizeof(double),
                          (void **)&values, &distances, e);
    ss_free(values);
    if (rc != SS_OK ||
        (rc = read_numbers(r, file, "/axes/radius", H5T_NATIVE_DOUBLE, sizeof(double),
                           (void **)&r->radii, &radii, e)) != SS_OK ||
        (rc = read_numbers(r, file, "/axes/bin", H5T_NATIVE_DOUBLE, sizeof(double),
                           (void **)&r->bins, &bins, e)) != SS_OK ||
        (rc = read_labels(r, file, "/axes/layer", NULL, &r->layers, &layers, &absent, e)) !=
            SS_OK ||
        (rc = read_labels(r, file, "/axes/parameter", NULL, &r->parameters, &r->n_parameters,
                          &absent, e)) != SS_OK)
        return rc;
    if ((rc = read_labels(r, file, "/axes/picture", NULL, &r->pictures, &pictures, &absent, e)) !=
        SS_OK)
        return rc;
    if (r->pictures && pictures != (int64_t)r->n_inputs * r->n_samples)
        return ss_fail(e, SS_FORMAT,
                       "%s: /axes/picture has %lld entries, not %d inputs x %d samples", r->path,
                       (long long)pictures, r->n_inputs, r->n_samples);
    inner_edges = bins - 1;
    if (r->binned && bins > 1 &&
        (rc = read_numbers(r, file, "/training/bin_edges", H5T_NATIVE_DOUBLE, sizeof(double),
                           (void **)&r->edges, &inner_edges, e)) != SS_OK)
        return rc;
    r->cache->no_head = heads == 0;
    r->n_layers = (int)layers;
    r->n_heads = heads ? (int)heads : layers > 0;
    r->n_frames = layers ? (int)distances : 0;
    r->n_radii = (int)radii;
    r->n_bins = (int)bins;
    return SS_OK;
}

/* Reads the structure of the network. A text that the file lacks is ""; texts with different
 * numbers of rows are an error. */
static ss_code read_structure(ss_run *r, hid_t file, ss_err *e)
{
    static const char *const names[] = {
#define X(name) "/structure/" #name,
        SS_STRUCTURE_TEXTS(X)
#undef X
    };
    enum { N = sizeof names / sizeof *names };
    int64_t n = 0, rows = 0;
    bool absent;
    ss_code rc = SS_OK;

    for (int i = 0; i < N && rc == SS_OK; i++) {
        char ***texts = &r->cache->structure[i];

        rc = read_labels(r, file, names[i], NULL, texts, &n, &absent, e);
        if (rc != SS_OK || absent)
            continue;
        if (rows && n != rows)
            return ss_fail(e, SS_FORMAT, "%s: %s has %lld rows, others of that group %lld", r->path,
                           names[i], (long long)n, (long long)rows);
        rows = n;
    }
    if (rc != SS_OK || rows == 0)
        return rc;
    if (!(r->structure = ss_alloc((size_t)rows, sizeof *r->structure)))
        return ss_no_memory(e, r->path);
    r->n_structure = (int)rows;
    for (int64_t k = 0; k < rows; k++) {
        char ***texts = r->cache->structure;
        ss_structure_row *row = &r->structure[k];

#define X(name)                            \
    row->name = *texts ? (*texts)[k] : ""; \
    texts++;
        SS_STRUCTURE_TEXTS(X)
#undef X
    }
    return SS_OK;
}

/* Checks that no product of axes exceeds SS_RUN_MAX_VALUES, once, so that none can overflow
 * later. */
static ss_code check_sizes(const ss_run *r, ss_err *e)
{
    const int64_t frames = r->n_frames > 1 ? r->n_frames : 1, columns = r->cache->span;
    const int64_t sets[][6] = {
        {r->n_modules, r->n_ports, r->n_inputs, columns, r->n_samples, 1},
        {r->n_layers, r->n_heads, r->n_inputs, columns, r->n_samples, frames},
        {r->n_radii, 1, r->n_inputs, columns, r->n_samples, 1},
        {r->n_parameters, 1, 1, columns, 1, 1},
        {r->n_bins, 1, 1, columns, 1, 1},
    };

    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        int64_t n = 1;

        for (int k = 0; k < 6; k++) {
            if (__builtin_mul_overflow(n, sets[i][k], &n) || n > SS_RUN_MAX_VALUES)
                return ss_fail(e, SS_UNSUPPORTED, "%s: its axes span too many values", r->path);
        }
    }
    return SS_OK;
}

/* Opens the file and reads all but the data sets that grow with modules or parameters. */
static ss_code load(ss_run *r, ss_err *e)
{
    hid_t file = r->cache->file = ss_h5_open(r->path, false, e);
    ss_code rc;

    if (file < 0)
        return e->code;
    if ((rc = read_attributes(r, file, e)) == SS_OK &&
        (rc = read_module_axes(r, file, e)) == SS_OK &&
        (rc = read_sigma_axes(r, file, e)) == SS_OK &&
        (rc = read_other_axes(r, file, e)) == SS_OK && (rc = read_structure(r, file, e)) == SS_OK)
        rc = check_sizes(r, e);
    if (rc == SS_OK)
        rc = ss_run_training(r, "sigma", &r->levels, e);
    if (rc == SS_OK && r->binned)
        rc = ss_run_training(r, "samples", &r->counts, e);
    return rc;
}

/* Loads the file in a child process: a crash is seen here, and an overrun heap where it is closed.
 */
static void try_load(void *self)
{
    ss_err ignored = {0};

    load(self, &ignored);
    ss_run_close(self);
    H5garbage_collect();
}

ss_code ss_run_open(const char *path, ss_run **out, ss_err *e)
{
    ss_code rc = ss_run_open_any(path, out, e);

    if (rc == SS_OK && (*out)->steps) {
        ss_run_close(*out);
        *out = NULL;
        rc =
            ss_fail(e, SS_USAGE,
                    "%s: is a training run, over steps; this needs a run over noise levels, as "
                    "`sigmascope probe` makes of a checkpoint. analyze, report and bisect take one "
                    "training run, compare several",
                    path);
    }
    return rc;
}

bool ss_run_is_file(const char *path)
{
    static const unsigned char mark[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    unsigned char start[sizeof mark];
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rbe") : NULL;
    const bool is = f && fread(start, 1, sizeof start, f) == sizeof start &&
                    memcmp(start, mark, sizeof mark) == 0;

    if (f)
        fclose(f);
    return is;
}

ss_code ss_run_open_any(const char *path, ss_run **out, ss_err *e)
{
    ss_code rc;
    ss_err own = {0};
    ss_run *r = ss_calloc(1, sizeof *r);

    *out = NULL;
    e = e ? e : &own;
    if (r)
        r->cache = ss_calloc(1, sizeof *r->cache);
    if (!r || !r->cache || !(r->path = ss_strdup(path))) {
        if (r)
            ss_free(r->cache);
        ss_free(r);
        return ss_no_memory(e, path);
    }
    r->part.count = 1;
    r->cache->file = -1;
    rc = ss_h5_survives(try_load, r)
             ? load(r, e)
             : ss_fail(e, SS_FORMAT, "%s: is damaged, HDF5 crashes on it", path);
    if (rc != SS_OK)
        ss_run_close(r);
    else
        *out = r;
    if (rc == SS_OK)
        ss_detail("read the run %s: %d modules, %d inputs, %d %s, %d %s", path, r->n_modules,
                  r->n_inputs, r->n_sigmas, r->steps ? "steps" : "noise levels", r->n_samples,
                  r->binned ? "bins of noise level" : "samples");
    return rc;
}

ss_code ss_run_set_code(ss_run *r, const char *as, const char *attention, ss_err *e)
{
    if (as && ss_round_scope_parse(as, &r->as, e) != SS_OK)
        return ss_fail_prefix(e, "--as");
    if (attention && ss_attention_code_parse(attention, &r->attention, e) != SS_OK)
        return ss_fail_prefix(e, "--attention");
    r->as_given = as != NULL;
    return SS_OK;
}

void ss_run_close(ss_run *r)
{
    if (!r)
        return;
    void *const owned[] = {
        r->path,           r->tool,
        r->command,        r->model_path,
        r->family,         r->model_sha256,
        r->device,         r->precision,
        r->condition,      r->prediction_type,
        r->created,        r->plan,
        r->modules,        r->ports,
        r->inputs,         r->kinds,
        r->blocks,         r->sigmas,
        r->timesteps,      r->done,
        r->layers,         r->parameters,
        r->radii,          r->steps,
        r->bins,           r->pictures,
        r->schedule,       r->inner,
        r->module_weights, r->ignored_tensors,
        r->folds,          r->component,
        r->role,           r->structure,
        r->weight_notes,   r->reference_frames,
        r->edges,
    };

    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        ss_free(owned[i]);
    for (size_t i = 0; i < r->cache->n; i++) {
        ss_free(r->cache->sets[i].name);
        ss_free(r->cache->sets[i].data);
    }
    ss_free(r->cache->sets);
    ss_free(r->cache->column);
    for (size_t i = 0; i < sizeof r->cache->structure / sizeof *r->cache->structure; i++)
        ss_free(r->cache->structure[i]);
    if (r->cache->file >= 0)
        H5Fclose(r->cache->file);
    ss_free(r->cache);
    ss_free(r);
}

bool ss_run_is_text(const ss_run *r)
{
    return strcmp(r->role, SS_RUN_TEXT) == 0;
}

bool ss_run_is_vae(const ss_run *r)
{
    return strcmp(r->role, SS_RUN_VAE) == 0;
}

const char *ss_run_sample_word(const ss_run *r)
{
    return ss_run_is_text(r) ? "token" : r->binned ? "sigma" : "sample";
}

double ss_run_level(const ss_run *r, int step, int sample)
{
    return r->levels ? (double)r->levels[(size_t)step * (size_t)r->n_samples + (size_t)sample]
                     : NAN;
}

double ss_run_count(const ss_run *r, int step, int sample)
{
    const size_t at = (size_t)step * (size_t)r->n_samples + (size_t)sample;

    if (!r->binned)
        return 1;
    if (r->counts)
        return r->counts[at] > 0 ? (double)r->counts[at] : 0;
    return r->n_samples > 1 && r->levels && isnan(r->levels[at]) ? 0 : 1;
}

const char *ss_run_input_word(const ss_run *r)
{
    return ss_run_is_text(r) ? "prompt" : "input";
}

char *ss_run_sample_label(const ss_run *r, int sigma, int input, int sample, char *out, size_t n)
{
    const bool text = ss_run_is_text(r);
    const double level = r->binned && sample >= 0 ? ss_run_level(r, sigma, sample) : NAN;
    const char *name =
        r->pictures && sample >= 0 ? r->pictures[(ptrdiff_t)input * r->n_samples + sample] : "";

    if (sample < 0)
        snprintf(out, n, "%s", text ? "whole" : "-");
    else if (r->binned && isnan(level))
        snprintf(out, n, "-");
    else if (r->binned)
        snprintf(out, n, "%.3g", level);
    else if (text && *name)
        snprintf(out, n, "%d '%s'", sample, name);
    else
        snprintf(out, n, "%d%s%s", sample, *name ? ", " : "", name);
    return out;
}

char *ss_run_sample_name(const ss_run *r, int sigma, int input, int sample, char *out, size_t n)
{
    char label[256];

    if (sample < 0)
        snprintf(out, n, "%s", ss_run_is_text(r) ? "the whole prompt" : "-");
    else if (r->binned && isnan(ss_run_level(r, sigma, sample)))
        snprintf(out, n, "no sigma");
    else
        snprintf(out, n, "%s %s", r->binned ? "sigma about" : ss_run_sample_word(r),
                 ss_run_sample_label(r, sigma, input, sample, label, sizeof label));
    return out;
}

int ss_run_port(const ss_run *r, const char *name)
{
    for (int p = 0; p < r->n_ports; p++) {
        if (strcmp(r->ports[p], name) == 0)
            return p;
    }
    return -1;
}

size_t ss_run_at(const ss_run *r, int module, int port, int input, int sigma, int sample)
{
    size_t at = (size_t)module;

    at = at * (size_t)r->n_ports + (size_t)port;
    at = at * (size_t)r->n_inputs + (size_t)input;
    at = at * (size_t)r->n_sigmas + (size_t)sigma;
    return at * (size_t)r->n_samples + (size_t)sample;
}

size_t ss_run_attention_at(const ss_run *r, int layer, int head, int input, int sigma, int sample)
{
    size_t at = (size_t)layer;

    at = at * (size_t)r->n_heads + (size_t)head;
    at = at * (size_t)r->n_inputs + (size_t)input;
    at = at * (size_t)r->n_sigmas + (size_t)sigma;
    return at * (size_t)r->n_samples + (size_t)sample;
}
