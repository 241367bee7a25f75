/* test_components.c - which component fails first: against a search by brute force over runs of
 * random sickness, and the sentences of known runs */
#include "analyze/one/growth.h"
#include "analyze/several/components.h"
#include "analyze/several/trend.h"
#include "base/mem.h"
#include "reports/page/plot.h"
#include "reports/report.h"
#include "tests/component_synth.h"

#include <stdio.h>
#include <unistd.h>

static const char *const names[] = {"fp16", "bf16", "fp8-e4m3", "fp8-e5m2"};
enum { N_FORMATS = N_OF(names) };
static ss_format formats[N_FORMATS];
static char paths[CS_COMPONENTS][64];

static int setup(void **state)
{
    ss_err e = {0};

    (void)state;
    for (int i = 0; i < N_FORMATS; i++)
        assert_int_equal(ss_format_parse(names[i], &formats[i], &e), SS_OK);
    for (int i = 0; i < CS_COMPONENTS; i++)
        snprintf(paths[i], sizeof paths[i], "/tmp/ss-components-%d-%d.h5", (int)getpid(), i);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < CS_COMPONENTS; i++)
        unlink(paths[i]);
    return 0;
}

/* Three runs and their verdicts; order: in which they are given. */
typedef struct {
    ss_run *runs[CS_COMPONENTS];
    ss_verdicts v;
} judged;

static judged judge(const cs_run *r, const int *order)
{
    judged j = {0};
    ss_err e = {0};

    for (int i = 0; i < CS_COMPONENTS; i++) {
        cs_write(&r[order[i]], paths[i]);
        assert_int_equal(ss_run_open(paths[i], &j.runs[i], &e), SS_OK);
    }
    assert_true(ss_runs_are_components(j.runs, CS_COMPONENTS));
    if (ss_verdicts_find(j.runs, CS_COMPONENTS, NULL, 0, formats, N_FORMATS, &j.v, &e) != SS_OK)
        fail_msg("%s", e.msg);
    return j;
}

static void release(judged *j)
{
    ss_verdicts_release(&j->v);
    for (int i = 0; i < CS_COMPONENTS; i++)
        ss_run_close(j->runs[i]);
}

static const int usual[] = {CS_TEXT, CS_UNET, CS_VAE};

static void assert_said(const judged *j, int format, const char *want)
{
    char *text = ss_verdicts_say(&j->v, format);

    assert_string_equal(text, want);
    ss_free(text);
}

/* ---- brute force ---- */

/* Splitmix64: a run of random sickness needs no better. */
static uint64_t next(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t *s)
{
    return (double)(next(s) >> 11) * 0x1p-53;
}

/* 2^0 to 2^18, seldom inf, with inf beside it, or not run. */
static float random_value(uint64_t *s, double sick)
{
    const float x = exp2f(18 * (float)uniform(s));
    const double kind = uniform(s);

    return kind < sick ? INFINITY : kind < 2 * sick ? -x : kind < 3 * sick ? NAN : x;
}

static cs_run random_run(int component, uint64_t *s)
{
    cs_run r = cs_all(component, 1);
    const double sick = uniform(s) < 0.5 ? 0 : 0.02, scale = exp2(-8 * uniform(s));

    for (int m = 0; m < CS_MODULES; m++)
        for (int i = 0; i < CS_INPUTS; i++)
            for (int k = 0; k < r.n_sigmas; k++)
                for (int n = 0; n < r.n_samples; n++)
                    if (!isnan(r.value[m][i][k][n]))
                        r.value[m][i][k][n] = random_value(s, sick) * (float)scale;
    if (component == CS_UNET && uniform(s) < 0.3)
        r.weight = exp2f(18 * (float)uniform(s));
    if (uniform(s) < 0.2)
        r.n_done = (int)(next(s) % (uint64_t)r.n_sigmas);
    return r;
}

