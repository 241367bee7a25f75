/* story.c - the runs of a story, and what is known of each; see story.h */
#include "analyze/training/story.h"

#include "analyze/one/attention.h"
#include "analyze/one/blobs.h"
#include "analyze/one/spectra.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "runfile/training_files.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define X(name, ratio, text) {text, ratio},
static const struct {
    const char *text;
    bool ratio;
} numbers[] = {SS_STORY_NUMBERS(X)};
#undef X

const char *ss_story_number_text(ss_story_number n)
{
    return numbers[n].text;
}

bool ss_story_number_is_ratio(ss_story_number n)
{
    return numbers[n].ratio;
}

#define X(name, title) {name, title},
static const struct {
    const char *name, *title;
} regimes[] = {SS_STORY_REGIMES(X)};
#undef X
enum { N_TITLES = sizeof regimes / sizeof *regimes };

/* Its place among the regimes with a title; without a title, their number. */
static int regime_rank(const char *name)
{
    int i = 0;

    while (i < N_TITLES && strcmp(regimes[i].name, name) != 0)
        i++;
    return i;
}

const char *ss_story_regime_title(const char *name)
{
    const int i = regime_rank(name);

    return i < N_TITLES ? regimes[i].title : name;
}

/* ---- numbers of a run ---- */

/* The largest |x| at measured steps up to 600; NaN if the training ended before. */
static double peak_by_600(const ss_training_log *l)
{
    double peak = NAN;

    if (l->steps < 600)
        return NAN;
    for (int i = 0; i < l->n_points && l->point[i].step <= 600; i++)
        peak = fmax(peak, l->point[i].peak);
    return peak;
}

/* Numbers of the log. If a training was interrupted without an overflow, whether it would have had
 * one is not known. */
static void log_numbers(const ss_training_log *l, double x[SS_N_STORY_NUMBERS])
{
    const double steps = (double)(l->planned ? l->planned : l->steps);
    const bool ended = l->first_overflow || (double)l->steps >= steps;
    const double first = l->first_overflow ? (double)l->first_overflow : ended ? steps : NAN;
    const double over = l->overflows ? (double)l->overflows : NAN;
    const double largest = ended ? l->largest : NAN, share = largest / l->limit;

    for (int i = 0; i < SS_N_STORY_NUMBERS; i++)
        x[i] = NAN;
    x[SS_STORY_GROWTH] = l->peak[1][SS_N_STAGES] / l->peak[0][SS_N_STAGES];
    x[SS_STORY_LARGEST] = l->first_overflow && !isnan(share) ? fmax(share, 1) : share;
    x[SS_STORY_OVERFLOW] = first / steps;
    x[SS_STORY_FIRST] = first;
    x[SS_STORY_WEIGHTS] = l->weights;
    x[SS_STORY_DECODER] = l->by_stage[SS_STAGE_DECODER] / over;
    x[SS_STORY_HIGH_NOISE] = l->high_noise / over;
    x[SS_STORY_ENTROPY] = l->entropy;
    x[SS_STORY_LOGIT] = l->logit;
    x[SS_STORY_BY_600] = peak_by_600(l);
    x[SS_STORY_LOSS] = l->loss;
    x[SS_STORY_FRECHET] = l->frechet;
    x[SS_STORY_RECOGNISED] = l->recognised;
    x[SS_STORY_SPIKES] = (double)l->spikes;
    x[SS_STORY_STALENESS] = l->staleness;
    x[SS_STORY_PEAK] = largest;
    x[SS_STORY_COST] = l->ms;
    x[SS_STORY_SKIPPED] = l->steps ? (double)l->skipped / (double)l->steps : NAN;
    x[SS_STORY_IN_MOTION] = l->in_motion / over;
}

/* The numbers that numbers.json may have. */
static const struct {
    const char *key;
    ss_story_number number;
} measured[] = {
    {"length", SS_STORY_LENGTH},
    {"length_ntk", SS_STORY_LENGTH_NTK},
    {"length_yarn", SS_STORY_LENGTH_YARN},
    {"boiling_overlap", SS_STORY_BOILING_OVERLAP},
    {"boiling_shared", SS_STORY_BOILING_SHARED},
    {"boiling_decoder", SS_STORY_BOILING_DECODER},
};

