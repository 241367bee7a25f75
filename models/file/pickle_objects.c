/* pickle_objects.c - what the calls in a torch.save mean: see pickle_machine.h
 *
 *   collections.OrderedDict()                          a dict; defaultdict too
 *   _codecs.encode("...", "latin1")                    bytes, as protocol 2 writes them
 *   torch._utils._rebuild_tensor_v2(STORAGE, OFFSET, SIZE, STRIDE, REQUIRES_GRAD, HOOKS[, NOTES])
 *   torch._utils._rebuild_tensor_v3(... HOOKS, DTYPE[, NOTES])     over bytes without a dtype
 *   torch._utils._rebuild_parameter(TENSOR, REQUIRES_GRAD, HOOKS)  and others around a tensor
 *   torch._tensor._rebuild_from_type_v2(F, TYPE, ARGS, STATE)      F(ARGS), of a type with notes
 *
 * Persistent ids are ("storage", TYPE, KEY, PLACE, NUMEL[, (VIEW_KEY, OFFSET, VIEW_NUMEL)]) and, in
 * older files, ("module", CLASS, FILE, SOURCE).
 */
#include "base/mem.h"
#include "base/str.h"
#include "models/file/pickle_machine.h"

#include <string.h>

static const ss_pickle_value *arg(const ss_pickle_value *args, size_t i)
{
    return i < ss_pickle_count(args) ? ss_pickle_at(args, i) : NULL;
}

static ss_code wrong(const ss_pickle_store *s, const char *what, ss_err *e)
{
    return ss_fail(e, SS_FORMAT, "%s: the pickle makes %s of what it is not made of", s->path,
                   what);
}

/* Anything that is not known: kept by name. */
static ss_code make_object(ss_pickle_store *s, const ss_pickle_value *callee,
                           const ss_pickle_value *args, ss_pickle_value **made, ss_err *e)
{
    *made = ss_pickle_new(s, SS_PICKLE_OBJECT, e);
    if (!*made)
        return e->code;
    (*made)->object.class_ = callee;
    (*made)->object.args = args;
    return SS_OK;
}

/* OrderedDict(), OrderedDict([[key, value], ...]), defaultdict(factory). */
static ss_code make_dict(ss_pickle_store *s, const ss_pickle_value *args, ss_pickle_value **made,
                         ss_err *e)
{
    const ss_pickle_value *pairs = arg(args, 0);
    ss_code rc = SS_OK;

    *made = ss_pickle_new(s, SS_PICKLE_DICT, e);
    if (!*made)
        return e->code;
    for (size_t i = 0; i < ss_pickle_count(pairs) && rc == SS_OK; i++) {
        const ss_pickle_value *pair = ss_pickle_at(pairs, i);

        if (pairs->kind == SS_PICKLE_DICT || ss_pickle_count(pair) != 2 ||
            pair->kind == SS_PICKLE_DICT)
            return wrong(s, "a dict", e);
        for (int k = 0; k < 2 && rc == SS_OK; k++)
            rc = ss_pickle_append(s, *made, pair->items.at[k], e);
    }
    return rc;
}

/* The bytes of a text whose letters are below 256; an object where it is another call. */
static ss_code make_bytes(ss_pickle_store *s, const ss_pickle_value *callee,
                          const ss_pickle_value *args, ss_pickle_value **made, ss_err *e)
{
    const ss_pickle_value *text = arg(args, 0);
    char *out;
    size_t n = 0;

    if (!text || text->kind != SS_PICKLE_TEXT || !ss_pickle_is(arg(args, 1), "latin1"))
        return make_object(s, callee, args, made, e);
    out = ss_pickle_text(s, text->text.n, e);
    *made = out ? ss_pickle_new(s, SS_PICKLE_BYTES, e) : NULL;
    if (!*made)
        return e->code;
    for (size_t i = 0; i < text->text.n; i++) {
        const unsigned char c = (unsigned char)text->text.s[i];
        const bool pair = (c == 0xc2 || c == 0xc3) && i + 1 < text->text.n;

        out[n++] = (char)(pair ? (c & 3) << 6 | (text->text.s[++i] & 0x3f) : c);
    }
    (*made)->text.s = out;
    (*made)->text.n = n;
    return SS_OK;
}