/* Finds the largest finite |x| of a module, and whether any value is not finite. */
static double peak_of(const cs_run *r, int m, bool *bad)
{
    double peak = NAN;

    *bad = false;
    for (int i = 0; i < CS_INPUTS; i++)
        for (int s = 0; s < r->n_done; s++)
            for (int n = 0; n < r->n_samples; n++) {
                const float v = r->value[m][i][s][n];

                *bad |= isinf(v) || v < 0;
                peak = fmax(peak, isinf(v) ? NAN : fabsf(v));
            }
    return peak;
}

static void check_run(const cs_run *r, const ss_component_verdicts *c, int f)
{
    const ss_component_verdict *x = &c->verdict[f];
    double largest = NAN;
    int worst = -1;

    for (int k = 0; k < CS_MODULES; k++) {
        const int m = cs_forward[k];
        bool bad;
        const double peak = peak_of(r, m, &bad);
        const bool weighs = m == CS_LAYER && r->n_done > 0 && r->weight > 0 &&
                            ss_overflows(&formats[f], r->weight) && !isnan(peak);
        const bool over = ss_overflows(&formats[f], peak);

        if (bad || over || (weighs && !isnan(peak))) {
            assert_int_equal(x->kind, bad ? SS_VERDICT_NOT_FINITE : SS_VERDICT_OVERFLOWS);
            assert_int_equal(x->site.module, m);
            assert_int_equal(x->weights, !bad && !over);
            if (x->weights)
                assert_float_equal(x->largest, r->weight, 0);
            else if (isnan(peak))
                assert_true(isnan(x->largest));
            else
                assert_float_equal(x->largest, peak, 0);
            return;
        }
        if (!isnan(peak) && !(peak <= largest)) {
            largest = peak;
            worst = m;
        }
    }
    assert_int_equal(x->kind, worst < 0 ? SS_VERDICT_UNKNOWN : SS_VERDICT_FITS);
    if (worst < 0) {
        assert_non_null(c->why);
        return;
    }
    assert_float_equal(x->largest, largest, 0);
    assert_float_equal(x->bits, ss_headroom_bits(&formats[f], largest), 0);
    /* the cell has that value */
    const int sample = x->cell.sample < 0 ? 0 : x->cell.sample;
    assert_float_equal(r->value[x->site.module][x->cell.input][x->cell.sigma][sample], largest, 0);
    assert_int_equal(x->cell.sample < 0, r->component == CS_TEXT && x->site.module == CS_BLOCK);
}

static void test_brute_force(void **state)
{
    static const int orders[][CS_COMPONENTS] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
    uint64_t seed = 1;
    int seen[4] = {0};

    (void)state;
    for (int k = 0; k < 150; k++) {
        cs_run r[CS_COMPONENTS];

        for (int i = 0; i < CS_COMPONENTS; i++)
            r[i] = random_run(i, &seed);
        judged j = judge(r, orders[k % (int)N_OF(orders)]);
        for (int i = 0; i < CS_COMPONENTS; i++) {
            assert_string_equal(j.v.list[i].name, cs_names[i]);
            for (int f = 0; f < N_FORMATS; f++) {
                check_run(&r[i], &j.v.list[i], f);
                seen[j.v.list[i].verdict[f].kind]++;
            }
        }
        release(&j);
    }
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > 10);
}

static void test_order_does_not_matter(void **state)
{
    static const int other[] = {CS_VAE, CS_TEXT, CS_UNET};
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 1e5f), cs_all(CS_VAE, 500)};

    (void)state;
    judged a = judge(r, usual);
    for (int f = 0; f < N_FORMATS; f++) {
        char *x = ss_verdicts_say(&a.v, f), *y;
        judged b = judge(r, other);

        y = ss_verdicts_say(&b.v, f);
        assert_string_equal(x, y);
        ss_free(x);
        ss_free(y);
        release(&b);
    }
    release(&a);
}

/* ---- sentences ---- */

