/* test_planted.c - what overflows where, against real PyTorch in half precision
 *
 * tests/golden/planted.json (make_planted.py, which says how it was made) has some two hundred
 * small networks, and planted_vaes.json (make_planted_vaes.py) the decoders of autoencoders, with
 * one value planted near or over the largest of fp16 or bf16, and what PyTorch lost of each in
 * half() and under autocast. Each network is written to a folder and probed under the emulation of
 * the same code; of every run
 *
 *   - the first module that is not finite has to be the same, in the order in which modules end
 *   - so have all modules that have inf or NaN
 *   - and how many values of the answer are lost
 *
 * What the program says has to stay in fp32 was pasted into PyTorch, too. The lists of some of the
 * networks are made once more, and have to be those that were pasted.
 */
#include "analyze/one/overflow.h"
#include "analyze/precision/keep_check.h"
#include "analyze/search/expression.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernels/hooks.h"
#include "models/file/safetensors_write.h"
#include "probe/probe.h"
#include "runfile/run_reader.h"
#include "tests/ss_tmp.h"

#include <jansson.h>
#include <sys/stat.h>

#define GOLDEN "tests/golden"

/* The files, and how many of each kind they have at least. */
typedef struct {
    const char *path;
    int runs, lists, minimal, compared;
} planted_file;

static const planted_file of_denoisers = {GOLDEN "/planted.json", 300, 300, 40, 50},
                          of_decoders = {GOLDEN "/planted_vaes.json", 140, 60, 10, 8};
static const planted_file *now;
static ss_json file;

/* ---- networks ---- */

enum { MAX_TENSORS = 1024 };

/* Tensors by name, as they will be written. */
typedef struct {
    ss_st_item items[MAX_TENSORS];
    size_t n;
} tensors;

static int64_t numel(const ss_st_item *x)
{
    int64_t n = 1;

    for (int i = 0; i < x->rank; i++)
        n *= x->dim[i];
    return n;
}

static void add(tensors *t, const char *name, const ss_stored_tensor *from, int64_t samples)
{
    ss_st_item *x = &t->items[t->n++];

    assert_true(t->n <= MAX_TENSORS);
    *x = (ss_st_item){.name = name, .dtype = SS_F32, .rank = from->rank};
    memcpy(x->dim, from->dim, sizeof x->dim);
    if (samples)
        x->dim[0] = samples;
    if (samples && x->rank == 5) { /* of a video the first frame */
        x->rank--;
        memmove(x->dim + 1, x->dim + 2, 3 * sizeof *x->dim);
    }
    const int64_t n = numel(x);
    float *values = ss_alloc((size_t)n, sizeof *values);
    assert_non_null(values);
    ss_values_to_f32(from->dtype, from->data, (size_t)n, values);
    x->values = values;
}

static void release(tensors *t)
{
    for (size_t i = 0; i < t->n; i++)
        ss_free((void *)t->items[i].values);
    t->n = 0;
}

static ss_st_item *find(tensors *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->items[i].name, name) == 0)
            return &t->items[i];
    }
    fail_msg("%s: no tensor %s", file.name, name);
    return NULL;
}

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    if (!s)
        fail_msg("%s: no text %s", file.name, key);
    return s;
}

static const json_t *base_of(const json_t *network)
{
    return json_object_get(json_object_get(file.root, "bases"), text(network, "base"));
}

/* True for the decoder of an autoencoder, which is given z. */
static bool is_decoder(const json_t *network)
{
    return json_object_get(base_of(network), "folder") != NULL;
}

/* Leading indices name a part that lies in one piece. */
static void edit(tensors *t, const json_t *e, const char *name)
{
    const json_t *at = json_object_get(e, "at");
    const ss_st_item *x = find(t, name);
    const float value = (float)json_number_value(json_object_get(e, "value"));
    const bool fill = strcmp(text(e, "op"), "fill") == 0;
    int64_t n = numel(x), from = 0;
    float *values = (float *)x->values;

    for (size_t i = 0; i < json_array_size(at); i++) {
        n /= x->dim[i];
        from += n * json_integer_value(json_array_get(at, i));
    }
    for (int64_t i = from; i < from + n; i++)
        values[i] = fill ? value : values[i] * value;
}

