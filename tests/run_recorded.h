/* run_recorded.h - run files as a recorder in a live training writes them, whose numbers are known
 *
 * Column i is step first + 50 (i + 1). Of the bin with middle noise level s, largest |x| of an
 * output:
 *
 *   conv_in       4                           does not grow
 *   mid_block     k^0.5 s^0.1                 k = 50 (i + 1)
 *   up_blocks.0   0.2 k s^0.25                over 448 (fp8-e4m3) from k = 1350 on, in the bin of
 * 10 up_blocks.1   4, and 7 values that are inf in the bin of 10 from k = 2000 on
 *
 * RMS is half of it. The mean noise level of a bin is s (1 + i / 1000). The bin of 0.1 has no
 * sample in columns of odd i, else 1 at each; that of 1 has 2, that of 10 has 3.
 */
#ifndef SS_TESTS_RUN_RECORDED_H
#define SS_TESTS_RUN_RECORDED_H

#include "runfile/run_file.h"

#include <hdf5.h>
#include <math.h>

enum { REC_BINS = 3, REC_MODULES = 4, REC_ROOM = 64 };

typedef struct {
    int room;      /* columns */
    int bins;      /* REC_BINS, or 1 */
    int64_t first; /* added to each step */
    bool sigma;    /* noise levels are known */
    bool loss;     /* losses are known, and whether steps were skipped */
    bool fine;     /* nothing is inf, and nothing grows */
} rec_kind;

static const rec_kind rec_usual = {REC_ROOM, REC_BINS, 0, true, true, false};

static const double rec_middle[] = {0.1, 1, 10};
static const ss_run_module rec_modules[] = {
    {"conv_in", "Conv2d", true},
    {"mid_block", "UNetMidBlock2D", true},
    {"up_blocks.0", "UpBlock2D", true},
    {"up_blocks.1", "UpBlock2D", true},
};

static inline double rec_k(int column)
{
    return 50.0 * (column + 1);
}

static inline int rec_count(const rec_kind *kind, int column, int bin)
{
    return kind->bins == 1 ? 6 : bin == 0 ? column % 2 == 0 : bin + 1;
}

static inline float rec_sigma(int column, int bin)
{
    return (float)(rec_middle[bin] * (1 + column / 1000.0));
}

static inline double rec_absmax(const rec_kind *kind, int module, int column, int bin)
{
    const double k = rec_k(column), s = rec_middle[bin];

    return kind->fine    ? 4
           : module == 1 ? sqrt(k) * pow(s, 0.1)
           : module == 2 ? 0.2 * k * pow(s, 0.25)
                         : 4;
}

/* The spec of the file's own writer; steps: room for kind->room. */
static inline ss_run_spec rec_spec(const rec_kind *kind, int64_t *steps)
{
    static const char *const input[] = {"training"};
    static const double none[] = {NAN};

    for (int i = 0; i < kind->room; i++)
        steps[i] = kind->first + (int64_t)rec_k(i);
    return (ss_run_spec){
        .tool = "sigmascope-python 1.0",
        .command = "train.py --lr 1e-4",
        .family = "UNet2DModel",
        .precision = "fp32",
        .modules = rec_modules,
        .n_modules = REC_MODULES,
        .inputs = input,
        .n_inputs = 1,
        .steps = steps,
        .n_sigmas = kind->room,
        .n_samples = kind->bins,
        .bins = kind->sigma ? rec_middle : none,
        .n_bins = kind->bins,
    };
}

/* Adds what the writer of our own trainings does not write. */
static inline void rec_mark(const char *path, const rec_kind *kind)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t text = H5Tcopy(H5T_C_S1), one = H5Screate(H5S_SCALAR);
    float count[REC_ROOM * 4][REC_BINS];
    const hsize_t dim[] = {(hsize_t)kind->room, (hsize_t)kind->bins};

    H5Tset_size(text, H5T_VARIABLE);
    const hid_t a = H5Acreate2(file, "samples", text, one, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, text, &(const char *){"bins"});
    H5Aclose(a);
    for (int i = 0; i < kind->room; i++) {
        for (int b = 0; b < kind->bins; b++)
            ((float *)count)[i * kind->bins + b] = (float)rec_count(kind, i, b);
    }
    const hid_t space = H5Screate_simple(2, dim, NULL);
    const hid_t set = H5Dcreate2(file, "/training/samples", H5T_IEEE_F32LE, space, H5P_DEFAULT,
                                 H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, count);
    H5Dclose(set);
    H5Sclose(space);
    H5Sclose(one);
    H5Tclose(text);
    H5Fclose(file);
}

static inline ss_code rec_submit(ss_run_writer *w, const rec_kind *kind, int i, ss_err *e)
{
    const float skipped = kind->loss ? 0 : NAN;
    const ss_run_step did = {.loss = kind->loss ? 1 / (1 + (float)i) : NAN,
                             .penalty = NAN,
                             .norm = 2,
                             .rate = 1e-4f,
                             .scale = NAN,
                             .skipped = skipped,
                             .skips = skipped};
    ss_run_column *col;
    ss_code rc = ss_run_column_new(w, i, &col, e);

    if (rc != SS_OK)
        return rc;
    for (int b = 0; b < kind->bins; b++) {
        if (!rec_count(kind, i, b))
            continue;
        for (int m = 0; m < REC_MODULES; m++) {
            const float y = (float)rec_absmax(kind, m, i, b);
            const bool bad = m == 3 && b == 2 && rec_k(i) >= 2000 && !kind->fine;
            const ss_stats st = {
                .count = 100, .absmax = y, .max = y, .rms = y / 2, .nonfinite = bad ? 7 : 0};

            ss_run_put_stats(col, m, SS_PORT_OUTPUT, 0, b, &st);
        }
        ss_run_put_level(col, b, kind->sigma ? rec_sigma(i, b) : NAN, kind->loss ? b + 0.5 : NAN);
        ss_run_put_bin(col, b, kind->loss ? b + 0.5 : NAN);
    }
    ss_run_put_step(col, &did);
    return ss_run_submit(w, col, e);
}

/* Makes the file without a done step; then writes the columns of a list, n of them. */
static inline ss_code rec_make(const char *path, const rec_kind *kind, ss_err *e)
{
    int64_t steps[REC_ROOM * 4];
    const ss_run_spec spec = rec_spec(kind, steps);
    ss_run_writer *w;
    const ss_code rc = ss_run_create(path, &spec, true, &w, e);

    if (rc != SS_OK)
        return rc;
    ss_run_abandon(w);
    rec_mark(path, kind);
    return SS_OK;
}

static inline ss_code rec_fill(const char *path, const rec_kind *kind, const int *columns, int n,
                               ss_err *e)
{
    int64_t steps[REC_ROOM * 4];
    const ss_run_spec spec = rec_spec(kind, steps);
    ss_run_writer *w;
    ss_code rc = ss_run_resume(path, &spec, &w, e);

    if (rc != SS_OK)
        return rc;
    for (int i = 0; i < n && rc == SS_OK; i++)
        rc = rec_submit(w, kind, columns[i], e);
    ss_run_abandon(w);
    return rc;
}

/* A file whose first n columns are done. */
static inline ss_code rec_write(const char *path, const rec_kind *kind, int n, ss_err *e)
{
    int columns[REC_ROOM * 4];
    ss_code rc = rec_make(path, kind, e);

    for (int i = 0; i < n; i++)
        columns[i] = i;
    return rc == SS_OK ? rec_fill(path, kind, columns, n, e) : rc;
}

#endif
