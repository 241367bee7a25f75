/* fuzz_run.c - run files that HDF5 can read and the run reader may not like
 *
 * The bytes are decisions about a run file that is written through HDF5: for each part, in the
 * order of the lists below, what is wrong with it. 0 is nothing, and what follows the last byte is
 * 0, so that the empty input gives a proper file and each byte one flaw. (Files that are damaged
 * below that, in HDF5's own structures, crash libhdf5 1.10 now and then: the reader tries them in a
 * child process first. Here the child must live: its death is a finding.)
 *
 * A decision about a part:   0 as it should be    1 absent     2, 3 another type
 *   4 a dimension more       5 a dimension less   6 a size of the next byte   7 no space (null)
 *   8 chunked                9 a group of that name           10 a size beyond memory, never
 * written 11 values from the next bytes                  12 a link to nothing
 */
#include "analyze/one/not_finite.h"
#include "analyze/one/structure.h"
#include "analyze/search/expression.h"
#include "base/mem.h"
#include "runfile/h5.h"
#include "runfile/run_reader.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const uint8_t *at, *end;
} stream;

static uint8_t take(stream *s)
{
    return s->at < s->end ? *s->at++ : 0;
}

static const char *const attributes[] = {
    "format",       "version", "tool",    "command",   "model_path", "family",
    "model_sha256", "device",  "plan",    "precision", "condition",  "prediction_type",
    "created",      "seed",    "threads", "complete",
};
enum { N_NUMBERS = 3 }; /* the last ones */

/* Sizes: m modules, p ports, i inputs, s noise levels or steps, n samples, l layers, h heads,
 * w parameters, r radii, b bins, e exponents, c channels, x a side of a picture. T and N before
 * the axes: texts, numbers. */
static const char sizes_of[] = "mpisnlhwrbecx";
static const hsize_t sizes[] = {3, 4, 2, 2, 2, 1, 2, 2, 3, 2, 256, 2, 2};

static const struct {
    const char *name, *dims;
    bool text;
} sets[] = {
    {"/axes/module", "m", true},
    {"/axes/module_kind", "m", true},
    {"/axes/module_block", "m", false},
    {"/axes/port", "p", true},
    {"/axes/input", "i", true},
    {"/axes/sigma", "s", false},
    {"/axes/step", "s", false},
    {"/axes/timestep", "s", false},
    {"/axes/done", "s", false},
    {"/axes/sample", "n", false},
    {"/axes/head", "h", false},
    {"/axes/layer", "l", true},
    {"/axes/parameter", "w", true},
    {"/axes/radius", "r", false},
    {"/axes/bin", "b", false},
    {"/stats/absmax", "mpisn", false},
    {"/stats/rms", "mpisn", false},
    {"/stats/nonfinite", "mpisn", false},
    {"/hist/exponent", "mpise", false},
    {"/attention/entropy", "lhisn", false},
    {"/attention/max_logit", "lhisn", false},
    {"/attention/keys", "l", false},
    {"/weights/absmax", "w", false},
    {"/inputs/x", "isnxxc", false},
    {"/inputs/psd", "isnr", false},
    {"/outputs/denoised", "isnxxc", false},
    {"/outputs/loss", "isn", false},
    {"/channels/m1/absmax", "pisc", false},
    {"/channels/m1/rms", "pisc", false},
    {"/activations/m1", "isnxxc", false},
    {"/training/loss", "s", false},
    {"/training/sigma", "sn", false},
    {"/training/loss_by_sigma", "bs", false},
    {"/updates/update_rms", "ws", false},
    {"/weights/nonfinite", "w", false},
    {"/attention/heads", "l", false},
    {"/axes/picture", "p", true}, /* as many as inputs x samples */
    {"/structure/kind", "n", true},
    {"/structure/modules", "n", true},
    {"/structure/value", "n", true},
    {"/training/samples", "sn", false},
    {"/training/bin_edges", "l", false}, /* one fewer than bins */
};
enum { N_SETS = sizeof sets / sizeof *sets, N_ATTRIBUTES = sizeof attributes / sizeof *attributes };

/* Names of the parts in a proper file. */
static const char *label(const char *set, hsize_t i)
{
    static const char *const ports[] = {"input", "output", "residual", "skip"};
    static const char *const modules[] = {"(model)", "m1", "m1.attn"};
    static const char *const others[] = {"a", "b", "c", "d"};

    if (strcmp(set, "/axes/port") == 0)
        return ports[i % 4];
    return strcmp(set, "/axes/module") == 0 ? modules[i % 3] : others[i % 4];
}

