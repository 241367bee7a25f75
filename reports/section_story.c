/* section_story.c - see section_story.h */
#include "reports/section_story.h"

#include "analyze/story.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* The findings as a table of words, which does not sort: number, claim and verdict, what came out,
 * and how it was tested. */
static void findings(ss_page *p, const ss_story *s)
{
    static const char *const classes[] = {"verdict clear", "verdict told", "verdict unknown"};

    html_raw(p->f, "<div class=\"wide\"><table class=\"story\"><thead><tr><th>#</th><th>A "
                   "production team found</th><th>Here</th><th>Numbers: mean (least to greatest "
                   "seed)</th><th>Tested by</th></tr></thead><tbody>\n");
    for (int i = 0; i < SS_N_FINDINGS; i++) {
        const ss_story_finding *f = &s->findings[i];

        html_raw(p->f, "<tr><td>");
        html_textf(p->f, "%d", i + 1);
        html_raw(p->f, "</td>");
        html_element(p->f, "td", NULL, "%s", f->claim);
        html_element(p->f, "td", classes[f->verdict], "%s", ss_story_verdict_text(f->verdict));
        html_element(p->f, "td", NULL, "%s", f->numbers);
        html_element(p->f, "td", NULL, "%s", f->test);
        html_raw(p->f, "</tr>\n");
    }
    html_raw(p->f, "</tbody></table></div>\n");
}

static void say_counts(ss_page *p, const ss_story *s)
{
    int n[3] = {0};

    for (int i = 0; i < SS_N_FINDINGS; i++)
        n[s->findings[i].verdict]++;
    html_element(
        p->f, "p", "lead",
        "%d training runs: %d of %d findings hold, %d do not hold at this scale, %d cannot "
        "be decided.",
        s->n, n[SS_STORY_HOLDS], SS_N_FINDINGS, n[SS_STORY_FAILS], n[SS_STORY_UNDECIDED]);
}

/* The largest |x| of the batch of every run over its steps; one line a run, one colour an arm. */
static ss_code curves(ss_page *p, const ss_story *s, ss_err *e)
{
    enum { COLOURS = 8 };
    ss_plot plot = {0};
    int arm = -1, index = 0;
    const char *last = "";
    size_t last_len = 0;

    ss_plot_add(&plot, "$p << EOD\n");
    for (int i = 0; i < s->n; i++) {
        for (int k = 0; k < s->logs[i].n_points; k++) {
            ss_plot_number(&plot, s->logs[i].point[k].step);
            ss_plot_add(&plot, " ");
            ss_plot_number(&plot, s->logs[i].point[k].peak);
            ss_plot_add(&plot, "\n");
        }
        ss_plot_add(&plot, "\n\n");
    }
    ss_plot_add(&plot, "EOD\nset logscale y\nset format y '%g'\nset xlabel 'training step'\n"
                       "set ylabel 'largest |x| of the batch'\n"
                       "set key outside right top Left reverse\n");
    for (int i = 0; i < s->n; i++) {
        const char *name = s->logs[i].name, *dash = strrchr(name, '-');
        const size_t len = dash ? (size_t)(dash - name) : strlen(name);
        const bool first = len != last_len || strncmp(name, last, len) != 0;
        char label[64];

        arm += first;
        last = name;
        last_len = len;
        if (s->logs[i].n_points == 0) {
            index++;
            continue;
        }
        snprintf(label, sizeof label, "%.*s", (int)len, name);
        ss_plot_addf(&plot, "%s$p using 1:2 index %d with lines lt %d dt %d %s",
                     plot.script.s && strstr(plot.script.s, "plot $p") ? ", " : "plot ", index++,
                     arm % COLOURS + 1, arm / COLOURS + 1, first ? "title " : "notitle");
        if (first)
            ss_plot_label(&plot, label);
    }
    ss_plot_add(&plot, "\n");
    return ss_page_figure(
        p, &plot, "story", 900, 460, "Largest activation of each training run over its steps",
        "The largest |x| of the batch in any module at the measured steps, a line a run. Values "
        "that are inf or NaN are left out.",
        e);
}

ss_code ss_section_story(ss_page *p, const char *folder, ss_err *e)
{
    ss_story s;
    ss_table t;
    ss_code rc = ss_story_read(folder, &s, e);

    if (rc != SS_OK)
        return rc;
    ss_page_section(p, "story", "The eight findings");
    say_counts(p, &s);
    findings(p, &s);
    rc = curves(p, &s, e);
    if (rc == SS_OK && (rc = ss_story_runs_table(&s, &t, e)) == SS_OK)
        ss_page_table(p, &t);
    ss_story_release(&s);
    return rc;
}
