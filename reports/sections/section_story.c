/* section_story.c - see section_story.h */
#include "reports/sections/section_story.h"

#include "analyze/training/story_judge.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

static const char *title_of(const ss_story *s, int g)
{
    const char *title = ss_story_regime_title(s->regime[g].name);

    return *title ? title : "Here";
}

/* The numbers on which the verdicts of a finding rest, in a row below them. */
static ss_code numbers(ss_page *p, const ss_story *s, const ss_story_judgement *j, ss_finding_id f,
                       ss_err *e)
{
    char *rule = ss_story_rule(f);

    html_raw(p->f, "<tr class=\"numbers\"><td></td>");
    html_raw(p->f, "<td colspan=\"");
    html_textf(p->f, "%d", 1 + s->n);
    html_raw(p->f, "\">");
    for (int g = 0; g < s->n; g++) {
        const char *line =
            j->answer[g][f].verdict == SS_STORY_UNASKED ? "" : j->answer[g][f].numbers;

        if (*line)
            html_element(p->f, "p", NULL, "%s:", title_of(s, g));
        while (*line) {
            const int n = (int)strcspn(line, "\n");

            html_element(p->f, "p", "claim", "%.*s", n, line);
            line += n + (line[n] == '\n');
        }
    }
    html_element(p->f, "p", NULL, "Rule: %s.", rule ? rule : "");
    html_raw(p->f, "</td></tr>\n");
    const ss_code rc = rule ? SS_OK : ss_no_memory(e, s->folder);
    ss_free(rule);
    return rc;
}

/* The findings as a table of words, which does not sort: verdicts side by side. */
static ss_code findings(ss_page *p, const ss_story *s, const ss_story_judgement *j, ss_err *e)
{
    static const char *const classes[SS_N_STORY_VERDICTS] = {"verdict clear", "verdict measured",
                                                             "verdict unknown", "verdict unknown"};
    const ss_finding_range asked = ss_story_findings(s);
    ss_code rc = SS_OK;

    html_element(p->f, "p", NULL,
                 "Numbers are means over seeds (of ratios and of what grows the geometric mean), "
                 "with the least and the greatest seed and the 95 %% interval of the mean. A claim "
                 "is decided where every seed and that interval are on one side.");
    html_raw(p->f, "<table class=\"story\"><thead><tr><th>#</th>"
                   "<th>Finding</th>");
    for (int g = 0; g < s->n; g++)
        html_element(p->f, "th", NULL, "%s", title_of(s, g));
    html_raw(p->f, "</tr></thead><tbody>\n");
    for (int f = asked.from; f < asked.to && rc == SS_OK; f++) {
        html_raw(p->f, "<tr><td>");
        html_textf(p->f, "%d", f - asked.from + 1);
        html_raw(p->f, "</td>");
        html_element(p->f, "td", NULL, "%s", ss_finding_text(f));
        for (int g = 0; g < s->n; g++) {
            const ss_story_verdict v = j->answer[g][f].verdict;

            html_element(p->f, "td", classes[v], "%s", ss_story_verdict_text(v));
        }
        html_raw(p->f, "</tr>\n");
        rc = numbers(p, s, j, f, e);
    }
    html_raw(p->f, "</tbody></table>\n");
    return rc;
}

static void say_counts(ss_page *p, const ss_story *s, const ss_story_judgement *j, int g)
{
    const char *title = ss_story_regime_title(s->regime[g].name);
    const ss_finding_range asked = ss_story_findings(s);
    int n[SS_N_STORY_VERDICTS] = {0};

    for (int f = asked.from; f < asked.to; f++)
        n[j->answer[g][f].verdict]++;
    html_element(p->f, "p", "lead",
                 "%s%s%d training runs; of %d findings %d hold, %d do not hold at this scale, %d "
                 "are undecided, %d were not asked.",
                 title, *title ? ": " : "", s->regime[g].n, asked.to - asked.from,
                 n[SS_STORY_HOLDS], n[SS_STORY_FAILS], n[SS_STORY_UNDECIDED], n[SS_STORY_UNASKED]);
}

/* The runs of the arm that run i belongs to, which stand together: how many, and its name. */
static int arm_from(const ss_story_regime *s, int i, char *name, size_t n)
{
    const char *own = s->runs[i].log.name, *dash = strrchr(own, '-');
    const size_t len = dash ? (size_t)(dash - own) : strlen(own);
    int to = i + 1;

    while (to < s->n && strncmp(s->runs[to].log.name, own, len) == 0 &&
           s->runs[to].log.name[len] == '-')
        to++;
    snprintf(name, n, "%.*s", (int)len, own);
    return to - i;
}