/* Texts of a set as the bytes say, 8 characters at most. */
static void make_texts(stream *s, const char *set, bool own, hsize_t n, char text[][9])
{
    for (hsize_t i = 0; i < n; i++) {
        memset(text[i], 0, 9);
        if (own) {
            for (int k = 0, len = take(s) % 9; k < len; k++)
                text[i][k] = (char)take(s);
        } else {
            strncpy(text[i], label(set, i), 8);
        }
    }
}

enum { MAX_TEXTS = 64, MAX_BYTES = 1 << 16 };

static void write_texts(hid_t set, hid_t type, stream *s, const char *name, bool own, hsize_t n)
{
    static char text[MAX_TEXTS][9];
    const char *pointers[MAX_TEXTS];

    if (n > MAX_TEXTS)
        return;
    make_texts(s, name, own, n, text);
    for (hsize_t i = 0; i < n; i++)
        pointers[i] = text[i];
    if (H5Tis_variable_str(type) > 0)
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers);
    else
        H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text);
}

static void write_numbers(hid_t set, stream *s, bool own, hsize_t n)
{
    static double x[MAX_BYTES];
    static const double odd[] = {0, -1, 1e300, 2147483648.0, -9.3e18, 1e-300};

    if (n > MAX_BYTES)
        return;
    for (hsize_t i = 0; i < n; i++) {
        const uint8_t b = own ? take(s) : 0;

        x[i] = b ? (b < 8 ? odd[b % 6] : b - 128.0) : 1 + (double)i;
    }
    H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, x);
}

static hid_t type_of(bool text, int decision)
{
    hid_t t;

    if (text && decision != 2) {
        t = H5Tcopy(H5T_C_S1);
        H5Tset_size(t, decision == 3 ? 9 : H5T_VARIABLE);
        return t;
    }
    if (!text && decision == 3) {
        t = H5Tcopy(H5T_C_S1);
        H5Tset_size(t, 3);
        return t;
    }
    return H5Tcopy(text || decision == 2 ? H5T_STD_I16BE : H5T_IEEE_F64LE);
}

static hid_t space_of(const char *dims, int decision, stream *s, hsize_t *n, bool *huge)
{
    hsize_t dim[16];
    int rank = 0;

    for (const char *p = dims; *p; p++)
        dim[rank++] = sizes[strchr(sizes_of, *p) - sizes_of];
    if (decision == 4)
        dim[rank++] = 1 + take(s) % 3;
    if (decision == 5)
        rank--;
    if (decision == 6 && rank) {
        const uint8_t which = take(s);

        dim[which % rank] = take(s);
    }
    if (decision == 10 && rank)
        dim[take(s) % rank] = (hsize_t)1 << (20 + take(s) % 36);
    *huge = decision == 10;
    *n = 1;
    for (int k = 0; k < rank; k++)
        *n *= dim[k];
    if (decision == 7)
        return H5Screate(H5S_NULL);
    return rank ? H5Screate_simple(rank, dim, NULL) : H5Screate(H5S_SCALAR);
}

static void make_set(hid_t file, const char *name, const char *dims, bool text, stream *s)
{
    const int decision = take(s) % 13;
    hid_t lcpl = H5Pcreate(H5P_LINK_CREATE), dcpl = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t n;
    bool huge;

    H5Pset_create_intermediate_group(lcpl, true);
    if (decision == 9) {
        H5Gclose(H5Gcreate2(file, name, lcpl, H5P_DEFAULT, H5P_DEFAULT));
    } else if (decision == 12) {
        H5Lcreate_soft("/nowhere", file, name, lcpl, H5P_DEFAULT);
    } else if (decision != 1) {
        hid_t type = type_of(text, decision);
        hid_t space = space_of(dims, decision, s, &n, &huge);
        const int rank = H5Sget_simple_extent_ndims(space);

        if ((decision == 8 || huge) &&
            rank > 0) { /* chunks take no space before they are written */
            hsize_t chunk[16];

            for (int k = 0; k < rank; k++)
                chunk[k] = 2;
            H5Pset_chunk(dcpl, rank, chunk);
        }
        hid_t set = H5Dcreate2(file, name, type, space, lcpl, dcpl, H5P_DEFAULT);
        if (set >= 0 && decision != 7 && !huge) {
            if (text && decision != 2)
                write_texts(set, type, s, name, decision == 11, n);
            else if (decision != 3 || text)
                write_numbers(set, s, decision == 11, n);
        }
        H5Dclose(set);
        H5Sclose(space);
        H5Tclose(type);
    }
    H5Pclose(lcpl);
    H5Pclose(dcpl);
}