static void test_text_fails_first(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 7640), cs_all(CS_VAE, 500)};

    (void)state;
    r[CS_TEXT].value[CS_LAYER][0][0][1] = 1.2e5f;
    r[CS_VAE].value[CS_LAST][1][2][0] = 2e5f;
    judged j = judge(r, usual);
    assert_said(&j, 0,
                "fp16: the text encoder fails first: text_encoder "
                "encoder.block.0.layer.1.DenseReluDense.wo reaches 1.2e+05 at token 1 'cat' of "
                "prompt \"a cat\", 0.9 bits over the limit; then vae decoder.conv_out reaches "
                "2e+05 at sigma 80, 1.6 bits over the limit; unet has 3.1 bits left.");
    assert_said(&j, 1,
                "bf16: nothing fails; vae has least headroom, 110.4 bits: decoder.conv_out reaches "
                "2e+05 at sigma 80; text_encoder has 111.1 bits; unet has 115.1 bits.");
    release(&j);
}

static void test_one_alone_fails(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 7640), cs_all(CS_VAE, 500)};

    (void)state;
    r[CS_TEXT].value[CS_BLOCK][1][0][0] = 65520; /* rounds to more than fp16 holds */
    judged j = judge(r, usual);
    assert_said(&j, 0,
                "fp16: the text encoder alone fails: text_encoder encoder.block.0 reaches "
                "6.55e+04 at prompt \"a dog\", just over the limit; unet has 3.1 bits left; vae "
                "has 7.0 bits left.");
    release(&j);
}

static void test_weights(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 20), cs_all(CS_VAE, 500)};

    (void)state;
    r[CS_UNET].weight = 1e6f;
    judged j = judge(r, usual);
    assert_said(&j, 0,
                "fp16: the denoiser alone fails: unet down_blocks.0.resnets.0 has a weight of "
                "1e+06, 3.9 bits over the limit; text_encoder has 12.7 bits left; vae has 7.0 bits "
                "left.");
    release(&j);
    r[CS_UNET].weight = NAN;
    r[CS_UNET].weight_broken = 7;
    for (int n = 0; n < 2; n++)
        r[CS_UNET].value[CS_LAYER][1][0][n] = INFINITY;
    j = judge(r, usual);
    assert_said(&j, 0,
                "fp16: the denoiser alone fails: unet down_blocks.0.resnets.0 is inf or NaN at "
                "sigma 0.5 (1 of its parameters is inf or NaN, the first is "
                "down_blocks.0.resnets.0.weight); text_encoder has 12.7 bits left; vae has 7.0 "
                "bits left.");
    release(&j);
}

static void test_unfinished_and_empty(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 20), cs_all(CS_VAE, 500)};

    (void)state;
    r[CS_TEXT].n_done = 0;
    r[CS_VAE].n_done = 2;
    judged j = judge(r, usual);
    assert_said(&j, 0,
                "fp16: nothing that was judged fails; vae has least headroom, 7.0 bits: "
                "decoder.up_blocks.0.resnets.0 reaches 500 at sigma 0.5 (unfinished: 2 of 3 noise "
                "levels); unet has 11.7 bits; text_encoder is not judged: no prompt is finished.");
    release(&j);
    r[CS_UNET] = cs_all(CS_UNET, 0);
    r[CS_VAE] = cs_all(CS_VAE, NAN);
    j = judge(r, usual);
    assert_said(&j, 0,
                "fp16: nothing can be judged; text_encoder is not judged: no prompt is finished; "
                "unet is not judged: every value is zero; vae is not judged: nothing was "
                "recorded.");
    release(&j);
}

static void test_all_nan(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, INFINITY), cs_all(CS_UNET, INFINITY), cs_all(CS_VAE, INFINITY)};

    (void)state;
    judged j = judge(r, usual);
    assert_said(&j, 3,
                "fp8-e5m2: the text encoder fails first: text_encoder "
                "encoder.block.0.layer.1.DenseReluDense.wo is inf or NaN at token 0 'a' of prompt "
                "\"a cat\"; then unet down_blocks.0.resnets.0 is inf or NaN at sigma 0.5; then vae "
                "decoder.up_blocks.0.resnets.0 is inf or NaN at sigma 0.5.");
    release(&j);
}

