/* video.c - see video.h */
#include "reports/video.h"

#include "base/outdir.h"
#include "base/version.h"
#include "reports/sections/section_video.h"
#include "reports/summary.h"

#include <math.h>
#include <string.h>

/* A seam is trouble where p is below it. */
static const double SURE = 0.01;

/* Says how the videos of a group move, boil and jump. */
static void say_group(ss_findings *f, const ss_video_set *s, int g)
{
    const ss_video_group *of = &s->group[g];
    char label[200];

    ss_video_group_label(s, g, label, sizeof label);
    if (of->not_finite)
        ss_findings_say(f, "video", SS_SAID_BAD, "videos", "%s: %d of %d videos are not finite.",
                        label, of->not_finite, of->n);
    if (isnan(of->mean[SS_VIDEO_FLICKER])) {
        ss_findings_say(f, "video", SS_SAID_UNKNOWN, NULL, "%s: no video has two finite frames.",
                        label);
        return;
    }
    ss_findings_say(
        f, "video", SS_SAID_MEASURED, "motion",
        "%s, %d video%s: flicker %.4f (1 is still), %.3g pixels a frame on average, %.3g "
        "where it moves most; %.0f %% of the videos are dynamic.",
        label, of->n, of->n == 1 ? "" : "s", of->mean[SS_VIDEO_FLICKER], of->mean[SS_VIDEO_SPEED],
        of->mean[SS_VIDEO_TOP], 100 * of->mean[SS_VIDEO_DYNAMIC]);
    if (isnan(of->mean[SS_VIDEO_BOILING]))
        ss_findings_say(
            f, "video", SS_SAID_UNKNOWN, "boiling",
            "%s: how it boils is not defined: that takes 8 frames and points that can be "
            "followed.",
            label);
    else
        ss_findings_say(f, "video", SS_SAID_MEASURED, "boiling",
                        "%s boils by %.3g grey levels along its motion; the warping error is %.3g.",
                        label, of->mean[SS_VIDEO_BOILING], of->mean[SS_VIDEO_WARPING]);
    if (of->seam.n && !isnan(of->seam.p))
        ss_findings_say(f, "video", of->seam.p < SURE ? SS_SAID_BAD : SS_SAID_GOOD, "seams",
                        "%s: frames differ by %.3g grey levels where windows meet and by %.3g "
                        "elsewhere (permutations: p = %.2g).",
                        label, of->seam.joints, of->seam.inside, of->seam.p);
    else if (of->found.at >= 0 && of->found.p < SURE)
        ss_findings_say(f, "video", SS_SAID_BAD, "seams",
                        "%s: between frames %d and %d all parts of the picture change most at once "
                        "(permutations: p = %.2g).",
                        label, of->found.at + 1, of->found.at + 2, of->found.p);
}

/* Says what differs between models beyond their intervals, for measures of quality. */
static void say_comparisons(ss_findings *f, const ss_video_set *s)
{
    char a[200], b[200];

    for (int i = 0; i < s->n_comparisons; i++) {
        const ss_video_comparison *c = &s->comparison[i];

        if ((c->measure != SS_VIDEO_WARPING && c->measure != SS_VIDEO_BOILING &&
             c->measure != SS_VIDEO_SPEED) ||
            isnan(c->low))
            continue;
        ss_video_group_label(s, c->a, a, sizeof a);
        ss_video_group_label(s, c->b, b, sizeof b);
        if (c->low > 0 || c->high < 0)
            ss_findings_say(
                f, "video", SS_SAID_MEASURED, "models",
                "%s has %s %s than %s: %.3g against %.3g, in %d of %d videos (95 %% of the "
                "mean difference: %.3g to %.3g).",
                b, c->low > 0 ? "more" : "less", ss_video_measure_name(c->measure), a, c->mean_b,
                c->mean_a, c->low > 0 ? c->more : c->less, c->n, c->low, c->high);
        else
            ss_findings_say(
                f, "video", SS_SAID_UNKNOWN, "models",
                "%s and %s cannot be told apart by %s: %.3g and %.3g (95 %% of the mean "
                "difference: %.3g to %.3g).",
                a, b, ss_video_measure_name(c->measure), c->mean_a, c->mean_b, c->low, c->high);
    }
}

