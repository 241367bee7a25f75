/* run_check.c - checks that a file is the run that a spec describes; marks a run as complete
 *
 * A run is resumed only if plan and layout are equal; then every byte that is still to be written
 * will be what an uninterrupted run would have written.
 */
#include "base/mem.h"
#include "base/str.h"
#include "runfile/h5.h"
#include "runfile/plan_text.h"
#include "runfile/run_layout.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Finds the first place where two JSON values differ, depth first: appends its name to path, and
 * sets *a and *b to the two values there, NULL for a missing one. */
static bool find_difference(const json_t **a, const json_t **b, ss_str *path)
{
    const json_t *x = *a, *y = *b;
    size_t before = path->len;

    if (x && y && json_equal(x, y))
        return false;
    if (json_is_object(x) && json_is_object(y)) {
        const json_t *const sides[] = {x, y};

        /* all keys of the first, then those that only the second has */
        for (int i = 0; i < 2; i++) {
            const char *key;
            json_t *value;

            json_object_foreach((json_t *)sides[i], key, value)
            {
                *a = json_object_get(x, key);
                *b = json_object_get(y, key);
                ss_str_addf(path, "%s%s", before ? "." : "", key);
                if (find_difference(a, b, path))
                    return true;
                if (path->s)
                    path->s[path->len = before] = '\0';
            }
        }
    } else if (json_is_array(x) && json_is_array(y)) {
        size_t n =
            json_array_size(x) > json_array_size(y) ? json_array_size(x) : json_array_size(y);

        for (size_t i = 0; i < n; i++) {
            *a = json_array_get(x, i);
            *b = json_array_get(y, i);
            ss_str_addf(path, "[%zu]", i);
            if (find_difference(a, b, path))
                return true;
            if (path->s)
                path->s[path->len = before] = '\0';
        }
    }
    return true;
}

/* Writes a value as JSON, cut to n bytes. */
static char *show(const json_t *v, char *out, size_t n)
{
    char text[128];
    size_t len = v ? json_dumpb(v, text, sizeof text - 1,
                                JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9))
                   : 0;

    text[len < sizeof text ? len : sizeof text - 1] = '\0'; /* longer text was cut by jansson */
    return ss_printable(v ? text : "nothing", out, n);
}

/* Compares two plans of the same kind by the table of that kind; sets *equal. */
static bool compare_settings(const char *old, const char *new, ss_str *difference, bool *differ)
{
    const ss_settings *was, *is;
    json_t *a = ss_plan_parse(old, &was), *b = ss_plan_parse(new, &is);
    const bool known = was && was == is;

    *differ = known && ss_plan_difference(is, b, a, difference);
    json_decref(a);
    json_decref(b);
    return known;
}

static ss_code compare_plans(const char *path, const char *old, const char *new, ss_err *e)
{
    ss_code rc = SS_OK;
    char was[128], is[128], where[128];
    ss_str at = {0};
    bool differ;

    if (strcmp(old, new) == 0)
        return SS_OK;
    if (compare_settings(old, new, &at, &differ)) {
        if (differ)
            rc = ss_fail(e, SS_USAGE,
                         "%s: cannot be resumed: %s; repeat the first command, or write to another "
                         "file",
                         path, at.s ? at.s : "its plan differs");
        ss_str_release(&at);
        return rc;
    }
    json_t *a = json_loads(old, JSON_DECODE_ANY, NULL), *b = json_loads(new, JSON_DECODE_ANY, NULL);
    const json_t *x = a, *y = b;

    if (!ss_plan_name_formats(a) || !ss_plan_name_formats(b))
        rc = ss_no_memory(e, path);
    else if (!a || !b)
        rc = ss_fail(e, SS_USAGE, "%s: was made by another command, it cannot be resumed", path);
    else if (find_difference(&x, &y, &at))
        rc = ss_fail(e, SS_USAGE,
                     "%s: cannot be resumed: it was made with %s = %s, this run has %s; repeat the "
                     "first command, or write to another file",
                     path, ss_printable(at.s ? at.s : "plan", where, sizeof where),
                     show(x, was, sizeof was), show(y, is, sizeof is));
    json_decref(a);
    json_decref(b);
    ss_str_release(&at);
    return rc;
}

static ss_code check_attributes(const char *path, hid_t file, const ss_run_spec *spec, ss_err *e)
{
    char *format = NULL, *version = NULL, *plan = NULL;
    char want[32];
    ss_code rc;

    snprintf(want, sizeof want, "%d.%d", SS_RUN_MAJOR, SS_RUN_MINOR);
    if ((rc = ss_h5_read_text(file, "format", &format, e)) != SS_OK ||
        (rc = ss_h5_read_text(file, "version", &version, e)) != SS_OK ||
        (rc = ss_h5_read_text(file, "plan", &plan, e)) != SS_OK)
        ss_fail_prefix(e, "%s", path);
    else if (!format || !version || !plan || strcmp(format, SS_RUN_FORMAT) != 0)
        rc = ss_fail(e, SS_FORMAT, "%s: was not written by this program and cannot be resumed",
                     path);
    else if (strcmp(version, want) != 0)
        rc = ss_fail(e, SS_UNSUPPORTED, "%s: has layout version %.20s, only %s can be resumed",
                     path, version, want);
    else
        rc = compare_plans(path, plan, spec->plan ? spec->plan : "", e);
    ss_free(format);
    ss_free(version);
    ss_free(plan);
    return rc;
}

