/* gather_part.c - see gather_part.h */
#include "runfile/gather_part.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/h5.h"
#include "runfile/h5_trial.h"
#include "runfile/plan_text.h"
#include "runfile/run_cache.h"
#include "runfile/run_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5_hl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DONE "/axes/done"

/* A data set that is being looked at. */
typedef struct {
    ss_gather_part *p;
    const char *name;
    hid_t set, type;
    ss_h5_shape shape;
    size_t value_bytes, bytes;
    int input, sigma, sample; /* which dimension; -1: none */
    ss_err *e;
} look;

static ss_code complain(const look *k, const char *what)
{
    return ss_fail(k->e, SS_FORMAT, "%s: %s %s", k->p->path, k->name, what);
}

/* Finds which dimensions are labelled as what a part has a share of. */
static void find_labels(look *k)
{
    char label[32];

    k->input = k->sigma = k->sample = -1;
    for (int i = 0; i < k->shape.rank; i++) {
        if (H5DSget_label(k->set, (unsigned)i, label, sizeof label) <= 0)
            continue;
        label[sizeof label - 1] = '\0';
        if (strcmp(label, "input") == 0)
            k->input = i;
        else if (strcmp(label, "sigma") == 0)
            k->sigma = i;
        else if (strcmp(label, "sample") == 0)
            k->sample = i;
    }
}

/* Finds the size of a data set, which must be one piece of the file. */
static ss_code measure(look *k, uint64_t *offset)
{
    hid_t dcpl = H5Dget_create_plist(k->set);
    const bool contiguous = H5Pget_layout(dcpl) == H5D_CONTIGUOUS;

    H5Pclose(dcpl);
    *offset = H5Dget_offset(k->set);
    k->value_bytes = k->bytes = H5Tget_size(k->type);
    for (int i = 0; i < k->shape.rank; i++)
        if (__builtin_mul_overflow(k->bytes, (size_t)k->shape.dim[i], &k->bytes))
            return complain(k, "has an impossible size");
    if (!contiguous || *offset == HADDR_UNDEF || *offset > k->p->size ||
        k->bytes > k->p->size - *offset || !k->value_bytes)
        return complain(k, "is not whole in the file");
    return SS_OK;
}

static ss_code read_marks(look *k, uint64_t offset)
{
    ss_gather_part *p = k->p;

    if (k->shape.rank != 1 || k->shape.dim[0] != p->n_sigmas || k->value_bytes != 1)
        return complain(k, "is not a byte for each noise level");
    p->done_offset = offset;
    p->marks = ss_calloc((size_t)p->n_sigmas, 1);
    if (!p->marks)
        return ss_no_memory(k->e, p->path);
    return ss_h5_read(k->set, k->name, 1, &(hsize_t){0}, &(hsize_t){(hsize_t)p->n_sigmas},
                      H5T_NATIVE_UINT8, p->marks, k->e);
}

/* Adds a data set of noise levels. */
static ss_code add_set(look *k, uint64_t offset)
{
    ss_gather_part *p = k->p;
    ss_gather_set s = {.outer = 1, .samples = k->sample >= 0, .offset = offset};
    const int last = s.samples ? k->sample : k->sigma;

    if (k->input < 0 || k->sigma != k->input + 1 || (s.samples && k->sample != k->sigma + 1) ||
        k->shape.dim[k->input] != p->n_inputs || k->shape.dim[k->sigma] != p->n_sigmas ||
        (s.samples && k->shape.dim[k->sample] != p->n_samples))
        return complain(k, "has axes that are not those of the run");
    for (int i = 0; i < k->input; i++)
        s.outer *= k->shape.dim[i];
    s.inner_bytes = k->value_bytes;
    for (int i = last + 1; i < k->shape.rank; i++)
        s.inner_bytes *= (size_t)k->shape.dim[i];
    s.counts = !s.samples && H5Tget_class(k->type) == H5T_INTEGER && k->value_bytes == 8;

    ss_gather_set *sets = ss_grow(p->sets, &p->cap_sets, p->n_sets + 1, sizeof *sets);
    if (sets)
        p->sets = sets;
    s.name = sets ? ss_strdup(k->name) : NULL;
    if (!s.name)
        return ss_no_memory(k->e, p->path);
    sets[p->n_sets++] = s;
    return SS_OK;
}