static void write_tensors(const tensors *t, const char *path)
{
    ss_err e = {0};

    if (ss_safetensors_write(path, t->items, t->n, NULL, 0, &e) != SS_OK)
        fail_msg("%s", e.msg);
}

/* Where a planted network and its input are. */
typedef struct {
    char folder[256], inputs[256];
    bool text, pooled;
} planted;

static bool is_input(const char *name)
{
    static const char *const inputs[] = {"x", "z", "encoder_hidden_states", "text_embeds",
                                         "time_ids"};

    for (size_t i = 0; i < N_OF(inputs); i++) {
        if (strcmp(name, inputs[i]) == 0)
            return true;
    }
    return false;
}

static void plant(const json_t *network, planted *p)
{
    static tensors weights, inputs;
    const char *base = text(network, "base");
    char path[512], of[256], *config;
    size_t n, i;
    ss_safetensors *w, *g;
    ss_err e = {0};
    json_t *change;

    snprintf(p->folder, sizeof p->folder, "%s", in_tmp("network"));
    snprintf(p->inputs, sizeof p->inputs, "%s", in_tmp("inputs.safetensors"));
    mkdir(p->folder, 0700);
    snprintf(of, sizeof of, GOLDEN "/%s/%s", is_decoder(network) ? "vaes" : "unets", base);
    snprintf(path, sizeof path, "%s/config.json", of);
    assert_int_equal(ss_file_read(path, 1 << 20, &config, &n, &e), SS_OK);
    snprintf(path, sizeof path, "%s/config.json", p->folder);
    write_file(path, config, n);
    ss_free(config);

    snprintf(path, sizeof path, "%s/diffusion_pytorch_model.safetensors", of);
    assert_int_equal(ss_safetensors_open(path, &w, &e), SS_OK);
    snprintf(path, sizeof path, "%s/golden.safetensors", of);
    assert_int_equal(ss_safetensors_open(path, &g, &e), SS_OK);
    for (i = 0; i < ss_safetensors_count(w); i++)
        add(&weights, ss_safetensors_at(w, i)->name, ss_safetensors_at(w, i), 0);
    for (i = 0; i < ss_safetensors_count(g); i++) {
        if (is_input(ss_safetensors_at(g, i)->name))
            add(&inputs, ss_safetensors_at(g, i)->name, ss_safetensors_at(g, i), 1);
    }
    json_array_foreach(json_object_get(network, "edits"), i, change)
    {
        const char *name = text(change, "tensor");

        if (strncmp(name, "input:", 6) == 0)
            edit(&inputs, change, name + 6);
        else
            edit(&weights, change, name);
    }
    snprintf(path, sizeof path, "%s/diffusion_pytorch_model.safetensors", p->folder);
    write_tensors(&weights, path);
    write_tensors(&inputs, p->inputs);
    p->text = ss_safetensors_find(g, "encoder_hidden_states") != NULL;
    p->pooled = ss_safetensors_find(g, "text_embeds") != NULL;
    ss_safetensors_close(w);
    ss_safetensors_close(g);
    release(&weights);
    release(&inputs);
}

/* ---- runs ---- */

/* Probes the planted network; change: how it is emulated, {0} in fp32. */
static ss_run *probe(const json_t *network, const planted *p, ss_changes_options change)
{
    const json_t *base = base_of(network), *size = json_object_get(base, "size");
    const json_t *label = json_object_get(base, "class");
    char x[300], prompt[300], pooled[300], ids[300], told[32];
    const char *inputs[] = {x};
    ss_probe_options opt = ss_probe_defaults();
    ss_probe_summary summary;
    ss_run *r;
    ss_err e = {0};

    snprintf(x, sizeof x, "raw:%s#%s", p->inputs, is_decoder(network) ? "z" : "x");
    snprintf(prompt, sizeof prompt, "%s#encoder_hidden_states", p->inputs);
    snprintf(pooled, sizeof pooled, "%s#text_embeds", p->inputs);
    snprintf(ids, sizeof ids, "%s#time_ids", p->inputs);
    snprintf(told, sizeof told, "%g", json_number_value(json_object_get(base, "at")));
    opt.network.model = p->folder;
    opt.network.height = (int)json_integer_value(json_array_get(size, 0));
    opt.network.width = (int)json_integer_value(json_array_get(size, 1));
    opt.network.changes = change;
    opt.output = in_tmp("run.h5");
    opt.replace = true;
    opt.inputs = inputs;
    opt.n_inputs = 1;
    opt.samples = 1;
    opt.threads = 1;
    opt.histogram = false;
    if (strcmp(text(base, "told"), "--sigmas") == 0)
        opt.sigmas = told;
    else
        opt.timesteps = told;
    if (p->text)
        opt.prompt_embeds = prompt;
    if (p->pooled) {
        opt.text_embeds = pooled;
        opt.time_ids = ids;
    }
    if (json_is_integer(label))
        opt.class_label = (int)json_integer_value(label);
    if (ss_probe_run(&opt, &summary, &e) != SS_OK || ss_run_open(opt.output, &r, &e) != SS_OK)
        fail_msg("%s: %s", text(network, "base"), e.msg);
    return r;
}