/* True for {"conj": True} or {"neg": True}: values that are not those in the storage. */
static bool has_lazy_sign(const ss_pickle_value *notes)
{
    const ss_pickle_value *conj = ss_pickle_get(notes, "conj"), *neg = ss_pickle_get(notes, "neg");

    return (conj && conj->kind == SS_PICKLE_BOOL && conj->truth) ||
           (neg && neg->kind == SS_PICKLE_BOOL && neg->truth);
}

static ss_code add_tensor(ss_pickle_store *s, ss_pickle_tensor *t, ss_err *e)
{
    ss_pickle_tensor **grown =
        ss_grow(s->tensors, &s->cap_tensors, s->n_tensors + 1, sizeof(ss_pickle_tensor *));

    if (!grown) {
        ss_free(t);
        return ss_no_memory(e, s->path);
    }
    s->tensors = grown;
    s->tensors[s->n_tensors++] = t;
    return SS_OK;
}

/* _rebuild_tensor, _v2, _v3: dtype is that of a class or torch.dtype where the storage has none. */
static ss_code make_tensor(ss_pickle_store *s, const ss_pickle_value *args,
                           const ss_pickle_value *dtype, ss_pickle_value **made, ss_err *e)
{
    const ss_pickle_value *storage = arg(args, 0), *offset = arg(args, 1);
    ss_pickle_tensor *t = ss_calloc(1, sizeof *t);

    if (!t)
        return ss_no_memory(e, s->path);
    t->t.rank = ss_pickle_ints(arg(args, 2), t->t.dim, SS_STORED_MAX_RANK);
    if (!storage || storage->kind != SS_PICKLE_STORAGE || !offset ||
        offset->kind != SS_PICKLE_INT || t->t.rank < 0 ||
        ss_pickle_ints(arg(args, 3), t->stride, SS_STORED_MAX_RANK) != t->t.rank) {
        ss_free(t);
        return wrong(s, "a tensor", e);
    }
    t->storage = storage->storage;
    t->offset = offset->number;
    t->t.type = s->storages[t->storage].type;
    t->size = s->storages[t->storage].size;
    if (dtype &&
        (dtype->kind != SS_PICKLE_GLOBAL ||
         !ss_pickle_dtype(dtype->global.name, dtype->global.n_name, &t->t.type, &t->size))) {
        ss_free(t);
        return wrong(s, "a tensor of a dtype that is not known", e);
    }
    ss_code rc = add_tensor(s, t, e);
    *made = rc == SS_OK ? ss_pickle_new(s, SS_PICKLE_TENSOR, e) : NULL;
    if (!*made)
        return e->code;
    (*made)->tensor = &t->t;
    return SS_OK;
}

/* Meanings of what pickles call. */
typedef enum { OTHER, DICT, BYTES, TENSOR_V2, TENSOR_V3, AROUND_TENSOR, FROM_TYPE } callable;

static callable known(const ss_pickle_value *callee)
{
    static const struct {
        const char *name;
        callable is;
    } names[] = {
        {"collections.OrderedDict", DICT},
        {"collections.defaultdict", DICT},
        {"_codecs.encode", BYTES},
        {"torch._utils._rebuild_tensor", TENSOR_V2},
        {"torch._utils._rebuild_tensor_v2", TENSOR_V2},
        {"torch._utils._rebuild_tensor_v3", TENSOR_V3},
        {"torch._utils._rebuild_parameter", AROUND_TENSOR},
        {"torch._utils._rebuild_parameter_with_state", AROUND_TENSOR},
        {"torch._utils._rebuild_device_tensor_from_cpu_tensor", AROUND_TENSOR},
        {"torch.nn.parameter.Parameter", AROUND_TENSOR},
        {"torch._tensor._rebuild_from_type_v2", FROM_TYPE},
    };

    for (size_t i = 0; callee->kind == SS_PICKLE_GLOBAL && i < sizeof names / sizeof *names; i++) {
        if (ss_pickle_names(callee, names[i].name))
            return names[i].is;
    }
    return OTHER;
}

