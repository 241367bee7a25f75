/* h5.c - see h5.h */
#include "runfile/h5.h"

#include "base/mem.h"
#include "base/shape.h"
#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Keeps the innermost reason. After a failed system call HDF5 adds file, time and bytes to it; only
 * the reason itself is kept. */
static herr_t take_innermost(unsigned n, const H5E_error2_t *err, void *text)
{
    static const char key[] = "errno = ";

    if (n != 0 || !err->desc)
        return 0;
    const char *number = strstr(err->desc, key);
    const long why = number ? strtol(number + sizeof key - 1, NULL, 10) : 0;
    if (why > 0 && why <= INT_MAX)
        snprintf(text, SS_H5_WHY, "%s", strerror((int)why));
    else
        ss_printable(err->desc, text, SS_H5_WHY);
    return 0;
}

ss_code ss_h5_fail(ss_err *e, ss_code code, const char *fmt, ...)
{
    char what[512], why[SS_H5_WHY] = "";
    va_list ap;

    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, why);
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return ss_fail(e, code, "%s%s%s", what, *why ? ": " : "", why);
}

static herr_t note_failure(hid_t stack, void *first)
{
    ss_h5_failure *f = first;

    if (!f->any)
        H5Ewalk2(stack, H5E_WALK_UPWARD, take_innermost, f->why);
    f->any = true;
    return 0;
}

void ss_h5_watch(ss_h5_failure *f)
{
    H5Eset_auto2(H5E_DEFAULT, f ? note_failure : NULL, f);
}

/* Sets HDF5 up once. A file that cannot be flushed, as on a full disk, cannot be closed either, and
 * HDF5 would crash on it when the process exits. So its exit handler is off; it has nothing to do,
 * since we close all that we open. */
static void start(void)
{
    H5dont_atexit(); /* works only before everything else; later it does nothing */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static hid_t access_list(void)
{
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);

    H5Pset_file_locking(fapl, false, true);
    H5Pset_libver_bounds(fapl, H5F_LIBVER_EARLIEST, H5F_LIBVER_V18);
    /* close the file even if an object in it was left open */
    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
    return fapl;
}

hid_t ss_h5_open(const char *path, bool write, ss_err *e)
{
    struct stat st;

    if (stat(path, &st) != 0 || access(path, write ? R_OK | W_OK : R_OK) != 0) {
        ss_fail(e, SS_IO, "%s: %s", path, strerror(errno));
        return -1;
    }
    if (!S_ISREG(st.st_mode)) { /* a pipe would block */
        ss_fail(e, SS_IO, "%s: %s, expected a run file", path,
                S_ISDIR(st.st_mode) ? "is a folder" : "is not a regular file");
        return -1;
    }
    start();
    hid_t fapl = access_list();
    hid_t file = H5Fopen(path, write ? H5F_ACC_RDWR : H5F_ACC_RDONLY, fapl);

    if (file < 0)
        ss_h5_fail(e, SS_FORMAT, "%s: not a readable HDF5 file", path);
    H5Pclose(fapl);
    return file;
}

hid_t ss_h5_create(const char *path, ss_err *e)
{
    start();
    hid_t fapl = access_list();
    hid_t file = H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, fapl);

    if (file < 0)
        ss_h5_fail(e, SS_IO, "%s: cannot be created", path);
    H5Pclose(fapl);
    return file;
}

hid_t ss_h5_text_type(void)
{
    hid_t t = H5Tcopy(H5T_C_S1);

    H5Tset_size(t, H5T_VARIABLE);
    H5Tset_cset(t, H5T_CSET_UTF8);
    return t;
}

hid_t ss_h5_f16_type(void)
{
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);

    H5Tset_fields(t, 15, 10, 5, 0, 10); /* sign, exponent at 10 of 5 bits, fraction at 0 of 10 */
    H5Tset_size(t, 2);
    H5Tset_ebias(t, 15);
    return t;
}

/* Makes the type in memory for strings of the given type in the file. HDF5 converts between
 * lengths, but not between fixed and variable length, nor between character sets. */
static hid_t text_memory_type(hid_t in_file)
{
    hid_t t = H5Tcopy(H5T_C_S1);

    if (H5Tis_variable_str(in_file) > 0)
        H5Tset_size(t, H5T_VARIABLE);
    else
        H5Tset_size(t, H5Tget_size(in_file) + 1); /* room for a NUL */
    H5Tset_cset(t, H5Tget_cset(in_file));
    return t;
}