/* Index of a module in the run; the whole network has no name in PyTorch. */
static int module_of(const ss_run *r, const char *name)
{
    for (int m = 0; m < r->n_modules; m++) {
        if (strcmp(r->modules[m], *name ? name : "(model)") == 0)
            return m;
    }
    fail_msg("the run has no module %s", name);
    return -1;
}

/* ---- PyTorch's answer ---- */

/* Marks the modules of the pairs [first, last]. */
static void unpack(const json_t *pairs, bool *lost, size_t n)
{
    size_t k;
    json_t *pair;

    memset(lost, 0, n);
    json_array_foreach(pairs, k, pair)
    {
        const json_int_t first = json_integer_value(json_array_get(pair, 0));
        const json_int_t last = json_integer_value(json_array_get(pair, 1));

        assert_true(first >= 0 && last < (json_int_t)n);
        for (json_int_t i = first; i <= last; i++)
            lost[i] = true;
    }
}

/* Modules of a base that are not finite, in the order in which they end. */
typedef struct {
    size_t n;
    bool lost[MAX_TENSORS];
    int64_t outputs;
} losses;

static losses losses_of(const json_t *network, ss_run *r)
{
    const json_t *names = json_object_get(base_of(network), "modules");
    const uint64_t *bad;
    losses x = {.n = json_array_size(names)};
    ss_err e = {0};

    assert_int_equal(ss_run_nonfinite(r, &bad, &e), SS_OK);
    assert_true(x.n <= N_OF(x.lost));
    for (size_t i = 0; i < x.n; i++) {
        const int m = module_of(r, json_string_value(json_array_get(names, i)));

        x.outputs = (int64_t)bad[ss_run_at(r, m, ss_run_port(r, "output"), 0, 0, 0)];
        x.lost[i] = x.outputs > 0;
    }
    return x; /* the network itself comes last */
}

static losses losses_in(const json_t *network, const json_t *run)
{
    losses x = {.n = json_array_size(json_object_get(base_of(network), "modules")),
                .outputs = json_integer_value(json_object_get(run, "outputs"))};

    assert_true(x.n <= N_OF(x.lost));
    unpack(json_object_get(run, "modules"), x.lost, x.n);
    return x;
}

/* Index of the first module where a and b differ in being lost, or -1. */
static int first_difference(const losses *a, const losses *b)
{
    for (size_t i = 0; i < a->n; i++) {
        if (a->lost[i] != b->lost[i])
            return (int)i;
    }
    return -1;
}

static int first_lost(const losses *x)
{
    for (size_t i = 0; i < x->n; i++) {
        if (x->lost[i])
            return (int)i;
    }
    return -1;
}

typedef struct {
    int runs, first, modules, outputs; /* that were compared; that differ */
} tally;

/* One run against PyTorch's: that of its own kernels, or one that keeps NaN in attention where the
 * CPU's kernel loses it. Norms are held to CUDA's: those of the CPU can be NaN where CUDA's are
 * not. */
