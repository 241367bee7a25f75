/* fold.c - see fold.h */
#include "analyze/one/fold.h"

#include "base/mem.h"
#include "base/str.h"
#include "runfile/run_file.h"

#include <stdio.h>
#include <string.h>

/* Entries of ss_run.folds: the module directly inside that a site repeats. A second half of the
 * array leads back, from a module to the container folded into it. */
enum { NONE = -1 };

static size_t entry_at(const ss_run *r, int module, int port)
{
    return (size_t)module * (size_t)r->n_ports + (size_t)port;
}

static size_t half_of(const ss_run *r)
{
    return (size_t)r->n_modules * (size_t)r->n_ports;
}

bool ss_module_inside(const char *path, const char *outer)
{
    size_t n = strlen(outer);

    return n == 0 || strcmp(outer, SS_RUN_ROOT) == 0 ||
           (strncmp(path, outer, n) == 0 && path[n] == '.');
}

bool ss_port_is_before(const char *port)
{
    return strcmp(port, "skip") == 0 || strcmp(port, "input") == 0;
}

/* The statistics that are compared. */
typedef struct {
    const float *absmax, *rms;
    const uint64_t *nonfinite; /* or NULL */
} values;

static ss_code read_values(ss_run *r, values *v, ss_err *e)
{
    ss_code rc;

    if ((rc = ss_run_stat(r, "absmax", &v->absmax, e)) == SS_OK &&
        (rc = ss_run_stat(r, "rms", &v->rms, e)) == SS_OK)
        rc = ss_run_nonfinite(r, &v->nonfinite, e);
    return rc;
}

static size_t cells_of(const ss_run *r)
{
    return (size_t)r->n_inputs * (size_t)r->n_sigmas * (size_t)r->n_samples;
}

static size_t first_cell(const ss_run *r, ss_site s)
{
    return ss_run_at(r, s.module, s.port, 0, 0, 0);
}

/* UNCLEAR: the same, but all of it 0 or NaN. */
typedef enum { DIFFERENT, UNCLEAR, SAME } likeness;

static likeness compare(const ss_run *r, const values *v, ss_site outer, ss_site inner)
{
    const size_t a = first_cell(r, outer), b = first_cell(r, inner), n = cells_of(r);

    if (!v->absmax || !v->rms || memcmp(v->absmax + a, v->absmax + b, n * sizeof *v->absmax) != 0 ||
        memcmp(v->rms + a, v->rms + b, n * sizeof *v->rms) != 0 ||
        (v->nonfinite && memcmp(v->nonfinite + a, v->nonfinite + b, n * sizeof *v->nonfinite) != 0))
        return DIFFERENT;
    for (size_t i = a; i < a + n; i++)
        if (v->absmax[i] > 0)
            return SAME;
    return UNCLEAR;
}

/* Fills in the entries, given the module around each. */
static void fill(const ss_run *r, const values *v, const int *around, int *folds)
{
    for (int p = 0; p < r->n_ports; p++) {
        const bool first = ss_port_is_before(r->ports[p]);

        for (int k = 0; k < r->n_modules; k++) {
            const int m = first ? r->n_modules - 1 - k : k; /* later ones replace earlier ones */
            const ss_site inner = {m, p}, outer = {around[m], p};

            if (outer.module >= 0 && !r->inner[m] && compare(r, v, outer, inner) == SAME)
                folds[entry_at(r, outer.module, p)] = m;
        }
    }
}

/* Makes the links back from modules to the containers folded into them. */
static void link_back(const ss_run *r)
{
    int *back = r->folds + half_of(r);

    for (size_t i = 0; i < half_of(r); i++)
        back[i] = NONE;
    for (int m = 0; m < r->n_modules; m++)
        for (int p = 0; p < r->n_ports; p++) {
            const int inner = r->folds[entry_at(r, m, p)];

            if (inner >= 0)
                back[entry_at(r, inner, p)] = m;
        }
}

/* The nearest recorded module around each; inner values are around none. */
static void find_around(const ss_run *r, int *around)
{
    for (int m = 0; m < r->n_modules; m++) {
        int c = m - 1;

        while (c >= 0 && (r->inner[c] || !ss_module_inside(r->modules[m], r->modules[c])))
            c = r->inner[c] ? c - 1 : around[c];
        around[m] = c;
    }
}

ss_code ss_fold_find(ss_run *r, ss_err *e)
{
    values v = {0};
    int *around, *folds;
    ss_code rc;

    if (r->folds)
        return SS_OK;
    if ((rc = read_values(r, &v, e)) != SS_OK)
        return rc;
    around = ss_alloc((size_t)r->n_modules, sizeof *around);
    folds = ss_alloc(half_of(r), 2 * sizeof *folds);
    if (!around || !folds) {
        ss_free(around);
        ss_free(folds);
        return ss_no_memory(e, r->path);
    }
    for (size_t i = 0; i < half_of(r); i++)
        folds[i] = NONE;
    find_around(r, around);
    fill(r, &v, around, folds);
    r->folds = folds; /* now the run's */
    link_back(r);
    ss_free(around);
    return SS_OK;
}

/* The module of that path, which other runs of the same model have at the same index; or -1. */
static int module_at(const ss_run *r, const char *path, int likely)
{
    if (likely < r->n_modules && strcmp(r->modules[likely], path) == 0)
        return likely;
    for (int m = 0; m < r->n_modules; m++)
        if (strcmp(r->modules[m], path) == 0)
            return m;
    return -1;
}

