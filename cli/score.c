/* score.c - `sigmascope score`: how good samples are, in numbers */
#include "analyze/one/score.h"

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/tables.h"
#include "probe/samples.h"
#include "train/judge.h"

#include <string.h>

enum { OPT_CLASSIFIER = 1 };

static const double CUT = 1.5; /* values beyond this lose much when they are cut */

static const cli_option options[] = {
    CLI_GROUP("Classifier"),
    {OPT_CLASSIFIER, "classifier", "FILE.safetensors",
     "read the classifier from there if it is there, else write it there"},
    {0},
};

typedef struct {
    ss_judge *judge;
    ss_table classes, distances;
    uint64_t seed;
} request;

static ss_code begin_tables(request *q, ss_err *e)
{
    ss_table *t = &q->classes;
    ss_code rc = ss_table_init(t, "samples by class", e);

    if (rc != SS_OK ||
        (rc = ss_table_init(&q->distances, "distance from real pictures", e)) != SS_OK)
        return rc;
    ss_table_column(t, "samples of", SS_COL_TEXT, NULL);
    ss_table_column(t, "samples", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "not finite", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "one value", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "beyond 1.5", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "accuracy", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "low", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "high", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "confidence", SS_COL_NUMBER, "%.3f");
    t = &q->distances;
    ss_table_column(t, "samples of", SS_COL_TEXT, NULL);
    ss_table_column(t, "used", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "distance", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "corrected", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "low", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "high", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "real used", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "real least", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "real mean", SS_COL_NUMBER, "%.4g");
    ss_table_column(t, "real most", SS_COL_NUMBER, "%.4g");
    return SS_OK;
}

static void add_classes(ss_table *t, const char *name, const ss_score *s, int cut)
{
    ss_table_row(t);
    ss_table_text(t, name);
    ss_table_number(t, (double)s->n);
    ss_table_number(t, (double)s->not_finite);
    ss_table_number(t, (double)s->flat);
    ss_table_number(t, cut);
    ss_table_number(t, s->accuracy);
    ss_table_number(t, s->accuracy_low);
    ss_table_number(t, s->accuracy_high);
    ss_table_number(t, s->confidence);
}

static void add_distance(ss_table *t, const char *name, const ss_score *s)
{
    ss_table_row(t);
    ss_table_text(t, name);
    ss_table_number(t, (double)s->used);
    ss_table_number(t, s->distance);
    ss_table_number(t, s->corrected);
    ss_table_number(t, s->low);
    ss_table_number(t, s->high);
    ss_table_number(t, (double)s->real_n);
    ss_table_number(t, s->real_least);
    ss_table_number(t, s->real_mean);
    ss_table_number(t, s->real_most);
}

/* The class that was asked for in sample i; -1: none. */
static ss_code asked_class(const ss_judge *j, const ss_samples *x, int i, int *class, ss_err *e)
{
    *class = x->asked[i] == j->null_class ? -1 : x->asked[i];
    if (*class < j->classes)
        return SS_OK;
    return ss_fail(e, SS_USAGE, "%s: sample %d is of class %d, and the data have 0 to %d", x->path,
                   i, *class, j->classes - 1);
}

/* Pictures of model m, black for those that are not finite. */
static ss_code read_pictures(const ss_judge *j, const ss_samples *x, int m, ss_looks *l,
                             ss_sample_state *state, int *cut, ss_err *e)
{
    const size_t n = ss_judge_picture(j);
    const ss_samples_model *of = &x->models[m];
    ss_code rc = SS_OK;

    for (int i = 0; i < x->n && rc == SS_OK; i++) {
        uint8_t *bytes = l->pictures + (size_t)i * n;

        *cut += of->absmax[i] > CUT;
        state[i] = SS_SAMPLE_NOT_FINITE;
        memset(bytes, 0, n);
        rc = asked_class(j, x, i, &l->label[i], e);
        if (rc == SS_OK && !of->nonfinite[i]) {
            rc = ss_samples_picture(x, m, i, j->h, j->w, j->c, bytes, e);
            state[i] = ss_judge_flat(j, bytes) ? SS_SAMPLE_FLAT : SS_SAMPLE_FINE;
        }
    }
    return rc;
}

static ss_scored scored(const ss_looks *l, const ss_sample_state *state)
{
    return (ss_scored){l->n,     SS_CLASSIFIER_FEATURES, l->features, l->label,
                       l->taken, l->confidence,          state};
}

static ss_code score_model(request *q, const ss_samples *x, int m, const char *name, ss_err *e)
{
    ss_looks looks = {0};
    ss_sample_state *state = ss_calloc((size_t)x->n, sizeof *state);
    ss_score s;
    int cut = 0;
    ss_code rc = state ? ss_looks_new(q->judge, x->n, &looks, e) : ss_no_memory(e, name);

    if (rc == SS_OK)
        rc = read_pictures(q->judge, x, m, &looks, state, &cut, e);
    if (rc == SS_OK)
        rc = ss_looks_take(q->judge, &looks, e);
    if (rc == SS_OK) {
        const ss_scored samples = scored(&looks, state), real = scored(&q->judge->held, NULL);

        rc = ss_score_samples(&samples, &real, q->seed, &s, e);
        if (rc != SS_OK)
            ss_fail_prefix(e, "%s", name);
    }
    if (rc == SS_OK) {
        add_classes(&q->classes, name, &s, cut);
        add_distance(&q->distances, name, &s);
    }
    ss_looks_release(&looks);
    ss_free(state);
    return rc;
}