static void compare(const json_t *network, const json_t *run, size_t index, ss_run *r, tally *t)
{
    const json_t *names = json_object_get(base_of(network), "modules");
    const json_t *norms = json_object_get(run, "cuda_norms"), *answer = norms ? norms : run;
    const json_t *kept = json_object_get(answer, "kept_nan");
    const losses ours = losses_of(network, r);
    losses want = losses_in(network, answer);
    int differs = first_difference(&ours, &want);

    if (differs >= 0 && kept) {
        const losses other = losses_in(network, kept);

        if (first_difference(&ours, &other) < 0) {
            want = other;
            differs = -1;
        }
    }
    t->runs++;
    t->first += first_lost(&ours) != first_lost(&want);
    t->modules += differs >= 0;
    t->outputs += ours.outputs != want.outputs;
    if (differs >= 0 || ours.outputs != want.outputs) {
        const int a = first_lost(&ours), b = first_lost(&want);

        print_message("network %zu (%s, %s) %s %s %s: first %s, PyTorch %s; unlike PyTorch %s %s; "
                      "values lost %lld, PyTorch %lld\n",
                      index, text(network, "base"), text(network, "kind"), text(run, "as"),
                      text(run, "format"), text(run, "attention"),
                      a < 0 ? "none" : json_string_value(json_array_get(names, (size_t)a)),
                      b < 0 ? "none" : json_string_value(json_array_get(names, (size_t)b)),
                      differs < 0 ? "none"
                                  : json_string_value(json_array_get(names, (size_t)differs)),
                      differs < 0          ? ""
                      : ours.lost[differs] ? "is lost"
                                           : "is not lost",
                      (long long)ours.outputs, (long long)want.outputs);
    }
}

static void test_what_is_lost(void **state)
{
    (void)state;
    const json_t *networks = json_object_get(file.root, "networks");
    const char *only = getenv("NETWORK"); /* one of them, to look at */
    tally t = {0};
    size_t i, k;
    json_t *network, *run;

    json_array_foreach(networks, i, network)
    {
        planted p;

        if (only && strtoul(only, NULL, 10) != i)
            continue;
        plant(network, &p);
        json_array_foreach(json_object_get(network, "runs"), k, run)
        {
            ss_run *r = probe(network, &p,
                              (ss_changes_options){.precision = text(run, "format"),
                                                   .as = text(run, "as"),
                                                   .attention = text(run, "attention")});

            compare(network, run, i, r, &t);
            ss_run_close(r);
        }
    }
    print_message("%d runs; first module differs in %d, modules in %d, lost values in %d\n", t.runs,
                  t.first, t.modules, t.outputs);
    assert_true(only || t.runs >= now->runs);
    assert_int_equal(t.first, 0);
    assert_int_equal(t.modules, 0);
    assert_int_equal(t.outputs, 0);
}