/* Folds a container into a module in all runs that have it, or, where one shows other values there,
 * in none. */
static void decide(ss_run *const *runs, const values *v, int n, const ss_run *r, ss_site s)
{
    const int child = r->folds[entry_at(r, s.module, s.port)];
    bool fits = true;

    for (int apply = 0; apply <= 1; apply++)
        for (int k = 0; k < n; k++) {
            const ss_run *other = runs[k];
            const int m = module_at(other, r->modules[s.module], s.module);
            const int c = module_at(other, r->modules[child], child);
            const int p = ss_run_port(other, r->ports[s.port]);

            if (m < 0 || p < 0)
                continue;
            if (apply)
                other->folds[entry_at(other, m, p)] = fits ? c : NONE;
            else
                fits &=
                    c > m && compare(other, &v[k], (ss_site){m, p}, (ss_site){c, p}) != DIFFERENT;
        }
}

ss_code ss_fold_alike(ss_run *const *runs, int n, ss_err *e)
{
    values *v = ss_calloc((size_t)n, sizeof *v);
    ss_code rc = v ? SS_OK : ss_no_memory(e, "several runs");

    for (int j = 0; j < n && rc == SS_OK; j++)
        if ((rc = ss_fold_find(runs[j], e)) == SS_OK)
            rc = read_values(runs[j], &v[j], e);
    for (int j = 0; j < n && rc == SS_OK; j++) {
        const ss_run *r = runs[j];

        for (int m = 0; m < r->n_modules; m++)
            for (int p = 0; p < r->n_ports; p++)
                if (r->folds[entry_at(r, m, p)] >= 0)
                    decide(runs, v, n, r, (ss_site){m, p});
    }
    for (int j = 0; j < n && rc == SS_OK; j++)
        link_back(runs[j]);
    ss_free(v);
    return rc;
}

ss_site ss_fold_origin(const ss_run *r, ss_site s)
{
    while (r->folds && r->folds[entry_at(r, s.module, s.port)] >= 0)
        s.module = r->folds[entry_at(r, s.module, s.port)];
    return s;
}

int ss_fold_around(const ss_run *r, ss_site s)
{
    return r->folds ? r->folds[half_of(r) + entry_at(r, s.module, s.port)] : NONE;
}

bool ss_fold_is_block(const ss_run *r, ss_site s)
{
    for (; r->blocks && s.module >= 0; s.module = ss_fold_around(r, s))
        if (r->blocks[s.module])
            return true;
    return false;
}

ss_code ss_fold_dumped(ss_run *r, ss_site s, int *module, ss_err *e)
{
    bool found = false;

    while (!found && s.module >= 0) {
        char *set = ss_run_activation_set(r->modules[s.module]);
        ss_run_shape shape;

        if (!set)
            return ss_no_memory(e, r->path);
        found = ss_run_has_pictures(r, set, &shape);
        ss_free(set);
        if (!found)
            s.module = ss_fold_around(r, s);
    }
    *module = s.module;
    return SS_OK;
}

/* The containers folded into a site, the outermost first: how many. */
static int containers_of(const ss_run *r, ss_site s, const char **paths, int room)
{
    int n = 0;

    for (int m = ss_fold_around(r, s); m >= 0 && n < room; m = ss_fold_around(r, s)) {
        paths[n++] = r->modules[m];
        s.module = m;
    }
    for (int i = 0; i < n / 2; i++) {
        const char *path = paths[i];

        paths[i] = paths[n - 1 - i];
        paths[n - 1 - i] = path;
    }
    return n;
}

enum { DEEPEST = 32 }; /* containers in one cell; those further out are left out */

char *ss_fold_name(const ss_run *r, ss_site s, char *out, size_t n)
{
    const char *also[DEEPEST];
    const int n_also = containers_of(r, s, also, DEEPEST);
    char *name = ss_table_chain(r->modules[s.module], also, n_also);
    const bool output = strcmp(r->ports[s.port], "output") == 0;

    snprintf(out, n, "%s%s%s%s", name ? name : r->modules[s.module], output ? "" : " (",
             output ? "" : r->ports[s.port], output ? "" : ")");
    ss_free(name);
    return out;
}

void ss_fold_columns_named(ss_table *t, const char *module, const char *port)
{
    ss_table_column(t, module, SS_COL_MODULE, NULL);
    ss_table_column(t, port, SS_COL_TEXT, NULL);
    ss_table_usual(t, "output");
}

void ss_fold_columns(ss_table *t)
{
    ss_fold_columns_named(t, "module", "port");
}

void ss_fold_no_cells(ss_table *t)
{
    ss_table_none(t);
    ss_table_none(t);
}

static void add_cell(ss_table *t, const ss_run *r, ss_site s)
{
    const char *also[DEEPEST];

    ss_table_module(t, r->modules[s.module], also, containers_of(r, s, also, DEEPEST));
}

void ss_fold_module(ss_table *t, const ss_run *r, int module)
{
    const int output = ss_run_port(r, "output");

    if (output < 0)
        ss_table_module(t, r->modules[module], NULL, 0);
    else
        add_cell(t, r, ss_fold_origin(r, (ss_site){module, output}));
}

void ss_fold_cells(ss_table *t, const ss_run *r, ss_site s)
{
    add_cell(t, r, s);
    ss_table_text(t, r->ports[s.port]);
}

void ss_fold_weights_cells(ss_table *t, const ss_run *r, ss_site s)
{
    add_cell(t, r, s);
    ss_table_text(t, "weights");
}