static void test_saturated(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 448), cs_all(CS_VAE, 100)};

    (void)state;
    r[CS_UNET].precision = "fp8-e4m3";
    judged j = judge(r, usual);
    assert_said(&j, 2,
                "fp8-e4m3: nothing fails; unet has least headroom, at most 0.0 bits: "
                "down_blocks.0.resnets.0 reaches 448 at sigma 0.5 (fp8-e4m3 cuts values off at "
                "448); vae has 2.2 bits; text_encoder has 5.5 bits.");
    release(&j);
}

static void test_same_component_twice(void **state)
{
    const cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 448), cs_all(CS_UNET, 100)};
    ss_run *runs[3] = {NULL};
    ss_verdicts v = {0};
    ss_err e = {0};
    char want[400];

    (void)state;
    for (int i = 0; i < 3; i++) {
        cs_write(&r[i], paths[i]);
        assert_int_equal(ss_run_open(paths[i], &runs[i], &e), SS_OK);
    }
    assert_false(ss_runs_are_components(runs + 1, 2));
    assert_false(ss_runs_are_components(runs, 1));
    assert_int_equal(ss_verdicts_find(runs, 3, NULL, 0, formats, 1, &v, &e), SS_USAGE);
    snprintf(want, sizeof want,
             "%s and %s are both of the component unet; runs of one component over checkpoints "
             "are a trend: give them alone",
             paths[1], paths[2]);
    assert_string_equal(e.msg, want);
    for (int i = 0; i < 3; i++)
        ss_run_close(runs[i]);
}

static void test_globs(void **state)
{
    static const char *const layer[] = {"*resnets.0"}, *const none[] = {"nothing"};
    const cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 448), cs_all(CS_VAE, 100)};
    ss_err e = {0};

    (void)state;
    judged j = judge(r, usual);
    ss_verdicts_release(&j.v);
    assert_int_equal(ss_verdicts_find(j.runs, 3, layer, 1, formats, N_FORMATS, &j.v, &e), SS_OK);
    assert_string_equal(j.v.list[CS_TEXT].why, "none of its modules is among those asked for");
    assert_int_equal(j.v.list[CS_VAE].verdict[0].site.module, CS_LAYER);
    ss_verdicts_release(&j.v);
    assert_int_equal(ss_verdicts_find(j.runs, 3, none, 1, formats, N_FORMATS, &j.v, &e), SS_USAGE);
    assert_string_equal(e.msg, "no module of any component matches 'nothing'");
    release(&j);
}

static void test_table(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 7640), cs_all(CS_VAE, 500)};
    ss_table t;
    ss_err e = {0};

    (void)state;
    r[CS_TEXT].value[CS_LAYER][0][0][1] = 1.2e5f;
    r[CS_UNET].n_done = 1;
    judged j = judge(r, usual);
    assert_int_equal(ss_verdicts_table(&j.v, &t, &e), SS_OK);
    json_t *got = ss_table_json(&t);
    assert_int_equal(json_array_size(json_object_get(got, "rows")), CS_COMPONENTS * N_FORMATS);
    char *row = json_dumps(json_array_get(json_object_get(got, "rows"), 0), JSON_COMPACT);
    assert_string_equal(
        row,
        "{\"format\":\"fp16\",\"component\":\"text_encoder\",\"module\":\"encoder.block.0.layer."
        "1.DenseReluDense.wo\",\"also\":[],\"port\":\"output\",\"sigma\":null,\"token\":\"1 "
        "'cat'\",\"input\":\"a cat\","
        "\"largest\":120000,\"bits\":-0.8733794932471951,\"finding\":\"OVERFLOWS\"}");
    assert_non_null(strstr(t.note, "NOT complete: unet"));
    free(row);
    json_decref(got);
    ss_table_release(&t);
    release(&j);
}

/* ---- tables of one run ---- */