static ss_code first_sight(ss_page *p, const ss_video_set *s, ss_err *e)
{
    ss_findings f;
    ss_code rc = ss_findings_init(&f, e);

    if (rc != SS_OK)
        return rc;
    for (int g = 0; g < s->n_groups && g < SS_VIDEO_GROUPS_SHOWN; g++)
        say_group(&f, s, g);
    say_comparisons(&f, s);
    rc = ss_summary(p, &f, NULL, e);
    ss_findings_release(&f);
    return rc;
}

static void made(ss_page *p, const ss_video_report_options *opt)
{
    char text[160];

    ss_page_section(p, "made", "How this was made");
    ss_page_facts_begin(p);
    ss_page_fact(p, "command", opt->command ? opt->command : "not recorded");
    snprintf(text, sizeof text, "%llu", (unsigned long long)opt->measured.seed);
    ss_page_fact(p, "seed of permutations", text);
    snprintf(text, sizeof text, "%d frames, %d of them overlap", opt->measured.window,
             opt->measured.overlap);
    ss_page_fact(p, "windows", opt->measured.window ? text : "not known");
    ss_page_fact(p, "flow", "phase correlation and pyramidal Lucas-Kanade of our own, not RAFT");
    ss_page_fact(p, "report by", "sigmascope " SS_VERSION);
    ss_page_fact(p, "figures by", ss_plot_version(text, sizeof text));
    ss_page_facts_end(p);
}

static ss_code all_videos(ss_page *p, const ss_video_set *s, ss_err *e)
{
    ss_table t;
    ss_code rc;

    ss_page_section(p, "videos", "Every video");
    if ((rc = ss_video_change_table(s, false, &t, e)) == SS_OK)
        ss_page_table(p, &t);
    if (rc == SS_OK && (rc = ss_video_motion_table(s, false, &t, e)) == SS_OK)
        ss_page_table(p, &t);
    if (rc == SS_OK && (rc = ss_video_seam_table(s, false, &t, e)) == SS_OK)
        ss_page_table(p, &t);
    return rc;
}

static ss_code sections(ss_page *p, const ss_video_set *s, const ss_video_report_options *opt,
                        ss_err *e)
{
    ss_code rc = ss_section_video_models(p, s, e);

    if (rc == SS_OK)
        rc = ss_section_video_motion(p, s, e);
    if (rc == SS_OK)
        rc = ss_section_video_boiling(p, s, e);
    if (rc == SS_OK)
        rc = ss_section_video_seams(p, s, &opt->measured, e);
    for (int i = 0; i < s->n && rc == SS_OK; i++)
        if (s->video[i].video.x)
            rc = ss_section_video_one(p, s, i, &opt->measured, e);
    return rc == SS_OK ? all_videos(p, s, e) : rc;
}

static ss_code write_page(const char *folder, const ss_video_set *s,
                          const ss_video_report_options *opt, ss_report_summary *summary, ss_err *e)
{
    char title[260];
    int models = 1;
    ss_page page;
    ss_code rc;

    for (int g = 1; g < s->n_groups; g++)
        models += strcmp(s->group[g].model, s->group[g - 1].model) != 0;
    snprintf(title, sizeof title, "Videos of %.200s", ss_video_group_model(s, &s->group[0]));
    if (models > 1)
        snprintf(title + strlen(title), sizeof title - strlen(title), " and %d more", models - 1);
    rc =
        ss_page_begin(&page, folder, "index.html", "", opt->title ? opt->title : title, summary, e);
    if (rc != SS_OK)
        return rc;
    html_element(page.f, "p", "lead",
                 "%d video%s measured. Grey levels go from 0 to 255; motion is that of our own "
                 "optical flow.",
                 s->n, s->n == 1 ? "" : "s");
    ss_page_main(&page);
    if ((rc = first_sight(&page, s, e)) == SS_OK)
        rc = sections(&page, s, opt, e);
    if (rc == SS_OK) {
        made(&page, opt);
        html_raw(page.f, "</main>\n");
        rc = ss_page_end(&page, e);
    }
    ss_page_discard(&page);
    return rc;
}

ss_code ss_video_report_write(const ss_video_set *s, const ss_video_report_options *opt,
                              ss_report_summary *summary, ss_err *e)
{
    ss_outdir out = {0};
    ss_code rc;

    *summary = (ss_report_summary){0};
    rc = ss_outdir_open(&out, opt->folder, "index.html", opt->replace, e);
    if (rc == SS_OK)
        rc = write_page(out.tmp, s, opt, summary, e);
    if (rc == SS_OK)
        rc = ss_outdir_commit(&out, e);
    ss_outdir_discard(&out);
    return rc;
}