ss_code ss_h5_read_text(hid_t object, const char *name, char **text, ss_err *e)
{
    enum { MAX_TEXT = 64 << 20 };
    ss_code rc = SS_OK;
    hid_t attr = -1, type = -1, mem = -1, space = -1;
    char *var = NULL, *fixed = NULL;

    *text = NULL;
    if (H5Aexists(object, name) <= 0)
        return SS_OK;
    attr = H5Aopen(object, name, H5P_DEFAULT);
    type = H5Aget_type(attr);
    space = H5Aget_space(attr);
    if (type < 0 || space < 0) {
        rc = ss_h5_fail(e, SS_FORMAT, "attribute %s", name);
        goto out;
    }
    if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_npoints(space) != 1 ||
        H5Tget_size(type) > MAX_TEXT) {
        rc = ss_fail(e, SS_FORMAT, "attribute %s is not one text", name);
        goto out;
    }
    mem = text_memory_type(type);
    if (H5Tis_variable_str(type) > 0) {
        if (H5Aread(attr, mem, &var) < 0) {
            rc = ss_h5_fail(e, SS_FORMAT, "attribute %s", name);
            goto out;
        }
        *text = ss_strdup(var ? var : "");
    } else {
        fixed = ss_calloc(H5Tget_size(mem) + 1, 1);
        if (fixed && H5Aread(attr, mem, fixed) < 0) {
            rc = ss_h5_fail(e, SS_FORMAT, "attribute %s", name);
            goto out;
        }
        *text = fixed;
        fixed = NULL;
    }
    if (!*text)
        rc = ss_fail(e, SS_NOMEM, "attribute %s", name);
out:
    if (var)
        H5free_memory(var);
    ss_free(fixed);
    H5Tclose(mem);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attr);
    return rc;
}

ss_code ss_h5_read_i64(hid_t object, const char *name, int64_t *value, ss_err *e)
{
    ss_code rc = SS_OK;

    if (H5Aexists(object, name) <= 0)
        return SS_OK;
    hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attr), space = H5Aget_space(attr);

    /* an enumeration is what h5py makes of True and False */
    if (H5Sget_simple_extent_npoints(space) != 1 ||
        (H5Tget_class(type) != H5T_INTEGER && H5Tget_class(type) != H5T_ENUM))
        rc = ss_fail(e, SS_FORMAT, "attribute %s is not one whole number", name);
    else if (H5Tget_class(type) == H5T_ENUM) {
        int8_t flag[8] = {0};

        if (H5Tget_size(type) != 1 || H5Aread(attr, type, flag) < 0)
            rc = ss_h5_fail(e, SS_FORMAT, "attribute %s", name);
        else
            *value = flag[0];
    } else if (H5Aread(attr, H5T_NATIVE_INT64, value) < 0) {
        rc = ss_h5_fail(e, SS_FORMAT, "attribute %s", name);
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attr);
    return rc;
}

ss_code ss_h5_shape_of(hid_t set, const char *name, ss_h5_shape *shape, ss_err *e)
{
    ss_code rc = SS_OK;
    hsize_t dim[H5S_MAX_RANK];
    hid_t space = H5Dget_space(set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dim, NULL);

    if (rank < 0)
        rc = ss_h5_fail(e, SS_FORMAT, "%s", name);
    else if (H5Sget_simple_extent_type(space) == H5S_NULL || rank > SS_H5_MAX_RANK)
        rc = ss_fail(e, SS_FORMAT, "%s: has no values or %d dimensions", name, rank);
    for (int i = 0; i < rank && rc == SS_OK; i++) {
        if (dim[i] > INT64_MAX)
            rc = ss_fail(e, SS_FORMAT, "%s: impossible size", name);
        else
            shape->dim[i] = (int64_t)dim[i];
    }
    shape->rank = rank;
    H5Sclose(space);
    return rc;
}

/* Copies n strings of at most `size` bytes each into one block of pointers and bytes. */
static char **pack_texts(int64_t n, char *const *var, const char *fixed, size_t size)
{
    size_t bytes = 0;

    for (int64_t i = 0; i < n; i++)
        bytes += (var ? strlen(var[i] ? var[i] : "") : strnlen(fixed + (size_t)i * size, size)) + 1;
    char **texts = ss_alloc((size_t)n * sizeof *texts + bytes, 1);
    if (!texts)
        return NULL;
    char *at = (char *)(texts + n);

    for (int64_t i = 0; i < n; i++) {
        const char *s = var ? var[i] ? var[i] : "" : fixed + (size_t)i * size;
        size_t len = var ? strlen(s) : strnlen(s, size);

        texts[i] = memcpy(at, s, len);
        at[len] = '\0';
        at += len + 1;
    }
    return texts;
}