/* Adds to `all` what a data set of texts holds. */
static ss_code read_texts(look *k, ss_str *all)
{
    char **texts = NULL;
    int64_t n = 0;
    ss_code rc =
        ss_h5_read_texts(k->p->run->cache->file, k->name, k->shape.dim[0], &texts, &n, k->e);

    for (int64_t i = 0; i < n && rc == SS_OK; i++)
        ss_str_addn(all, texts[i], strlen(texts[i]) + 1);
    ss_free(texts);
    return rc == SS_OK ? rc : ss_fail_prefix(k->e, "%s", k->p->path);
}

static ss_code read_numbers(look *k, ss_str *all)
{
    void *values = ss_alloc(k->bytes + 1, 1);
    ss_code rc = SS_OK;

    if (!values)
        return ss_no_memory(k->e, k->p->path);
    if (H5Dread(k->set, k->type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        rc = ss_h5_fail(k->e, SS_FORMAT, "%s: %s", k->p->path, k->name);
    else
        ss_str_addn(all, values, k->bytes);
    ss_free(values);
    return rc;
}

/* Adds a data set that is the same in all parts. */
static ss_code add_common(look *k)
{
    const H5T_class_t class = H5Tget_class(k->type);
    ss_gather_part *p = k->p;
    ss_gather_common c = {0};
    ss_str all = {0};
    ss_code rc;

    ss_str_addf(&all, "%d %zu", (int)class, k->value_bytes);
    for (int i = 0; i < k->shape.rank; i++)
        ss_str_addf(&all, " %lld", (long long)k->shape.dim[i]);
    if (class == H5T_STRING && k->shape.rank == 1)
        rc = read_texts(k, &all);
    else if (class == H5T_INTEGER || class == H5T_FLOAT)
        rc = read_numbers(k, &all);
    else
        rc = complain(k, "is of a kind that run files do not have");
    if (rc == SS_OK && all.failed)
        rc = ss_no_memory(k->e, p->path);
    if (rc == SS_OK)
        rc = ss_sha256_bytes(all.s, all.len, c.sha256, k->e);
    ss_str_release(&all);
    if (rc != SS_OK)
        return rc;
    ss_gather_common *list = ss_grow(p->common, &p->cap_common, p->n_common + 1, sizeof *list);
    if (list)
        p->common = list;
    c.name = list ? ss_strdup(k->name) : NULL;
    if (!c.name)
        return ss_no_memory(k->e, p->path);
    list[p->n_common++] = c;
    return SS_OK;
}

static ss_code look_at(look *k)
{
    uint64_t offset;
    ss_code rc = ss_h5_shape_of(k->set, k->name, &k->shape, k->e);

    if (rc != SS_OK)
        return ss_fail_prefix(k->e, "%s", k->p->path);
    if ((rc = measure(k, &offset)) != SS_OK)
        return rc;
    find_labels(k);
    if (strcmp(k->name, DONE) == 0)
        return read_marks(k, offset);
    return k->sigma >= 0 && k->shape.rank > 1 ? add_set(k, offset) : add_common(k);
}

/* Goes through all objects of a file. */
typedef struct {
    ss_gather_part *p;
    ss_err *e;
    ss_code rc;
} visit;

static herr_t see_object(hid_t root, const char *name, const H5O_info_t *info, void *self)
{
    enum { MOST = 4 * SS_RUN_MAX_SETS };
    visit *v = self;
    char path[4096];

    if (info->type != H5O_TYPE_DATASET)
        return 0;
    snprintf(path, sizeof path, "/%s", name);
    look k = {.p = v->p, .name = path, .e = v->e};
    k.set = H5Dopen2(root, path, H5P_DEFAULT);
    k.type = H5Dget_type(k.set);
    if (k.set < 0 || k.type < 0)
        v->rc = ss_h5_fail(v->e, SS_FORMAT, "%s: %s", v->p->path, path);
    else if (v->p->n_sets + v->p->n_common > MOST)
        v->rc = complain(&k, "is one data set too many");
    else
        v->rc = look_at(&k);
    H5Tclose(k.type);
    H5Dclose(k.set);
    return v->rc == SS_OK ? 0 : 1;
}

static int compare_sets(const void *a, const void *b)
{
    return strcmp(((const ss_gather_set *)a)->name, ((const ss_gather_set *)b)->name);
}

static int compare_common(const void *a, const void *b)
{
    return strcmp(((const ss_gather_common *)a)->name, ((const ss_gather_common *)b)->name);
}

/* A mark that no part with this share has, or a share beyond the run. */
static ss_code check_marks(const ss_gather_part *p, ss_err *e)
{
    const int64_t level = (int64_t)p->n_inputs * p->n_samples;

    if (p->part.end > level * p->n_sigmas)
        return ss_fail(e, SS_FORMAT, "%s: has samples up to %lld of %lld", p->path,
                       (long long)p->part.end, (long long)(level * p->n_sigmas));
    for (int s = 0; s < p->n_sigmas; s++) {
        if (p->marks[s] && p->marks[s] != ss_run_part_mark(&p->part, level, s))
            return ss_fail(e, SS_FORMAT, "%s: " DONE " says %d of sigma %.4g, of which it has %s",
                           p->path, p->marks[s], p->sigmas[s],
                           ss_run_part_mark(&p->part, level, s) ? "a share" : "nothing");
    }
    return SS_OK;
}

static ss_code survey(ss_gather_part *p, ss_err *e)
{
    const hid_t file = p->run->cache->file;
    visit v = {p, e, SS_OK};
    bool there;

    if (ss_run_part_read(file, &p->part, &there, e) != SS_OK)
        return ss_fail_prefix(e, "%s", p->path);
    if (!there)
        return ss_fail(e, SS_FORMAT,
                       "%s: does not say which part of a run it is; parts are made by `sigmascope "
                       "probe --shard` of this version",
                       p->path);
    if (H5Ovisit(file, H5_INDEX_NAME, H5_ITER_NATIVE, see_object, &v) < 0 && v.rc == SS_OK)
        return ss_h5_fail(e, SS_FORMAT, "%s", p->path);
    if (v.rc != SS_OK)
        return v.rc;
    if (!p->marks)
        return ss_fail(e, SS_FORMAT, "%s: " DONE " is missing", p->path);
    if (p->n_sets)
        qsort(p->sets, p->n_sets, sizeof *p->sets, compare_sets);
    if (p->n_common)
        qsort(p->common, p->n_common, sizeof *p->common, compare_common);
    return check_marks(p, e);
}

static void release_survey(ss_gather_part *p)
{
    for (size_t i = 0; i < p->n_sets; i++)
        ss_free(p->sets[i].name);
    for (size_t i = 0; i < p->n_common; i++)
        ss_free(p->common[i].name);
    ss_free(p->sets);
    ss_free(p->common);
    ss_free(p->marks);
}

static void try_survey(void *self)
{
    ss_err ignored = {0};

    survey(self, &ignored);
    release_survey(self);
    H5garbage_collect();
}

/* Notes which file this is, and whether a process is writing it. */
static ss_code identify(ss_gather_part *p, ss_err *e)
{
    struct flock all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    struct stat st;
    const int fd = open(p->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        const int why = errno;

        if (fd >= 0)
            close(fd);
        return ss_fail(e, SS_IO, "%s: %s", p->path, strerror(why));
    }
    p->locked = fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type != F_UNLCK;
    p->device = st.st_dev;
    p->inode = st.st_ino;
    p->size = (uint64_t)st.st_size;
    close(fd);
    return SS_OK;
}

ss_code ss_gather_part_open(ss_gather_part *p, const char *path, ss_err *e)
{
    *p = (ss_gather_part){.path = path};
    ss_code rc = ss_run_open(path, &p->run, e);

    if (rc == SS_OK)
        rc = identify(p, e);
    if (rc != SS_OK)
        return rc;
    p->n_inputs = p->run->n_inputs;
    p->n_sigmas = p->run->n_sigmas;
    p->n_samples = p->run->n_samples;
    p->inputs = p->run->inputs;
    p->sigmas = p->run->sigmas;
    if (!ss_h5_survives(try_survey, p))
        return ss_fail(e, SS_FORMAT, "%s: is damaged, HDF5 crashes on it", path);
    return survey(p, e);
}

void ss_gather_part_release(ss_gather_part *p)
{
    release_survey(p);
    ss_run_close(p->run);
    *p = (ss_gather_part){0};
}

static ss_code compare_plans(const ss_gather_part *a, const ss_gather_part *b, ss_err *e)
{
    const ss_settings *was = NULL, *is = NULL;
    json_t *x = ss_plan_parse(a->run->plan, &was), *y = ss_plan_parse(b->run->plan, &is);
    ss_str what = {0};
    ss_code rc = SS_OK;

    if (!was || was != is)
        rc = ss_fail(e, SS_FORMAT, "%s: has no plan of a probe", was ? b->path : a->path);
    else if (ss_plan_difference(is, y, x, &what))
        rc = ss_fail(e, SS_USAGE, "%s is a part of another run than %s: %s", b->path, a->path,
                     what.s ? what.s : "their plans differ");
    ss_str_release(&what);
    json_decref(x);
    json_decref(y);
    return rc;
}

/* Finds a data set that one of them lacks, or that is another. */
static const char *find_other_set(const ss_gather_part *a, const ss_gather_part *b)
{
    for (size_t i = 0; i < a->n_sets || i < b->n_sets; i++) {
        const ss_gather_set *x = i < a->n_sets ? &a->sets[i] : NULL;
        const ss_gather_set *y = i < b->n_sets ? &b->sets[i] : NULL;

        if (!x || !y || strcmp(x->name, y->name) != 0 || x->outer != y->outer ||
            x->samples != y->samples || x->counts != y->counts || x->inner_bytes != y->inner_bytes)
            return x ? x->name : y->name;
    }
    for (size_t i = 0; i < a->n_common || i < b->n_common; i++) {
        const ss_gather_common *x = i < a->n_common ? &a->common[i] : NULL;
        const ss_gather_common *y = i < b->n_common ? &b->common[i] : NULL;

        if (!x || !y || strcmp(x->name, y->name) != 0 || strcmp(x->sha256, y->sha256) != 0)
            return x ? x->name : y->name;
    }
    return NULL;
}

ss_code ss_gather_part_compare(const ss_gather_part *a, const ss_gather_part *b, ss_err *e)
{
    ss_code rc = compare_plans(a, b, e);

    if (rc != SS_OK)
        return rc;
    if (a->run->minor != b->run->minor)
        return ss_fail(e, SS_USAGE, "%s has layout version 1.%d, %s has 1.%d", a->path,
                       a->run->minor, b->path, b->run->minor);
    if (a->part.count != b->part.count)
        return ss_fail(e, SS_USAGE, "%s is one of %d parts, %s one of %d", a->path, a->part.count,
                       b->path, b->part.count);
    const char *other = find_other_set(a, b);
    if (other)
        return ss_fail(e, SS_USAGE, "%s and %s are parts of different runs: %s differs", a->path,
                       b->path, other);
    if (a->n_inputs != b->n_inputs || a->n_sigmas != b->n_sigmas || a->n_samples != b->n_samples)
        return ss_fail(e, SS_USAGE, "%s and %s are parts of different runs: their axes differ",
                       a->path, b->path);
    return SS_OK;
}
