/* test_plot.c - figures: no data and no name make gnuplot fail or break the page
 *
 * Laws over hostile data and labels: every figure is drawn, its markup is well-formed, has no ids,
 * and no element that is not on the list of svg.h; its size is bounded.
 */
#include "base/file.h"
#include "base/format.h"
#include "reports/page/heat.h"
#include "reports/page/plot.h"
#include "reports/page/svg.h"
#include "tests/ss_tmp.h"

#include <math.h>
#include <stdlib.h>

static const char hostile[] = "x'\"`touch /tmp/owned-plot`<script>alert(1)</script>&]]>\n%s$(id)\\"
                              "\xff\xc3 = .conv @{x} \x01\x02";

static bool has_gnuplot(void)
{
    char version[100];

    return *ss_plot_version(version, sizeof version) != '\0';
}

/* Follows the tags of the markup: each that opens is closed, in order, and is known. */
static void check_markup(const char *text)
{
    static const char *const known[] = {"svg",    "path",  "polygon", "circle", "text",
                                        "image",  "title", "div",     "ul",     "li",
                                        "button", "span",  "script"};
    char open[64][16];
    int depth = 0;

    for (const char *p = text; (p = strchr(p, '<')); p++) {
        const bool closes = p[1] == '/';
        const char *name = p + 1 + closes, *end = strchr(p, '>');
        const size_t n = strcspn(name, " >/");
        bool is_known = false;

        if (!end)
            fail_msg("a tag does not end: %.60s", p);
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            is_known |= strlen(known[i]) == n && strncmp(known[i], name, n) == 0;
        if (!is_known)
            fail_msg("unknown element: %.60s", p);
        if (closes) {
            if (depth == 0 || strncmp(open[depth - 1], name, n) != 0 || open[depth - 1][n])
                fail_msg("closes what is not open: %.60s", p);
            depth--;
        } else if (end[-1] != '/') {
            assert_true(depth < 64);
            snprintf(open[depth++], sizeof open[0], "%.*s", (int)n, name);
        }
    }
    assert_int_equal(depth, 0);
    assert_null(strstr(text, " id="));
    assert_null(strstr(text, "]]>"));
    assert_null(strstr(text, "onmouse"));
    assert_true(ss_utf8_valid(text, strlen(text)));
}

/* Draws the plot; the markup is the caller's to release. */
static ss_str drawn(ss_plot *p, const char *what, int width, int height)
{
    ss_str markup = {0};
    ss_err e = {0};

    if (ss_plot_draw(p, tmp_dir, "figure", width, height, hostile, &markup, &e) != SS_OK)
        fail_msg("%s: %s", what, e.msg);
    check_markup(markup.s);
    return markup;
}

static void add_points(ss_plot *p, const double *v, int n)
{
    ss_plot_add(p, "$d << EOD\n");
    for (int i = 0; i < n; i++) {
        ss_plot_addf(p, "%d ", i + 1);
        ss_plot_number(p, v[i]);
        ss_plot_add(p, "\n");
    }
    ss_plot_add(p, "EOD\n");
    ss_plot_settings(p);
}

static void test_any_data_is_drawn(void **state)
{
    (void)state;
    static const double data[][4] = {{1, 2, 3, 4},          {5, 5, 5, 5},      {0, 0, 0, 0},
                                     {-1, -2, -3, -4},      {NAN, 1, NAN, 2},  {NAN, NAN, NAN, NAN},
                                     {1e308, 1, 1, 1},      {1e-320, 1, 1, 1}, {INFINITY, 1, 2, 3},
                                     {-INFINITY, 0, 0, 1e9}};

    if (!has_gnuplot())
        skip();
    for (size_t k = 0; k < sizeof data / sizeof *data; k++) {
        for (int n = 1; n <= 4; n += 3) {
            for (int log = 0; log < 2; log++) {
                ss_plot p = {0};
                char what[60];

                snprintf(what, sizeof what, "data %zu, %d points, log %d", k, n, log);
                add_points(&p, data[k], n);
                ss_plot_panel(&p, hostile, "x", "y");
                ss_plot_add(&p, log ? "set logscale y\nset xrange [0:5]\n" : "set xrange [0:5]\n");
                if (ss_plot_any(data[k], n, log))
                    ss_plot_series(&p, 1, SS_PLOT_BOTH, hostile, "$d", 1, 2);
                ss_plot_items_end(&p);
                ss_str m = drawn(&p, what, 440, 300);
                ss_str_release(&m);
            }
        }
    }
    assert_int_equal(access("/tmp/owned-plot", F_OK), -1);
}

static void test_points_say_their_numbers(void **state)
{
    (void)state;
    const double v[] = {10, 494.25, NAN, 7};
    ss_plot p = {0};

    if (!has_gnuplot())
        skip();
    add_points(&p, v, 4);
    ss_plot_panel(&p, "", "sigma", "largest |x|");
    p.panel[0].inf = 4;
    ss_plot_add(&p, "set logscale y\n");
    ss_plot_limit(&p, "fp8 <448>", 448);
    ss_plot_limit(&p, "other 440", 440);
    ss_plot_series(&p, 3, SS_PLOT_BOTH, "a < b", "$d", 1, 2);
    ss_plot_items_end(&p);
    ss_str m = drawn(&p, "points", 440, 300);
    assert_non_null(strstr(m.s, "<title>a &lt; b\nsigma 2\nlargest |x| 494.2</title>"));
    assert_non_null(strstr(m.s, "<title>a &lt; b\nsigma inf\nlargest |x| 7</title>"));
    assert_null(strstr(m.s, "sigma 3\n"));                   /* not finite: no point */
    assert_non_null(strstr(m.s, "class=\"c3 s1\""));         /* the line, by its class */
    assert_non_null(strstr(m.s, ">fp8 &lt;448&gt;</text>")); /* the limit, named in the panel */
    assert_non_null(strstr(m.s, ">other 440</text>"));
    assert_non_null(strstr(m.s, "data-line=\"1\""));
    assert_null(strstr(m.s, "#e7"));
    ss_str_release(&m);
}