/* A whole run, or one part of it, is not continued as another. */
static ss_code check_part(const char *path, hid_t file, const ss_run_spec *spec,
                          const ss_run_layout *l, ss_err *e)
{
    ss_run_part was = l->part;
    bool there;
    ss_code rc = ss_run_part_read(file, &was, &there, e);

    if (rc != SS_OK)
        return ss_fail_prefix(e, "%s", path);
    if (!there && !spec->steps)
        return ss_fail(e, SS_FORMAT, "%s: attribute %s is missing", path, SS_RUN_PART);
    if (was.index == l->part.index && was.count == l->part.count && was.first == l->part.first &&
        was.end == l->part.end)
        return SS_OK;
    return ss_fail(e, SS_USAGE,
                   "%s: cannot be resumed: it is part %d of %d, this is part %d of %d; repeat the "
                   "first command, or write to another file",
                   path, was.index, was.count, l->part.index, l->part.count);
}

/* True if a data set has the shape, type and size of the layout; sets its offset. */
static bool same_set(hid_t set, int rank, const int64_t *dim, hid_t type, uint64_t size,
                     uint64_t file_size, uint64_t *offset)
{
    ss_h5_shape shape;
    hid_t in_file = H5Dget_type(set), dcpl = H5Dget_create_plist(set);
    bool same = H5Tequal(in_file, type) > 0 && H5Pget_layout(dcpl) == H5D_CONTIGUOUS &&
                ss_h5_shape_of(set, "", &shape, NULL) == SS_OK && shape.rank == rank &&
                memcmp(shape.dim, dim, (size_t)rank * sizeof *dim) == 0;

    *offset = H5Dget_offset(set);
    H5Tclose(in_file);
    H5Pclose(dcpl);
    return same && *offset != HADDR_UNDEF && *offset <= file_size && size <= file_size - *offset;
}

static ss_code check_sets(const char *path, hid_t file, ss_run_layout *l, ss_err *e)
{
    ss_code rc = SS_OK;
    struct stat st = {0};
    hid_t f16 = ss_h5_f16_type();

    if (stat(path, &st) != 0)
        st.st_size = 0;
    for (size_t i = 0; i < l->n_sets && rc == SS_OK; i++) {
        ss_run_set *s = &l->sets[i];
        int64_t dim[SS_RUN_MAX_RANK];
        char name[1024];
        hid_t type = s->type == SS_SET_F32   ? H5T_IEEE_F32LE
                     : s->type == SS_SET_F16 ? f16
                                             : H5T_STD_U64LE;

        for (int k = 0; k < s->rank; k++)
            dim[k] = l->axes[s->axis[k]].n;
        snprintf(name, sizeof name, "%s/%s", s->group, s->name);
        hid_t set = ss_h5_has(file, name) ? H5Dopen2(file, name, H5P_DEFAULT) : -1;

        if (set < 0 || !same_set(set, s->rank, dim, type,
                                 (uint64_t)s->outer * s->inner_bytes * (uint64_t)l->n_sigmas,
                                 (uint64_t)st.st_size, &s->offset))
            rc = ss_fail(e, SS_FORMAT, "%s: %s is missing or not as this run would make it", path,
                         name);
        H5Dclose(set);
    }
    H5Tclose(f16);
    return rc;
}

static ss_code check_done(const char *path, hid_t file, ss_run_layout *l, uint8_t *done, ss_err *e)
{
    ss_code rc = SS_OK;
    int64_t n = l->n_sigmas;
    struct stat st = {0};
    hid_t set = ss_h5_has(file, "/axes/done") ? H5Dopen2(file, "/axes/done", H5P_DEFAULT) : -1;

    if (stat(path, &st) != 0 || set < 0 ||
        !same_set(set, 1, &n, H5T_STD_U8LE, (uint64_t)n, (uint64_t)st.st_size, &l->done_offset))
        rc = ss_fail(e, SS_FORMAT, "%s: /axes/done is missing or not as this run would make it",
                     path);
    else if ((rc = ss_h5_read(set, "/axes/done", 1, &(hsize_t){0}, &(hsize_t){(hsize_t)n},
                              H5T_NATIVE_UINT8, done, e)) != SS_OK)
        ss_fail_prefix(e, "%s", path);
    H5Dclose(set);
    return rc;
}

ss_code ss_run_check(const char *path, const ss_run_spec *spec, ss_run_layout *l, uint8_t *done,
                     ss_err *e)
{
    hid_t file = ss_h5_open(path, false, e);

    if (file < 0)
        return SS_FORMAT;
    ss_code rc = check_attributes(path, file, spec, e);
    if (rc == SS_OK)
        rc = check_sets(path, file, l, e);
    if (rc == SS_OK)
        rc = check_part(path, file, spec, l, e);
    if (rc == SS_OK)
        rc = check_done(path, file, l, done, e);
    H5Fclose(file);
    return rc;
}

/* Writes through HDF5 instead of patching a byte, because only HDF5 knows where the attribute is;
 * with the oldest format nothing else in the file changes, not even for a moment. */
ss_code ss_run_mark_complete(const char *path, ss_err *e)
{
    ss_h5_failure first = {0};
    hid_t file = ss_h5_open(path, true, e);

    if (file < 0)
        return SS_IO;
    ss_h5_watch(&first);
    hid_t a = H5Aopen(file, "complete", H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_INT, &(int){1});
    H5Aclose(a);
    H5Fclose(file);
    ss_h5_watch(NULL);
    if (first.any)
        return ss_fail(e, SS_IO, "%s: cannot be marked complete: %s", path, first.why);
    return SS_OK;
}