/* True for a module with an output: those of an encoder have none. */
static bool has_run(ss_run *r, int m)
{
    const size_t at = ss_run_at(r, m, ss_run_port(r, "output"), 0, 0, 0);
    const uint64_t *bad;
    const float *absmax;
    ss_err e = {0};

    if (ss_run_nonfinite(r, &bad, &e) != SS_OK || ss_run_stat(r, "absmax", &absmax, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return bad[at] || !isnan(absmax[at]);
}

/* Every module that PyTorch's hooks saw is in a run and ran, and no other. */
static void test_modules(void **state)
{
    (void)state;
    const json_t *networks = json_object_get(file.root, "networks");
    json_t *done = json_object();
    size_t i, k;
    json_t *network, *name;

    json_array_foreach(networks, i, network)
    {
        const char *base = text(network, "base");
        const json_t *names = json_object_get(base_of(network), "modules");
        planted p;
        int n = 0;

        if (json_object_get(done, base))
            continue;
        json_object_set_new(done, base, json_true());
        plant(network, &p);
        ss_run *r = probe(network, &p, (ss_changes_options){0});
        json_array_foreach(names, k, name) module_of(r, json_string_value(name));
        for (int m = 0; m < r->n_modules; m++)
            n += r->inner[m] == 0 && has_run(r, m);
        assert_int_equal(n, json_array_size(names));
        ss_run_close(r);
    }
    json_decref(done);
}

/* Values that PyTorch lost with the lists pasted: none where the program says that they suffice.
 * Where it says that they do not, the network or its input is not finite in what it is given in. */
static void test_pasted(void **state)
{
    (void)state;
    int lists = 0, minimal = 0;
    size_t i, k;
    json_t *network, *run;

    json_array_foreach(json_object_get(file.root, "networks"), i, network)
    {
        json_array_foreach(json_object_get(network, "runs"), k, run)
        {
            const json_t *keep = json_object_get(run, "keep");
            const json_t *least = json_object_get(run, "minimal");

            if (json_is_true(json_object_get(keep, "enough"))) {
                lists++;
                if (json_integer_value(json_object_get(keep, "lost")) > 0)
                    fail_msg("network %zu as %s: what is said to suffice does not", i,
                             text(run, "as"));
            }
            /* of a network that PyTorch loses in fp32, too, no list is worth anything */
            if (least && json_integer_value(json_object_get(network, "fp32")) == 0) {
                minimal++;
                if (json_integer_value(json_object_get(least, "lost")) > 0)
                    fail_msg("network %zu as %s: the minimal list does not suffice", i,
                             text(run, "as"));
            }
        }
    }
    assert_true(lists >= now->lists);
    assert_true(minimal >= now->minimal);
}

static bool has(const json_t *names, const char *name)
{
    size_t i;
    json_t *x;

    json_array_foreach(names, i, x)
    {
        if (strcmp(json_string_value(x), name) == 0)
            return true;
    }
    return false;
}

/* The list of one run, and what the check says of it. */
static void compare_list(const json_t *network, const json_t *run, size_t index, ss_run *r)
{
    const json_t *keep = json_object_get(run, "keep"), *names = json_object_get(keep, "modules");
    const bool enough = json_is_true(json_object_get(keep, "enough"));
    size_t n = 0;
    ss_format f;
    ss_keep k;
    ss_keep_check c;
    ss_err e = {0};

    assert_int_equal(ss_format_parse(text(run, "format"), &f, &e), SS_OK);
    assert_int_equal(ss_round_scope_parse(text(run, "as"), &r->as, &e), SS_OK);
    assert_int_equal(ss_attention_code_parse(text(run, "attention"), &r->attention, &e), SS_OK);
    if (ss_keep_find(r, &f, 0, &k, &e) != SS_OK ||
        ss_keep_check_run(r, &k, 1, "cpu", &c, &e) != SS_OK)
        fail_msg("network %zu: %s", index, e.msg);
    for (int m = 0; m < r->n_modules; m++) {
        if (!ss_keep_listed(&k, m))
            continue;
        n++;
        if (!has(names, ss_keep_path(r, m)))
            fail_msg("network %zu (%s) as %s: %s is on the list, and was not pasted", index,
                     text(network, "base"), text(run, "as"), ss_keep_path(r, m));
    }
    const bool clean = c.clean && !k.nonfinite; /* no list mends what is not finite in fp32 */
    /* Where fp32 loses values, too, it depends on the order of a sum in which module they begin. */
    const bool sum = json_integer_value(json_object_get(network, "fp32")) > 0;
    if ((n != json_array_size(names) && !sum) || clean != enough)
        fail_msg("network %zu (%s) as %s: a list of %zu, said to %s; pasted was one of %zu", index,
                 text(network, "base"), text(run, "as"), n, clean ? "suffice" : "not suffice",
                 json_array_size(names));
    ss_keep_check_release(&c);
    ss_keep_release(&k);
}

static void test_lists(void **state)
{
    (void)state;
    enum { EVERY = 6 };
    int compared = 0;
    size_t i, k;
    json_t *network, *run;

    json_array_foreach(json_object_get(file.root, "networks"), i, network)
    {
        planted p;

        if (i % EVERY)
            continue;
        plant(network, &p);
        ss_run *r = probe(network, &p, (ss_changes_options){0});
        json_array_foreach(json_object_get(network, "runs"), k, run)
        {
            if (!json_object_get(run, "keep"))
                continue;
            compare_list(network, run, i, r);
            compared++;
        }
        ss_run_close(r);
    }
    assert_true(compared >= now->compared);
}

/* Answers of the analyses of one fp32 run for one format and one code: does something overflow? */
typedef struct {
    bool headroom, overflow, expression, keep;
} answers;

static bool holds(ss_run *r, const char *text_of)
{
    ss_expression x;
    ss_witness w;
    bool yes;
    ss_err e = {0};

    if (ss_expression_parse(text_of, &x, &e) != SS_OK ||
        ss_expression_eval(&x, r, &yes, &w, &e) != SS_OK)
        fail_msg("%s: %s", text_of, e.msg);
    ss_expression_release(&x);
    return yes;
}

static answers answers_of(ss_run *r, const ss_format *f)
{
    char expression[64];
    answers a = {0};
    ss_sites all;
    ss_headroom h;
    ss_overflow o;
    ss_keep k;
    ss_err e = {0};

    assert_int_equal(ss_sites_find(r, NULL, 0, SS_SITES_ALL, &all, &e), SS_OK);
    assert_int_equal(ss_headroom_find(r, &all, f, 1, &h, &e), SS_OK);
    a.headroom = h.n_negative[0] > 0;
    assert_int_equal(ss_overflow_find(r, &all, f, &o, &e), SS_OK);
    for (int i = 0; i < o.n; i++)
        a.overflow |= o.rows[i].n_over > 0;
    snprintf(expression, sizeof expression, "overflow(%s)", f->name);
    a.expression = holds(r, expression);
    assert_int_equal(ss_keep_find(r, f, 0, &k, &e), SS_OK);
    a.keep = k.n_kept > 0;
    ss_keep_release(&k);
    ss_overflow_release(&o);
    ss_headroom_release(&h);
    ss_sites_release(&all);
    return a;
}

/* Headroom, overflow, expression and keep list of one fp32 run give one answer, for every kind of
 * value and every code; and it is PyTorch's, where fp32 itself is finite. */
static void test_one_answer(void **state)
{
    (void)state;
    int runs = 0, yes = 0, among = 0, against = 0;
    size_t i, k;
    json_t *network, *run;

    json_array_foreach(json_object_get(file.root, "networks"), i, network)
    {
        planted p;

        plant(network, &p);
        ss_run *r = probe(network, &p, (ss_changes_options){0});
        const bool finite = !holds(r, "nonfinite(*)");
        json_array_foreach(json_object_get(network, "runs"), k, run)
        {
            const json_t *norms = json_object_get(run, "cuda_norms"), *answer = norms ? norms : run;
            const losses lost = losses_in(network, answer);
            ss_format f;

            assert_int_equal(ss_format_parse(text(run, "format"), &f, NULL), SS_OK);
            assert_int_equal(ss_round_scope_parse(text(run, "as"), &r->as, NULL), SS_OK);
            assert_int_equal(ss_attention_code_parse(text(run, "attention"), &r->attention, NULL),
                             SS_OK);
            if (!finite)
                continue;
            const answers a = answers_of(r, &f);
            const bool torch = first_lost(&lost) >= 0;

            runs++;
            yes += a.overflow;
            if (a.headroom != a.overflow || a.expression != a.overflow || a.keep != a.overflow) {
                among++;
                print_message(
                    "network %zu (%s, %s) %s %s %s: headroom %d overflow %d expression %d "
                    "keep %d\n",
                    i, text(network, "base"), text(network, "kind"), text(run, "as"), f.name,
                    text(run, "attention"), a.headroom, a.overflow, a.expression, a.keep);
            }
            if (a.overflow != torch) {
                against++;
                print_message("network %zu (%s, %s) %s %s %s: overflows %d, PyTorch loses %d\n", i,
                              text(network, "base"), text(network, "kind"), text(run, "as"), f.name,
                              text(run, "attention"), a.overflow, torch);
            }
        }
        ss_run_close(r);
    }
    print_message("%d runs, %d overflow: the analyses differ in %d, from PyTorch in %d\n", runs,
                  yes, among, against);
    assert_true(runs >= now->runs);
    assert_int_equal(among, 0);
    assert_int_equal(against, 0);
}

static int load(void **state)
{
    ss_err e = {0};

    ss_log_setup(SS_LOG_QUIET, SS_PROGRESS_NEVER);
    if (ss_json_load(&file, now->path, &e) != SS_OK)
        fail_msg("%s", e.msg);
    /* in memory: thousands of small files are written, what a disk adds is not tested here */
    strcpy(tmp_dir, "/dev/shm/sigmascope-test-XXXXXX");
    const int rc = mkdtemp(tmp_dir) ? 0 : make_tmp(state);
    setenv("TMPDIR", tmp_dir, 1); /* for the runs of the checks */
    return rc;
}

static int unload(void **state)
{
    ss_json_release(&file);
    return remove_tmp(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modules),    cmocka_unit_test(test_what_is_lost),
        cmocka_unit_test(test_pasted),     cmocka_unit_test(test_lists),
        cmocka_unit_test(test_one_answer),
    };
    int failed = 0;

    now = &of_denoisers;
    failed += cmocka_run_group_tests_name("denoisers", tests, load, unload);
    now = &of_decoders;
    failed += cmocka_run_group_tests_name("decoders", tests, load, unload);
    return failed;
}