static ss_code score_folder(request *q, const char *folder, bool alone, ss_err *e)
{
    ss_samples *x;
    ss_code rc = ss_samples_open(folder, &x, e);

    if (rc != SS_OK)
        return rc;
    for (int m = 0; m < x->n_models && rc == SS_OK; m++) {
        ss_str name = {0};

        if (!alone)
            ss_str_addf(&name, "%s/", folder);
        ss_str_add(&name, x->models[m].name);
        rc = name.failed ? ss_no_memory(e, folder) : score_model(q, x, m, name.s, e);
        ss_str_release(&name);
    }
    ss_samples_close(x);
    return rc;
}

/* Prints how the numbers were made, and those of the held-out real pictures. */
static ss_code add_real(request *q, const ss_judge_options *opt, ss_err *e)
{
    const ss_judge *j = q->judge;
    ss_sample_state *state = ss_calloc((size_t)j->held.n, sizeof *state);
    const ss_scored real = scored(&j->held, state);
    ss_score s;

    if (!state)
        return ss_no_memory(e, "real pictures");
    for (int64_t i = 0; i < j->held.n; i++) {
        if (ss_judge_flat(j, j->held.pictures + (size_t)i * ss_judge_picture(j)))
            state[i] = SS_SAMPLE_FLAT;
    }
    ss_score_classes(&real, &s);
    ss_free(state);
    add_classes(&q->classes, "(real pictures)", &s, 0);
    ss_table_note(&q->classes, "classifier trained on %lld real pictures, none of those below%s%s",
                  (long long)j->n_used, j->loaded ? "; read from " : "",
                  j->loaded ? opt->classifier : "");
    ss_table_note(&q->distances,
                  "Frechet distance of %d features from %lld real pictures, seed %llu; real: of "
                  "as many others, up to %d times",
                  (int)SS_CLASSIFIER_FEATURES, (long long)(j->held.n + 1) / 2,
                  (unsigned long long)q->seed, (int)SS_SCORE_DRAWS);
    return SS_OK;
}

static ss_code score_all(request *q, const ss_judge_options *opt, const cli_parser *p, ss_err *e)
{
    ss_train_config *t;
    ss_code rc = ss_train_config_read(p->operands[0], NULL, 0, &t, e);

    if (rc != SS_OK)
        return rc;
    rc = ss_judge_new(t, opt, &q->judge, e);
    if (rc != SS_OK)
        ss_fail_prefix(e, "%s", p->operands[0]);
    ss_train_config_free(t);
    if (rc == SS_OK)
        rc = begin_tables(q, e);
    if (rc == SS_OK)
        rc = add_real(q, opt, e);
    for (int i = 1; i < p->n_operands && rc == SS_OK; i++)
        rc = score_folder(q, p->operands[i], p->n_operands == 2, e);
    return rc;
}

static int run(const cli_command *cmd, int argc, char **argv)
{
    ss_judge_options opt = {0};
    request q = {0};
    cli_tables tables = {0};
    cli_parser p;
    ss_err e = {0};
    int id;

    cli_begin(&p, cmd, argc, argv);
    while ((id = cli_next(&p)) != CLI_END) {
        if (id == OPT_CLASSIFIER)
            opt.classifier = p.arg;
    }
    if (cli_stop(&p, 2, -1))
        return p.status;
    tables = cli_tables_begin(&p);
    opt.seed = q.seed = p.common.seed;
    opt.threads = p.common.threads;
    opt.device = p.common.device;

    ss_code rc = score_all(&q, &opt, &p, &e);
    if (rc == SS_OK)
        rc = cli_show(&tables, &q.classes, &e);
    if (rc == SS_OK)
        rc = cli_show(&tables, &q.distances, &e);
    rc = cli_show_end(&tables, rc, &e);
    ss_table_release(&q.classes);
    ss_table_release(&q.distances);
    ss_judge_free(q.judge);
    return rc == SS_OK ? cli_flush(&p, CLI_OK) : cli_fail(&p, &e);
}

static const cli_example examples[] = {
    {"sigmascope score train.json samples", "samples against the data of a training."},
    {"sigmascope score train.json before after --classifier classifier.safetensors",
     "two folders by the same classifier, kept for next time."},
    {0},
};

const cli_command cmd_score = {
    "score",
    "CONFIG.json SAMPLES...",
    "how good samples are: accuracy of their classes, distance from real pictures",
    "SAMPLES are folders that `generate` wrote. CONFIG.json is a training configuration; only its\n"
    "data are used: a sixth is held out as real pictures, the rest trains a small classifier. For\n"
    "each model it prints the share of samples that the classifier assigns to the class that was\n"
    "asked for, with a 95 % interval (a sample that is not finite, or of one value, counts as\n"
    "wrong), and the Frechet distance of its features from those of real pictures in the same mix\n"
    "of classes. That distance is too large where samples are few: compare it with `real`, taken\n"
    "from as many real pictures, or use `corrected`, about 0 for samples as good as real ones, "
    "with\n"
    "its 95 % interval by resampling.",
    options,
    CLI_TABLES | CLI_SEED | CLI_COMPUTE | CLI_PROGRESS,
    run,
    examples,
};