static void add_points(ss_plot *plot, const ss_story_regime *s)
{
    for (int i = 0; i < s->n; i++) {
        const ss_training_log *l = &s->runs[i].log;

        ss_plot_addf(plot, "$r%d << EOD\n", i);
        for (int k = 0; k < l->n_points; k++) {
            ss_plot_number(plot, l->point[k].step);
            ss_plot_add(plot, " ");
            ss_plot_number(plot, l->point[k].peak);
            ss_plot_add(plot, "\n");
        }
        ss_plot_add(plot, "EOD\n");
    }
}

/* A logarithmic axis shows what is over 0. */
static bool can_be_drawn(const ss_training_log *l)
{
    for (int k = 0; k < l->n_points; k++) {
        if (l->point[k].peak > 0)
            return true;
    }
    return false;
}

/* The runs i to i + n - 1, one line each: of one type, or of the colours in turn. */
static void add_lines(ss_plot *plot, const ss_story_regime *s, int i, int n, int type)
{
    enum { COLOURS = 8 };
    char data[16], seed[32];

    for (int k = i; k < i + n; k++) {
        if (!can_be_drawn(&s->runs[k].log))
            continue;
        snprintf(data, sizeof data, "$r%d", k);
        snprintf(seed, sizeof seed, type ? "baseline" : "seed %d of an arm", k - i + 1);
        ss_plot_series(plot, type ? type : (k - i) % COLOURS + 1, SS_PLOT_LINES, seed, data, 1, 2);
    }
}

/* The most steps of runs i to i + n - 1, as planned or as done. */
static double steps_of(const ss_story_regime *s, int i, int n)
{
    double steps = 1;

    for (int k = i; k < i + n; k++)
        steps = fmax(steps, (double)(s->runs[k].log.planned ? s->runs[k].log.planned
                                                            : s->runs[k].log.steps));
    return steps;
}

/* A panel an arm: the largest |x| of its runs over their steps, the baseline's in the background.
 */
static ss_code curves(ss_page *p, const ss_story_regime *s, ss_err *e)
{
    const char *regime = ss_story_regime_title(s->name);
    char file[96], caption[200], name[64];
    int base = 0, n_base = 0;
    double limit = NAN;
    ss_plot plot = {0};

    for (int i = 0, n; i < s->n; i += n) {
        n = arm_from(s, i, name, sizeof name);
        if (strcmp(name, "baseline") == 0 || strcmp(name, "motion") == 0) {
            base = i;
            n_base = n;
        }
    }
    for (int i = 0; i < s->n; i++)
        limit = fmax(limit, s->runs[i].log.limit);
    const double top = isnan(limit) ? 1e4 : 10 * limit;

    add_points(&plot, s);
    ss_plot_settings(&plot);
    ss_plot_addf(&plot, "set logscale y\nset format y '%%g'\nset yrange [1:%g]\n", top);
    for (int i = 0, n; i < s->n; i += n) {
        n = arm_from(s, i, name, sizeof name);
        ss_plot_panel(&plot, name, "step", "largest |x|");
        const double steps = steps_of(s, i, n), tics = pow(10, floor(log10(steps)));
        ss_plot_addf(&plot, "set xrange [0:%.0f]\nset xtics %g\n", steps,
                     steps < 4 * tics ? tics : 2 * tics);
        if (!isnan(limit))
            ss_plot_limit(&plot, "limit", limit);
        if (i != base)
            add_lines(&plot, s, base, n_base, SS_PLOT_MUTED);
        add_lines(&plot, s, i, n, 0);
        ss_plot_items_end(&plot);
    }
    snprintf(file, sizeof file, "story%s%s", *s->name ? "-" : "", s->name);
    snprintf(caption, sizeof caption, "%s%sLargest activation of each training run over its steps",
             regime, *regime ? ": " : "");
    return ss_page_figure(
        p, &plot, file, SS_PANEL_WIDTH, SS_PANEL_HEIGHT, caption,
        "The largest |x| of the block outputs of the batch at the measured steps: a panel an arm, "
        "a line a seed, the baseline behind them, and the largest number of the format as a "
        "horizontal line. Values that are inf or NaN are left out; what is above the panel is cut "
        "off.",
        e);
}

ss_code ss_section_story(ss_page *p, const char *folder, ss_err *e)
{
    ss_story s;
    ss_story_judgement j = {0};
    ss_table t;
    ss_code rc = ss_story_read(folder, &s, e);

    if (rc != SS_OK || (rc = ss_story_judge(&s, &j, e)) != SS_OK)
        goto out;
    ss_page_section(p, "story", "The findings, put to the test");
    for (int g = 0; g < s.n; g++)
        say_counts(p, &s, &j, g);
    rc = findings(p, &s, &j, e);
    for (int g = 0; g < s.n && rc == SS_OK; g++) {
        rc = curves(p, &s.regime[g], e);
        if (rc == SS_OK && (rc = ss_story_runs_table(&s.regime[g], &t, e)) == SS_OK)
            ss_page_table(p, &t);
    }
out:
    ss_story_judgement_release(&j);
    ss_story_release(&s);
    return rc;
}
