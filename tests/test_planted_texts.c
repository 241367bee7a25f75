/* test_planted_texts.c - what overflows where in text encoders, against real PyTorch in fp16
 *
 * tests/golden/planted_texts.json (make_planted_texts.py, which says how it was made) has networks
 * with one value planted near or over the largest of fp16, and what transformers lost of each in
 * half(). Each is written to a folder and run under the emulation of the same code; the modules
 * that have inf or NaN have to be the same, and how many values of the answer are lost.
 */
#include "base/file.h"
#include "base/json.h"
#include "kernels/context.h"
#include "models/file/safetensors_write.h"
#include "tests/ss_tmp.h"
#include "tests/text_case.h"

#include <sys/stat.h>

#define PLANTED "tests/golden/planted_texts.json"

static ss_json file;

enum { MAX_TENSORS = 128, MAX_PATHS = 128 };

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    if (!s)
        fail_msg("%s: no text %s", PLANTED, key);
    return s;
}

/* ---- networks ---- */

/* Changes a part that leading indices name, which lies in one piece. */
static void change(ss_st_item *x, float *values, const json_t *edit)
{
    const json_t *at = json_object_get(edit, "at");
    const float value = (float)json_number_value(json_object_get(edit, "value"));
    const bool fill = strcmp(text(edit, "op"), "fill") == 0;
    int64_t n = 1, from = 0;

    for (int i = 0; i < x->rank; i++)
        n *= x->dim[i];
    for (size_t i = 0; i < json_array_size(at); i++) {
        n /= x->dim[i];
        from += n * json_integer_value(json_array_get(at, i));
    }
    for (int64_t i = from; i < from + n; i++)
        values[i] = fill ? value : values[i] * value;
}