/* 0 as it should be, 1 absent, 2 of the other type, 3 two values, else a text or number from the
 * next bytes. */
static void make_attribute(hid_t file, int which, stream *s)
{
    const int decision = take(s) % 6;
    const char *const usual = which == 0   ? "sigmascope-run"
                              : which == 1 ? "1.1"
                              : which == 8 ? "{}"
                                           : "x";
    const bool number = (which >= N_ATTRIBUTES - N_NUMBERS) != (decision == 2);
    const hsize_t two = 2;
    char own[17] = "";
    int32_t v[2] = {1, 2};

    if (decision == 1)
        return;
    if (decision >= 4) {
        for (int k = 0, n = take(s) % 17; k < n; k++)
            own[k] = (char)take(s);
        v[0] = (int8_t)own[0] * (decision == 5 ? 1 << 24 : 1);
    }
    const char *text[2] = {decision >= 4 ? own : usual, "y"};
    hid_t type = number ? H5Tcopy(H5T_NATIVE_INT32) : ss_h5_text_type();
    hid_t space = decision == 3 ? H5Screate_simple(1, &two, NULL) : H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(file, attributes[which], type, space, H5P_DEFAULT, H5P_DEFAULT);

    H5Awrite(a, type, number ? (void *)v : (void *)text);
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

/* Makes it the file of a recorder, of which only steps that are done count. */
static void mark_bins(hid_t file)
{
    hid_t type = ss_h5_text_type(), space = H5Screate(H5S_SCALAR);
    hid_t a = H5Acreate2(file, "samples", type, space, H5P_DEFAULT, H5P_DEFAULT);

    H5Awrite(a, type, &(const char *){"bins"});
    H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

const char *fuzz_make_run(const char *name, const uint8_t *data, size_t size)
{
    const char *path = fuzz_path(name);
    stream s = {data, data + size};
    ss_err e;

    unlink(path);
    hid_t file = ss_h5_create(path, &e);
    if (file < 0)
        abort();
    const uint8_t kind = take(&s);
    const bool training = kind & 1; /* steps in the place of noise levels */

    if (training && kind & 2)
        mark_bins(file);
    for (int i = 0; i < N_ATTRIBUTES; i++)
        make_attribute(file, i, &s);
    for (int i = 0; i < N_SETS; i++) {
        const char *set = sets[i].name;
        const bool of_training = strncmp(set, "/training", 9) == 0 ||
                                 strncmp(set, "/updates", 8) == 0 || strcmp(set, "/axes/step") == 0;

        if (strcmp(set, "/axes/sigma") == 0 ? !training : !of_training || training)
            make_set(file, set, sets[i].dims, sets[i].text, &s);
    }
    H5Fclose(file);
    return path;
}

static void use_modules(ss_run *r)
{
    ss_err e = {0};

    for (int m = 0; m < r->n_modules && m < 4; m++) {
        const size_t counts = (size_t)r->n_ports * (size_t)r->n_inputs * (size_t)r->n_sigmas;
        int64_t channels;

        if (counts > 1 << 16)
            return;
        uint64_t *hist = malloc(counts * SS_N_EXPONENTS * sizeof *hist);
        if (ss_run_has_hist(r))
            fuzz_check(ss_run_hist(r, m, hist, &e), &e);
        free(hist);
        if (ss_run_has_channels(r, m, &channels) && (size_t)channels * counts < 1 << 20) {
            float *x = malloc(counts * (size_t)channels * sizeof *x);

            fuzz_check(ss_run_channel_stats(r, m, "absmax", x, &e), &e);
            fuzz_check(ss_run_channel_stats(r, m, "rms", x, &e), &e);
            free(x);
        }
    }
}

static void use_pictures(ss_run *r, const char *set)
{
    ss_run_shape shape;
    ss_err e = {0};

    if (!ss_run_has_pictures(r, set, &shape) || shape.n > 1 << 20)
        return;
    float *x = malloc((size_t)shape.n * sizeof *x);

    fuzz_check(ss_run_picture(r, set, 0, 0, 0, x, &e), &e);
    fuzz_check(ss_run_picture(r, set, r->n_inputs - 1, r->n_sigmas - 1, r->n_samples - 1, x, &e),
               &e);
    free(x);
}

/* Reads what is printed first of a run. */
static void use_not_finite(ss_run *r)
{
    ss_not_finite bad;
    ss_err e = {0};
    const ss_code rc = ss_not_finite_find(r, &bad, &e);

    fuzz_check(rc, &e);
    for (int part = 0; part < SS_N_BAD_PARTS && rc == SS_OK; part++)
        ss_free(ss_not_finite_say(&bad, (ss_bad_part)part, &e));
    if (rc == SS_OK)
        ss_not_finite_release(&bad);
}

/* The network's structure: its lines, and which a module is on. */
static void use_structure(ss_run *r)
{
    ss_table t = {0};
    ss_err e = {0};

    if (r->n_structure > 1 << 12)
        return;
    fuzz_check(ss_structure_table(r->structure, r->n_structure, &t, &e), &e);
    ss_table_release(&t);
    for (int m = 0; m < r->n_modules && m < 4; m++)
        ss_free(ss_structure_say(r, r->modules[m]));
}

static void use_expression(ss_run *r, const char *text)
{
    ss_expression x = {0};
    ss_witness w;
    ss_err e = {0};
    bool holds;
    char shown[64];

    if (ss_expression_parse(text, &x, &e) != SS_OK)
        abort();
    const ss_code rc = ss_expression_eval(&x, r, &holds, &w, &e);

    fuzz_check(rc, &e);
    if (rc == SS_OK)
        ss_witness_name(r, &w, shown, sizeof shown);
    ss_expression_release(&x);
}

void fuzz_run(const uint8_t *data, size_t size)
{
    const char *path = fuzz_make_run("run.h5", data, size);
    ss_run *r = NULL;
    ss_err e = {0};
    const float *x;
    const uint64_t *n;
    const ss_code rc = ss_run_open_any(path, &r, &e);

    fuzz_check(rc, &e);
    if (rc != SS_OK && strstr(e.msg, "HDF5 crashes on it"))
        abort();
    if (rc != SS_OK)
        return;
    use_structure(r);
    /* all that can be had, as long as it is little: sizes in a file are sparse, memory is not */
    const double values = (double)r->n_modules * r->n_ports * r->n_inputs * r->n_sigmas *
                          r->n_samples * (r->n_radii + 1);
    if (values < 1 << 20 && (double)r->n_layers * r->n_heads * values < 1 << 20 &&
        r->n_parameters * (double)r->n_sigmas < 1 << 20 &&
        (double)r->n_bins * r->n_sigmas < 1 << 20) {
        fuzz_check(ss_run_stat(r, "absmax", &x, &e), &e);
        fuzz_check(ss_run_stat(r, "rms", &x, &e), &e);
        fuzz_check(ss_run_nonfinite(r, &n, &e), &e);
        fuzz_check(ss_run_attention(r, "entropy", &x, &e), &e);
        fuzz_check(ss_run_attention(r, "max_logit", &x, &e), &e);
        fuzz_check(ss_run_attention_keys(r, &x, &e), &e);
        fuzz_check(ss_run_weights(r, "absmax", &x, &e), &e);
        fuzz_check(ss_run_loss(r, &x, &e), &e);
        fuzz_check(ss_run_psd(r, &x, &e), &e);
        fuzz_check(ss_run_training(r, "loss", &x, &e), &e);
        fuzz_check(ss_run_training(r, "sigma", &x, &e), &e);
        fuzz_check(ss_run_training(r, "loss_by_sigma", &x, &e), &e);
        fuzz_check(ss_run_updates(r, "update_rms", &x, &e), &e);
        fuzz_check(ss_run_attention_heads(r, &x, &e), &e);
        fuzz_check(ss_run_weights_nonfinite(r, &n, &e), &e);
        use_not_finite(r);
        use_modules(r);
        if (r->sigmas) {
            use_expression(r, "overflow(fp16)");
            use_expression(r, "not absmax(m*, input=a) > 1 or nonfinite(*)");
            use_expression(r, "entropy(*) < 0.5 and loss() > 1");
        }
        use_pictures(r, "/inputs/x");
        use_pictures(r, "/outputs/denoised");
        use_pictures(r, "/activations/m1");
    }
    ss_run_close(r);
}
