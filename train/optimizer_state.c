/* optimizer_state.c - an optimiser's state as a safetensors file
 *
 *   m.NAME, v.NAME, ema.NAME    F32 [values of the tensor]
 *   metadata                    optimizer: its kind; step: how many are done
 *
 * adam and adamw keep the same parts, so each can go on from the other's.
 */
#include "train/optimizer_state.h"

#include "base/mem.h"
#include "base/str.h"
#include "models/file/safetensors_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define X(name, text) text,
static const char *const kind_names[] = {SS_OPTIMIZERS(X)};
#undef X

enum { PARTS = 3 };
static const char *const part_names[PARTS] = {"m", "v", "ema"};

static ss_tensor *const *part_of(const ss_optimizer *o, int part)
{
    return part == 0 ? o->m : part == 1 ? o->v : o->ema;
}

/* "m.conv_in.weight", the caller's; NULL when out of memory. */
static char *entry_name(const ss_optimizer *o, int part, size_t i)
{
    ss_str s = {0};

    ss_str_addf(&s, "%s.%s", part_names[part], o->tensor[i].name);
    return ss_str_detach(&s);
}

/* Fills an entry of a file; its values are copied from the device to *values. */
static ss_code put(const ss_optimizer *o, int part, size_t i, char **name, float *values,
                   ss_st_item *item, const char *path, ss_err *e)
{
    ss_tensor *const x = part_of(o, part)[i];

    if (!(*name = entry_name(o, part, i)))
        return ss_no_memory(e, path);
    *item = (ss_st_item){
        .name = *name, .dtype = SS_F32, .rank = 1, .dim = {ss_dim(x, 0)}, .values = values};
    return ss_download(o->c, x, values, e);
}

ss_code ss_optimizer_save(const ss_optimizer *o, const char *path, ss_err *e)
{
    ss_st_item *items = ss_calloc(PARTS * o->n, sizeof *items);
    char **names = ss_calloc(PARTS * o->n, sizeof *names), step[24];
    const size_t parts = 1 + (o->v != NULL) + (o->ema != NULL);
    float *values = ss_alloc(parts * (size_t)o->total, sizeof *values), *to = values;
    const ss_st_note notes[] = {{"optimizer", kind_names[o->opt.kind]}, {"step", step}};
    ss_code rc = items && names && values ? SS_OK : ss_no_memory(e, path);
    size_t n = 0;

    snprintf(step, sizeof step, "%" PRId64, o->t);
    for (int part = 0; part < PARTS && rc == SS_OK; part++) {
        for (size_t i = 0; i < o->n && part_of(o, part) && rc == SS_OK; i++, n++) {
            rc = put(o, part, i, &names[n], to, &items[n], path, e);
            to += ss_dim(part_of(o, part)[i], 0);
        }
    }
    if (rc == SS_OK)
        rc = ss_safetensors_write(path, items, n, notes, sizeof notes / sizeof *notes, e);
    for (size_t i = 0; names && i < n; i++)
        ss_free(names[i]);
    ss_free(names);
    ss_free(items);
    ss_free(values);
    return rc;
}

/* Copies an entry to the device; the file may have its values at any byte. */
static ss_code read_values(const ss_optimizer *o, ss_tensor *x, const ss_stored_tensor *t,
                           ss_err *e)
{
    float *values = ss_alloc(t->bytes, 1);

    if (!values)
        return ss_no_memory(e, t->name);
    memcpy(values, t->data, t->bytes);
    ss_code rc = ss_param_set(o->c, x, values, e);
    ss_free(values);
    return rc;
}

/* Checks one entry; reads it if `read` is set. */
static ss_code take(ss_optimizer *o, const ss_safetensors *f, const char *path, int part, size_t i,
                    bool read, ss_err *e)
{
    char *name = entry_name(o, part, i), shape[64];
    const ss_stored_tensor *t = name ? ss_safetensors_find(f, name) : NULL;
    ss_code rc = SS_OK;

    if (!name)
        rc = ss_no_memory(e, path);
    else if (!t)
        rc = ss_fail(e, SS_FORMAT,
                     "%s: no tensor %s: the state of another model, or of a training that froze "
                     "this parameter",
                     path, name);
    else if (strcmp(t->type, "F32") != 0 || t->rank != 1 ||
             t->dim[0] != ss_dim(part_of(o, part)[i], 0))
        rc = ss_fail(e, SS_FORMAT, "%s: %s is %s %s, expected F32 [%" PRId64 "]", path, name,
                     t->type, ss_stored_shape_text(t, shape, sizeof shape),
                     ss_dim(part_of(o, part)[i], 0));
    else if (read)
        rc = read_values(o, part_of(o, part)[i], t, e);
    ss_free(name);
    return rc;
}