/* Writes the network that is planted in base, with f32 weights, into folder. */
static void plant(const json_t *network, const char *folder)
{
    static ss_st_item items[MAX_TENSORS];
    char path[600], *config;
    size_t n, k;
    ss_safetensors *f;
    ss_err e = {0};
    json_t *edit;

    mkdir(folder, 0700);
    snprintf(path, sizeof path, TEXTS "/%s/config.json", text(network, "base"));
    assert_int_equal(ss_file_read(path, 1 << 20, &config, &n, &e), SS_OK);
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_file(path, config, n);
    ss_free(config);

    snprintf(path, sizeof path, TEXTS "/%s/model.safetensors", text(network, "base"));
    assert_int_equal(ss_safetensors_open(path, &f, &e), SS_OK);
    n = 0;
    for (size_t i = 0; i < ss_safetensors_count(f); i++) {
        const ss_stored_tensor *t = ss_safetensors_at(f, i);
        const size_t numel = t->bytes / ss_dtype_size(t->dtype);

        if (strstr(t->name, "position_ids"))
            continue;
        float *values = ss_alloc(numel, sizeof *values);
        assert_true(n < MAX_TENSORS && values);
        ss_values_to_f32(t->dtype, t->data, numel, values);
        items[n] =
            (ss_st_item){.name = t->name, .dtype = SS_F32, .rank = t->rank, .values = values};
        memcpy(items[n].dim, t->dim, sizeof items[n].dim);
        json_array_foreach(json_object_get(network, "edits"), k, edit)
        {
            if (strcmp(text(edit, "tensor"), t->name) == 0)
                change(&items[n], values, edit);
        }
        n++;
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (ss_safetensors_write(path, items, n, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < n; i++)
        ss_free((void *)items[i].values);
    ss_safetensors_close(f);
}

/* ---- runs ---- */

/* Modules by their places in the list of a base, which has "" last. */
typedef struct {
    const json_t *paths;
    bool lost[MAX_PATHS];
    int64_t outputs;
} losses;

static int place_of(const losses *x, const char *path)
{
    size_t i;
    json_t *p;

    json_array_foreach(x->paths, i, p)
    {
        if (strcmp(json_string_value(p), path) == 0)
            return (int)i;
    }
    fail_msg("PyTorch has no module %s", path);
    return -1;
}

static bool wants(void *self, const ss_module *m, ss_port p)
{
    (void)self;
    return !m->inner && p == SS_PORT_OUTPUT;
}

static bool wants_attention(void *self, const ss_module *m)
{
    (void)self, (void)m;
    return false;
}

static void see(void *self, ss_ctx *c, const ss_module *m, ss_port p, const ss_tensor *x)
{
    losses *l = self;
    const ss_stats *s = ss_tensor_stats(c, x, false);
    uint64_t lost = 0;

    (void)p;
    assert_non_null(s);
    for (int64_t i = 0; i < ss_dim(x, 0); i++)
        lost += s[i].nonfinite;
    l->lost[place_of(l, m->path)] |= lost > 0;
}

/* Runs the planted network as PyTorch's half() with this attention, wo kept in fp32 or not. */
static void run_half(const char *folder, const text_case *s, const json_t *run, losses *l)
{
    const bool eager = strcmp(text(run, "attention"), "eager") == 0;
    ss_precision p = {.scope = SS_ROUND_HALF,
                      .attention = eager ? SS_ATTENTION_EAGER_UNSCALED : SS_ATTENTION_SDPA};
    struct ss_precision_rule keep = {.glob = "*.wo"};
    const ss_hooks hooks = {l, wants, wants_attention, see, NULL, NULL};
    ss_setup setup = {.hooks = &hooks, .precision = &p};
    ss_text_states y;
    ss_ctx *c;
    ss_err e = {0};

    assert_int_equal(ss_format_parse("fp16", &p.format, &e), SS_OK);
    assert_int_equal(ss_format_parse("fp32", &keep.format, &e), SS_OK);
    if (json_is_true(json_object_get(run, "wo"))) {
        p.rules = &keep;
        p.n_rules = 1;
    }
    assert_int_equal(ss_ctx_new(&(ss_ctx_options){.device = test_device(), .threads = 1}, &c, &e),
                     SS_OK);
    ss_model *m = open_text(folder, c);
    setup.modules = ss_model_modules(m, &setup.n_modules);
    if (ss_ctx_setup(c, &setup, &e) != SS_OK || !ss_model_embed(c, m, &s->tokens, &y) ||
        ss_ctx_finish(c, &e) != SS_OK)
        fail_msg("%s", e.msg);
    const int64_t n = ss_shape_numel(ss_shape_get(y.last));
    float *last = download(c, y.last);
    for (int64_t i = 0; i < n; i++)
        l->outputs += !isfinite(last[i]);
    ss_free(last);
    ss_text_states_release(&y);
    ss_model_close(m);
    ss_ctx_free(c);
}

static losses losses_in(const json_t *paths, const json_t *run)
{
    losses x = {.paths = paths, .outputs = json_integer_value(json_object_get(run, "outputs"))};
    size_t k;
    json_t *pair;

    json_array_foreach(json_object_get(run, "modules"), k, pair)
    {
        const json_int_t last = json_integer_value(json_array_get(pair, 1));

        assert_true(last < MAX_PATHS);
        for (json_int_t i = json_integer_value(json_array_get(pair, 0)); i <= last; i++)
            x.lost[i] = true;
    }
    return x;
}

/* Compares one run; true where the answers are the same. */
static bool compare(const json_t *network, size_t index, const json_t *run, const char *folder,
                    const text_case *s)
{
    const json_t *paths =
        json_object_get(json_object_get(file.root, "bases"), text(network, "base"));
    const losses want = losses_in(paths, run);
    losses got = {.paths = paths};

    run_half(folder, s, run, &got);
    for (size_t i = 0; i < json_array_size(paths); i++) {
        if (got.lost[i] == want.lost[i])
            continue;
        print_message("network %zu (%s, %s) %s%s: %s is %s here\n", index, text(network, "base"),
                      text(network, "kind"), text(run, "attention"),
                      json_is_true(json_object_get(run, "wo")) ? ", wo kept" : "",
                      json_string_value(json_array_get(paths, i)),
                      got.lost[i] ? "lost" : "not lost");
        return false;
    }
    if (got.outputs != want.outputs)
        print_message("network %zu (%s, %s) %s: %lld values are lost, in PyTorch %lld\n", index,
                      text(network, "base"), text(network, "kind"), text(run, "attention"),
                      (long long)got.outputs, (long long)want.outputs);
    return got.outputs == want.outputs;
}

static void test_what_is_lost(void **state)
{
    (void)state;
    int n = 0, lost = 0, wo = 0, wrong = 0;
    size_t i, k;
    json_t *network, *run;

    json_array_foreach(json_object_get(file.root, "networks"), i, network)
    {
        char dir[512], folder[300];
        text_case s;

        snprintf(dir, sizeof dir, TEXTS "/%s", text(network, "base"));
        load_text_case(dir, &s);
        snprintf(folder, sizeof folder, "%s", in_tmp("network"));
        plant(network, folder);
        json_array_foreach(json_object_get(network, "runs"), k, run)
        {
            const char *first = json_string_value(json_object_get(run, "first"));

            n++;
            lost += first != NULL;
            wo += first && strstr(first, "DenseReluDense.wo");
            wrong += !compare(network, i, run, folder, &s);
        }
        release_text_case(&s);
    }
    print_message("%d runs, %d lose something, %d first in a wo; %d differ\n", n, lost, wo, wrong);
    assert_true(n >= 150 && lost >= 60 && wo >= 8);
    assert_int_equal(wrong, 0);
}

static int load(void **state)
{
    ss_err e = {0};

    if (ss_json_load(&file, PLANTED, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return make_tmp(state);
}

static int unload(void **state)
{
    ss_json_release(&file);
    return remove_tmp(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_lost)};

    return cmocka_run_group_tests(tests, load, unload);
}
