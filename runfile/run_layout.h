/* run_layout.h - which axes and data sets a run file has; private to runfile/
 *
 * One list is made from the spec: the skeleton creates its data sets, resuming compares a file with
 * it, and the writer computes byte offsets from it.
 *
 * A data set is [outer][sigma][inner]. The values of one noise level s are a buffer [outer][inner],
 * and row o of it lies at byte
 *
 *     offset + (o * sigmas + s) * inner_bytes
 */
#ifndef SS_RUNFILE_RUN_LAYOUT_H
#define SS_RUNFILE_RUN_LAYOUT_H

#include "runfile/run_file.h"

#include <hdf5.h>

enum { SS_RUN_MAX_RANK = 7 };

/* How the entries of an axis are labelled. */
typedef enum {
    SS_AXIS_COUNT,
    SS_AXIS_I32,
    SS_AXIS_I64,
    SS_AXIS_F64,
    SS_AXIS_TEXT
} ss_run_axis_kind;

typedef struct {
    char *name;
    int64_t n;
    ss_run_axis_kind kind;
    const double *f64;  /* SS_AXIS_F64: borrowed from the spec */
    const int64_t *i64; /* SS_AXIS_I64: likewise */
    int first;          /* SS_AXIS_COUNT: first, first + 1 ... */
    const char *(*text)(const ss_run_spec *spec, int64_t i);
} ss_run_axis;

typedef enum { SS_SET_F32, SS_SET_F16, SS_SET_U64 } ss_run_set_type;

typedef struct {
    char *group, *name; /* "/stats", "absmax" */
    ss_run_set_type type;
    int rank;
    int axis[SS_RUN_MAX_RANK]; /* indices into axes */
    bool nan;                  /* filled with NaN at the beginning; else a hole, which reads as 0 */
    int64_t outer, inner;      /* values, see above */
    size_t inner_bytes;
    uint64_t offset; /* in the file; known once it exists */
} ss_run_set;

/* The kinds of data sets. All sets of one kind stand next to each other in the list. */
/* clang-format off */
#define SS_RUN_SET_KINDS(X) \
    X(stats)     /* SS_N_STATS */ \
    X(nonfinite) \
    X(hist) \
    X(attention) /* SS_N_ATTENTION */ \
    X(frames)    /* frame_mass and key_frame_mass */ \
    X(x) \
    X(psd) \
    X(denoised) \
    X(loss) \
    X(channels)  /* absmax and rms of each module */ \
    X(step)      /* of a training run, as the three that follow */ \
    X(level)     /* sigma and sample_loss */ \
    X(bins) \
    X(updates)   /* SS_N_UPDATES */ \
    X(dumps)
/* clang-format on */

/* Where the sets of each kind begin in the list; -1 if there are none. */
#define X(kind) int kind;
typedef struct {
    SS_RUN_SET_KINDS(X)
} ss_run_set_index;
#undef X

#define X(name) +1
enum {
    SS_N_STATS = 0 SS_STATS(X),
    SS_N_ATTENTION = 0 SS_ATTENTION_STATS(X),
    SS_N_UPDATES = 0 SS_RUN_UPDATES(X)
};
#undef X

/* In a training run the columns are steps, and the axis "sigma" here is that of the steps. */
typedef struct {
    ss_run_axis *axes;
    ss_run_set *sets;
    size_t n_axes, n_sets, cap_axes, cap_sets;
    ss_run_set_index at;
    int n_modules, n_inputs, n_sigmas, n_samples, n_layers, n_heads, n_frames, n_radii, n_channels,
        n_dumps;
    ss_run_part part;                                                    /* count is not 0 */
    int64_t level;                                                       /* samples of a column */
    uint64_t done_offset;                                                /* of /axes/done */
    int axis_module, axis_input, axis_sigma, axis_layer, axis_parameter; /* or -1 */
    int axis_line; /* of the structure, or -1 */
} ss_run_layout;

/* SS_USAGE if the spec contradicts itself, SS_UNSUPPORTED if it is too large. */
ss_code ss_run_layout_make(ss_run_layout *l, const ss_run_spec *spec, ss_err *e);
void ss_run_layout_release(ss_run_layout *l); /* {0} is fine */

size_t ss_run_value_bytes(ss_run_set_type type);

/* A module path, or label, as one HDF5 link name; see run_file.h. The caller frees it with ss_free;
 * NULL: no memory. */
char *ss_run_link_name(const char *path);

/* Makes the file at path with everything in it but the columns, flushed to disk, and fills in the
 * offsets; messages call the file `shown`. In run_skeleton.c. */
ss_code ss_run_skeleton(const char *path, const char *shown, const ss_run_spec *spec,
                        ss_run_layout *l, ss_err *e);

/* Compares the plan and the data sets of an existing file with the spec, from which the layout was
 * made. Fills in the offsets and done [sigma]. In run_check.c. */
ss_code ss_run_check(const char *path, const ss_run_spec *spec, ss_run_layout *l, uint8_t *done,
                     ss_err *e);

/* Sets the attribute `complete` to 1. In run_check.c. */
ss_code ss_run_mark_complete(const char *path, ss_err *e);

/* The attribute of a run over noise levels that says which part it is (run_part.c). */
#define SS_RUN_PART "part"
enum { SS_RUN_PART_VALUES = 4, SS_RUN_MAX_PARTS = 1 << 20 };

bool ss_run_part_is_whole(const ss_run_part *p);

/* Reads it, and checks all but how many samples there are. *there false: the file has none, and *p
 * stays as it is. */
ss_code ss_run_part_read(hid_t file, ss_run_part *p, bool *there, ss_err *e);

#endif
