/* guard_module.c - see guard_bundle_parts.h
 *
 * Pictures are [N][C][...] in PyTorch and channels last in the engine: they are permuted on the way
 * in and out.
 */
#include "base/mem.h"
#include "base/str.h"
#include "kernels/ops.h"
#include "probe/guard_bundle_parts.h"

#include <math.h>
#include <string.h>

enum { MAX_SETTING = 1 << 12 }; /* strides, paddings */

typedef struct {
    const ss_guard_bundle *b;
    ss_ctx *c;
    const ss_format *format;
    ss_tensor *x, *weight, *bias, *y;
    float *values[3]; /* of x, weight, bias */
    ss_err *e;
    char *unknown;
} player;

static json_t *setting(const player *p, const char *key)
{
    return json_object_get(json_object_get(p->b->finding, "settings"), key);
}

/* A whole number of the settings, or entry `at` of a list of them. */
static int64_t whole(const player *p, const char *key, size_t at, int64_t fallback)
{
    const json_t *v = setting(p, key);

    if (json_is_array(v))
        v = json_array_get(v, at);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

static double number(const player *p, const char *key, double fallback)
{
    const json_t *v = setting(p, key);

    return json_is_number(v) ? json_number_value(v) : fallback;
}

/* Says why the module is not computed. */
static ss_code leave(player *p, const char *fmt, const char *what)
{
    p->unknown = ss_textf(fmt, what);
    return p->unknown ? SS_OK : ss_no_memory(p->e, "playing a bundle");
}

/* Uploads a tensor of the bundle, rounded; *t stays NULL where there is none. */
static ss_code take(player *p, const char *name, int slot, ss_tensor **t)
{
    const ss_stored_tensor *s = ss_safetensors_find(p->b->tensors, name);
    ss_shape shape;
    ss_code rc;

    if (!s)
        return SS_OK;
    if ((rc = ss_stored_shape(s, &shape, p->e)) != SS_OK)
        return rc;
    const size_t n = s->bytes / ss_dtype_size(s->dtype);
    if (n == 0 || shape.rank == 0)
        return ss_fail(p->e, SS_FORMAT, "%s: tensor %s has no values or no dimension", s->file,
                       SS_SHOW(name));
    if (!(p->values[slot] = ss_alloc(n, sizeof(float))))
        return ss_no_memory(p->e, name);
    ss_values_to_f32(s->dtype, s->data, n, p->values[slot]);
    for (size_t i = 0; i < n && !ss_format_is_f32(p->format); i++)
        p->values[slot][i] = ss_format_round(p->format, p->values[slot][i]);
    *t = slot ? ss_param(p->c, SS_F32, shape, p->values[slot])
              : ss_upload(p->c, shape, p->values[slot]);
    return ss_ctx_check(p->c, p->e);
}

/* Moves the channels from axis 1 to the end, or back. */
static void turn(player *p, ss_tensor **t, bool last)
{
    const ss_shape s = ss_shape_get(*t);
    int axes[SS_MAX_RANK] = {0};

    for (int i = 1; i < s.rank; i++)
        axes[i] = last ? (i + 1 < s.rank ? i + 1 : 1) : (i == 1 ? s.rank - 1 : i - 1);
    if (s.rank > 2)
        ss_set(t, ss_permute(p->c, *t, axes));
}

static ss_code convolve(player *p)
{
    const json_t *padding = setting(p, "padding");
    const char *mode = json_string_value(setting(p, "padding_mode"));
    const int64_t stride = whole(p, "stride", 0, 1), rows = whole(p, "padding", 0, 0),
                  columns = whole(p, "padding", 1, 0);
    const ss_shape x = ss_shape_get(p->x), w = ss_shape_get(p->weight);

    if (x.rank != 4)
        return leave(p, "%s", "its input is no batch of pictures");
    if (json_is_string(padding))
        return leave(p, "%s", "its padding is given by name");
    if (mode && strcmp(mode, "zeros") != 0)
        return leave(p, "its padding_mode is %s", SS_SHOW(mode));
    if (whole(p, "groups", 0, 1) != 1)
        return leave(p, "%s", "it has groups");
    if (whole(p, "dilation", 0, 1) != 1 || whole(p, "dilation", 1, 1) != 1)
        return leave(p, "%s", "it is dilated");
    if (whole(p, "stride", 1, 1) != stride)
        return leave(p, "%s", "it has two strides");
    if (stride < 1 || rows < 0 || columns < 0 || stride > MAX_SETTING || rows > MAX_SETTING ||
        columns > MAX_SETTING || w.rank != 4)
        return ss_fail(p->e, SS_FORMAT, "%s: the settings of its convolution make no sense",
                       p->b->dir);
    turn(p, &p->x, true);
    p->y = ss_conv2d(p->c, p->x, p->weight, p->bias,
                     (ss_conv2d_opt){.stride = (int)stride,
                                     .top = (int)rows,
                                     .bottom = (int)rows,
                                     .left = (int)columns,
                                     .right = (int)columns});
    turn(p, &p->y, false);
    return SS_OK;
}

static ss_code group_norm(player *p)
{
    const ss_shape x = ss_shape_get(p->x);
    const int64_t groups = whole(p, "num_groups", 0, 0);

    if (x.rank < 2 || groups < 1 || x.dim[1] % groups)
        return ss_fail(p->e, SS_FORMAT, "%s: its GroupNorm has %lld groups of %lld channels",
                       p->b->dir, (long long)groups, (long long)x.dim[1]);
    turn(p, &p->x, true);
    p->y = ss_group_norm(p->c, p->x, p->weight, p->bias, NULL, (int)groups,
                         (float)number(p, "eps", 1e-5), SS_ACT_NONE, NULL);
    turn(p, &p->y, false);
    return SS_OK;
}

static ss_code row_norm(player *p, bool centered)
{
    const json_t *shape = setting(p, "normalized_shape");

    if (json_is_array(shape) && json_array_size(shape) != 1)
        return leave(p, "%s", "it is over several dimensions");
    p->y = centered ? ss_layer_norm(p->c, p->x, p->weight, p->bias, (float)number(p, "eps", 1e-5))
                    : ss_rms_norm(p->c, p->x, p->weight, (float)number(p, "eps", 0x1p-23));
    return SS_OK;
}

/* Looks ids up in a table; those outside of it are an error. */
static ss_code embed(player *p)
{
    const ss_stored_tensor *ids = ss_safetensors_find(p->b->tensors, "input.0");
    const ss_shape table = ss_shape_get(p->weight);
    int64_t dim[SS_MAX_RANK], n = 1;

    if (!ids || strcmp(ids->type, "I64") != 0 || ids->rank + 1 > SS_MAX_RANK || table.rank != 2)
        return leave(p, "%s", "its ids are not of type I64");
    n = (int64_t)(ids->bytes / sizeof(int64_t));
    int64_t *at = ss_alloc((size_t)n + 1, sizeof *at);
    if (!at)
        return ss_no_memory(p->e, "ids");
    memcpy(at, ids->data, ids->bytes);
    for (int64_t i = 0; i < n; i++) {
        if (at[i] < 0 || at[i] >= table.dim[0]) {
            const ss_code rc = ss_fail(p->e, SS_FORMAT, "%s: id %lld is not in a table of %lld",
                                       ids->file, (long long)at[i], (long long)table.dim[0]);
            ss_free(at);
            return rc;
        }
    }
    for (int i = 0; i < ids->rank; i++)
        dim[i] = ids->dim[i];
    dim[ids->rank] = table.dim[1];
    p->y = n ? ss_embedding(p->c, p->weight, at, n) : NULL;
    ss_free(at);
    if (p->y)
        ss_set(&p->y, ss_reshape(p->c, p->y, ss_shape_make((size_t)ids->rank + 1, dim)));
    return n ? SS_OK : leave(p, "%s", "it has no ids");
}

static ss_code gelu(player *p)
{
    const char *how = json_string_value(setting(p, "approximate"));

    p->y =
        ss_activate(p->c, p->x, how && strcmp(how, "tanh") == 0 ? SS_ACT_GELU_TANH : SS_ACT_GELU);
    return SS_OK;
}

static ss_code apply(player *p, const char *kind)
{
    static const struct {
        const char *kind;
        ss_act act;
    } acts[] = {{"SiLU", SS_ACT_SILU},
                {"Mish", SS_ACT_MISH},
                {"ReLU", SS_ACT_RELU},
                {"Sigmoid", SS_ACT_SIGMOID},
                {"Identity", SS_ACT_NONE}};
    const bool weighs = strcmp(kind, "Conv2d") == 0 || strcmp(kind, "Linear") == 0 ||
                        strcmp(kind, "Embedding") == 0;

    if (weighs && !p->weight)
        return leave(p, "%s", "its weights are not in the bundle");
    if (strcmp(kind, "Embedding") == 0)
        return embed(p);
    if (!p->x)
        return leave(p, "%s", "its input is not in the bundle");
    if (strcmp(kind, "Conv2d") == 0)
        return convolve(p);
    if (strcmp(kind, "GroupNorm") == 0)
        return group_norm(p);
    if (strcmp(kind, "LayerNorm") == 0 || strcmp(kind, "RMSNorm") == 0)
        return row_norm(p, *kind == 'L');
    if (strcmp(kind, "GELU") == 0)
        return gelu(p);
    if (strcmp(kind, "Linear") == 0) {
        p->y = ss_linear(p->c, p->x, p->weight, p->bias);
        return SS_OK;
    }
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(kind, acts[i].kind) == 0) {
            p->y = ss_activate(p->c, p->x, acts[i].act);
            return SS_OK;
        }
    }
    return leave(p, "%s is computed in PyTorch alone", SS_SHOW(kind));
}