/* Attention of a prompt is at its first token; the encoder of a VAE ran for the first input. */
static void write_attention(int component, const char *path)
{
    static const char *const inputs[] = {"a cat", "a dog"};
    static const double zero = 0;
    const ss_run_module m = {"encoder.attn", "Attention", false};
    const ss_run_layer layer = {"encoder.attn", 1, 4};
    const bool text = component == CS_TEXT;
    const ss_stats st = cs_stats(5);
    const ss_attention_stats head = {0.5f, 0.5f, 2, 0.5f, 0, NULL};
    ss_run_writer *w;
    ss_run_column *col;
    ss_err e = {0};
    const ss_run_spec spec = {.tool = "sigmascope test",
                              .role = cs_roles[component],
                              .modules = &m,
                              .n_modules = 1,
                              .inputs = inputs,
                              .n_inputs = 2,
                              .sigmas = &zero,
                              .n_sigmas = 1,
                              .n_samples = text ? 3 : 1,
                              .layers = &layer,
                              .n_layers = 1};

    assert_int_equal(ss_run_create(path, &spec, true, &w, &e), SS_OK);
    assert_int_equal(ss_run_column_new(w, 0, &col, &e), SS_OK);
    for (int i = 0; i < (text ? 2 : 1); i++) {
        for (int n = 0; n < spec.n_samples; n++)
            ss_run_put_stats(col, 0, SS_PORT_OUTPUT, i, n, &st);
        ss_run_put_attention(col, 0, 0, i, 0, &head);
    }
    assert_int_equal(ss_run_submit(w, col, &e), SS_OK);
    assert_int_equal(ss_run_finish(w, &e), SS_OK);
}

static void test_attention_that_is_not_due(void **state)
{
    static const int components[] = {CS_TEXT, CS_VAE};

    (void)state;
    for (int k = 0; k < 2; k++) {
        ss_run *r;
        ss_not_finite bad;
        ss_err e = {0};

        write_attention(components[k], paths[0]);
        assert_int_equal(ss_run_open(paths[0], &r, &e), SS_OK);
        assert_int_equal(ss_not_finite_find(r, &bad, &e), SS_OK);
        assert_int_equal(bad.n_heads, 0);
        assert_int_equal(bad.of_heads, 1);
        assert_false(ss_not_finite_any(&bad));
        ss_not_finite_release(&bad);
        ss_run_close(r);
    }
}

static void test_tables_of_text(void **state)
{
    cs_run r = cs_all(CS_TEXT, 10);
    ss_run *run;
    ss_sites sites;
    ss_growth g;
    ss_headroom h;
    ss_table t;
    ss_err e = {0};

    (void)state;
    r.value[CS_LAYER][1][0][2] = 70000;
    cs_write(&r, paths[0]);
    assert_int_equal(ss_run_open(paths[0], &run, &e), SS_OK);
    assert_int_equal(ss_sites_find(run, NULL, 0, SS_SITES_ALL, &sites, &e), SS_OK);
    assert_int_equal(ss_growth_find(run, &sites, SS_ALL, &g, &e), SS_OK);
    assert_int_equal(ss_growth_table(run, &g, 1, &t, &e), SS_OK);
    char *row = json_dumps(t.rows, JSON_COMPACT);
    assert_string_equal(row,
                        "[[{\"path\":\"encoder.block.0.layer.1.DenseReluDense.wo\",\"also\":[]},"
                        "\"output\",70000,\"2 '</s>'\",\"a dog\",7000,12374.369554648027]]");
    free(row);
    ss_table_release(&t);
    ss_growth_release(&g);
    assert_int_equal(ss_headroom_find(run, &sites, formats, 1, &h, &e), SS_OK);
    assert_int_equal(ss_headroom_table(run, &h, 1, &t, &e), SS_OK);
    row = json_dumps(t.rows, JSON_COMPACT);
    assert_string_equal(row,
                        "[[{\"path\":\"encoder.block.0.layer.1.DenseReluDense.wo\",\"also\":[]},"
                        "\"output\",-0.095771914583642842,70000,\"2 '</s>'\",\"fp16\"]]");
    free(row);
    ss_table_release(&t);
    ss_headroom_release(&h);
    ss_sites_release(&sites);
    ss_run_close(run);
}