ss_code ss_h5_read_texts(hid_t file, const char *name, int64_t max, char ***texts, int64_t *n,
                         ss_err *e)
{
    enum { MAX_LABEL = 64 << 10 };
    ss_code rc;
    ss_h5_shape shape = {0};
    hid_t type = -1, mem = -1, space = -1;
    char **var = NULL, *fixed = NULL;
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);

    *texts = NULL;
    if (set < 0)
        return ss_h5_fail(e, SS_FORMAT, "%s", name);
    rc = ss_h5_shape_of(set, name, &shape, e);
    if (rc != SS_OK)
        goto out;
    type = H5Dget_type(set);
    if (H5Tget_class(type) != H5T_STRING || shape.rank != 1 || H5Tget_size(type) > MAX_LABEL) {
        rc = ss_fail(e, SS_FORMAT, "%s: expected one row of texts", name);
        goto out;
    }
    if (shape.dim[0] > max) {
        rc = ss_fail(e, SS_FORMAT, "%s: has %lld entries, at most %lld are read", name,
                     (long long)shape.dim[0], (long long)max);
        goto out;
    }
    *n = shape.dim[0];
    mem = text_memory_type(type);
    if (H5Tis_variable_str(type) > 0) {
        var = ss_calloc((size_t)*n, sizeof *var);
        if (var && H5Dread(set, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, var) < 0) {
            rc = ss_h5_fail(e, SS_FORMAT, "%s", name);
            goto out;
        }
    } else {
        fixed = ss_calloc((size_t)*n, H5Tget_size(mem));
        if (fixed && H5Dread(set, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, fixed) < 0) {
            rc = ss_h5_fail(e, SS_FORMAT, "%s", name);
            goto out;
        }
    }
    if (var || fixed)
        *texts = pack_texts(*n, var, fixed, H5Tget_size(mem));
    if (!*texts)
        rc = ss_fail(e, SS_NOMEM, "%s", name);
out:
    if (var) {
        space = H5Dget_space(set);
        H5Dvlen_reclaim(mem, space, H5P_DEFAULT, var);
        H5Sclose(space);
    }
    ss_free(var);
    ss_free(fixed);
    H5Tclose(mem);
    H5Tclose(type);
    H5Dclose(set);
    return rc;
}

/* Reads f16 as f32. HDF5 itself would convert bit by bit, a hundred times as slowly. The halves are
 * read into the upper half of out and converted from the front, so none is overwritten before it is
 * converted. */
static herr_t read_halves(hid_t set, hid_t type, hid_t room, hid_t space, float *out)
{
    const size_t n = (size_t)H5Sget_simple_extent_npoints(room);
    void *raw = (char *)out + n * 2;

    if (H5Dread(set, type, room, space, H5P_DEFAULT, raw) < 0)
        return -1;
    ss_values_to_f32(SS_F16, raw, n, out);
    return 0;
}

static bool is_half(hid_t type)
{
    hid_t half = ss_h5_f16_type();
    const bool same = H5Tequal(type, half) > 0;

    H5Tclose(half);
    return same;
}

ss_code ss_h5_read(hid_t set, const char *name, int rank, const hsize_t *start,
                   const hsize_t *count, hid_t mem, void *out, ss_err *e)
{
    ss_code rc = SS_OK;
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    hid_t room = H5Screate_simple(rank, count, NULL);
    H5T_class_t class = H5Tget_class(type);

    if (class != H5T_INTEGER && class != H5T_FLOAT)
        rc = ss_fail(e, SS_FORMAT, "%s: expected numbers", name);
    else if (rank > 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0)
        rc = ss_h5_fail(e, SS_FORMAT, "%s", name);
    else if (mem == H5T_NATIVE_FLOAT && is_half(type)
                 ? read_halves(set, type, room, space, out) < 0
                 : H5Dread(set, mem, room, space, H5P_DEFAULT, out) < 0)
        rc = ss_h5_fail(e, SS_FORMAT, "%s", name);
    H5Sclose(room);
    H5Sclose(space);
    H5Tclose(type);
    return rc;
}

bool ss_h5_has(hid_t file, const char *path)
{
    char part[4096];

    /* H5Lexists needs every group on the way to exist */
    for (const char *p = path + 1; *p; p++) {
        p += strcspn(p, "/");
        size_t n = (size_t)(p - path);
        if (n >= sizeof part)
            return false;
        memcpy(part, path, n);
        part[n] = '\0';
        if (H5Lexists(file, part, H5P_DEFAULT) <= 0)
            return false;
        if (!*p)
            break;
    }
    return H5Oexists_by_name(file, path, H5P_DEFAULT) > 0;
}