static ss_code download(player *p, ss_array *out)
{
    const ss_shape s = ss_shape_get(p->y);
    const int64_t n = ss_shape_numel(s);
    ss_code rc = ss_ctx_finish(p->c, p->e);

    if (rc != SS_OK)
        return rc;
    out->rank = s.rank;
    memcpy(out->dim, s.dim, sizeof s.dim);
    if (!(out->values = ss_alloc((size_t)n, sizeof *out->values)))
        return ss_no_memory(p->e, "output");
    rc = ss_download(p->c, p->y, out->values, p->e);
    for (int64_t i = 0; i < n && rc == SS_OK && !ss_format_is_f32(p->format); i++)
        out->values[i] = ss_format_round(p->format, out->values[i]);
    return rc;
}

ss_code ss_guard_module_compute(const ss_guard_bundle *b, ss_ctx *c, const ss_format *format,
                                ss_array *out, char **unknown, ss_err *e)
{
    const char *kind = json_string_value(json_object_get(b->finding, "class"));
    player p = {.b = b, .c = c, .format = format, .e = e};
    const ss_stored_tensor *x = ss_safetensors_find(b->tensors, "input.0");
    ss_code rc = SS_OK;

    *unknown = NULL;
    *out = (ss_array){0};
    if (!kind || !json_is_object(json_object_get(b->finding, "settings")))
        rc = leave(&p, "%s", kind ? "it is none of torch.nn" : "no single module is to blame");
    else if (x && x->usable && x->rank > SS_MAX_RANK)
        rc = leave(&p, "%s", "its input has too many dimensions");
    else if (x && (x->usable || strcmp(kind, "Embedding") != 0))
        rc = take(&p, "input.0", 0, &p.x);
    if (rc == SS_OK && !p.unknown && (rc = take(&p, "weight.weight", 1, &p.weight)) == SS_OK)
        rc = take(&p, "weight.bias", 2, &p.bias);
    if (rc == SS_OK && !p.unknown)
        rc = apply(&p, kind);
    if (rc == SS_OK && !p.unknown)
        rc = download(&p, out);
    ss_release(p.x);
    ss_release(p.weight);
    ss_release(p.bias);
    ss_release(p.y);
    ss_ctx_clear(c);
    for (int i = 0; i < 3; i++)
        ss_free(p.values[i]);
    if (rc != SS_OK) {
        ss_array_release(out);
        ss_free(p.unknown);
        p.unknown = NULL;
    }
    *unknown = p.unknown;
    return rc;
}