static void test_trend_of_text(void **state)
{
    const cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_TEXT, 20)};
    const int64_t steps[] = {100, 200};
    ss_run *runs[2];
    ss_trend trend;
    ss_table t;
    ss_err e = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        cs_write(&r[i], paths[i]);
        assert_int_equal(ss_run_open(paths[i], &runs[i], &e), SS_OK);
    }
    assert_int_equal(ss_trend_find(runs, steps, 2, NULL, 0, &trend, &e), SS_OK);
    assert_int_equal(ss_trend_runs_table(&trend, &t, &e), SS_OK);
    assert_string_equal(t.note, "3 places and 2 prompts are in all runs; not finite: places with "
                                "inf or NaN");
    assert_int_equal(json_array_size(json_array_get(t.rows, 0)), json_array_size(t.columns));
    for (size_t i = 0; i < json_array_size(t.columns); i++)
        assert_null(strstr(json_string_value(json_object_get(json_array_get(t.columns, i), "name")),
                           "sigma"));
    ss_table_release(&t);
    ss_trend_release(&trend);
    for (int i = 0; i < 2; i++)
        ss_run_close(runs[i]);
}

/* ---- report ---- */

static char *contents(const char *folder, const char *file)
{
    char path[200];
    char *text = ss_calloc(1, 1 << 22);

    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 22) - 1, f) > 0);
    fclose(f);
    return text;
}

/* Writes a report of three runs, sick or not, of which no figure may fail. */
static char *report(const cs_run *r, const char *folder)
{
    const char *runs[CS_COMPONENTS];
    char version[64];
    ss_report_options opt = ss_report_defaults();
    ss_report_summary sum;
    ss_err e = {0};

    for (int i = 0; i < CS_COMPONENTS; i++) {
        cs_write(&r[usual[CS_COMPONENTS - 1 - i]], paths[i]);
        runs[i] = paths[i];
    }
    opt.runs = runs;
    opt.n_runs = CS_COMPONENTS;
    opt.folder = folder;
    opt.replace = true;
    if (ss_report_write(&opt, &sum, &e) != SS_OK)
        fail_msg("%s", e.msg);
    if (*ss_plot_version(version, sizeof version) && sum.n_missing)
        fail_msg("%s", sum.problem);
    for (int i = 0; i < CS_COMPONENTS; i++) {
        snprintf(version, sizeof version, "%s.html", cs_names[i]);
        ss_free(contents(folder, version));
    }
    return contents(folder, "index.html");
}

static void test_report(void **state)
{
    cs_run r[] = {cs_all(CS_TEXT, 10), cs_all(CS_UNET, 7640), cs_all(CS_VAE, 500)};
    char folder[64], command[128];

    (void)state;
    snprintf(folder, sizeof folder, "/tmp/ss-components-report-%d", (int)getpid());
    r[CS_TEXT].value[CS_LAYER][0][0][1] = 1.2e5f;
    char *page = report(r, folder);
    assert_non_null(strstr(page, "fp16: the text encoder alone fails: text_encoder "
                                 "encoder.block.0.layer.1.DenseReluDense.wo reaches 1.2e+05 at "
                                 "token 1 &#39;cat&#39; of prompt &quot;a cat&quot;"));
    assert_non_null(strstr(page, "<a href=\"text_encoder.html\">text_<wbr>encoder</a>"));
    assert_non_null(strstr(page, "components.png"));
    ss_free(page);
    page = contents(folder, "text_encoder.html");
    assert_non_null(strstr(page, "Module by token"));
    assert_null(strstr(page, "sigma 0"));
    ss_free(page);
    for (int k = 0; k < 3; k++) {
        const float x = k == 0 ? INFINITY : k == 1 ? 0 : NAN;

        for (int i = 0; i < CS_COMPONENTS; i++)
            r[i] = cs_all(i, x);
        r[CS_VAE].n_done = k;
        ss_free(report(r, folder));
    }
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brute_force),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_text_fails_first),
        cmocka_unit_test(test_one_alone_fails),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_unfinished_and_empty),
        cmocka_unit_test(test_all_nan),
        cmocka_unit_test(test_saturated),
        cmocka_unit_test(test_same_component_twice),
        cmocka_unit_test(test_globs),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_attention_that_is_not_due),
        cmocka_unit_test(test_tables_of_text),
        cmocka_unit_test(test_trend_of_text),
        cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