static ss_code measured_numbers(const char *folder, double x[SS_N_STORY_NUMBERS], ss_err *e)
{
    char *path = ss_path_join(folder, "numbers.json");
    ss_json j = {0};
    ss_code rc = path ? SS_OK : ss_no_memory(e, folder);

    if (path && ss_file_exists(path) && (rc = ss_json_load(&j, path, e)) == SS_OK) {
        for (size_t i = 0; i < sizeof measured / sizeof *measured; i++)
            x[measured[i].number] = ss_json_double(&j, measured[i].key, NAN);
        rc = ss_json_done(&j, e);
    }
    ss_json_release(&j);
    ss_free(path);
    return rc;
}

static ss_code spectrum_number(ss_run *r, const ss_sites *sites, double *x, ss_err *e)
{
    ss_spectra s = {0};
    int held, known = 0;
    ss_code rc = ss_spectra_find(r, sites, SS_DEFAULT_CUTOFF, "", &s, e);

    if (rc == SS_OK) {
        held = ss_spectra_held(&s, &known);
        *x = known ? (double)held / known : NAN;
    }
    ss_spectra_release(&s);
    return rc;
}

static ss_code blobs_number(ss_run *r, const ss_sites *sites, double *x, ss_err *e)
{
    ss_blobs b = {0};
    int degenerate = 0, n = 0;
    ss_code rc = ss_blobs_find(r, sites, &b, e);

    for (int i = 0; rc == SS_OK && i < b.n; i++) {
        if (ss_stage_of(r->modules[b.rows[i].module]) != SS_STAGE_DECODER)
            continue;
        n++;
        degenerate += ss_blob_row_degenerate(r, &b.rows[i], SS_ALL, b.highest);
    }
    *x = n ? (double)degenerate / n : NAN;
    ss_blobs_release(&b);
    return rc;
}

/* The share of layers with large logits whose inputs explain them (attn/logits.h); NaN without such
 * layers. */
static ss_code attention_number(ss_run *r, double *x, ss_err *e)
{
    ss_not_finite bad = {0};
    ss_attn a = {0};
    ss_code rc = SS_OK;

    if (!r->n_layers)
        return SS_OK;
    if ((rc = ss_not_finite_find(r, &bad, e)) == SS_OK &&
        (rc = ss_attn_find(r, &bad, NULL, 0, SS_ALL, &a, e)) == SS_OK) {
        const int inputs = a.n_verdict[SS_LOGITS_INPUTS];
        const int large = inputs + a.n_verdict[SS_LOGITS_COLLAPSED] + a.n_verdict[SS_LOGITS_BOTH] +
                          a.n_verdict[SS_LOGITS_ALIGNED];

        *x = large ? (double)inputs / large : NAN;
    }
    ss_attn_release(&a);
    ss_not_finite_release(&bad);
    return rc;
}

static ss_code probe_numbers(const char *folder, double x[SS_N_STORY_NUMBERS], ss_err *e)
{
    char *path = ss_path_join(folder, "probe.h5");
    ss_sites sites = {0};
    ss_run *r = NULL;
    ss_code rc = path ? SS_OK : ss_no_memory(e, folder);

    if (path && ss_file_exists(path)) {
        if ((rc = ss_run_open(path, &r, e)) == SS_OK)
            rc = ss_sites_find(r, NULL, 0, SS_SITES_PRODUCED, &sites, e);
        if (rc == SS_OK)
            rc = spectrum_number(r, &sites, &x[SS_STORY_SPECTRUM], e);
        if (rc == SS_OK)
            rc = blobs_number(r, &sites, &x[SS_STORY_BLOBS], e);
        if (rc == SS_OK)
            rc = attention_number(r, &x[SS_STORY_FROM_INPUT], e);
    }
    ss_sites_release(&sites);
    ss_run_close(r);
    ss_free(path);
    return rc;
}