/* True if any tensor is called "PART.NAME". */
static bool has_part(const ss_safetensors *f, int part)
{
    const size_t n = strlen(part_names[part]);
    bool has = false;

    for (size_t i = 0; i < ss_safetensors_count(f); i++) {
        const char *name = ss_safetensors_at(f, i)->name;

        has |= strncmp(name, part_names[part], n) == 0 && name[n] == '.';
    }
    return has;
}

/* Refuses a state with other parts than this optimiser keeps. */
static ss_code check_parts(const ss_optimizer *o, const ss_safetensors *f, const char *path,
                           ss_err *e)
{
    static const char *const what[PARTS] = {"first moments (m)", "second moments (v)",
                                            "averages of weights (ema_decay)"};

    for (int part = 0; part < PARTS; part++) {
        const bool there = has_part(f, part);

        if (there != (part_of(o, part) != NULL))
            return ss_fail(e, SS_FORMAT, "%s: has %s%s, this training keeps %s", path,
                           there ? "" : "no ", what[part], there ? "none" : "some");
    }
    return SS_OK;
}

static bool is_adam(ss_optimizer_kind kind)
{
    return kind == SS_OPTIMIZER_ADAM || kind == SS_OPTIMIZER_ADAMW;
}

static bool same_kind(const ss_optimizer *o, const char *kind)
{
    const ss_optimizer_kind own = o->opt.kind;

    return strcmp(kind, kind_names[own]) == 0 ||
           (is_adam(own) && (strcmp(kind, kind_names[SS_OPTIMIZER_ADAM]) == 0 ||
                             strcmp(kind, kind_names[SS_OPTIMIZER_ADAMW]) == 0));
}

static ss_code take_all(ss_optimizer *o, const ss_safetensors *f, const char *path, bool more,
                        bool read, ss_err *e)
{
    ss_code rc = SS_OK;
    size_t n = 0;

    for (int part = 0; part < PARTS; part++) {
        for (size_t i = 0; i < o->n && part_of(o, part) && rc == SS_OK; i++, n++)
            rc = take(o, f, path, part, i, read, e);
    }
    if (rc == SS_OK && !more && n != ss_safetensors_count(f))
        rc = ss_fail(e, SS_FORMAT, "%s: %zu tensors, expected %zu: the state of another run", path,
                     ss_safetensors_count(f), n);
    return rc;
}

ss_code ss_optimizer_load(ss_optimizer *o, const char *path, bool more, ss_err *e)
{
    const char *kind, *step;
    ss_safetensors *f;
    int64_t t = 0;
    ss_code rc = ss_safetensors_open(path, &f, e);

    if (rc != SS_OK)
        return rc;
    kind = ss_safetensors_metadata(f, "optimizer");
    step = ss_safetensors_metadata(f, "step");
    if (!kind || !step || !ss_parse_i64(step, &t) || t < 0)
        rc = ss_fail(e, SS_FORMAT, "%s: not the state of an optimiser", path);
    else if (!same_kind(o, kind))
        rc = ss_fail(e, SS_FORMAT, "%s: the state of an optimiser '%s', expected '%s'", path,
                     ss_printable(kind, (char[64]){0}, 64), kind_names[o->opt.kind]);
    if (rc == SS_OK)
        rc = check_parts(o, f, path, e);
    if (rc == SS_OK)
        rc = take_all(o, f, path, more, false, e);
    if (rc == SS_OK)
        rc = take_all(o, f, path, more, true, e);
    if (rc == SS_OK)
        o->t = t;
    ss_safetensors_close(f);
    return rc;
}
