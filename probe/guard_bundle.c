/* guard_bundle.c - see guard_bundle.h; guard_module.c computes modules */
#include "probe/guard_bundle.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "probe/guard_bundle_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static ss_code load(ss_guard_bundle *b, const char *dir, ss_err *e)
{
    char *finding = ss_path_join(dir, "finding.json"), *other = ss_path_join(dir, "expected.json"),
         *tensors = ss_path_join(dir, "tensors.safetensors");
    ss_json j = {0};
    ss_code rc = finding && other && tensors && (b->dir = ss_strdup(dir))
                     ? SS_OK
                     : ss_no_memory(e, "opening a bundle");

    if (rc == SS_OK && !ss_file_exists(finding) && ss_file_exists(other))
        rc =
            ss_fail(e, SS_USAGE,
                    "%s is a bundle of `bisect --save-bundle`: sh %s/replay.sh CHECKPOINT plays it",
                    SS_SHOW(dir), SS_SHOW(dir));
    else if (rc == SS_OK && !ss_file_exists(finding))
        rc = ss_fail(e, SS_IO,
                     "%s has no finding.json: expected the folder that the recorder's NaN guard "
                     "saved (RUN.bundle)",
                     SS_SHOW(dir));
    if (rc == SS_OK && (rc = ss_json_load(&j, finding, e)) == SS_OK) {
        const char *format = ss_json_string(&j, "format", "");

        if (strcmp(format, "sigmascope-finding") != 0)
            rc = ss_fail(e, SS_FORMAT, "%s: \"format\" is \"%s\", expected \"sigmascope-finding\"",
                         finding, SS_SHOW(format));
        else if (ss_json_int(&j, "version", 0) != 1)
            rc = ss_fail(e, SS_FORMAT, "%s: is of version %lld; this program reads 1", finding,
                         (long long)ss_json_int(&j, "version", 0));
        else
            b->finding = json_incref(j.root);
    }
    if (rc == SS_OK)
        rc = ss_safetensors_open(tensors, &b->tensors, e);
    ss_json_release(&j);
    ss_free(finding);
    ss_free(other);
    ss_free(tensors);
    return rc;
}

ss_code ss_guard_bundle_open(const char *dir, ss_guard_bundle **out, ss_err *e)
{
    ss_guard_bundle *b = ss_calloc(1, sizeof *b);
    const ss_code rc = b ? load(b, dir, e) : ss_no_memory(e, "opening a bundle");

    *out = rc == SS_OK ? b : NULL;
    if (rc != SS_OK)
        ss_guard_bundle_close(b);
    return rc;
}

void ss_guard_bundle_close(ss_guard_bundle *b)
{
    if (!b)
        return;
    json_decref(b->finding);
    ss_safetensors_close(b->tensors);
    ss_free(b->dir);
    ss_free(b);
}

const char *ss_guard_bundle_text(const ss_guard_bundle *b, const char *key)
{
    return json_string_value(json_object_get(b->finding, key));
}

static void count(const float *x, int rank, const int64_t *dim, ss_guard_counts *c)
{
    int64_t n = 1;

    *c = (ss_guard_counts){.rank = rank, .largest = NAN};
    for (int i = 0; i < rank; i++)
        n *= dim[i];
    c->values = n;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            c->largest = fmaxf(c->largest, fabsf(x[i]));
            continue;
        }
        if (c->nonfinite++)
            continue;
        int64_t rest = i;
        for (int d = rank - 1; d >= 0; d--) {
            c->first[d] = rest % dim[d];
            rest /= dim[d];
        }
    }
}

bool ss_guard_counts_of(const ss_stored_tensor *t, ss_guard_counts *c, ss_err *e)
{
    const size_t n = t->usable ? t->bytes / ss_dtype_size(t->dtype) : 0;
    float *x;

    if (!t->usable)
        return false;
    if (!(x = ss_alloc(n ? n : 1, sizeof *x))) {
        ss_no_memory(e, t->name);
        return false;
    }
    ss_values_to_f32(t->dtype, t->data, n, x);
    count(x, t->rank, t->dim, c);
    ss_free(x);
    return true;
}

/* |a - b| / |b| over values that are finite in both. */
static double difference(const float *a, const ss_stored_tensor *t, int64_t n, ss_err *e)
{
    float *b = ss_alloc((size_t)n + 1, sizeof *b);
    double off = 0, all = 0;

    if (!b) {
        ss_no_memory(e, t->name);
        return NAN;
    }
    ss_values_to_f32(t->dtype, t->data, (size_t)n, b);
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(a[i]) && isfinite(b[i])) {
            off += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
            all += (double)b[i] * b[i];
        }
    }
    ss_free(b);
    return all > 0 ? sqrt(off / all) : off > 0 ? INFINITY : NAN;
}

static const char *format_of(const ss_stored_tensor *t)
{
    static const char *const names[] = {[SS_F32] = "fp32", [SS_F16] = "fp16", [SS_BF16] = "bf16"};

    return t && t->usable ? names[t->dtype] : "fp32";
}

ss_code ss_guard_bundle_play(const ss_guard_bundle *b, const char *device, int threads,
                             ss_guard_played *p, ss_err *e)
{
    const ss_stored_tensor *y = ss_safetensors_find(b->tensors, "output.0");
    ss_ctx_options opt = {.device = device, .threads = threads, .arithmetic = SS_ARITHMETIC_F32};
    ss_array out = {0};
    ss_format format;
    ss_ctx *c = NULL;
    ss_code rc;

    *p = (ss_guard_played){.difference = NAN};
    p->format = format_of(y ? y : ss_safetensors_find(b->tensors, "input.0"));
    if ((rc = ss_ctx_new(&opt, &c, e)) != SS_OK ||
        (rc = ss_format_parse("fp32", &format, e)) != SS_OK)
        goto out;
    rc = ss_guard_module_compute(b, c, &format, &out, &p->unknown, e);
    if (rc != SS_OK || p->unknown)
        goto out;
    count(out.values, out.rank, out.dim, &p->f32);
    p->half = p->f32;
    if (strcmp(p->format, "fp32") != 0) {
        ss_array_release(&out);
        if ((rc = ss_format_parse(p->format, &format, e)) != SS_OK ||
            (rc = ss_guard_module_compute(b, c, &format, &out, &p->unknown, e)) != SS_OK)
            goto out;
        count(out.values, out.rank, out.dim, &p->half);
    }
    if (y && y->usable) {
        if (y->bytes / ss_dtype_size(y->dtype) != (size_t)p->half.values)
            rc = ss_fail(e, SS_FORMAT, "%s: output.0 has %zu values, its module gives %lld",
                         y->file, y->bytes / ss_dtype_size(y->dtype), (long long)p->half.values);
        else
            p->difference = difference(out.values, y, p->half.values, e);
    }
out:
    ss_array_release(&out);
    ss_ctx_free(c);
    if (rc != SS_OK)
        ss_guard_played_release(p);
    return rc;
}

void ss_guard_played_release(ss_guard_played *p)
{
    ss_free(p->unknown);
    *p = (ss_guard_played){0};
}