/* ---- folders ---- */

/* Adds the training in a folder to the regime. */
static ss_code add_run(const ss_story *s, ss_story_regime *g, const char *folder, size_t *cap,
                       ss_err *e)
{
    ss_story_run *grown = ss_grow(g->runs, cap, (size_t)g->n + 1, sizeof *grown);
    ss_code rc;

    if (!grown)
        return ss_no_memory(e, s->folder ? s->folder : "story");
    g->runs = grown;
    grown += g->n;
    if ((rc = ss_training_log_read(folder, &grown->log, e)) != SS_OK)
        return rc;
    g->n++;
    log_numbers(&grown->log, grown->number);
    if ((rc = measured_numbers(folder, grown->number, e)) != SS_OK)
        return rc;
    return probe_numbers(folder, grown->number, e);
}

static int by_name(const void *a, const void *b)
{
    const ss_training_log *x = &((const ss_story_run *)a)->log,
                          *y = &((const ss_story_run *)b)->log;
    const size_t nx = strcspn(x->name, "-"), ny = strcspn(y->name, "-");

    if (nx == ny && strncmp(x->name, y->name, nx) == 0 && x->seed != y->seed)
        return x->seed < y->seed ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_rank(const void *a, const void *b)
{
    const char *x = ((const ss_story_regime *)a)->name, *y = ((const ss_story_regime *)b)->name;
    const int rx = regime_rank(x), ry = regime_rank(y);

    return rx != ry ? rx - ry : strcmp(x, y);
}

static bool holds_training(const char *folder)
{
    char *log = ss_path_join(folder, SS_TRAINING_LOG);
    const bool is = log && ss_file_exists(log);

    ss_free(log);
    return is;
}

/* Calls each() for every folder in `folder` that is not hidden. */
static ss_code each_folder(ss_story *s, const char *folder,
                           ss_code (*each)(ss_story *s, const char *path, const char *name,
                                           void *self, ss_err *e),
                           void *self, ss_err *e)
{
    DIR *d = opendir(folder);
    const struct dirent *entry;
    ss_code rc = SS_OK;

    if (!d)
        return ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    errno = 0;
    while (rc == SS_OK && (entry = readdir(d))) {
        char *path = entry->d_name[0] == '.' ? NULL : ss_path_join(folder, entry->d_name);

        if (path && ss_is_dir(path))
            rc = each(s, path, entry->d_name, self, e);
        else if (!path && entry->d_name[0] != '.')
            rc = ss_no_memory(e, s->folder ? s->folder : "story");
        ss_free(path);
        errno = 0;
    }
    if (rc == SS_OK && errno)
        rc = ss_fail(e, SS_IO, "%s: %s", folder, strerror(errno));
    closedir(d);
    return rc;
}

typedef struct {
    ss_story_regime regime;
    size_t cap;
} gathering;

static ss_code take_run(ss_story *s, const char *path, const char *name, void *self, ss_err *e)
{
    gathering *g = self;

    (void)name;
    return holds_training(path) ? add_run(s, &g->regime, path, &g->cap, e) : SS_OK;
}

/* Reads the runs of a folder as a regime; keeps it if there are any. */
static ss_code take_regime(ss_story *s, const char *path, const char *name, void *self, ss_err *e)
{
    gathering g = {0};
    ss_code rc;

    (void)self;
    if (holds_training(path))
        return SS_OK;
    snprintf(g.regime.name, sizeof g.regime.name, "%s", name);
    snprintf(g.regime.title, sizeof g.regime.title, "training runs%s%s", *name ? " " : "",
             g.regime.name);
    rc = each_folder(s, path, take_run, &g, e);
    if (rc == SS_OK && g.regime.n && s->n == SS_MAX_REGIMES)
        rc = ss_fail(e, SS_USAGE, "%s: more than %d regimes", s->folder, SS_MAX_REGIMES);
    if (rc == SS_OK && g.regime.n) {
        qsort(g.regime.runs, (size_t)g.regime.n, sizeof *g.regime.runs, by_name);
        s->regime[s->n++] = g.regime;
    } else {
        ss_free(g.regime.runs);
    }
    return rc;
}

ss_code ss_story_read(const char *folder, ss_story *s, ss_err *e)
{
    ss_code rc;

    *s = (ss_story){.folder = ss_strdup(folder)};
    rc = s->folder ? take_regime(s, folder, "", NULL, e)
                   : ss_no_memory(e, s->folder ? s->folder : "story");
    if (rc == SS_OK && s->n == 0)
        rc = each_folder(s, folder, take_regime, NULL, e);
    if (rc == SS_OK && s->n == 0)
        rc = ss_fail(e, SS_USAGE, "%s: no folder in it holds a training run", folder);
    if (rc == SS_OK)
        qsort(s->regime, (size_t)s->n, sizeof *s->regime, by_rank);
    else
        ss_story_release(s);
    return rc;
}

void ss_story_release(ss_story *s)
{
    for (int i = 0; i < s->n; i++)
        ss_free(s->regime[i].runs);
    ss_free(s->folder);
    *s = (ss_story){0};
}

int ss_story_arm(const ss_story_regime *r, const char *arm, const ss_story_run *runs[SS_MAX_SEEDS])
{
    const size_t len = strlen(arm);
    int n = 0;

    for (int i = 0; i < r->n && n < SS_MAX_SEEDS; i++) {
        const char *name = r->runs[i].log.name;

        if (strncmp(name, arm, len) == 0 && name[len] == '-')
            runs[n++] = &r->runs[i];
    }
    return n;
}

ss_code ss_story_runs_table(const ss_story_regime *r, ss_table *t, ss_err *e)
{
    ss_code rc = ss_table_init(t, r->title, e);

    if (rc != SS_OK)
        return rc;
    ss_table_note(
        t,
        "%s%slargest |x| of block outputs: mean over the first eighth of the steps from %d to "
        "the first overflow, over the last, and the largest of all; loss over the last "
        "100 finite steps; Frechet distance and recognised: of samples",
        ss_story_regime_title(r->name), *r->name ? "; " : "", SS_SETTLED);
    ss_table_column(t, "run", SS_COL_TEXT, NULL);
    ss_table_column(t, "steps", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "overflow", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "in", SS_COL_TEXT, NULL);
    ss_table_column(t, "mechanism", SS_COL_TEXT, NULL);
    ss_table_column(t, "skipped", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "loss", SS_COL_NUMBER, "%.4f");
    ss_table_column(t, "early", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "late", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "largest", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "exponent", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "weights", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "entropy", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "logit", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "spikes", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "staleness", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "Frechet", SS_COL_NUMBER, "%.3g");
    ss_table_column(t, "recognised", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "cpu ms", SS_COL_NUMBER, "%.1f");
    for (int i = 0; i < r->n; i++) {
        const ss_training_log *l = &r->runs[i].log;

        ss_table_row(t);
        ss_table_text(t, l->name);
        ss_table_number(t, (double)l->steps);
        ss_table_number(t, l->first_overflow ? (double)l->first_overflow : NAN);
        ss_table_text(t, l->module);
        ss_table_text(t, ss_mechanism_key(l->mechanism));
        ss_table_number(t, (double)l->skipped);
        ss_table_number(t, l->loss);
        ss_table_number(t, l->peak[0][SS_N_STAGES]);
        ss_table_number(t, l->peak[1][SS_N_STAGES]);
        ss_table_number(t, l->largest);
        ss_table_number(t, l->exponent);
        ss_table_number(t, l->weights);
        ss_table_number(t, l->entropy);
        ss_table_number(t, l->logit);
        ss_table_number(t, (double)l->spikes);
        ss_table_number(t, l->staleness);
        ss_table_number(t, l->frechet);
        ss_table_number(t, l->recognised);
        ss_table_number(t, l->ms);
    }
    return SS_OK;
}