static ss_str heat(int rows, int columns, double (*value)(int, int), ss_heat_scale scale)
{
    ss_heat h;
    double *v = calloc((size_t)columns, sizeof *v);
    bool *over = calloc((size_t)columns, sizeof *over);
    ss_format fp16;
    char name[256];

    ss_heat_begin(&h, "sigma", "largest |x|");
    for (int k = 0; k < columns; k++) {
        snprintf(name, sizeof name, "%d", k);
        ss_heat_column(&h, name);
    }
    for (int i = 0; i < rows; i++) {
        for (int k = 0; k < columns; k++) {
            v[k] = value(i, k);
            over[k] = v[k] > 300;
        }
        snprintf(name, sizeof name, "%s.%d",
                 i ? "down_blocks.1.attentions.0.transformer_blocks" : hostile, i);
        ss_heat_row(&h, name, v, over);
    }
    assert_true(ss_format_read("fp16", &fp16));
    ss_heat_format(&h, &fp16);
    ss_heat_end(&h, scale);
    free(v);
    free(over);
    ss_str m = drawn(&h.plot, "heat", 490, ss_heat_height(&h));
    assert_non_null(strstr(m.s, "\"limit\":65504"));
    return m;
}

static double spread(int i, int k)
{
    return (i + 1) * (k + 0.5);
}

static double nothing(int i, int k)
{
    return i + k >= 0 ? NAN : 0;
}

static double zero(int i, int k)
{
    return 0 * (i + k);
}

static double one_finite(int i, int k)
{
    return i == 0 && k == 0 ? 2 : i % 2 ? INFINITY : -3;
}

static void test_any_heat_map_is_drawn(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {1, 8}, {2, 1}, {3, 2}, {40, 64}};
    double (*const values[])(int, int) = {spread, nothing, zero, one_finite};

    if (!has_gnuplot())
        skip();
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++)
            for (int scale = SS_HEAT_LINEAR; scale <= SS_HEAT_CHANGE; scale++) {
                ss_str m = heat(sizes[s][0], sizes[s][1], values[v], (ss_heat_scale)scale);

                ss_str_release(&m);
            }
    ss_str m = heat(315, 32, spread, SS_HEAT_LOG);
    if (m.len > 1000000)
        fail_msg("a heat map of 315 x 32 takes %zu bytes", m.len);
    ss_str_release(&m);
}

/* Bytes that are no SVG end in an error or in nothing; never in markup. */
/* Modules that differ have labels that differ, and no label is longer than its room. */
static void test_short_names_stay_distinct(void **state)
{
    (void)state;
    static const char *const blocks[] = {"down_blocks.0", "down_blocks.1", "mid_block",
                                         "up_blocks.1"};
    static const char *const ends[] = {"%s.attentions.0.transformer_blocks.0.attn1, head 0",
                                       "%s.attentions.1.transformer_blocks.0.attn1, head 0",
                                       "%s.attentions.1.transformer_blocks.0.attn2, head 0",
                                       "%s.attentions.1.transformer_blocks.0.attn2.to_k (input)",
                                       "%s.resnets.0.conv_shortcut (input)",
                                       "%s.resnets.1.conv_shortcut (input)",
                                       "%s.resnets.0 = .nonlinearity.activation",
                                       "%s.resnets.0 = .nonlinearity.activation (input)"};
    enum { N = N_OF(blocks) * N_OF(ends) };
    ss_str label[N] = {0};
    char name[200];

    for (size_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, ends[i % N_OF(ends)], blocks[i / N_OF(ends)]);
        assert_true(ss_plot_short(&label[i], name, SS_PLOT_LETTERS) <= SS_PLOT_LETTERS);
        assert_true(strlen(label[i].s) <= SS_PLOT_LETTERS + 2); /* it has quotes */
        for (size_t j = 0; j < i; j++)
            if (strcmp(label[i].s, label[j].s) == 0)
                fail_msg("%s is the label of two modules", label[i].s);
    }
    assert_string_equal(label[0].s, "'dow.0.att.0.tra.0.attn1, head 0'");
    for (size_t i = 0; i < N; i++)
        ss_str_release(&label[i]);
}

static void test_broken_svg(void **state)
{
    (void)state;
    static const char good[] =
        "<svg viewBox=\"0 0 100 50\"><g stroke=\"black\"><path stroke='rgb(231, 1, 2)' d='M1,2 "
        "L3,4'/>"
        "<g transform=\"translate(5,6)\" fill=\"black\"><text>a<b>&amp;</text></g>"
        "<script>alert(1)</script><polygon fill='#112233' points='1,2 3,4 5,6'/></g></svg>";
    const ss_svg_names names = {NULL, 0, "", "", NULL, NAN, "x\"><script>"};
    const size_t n = sizeof good - 1;

    for (size_t cut = 0; cut <= n; cut++) {
        ss_str out = {0};
        const bool whole = ss_svg_inline(&out, good, cut, &names);

        assert_int_equal(whole, cut == n);
        assert_true(!out.s || !strstr(out.s, "<script"));
        ss_str_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_data_is_drawn),
        cmocka_unit_test(test_points_say_their_numbers),
        cmocka_unit_test(test_any_heat_map_is_drawn),
        cmocka_unit_test(test_short_names_stay_distinct),
        cmocka_unit_test(test_broken_svg),
    };

    return cmocka_run_group_tests(tests, make_tmp, remove_tmp);
}