/* The tensor that is the first argument, itself. */
static ss_code take_tensor(ss_pickle_store *s, ss_pickle_value *callee, ss_pickle_value *args,
                           ss_pickle_value **made, ss_err *e)
{
    if (ss_pickle_count(args) == 0 || args->items.at[0]->kind != SS_PICKLE_TENSOR)
        return make_object(s, callee, args, made, e);
    *made = args->items.at[0];
    return SS_OK;
}

ss_code ss_pickle_call(ss_pickle_store *s, ss_pickle_value *callee, ss_pickle_value *args,
                       ss_pickle_value **made, ss_err *e)
{
    callable f = known(callee);

    if (args->kind != SS_PICKLE_TUPLE)
        return wrong(s, "an object", e);
    /* one step only: such a call is never around another */
    if (f == FROM_TYPE && args->items.n == 4 && args->items.at[2]->kind == SS_PICKLE_TUPLE) {
        f = known(args->items.at[0]);
        args = args->items.at[2];
    }
    switch (f) {
    case DICT: return make_dict(s, args, made, e);
    case BYTES: return make_bytes(s, callee, args, made, e);
    case TENSOR_V2:
        return has_lazy_sign(arg(args, 6)) ? make_object(s, callee, args, made, e)
                                           : make_tensor(s, args, NULL, made, e);
    case TENSOR_V3:
        if (!arg(args, 6))
            return wrong(s, "a tensor", e);
        return make_tensor(s, args, arg(args, 6), made, e);
    case AROUND_TENSOR: return take_tensor(s, callee, args, made, e);
    case FROM_TYPE:
    case OTHER: break;
    }
    return make_object(s, callee, args, made, e);
}

/* Reads the sixth part of a storage's id, which older files have. */
static bool read_view(const ss_pickle_value *view, ss_pickle_storage *x)
{
    if (!view || view->kind == SS_PICKLE_NONE)
        return true;
    const ss_pickle_value *from = arg(view, 1), *numel = arg(view, 2);

    if (!from || from->kind != SS_PICKLE_INT || !numel || numel->kind != SS_PICKLE_INT ||
        from->number < 0 || numel->number < 0)
        return false;
    x->view_from = from->number;
    x->numel = numel->number;
    return true;
}

static ss_code make_storage(ss_pickle_store *s, const ss_pickle_value *id, ss_pickle_value **made,
                            ss_err *e)
{
    const ss_pickle_value *type = arg(id, 1), *key = arg(id, 2), *numel = arg(id, 4);
    ss_pickle_storage x = {0};

    if (!type || type->kind != SS_PICKLE_GLOBAL || !key || key->kind != SS_PICKLE_TEXT || !numel ||
        numel->kind != SS_PICKLE_INT || numel->number < 0)
        return wrong(s, "a storage", e);
    x.key = key->text.s;
    x.n_key = key->text.n;
    x.numel = numel->number;
    if (!ss_pickle_dtype(type->global.name, type->global.n_name, &x.type, &x.size) ||
        !read_view(arg(id, 5), &x))
        return wrong(s, "a storage of a dtype that is not known", e);
    ss_pickle_storage *grown =
        ss_grow(s->storages, &s->cap_storages, s->n_storages + 1, sizeof *grown);
    if (!grown)
        return ss_no_memory(e, s->path);
    s->storages = grown;
    s->storages[s->n_storages] = x;
    *made = ss_pickle_new(s, SS_PICKLE_STORAGE, e);
    if (!*made)
        return e->code;
    (*made)->storage = s->n_storages++;
    return SS_OK;
}

ss_code ss_pickle_persistent(ss_pickle_store *s, const ss_pickle_value *id, ss_pickle_value **made,
                             ss_err *e)
{
    if (id->kind == SS_PICKLE_TUPLE && ss_pickle_is(arg(id, 0), "storage"))
        return make_storage(s, id, made, e);
    if (id->kind == SS_PICKLE_TUPLE && ss_pickle_is(arg(id, 0), "module") && id->items.n > 1) {
        *made = id->items.at[1];
        return SS_OK;
    }
    return ss_fail(e, SS_FORMAT, "%s: the pickle refers to something outside that is no storage",
                   s->path);
}
