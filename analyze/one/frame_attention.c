/* frame_attention.c - see frame_attention.h */
#include "analyze/one/frame_attention.h"

#include "base/mem.h"
#include "base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double ss_even_mass(int frames, int distance)
{
    const double F = frames;

    return distance == 0 ? 1 / F : distance < frames ? 2 * (F - distance) / (F * F) : 0;
}

/* Marks the frames of a list "0,7"; returns how many there are. */
static int mark_references(const char *list, int n, bool *marked)
{
    int count = 0;

    while (list && *list) {
        char *end;
        const long f = strtol(list, &end, 10);

        if (end == list)
            break;
        if (f >= 0 && f < n && !marked[f]) {
            marked[f] = true;
            count++;
        }
        list = *end ? end + 1 : end;
    }
    return count;
}

/* The data sets of a run, and what is asked of them. */
typedef struct {
    ss_run *r;
    int input;
    const float *by_distance, *on_frame, *frames;
    bool *marked; /* [n_frames] */
} source;

/* Adds up what a head has over all cells; returns how many are finite. mass, on: [n_frames]. */
static int add_cells(const source *s, int layer, int head, int frames, double *mass, double *on)
{
    const ss_run *r = s->r;
    int cells = 0;

    for (int i = 0; i < r->n_inputs; i++) {
        for (int k = 0; k < r->n_sigmas * r->n_samples; k++) {
            const int sigma = k / r->n_samples;
            const size_t at = ss_run_attention_at(r, layer, head, i, sigma, k % r->n_samples) *
                              (size_t)r->n_frames;

            if ((s->input != SS_ALL && i != s->input) || !r->done[sigma] ||
                !isfinite(s->by_distance[at]))
                continue;
            for (int f = 0; f < frames; f++) {
                mass[f] += s->by_distance[at + (size_t)f];
                on[f] += s->on_frame[at + (size_t)f];
            }
            cells++;
        }
    }
    return cells;
}

/* Fills one head; false where it is nowhere finite. mass, on: [n_frames], work space. */
static bool fill_head(const source *s, const ss_frame_attention *a, ss_frame_head *h, double *mass,
                      double *on)
{
    const int F = h->frames;

    for (int f = 0; f < a->most_frames; f++)
        mass[f] = on[f] = f < F ? 0 : NAN;
    const int cells = add_cells(s, h->layer, h->head, F, mass, on);
    if (!cells)
        return false;
    h->reach = 0;
    h->even = ((double)F * F - 1) / (3.0 * F);
    h->beyond = a->trained && a->trained < F ? 0 : NAN;
    h->references = a->n_references ? 0 : NAN;
    for (int f = 0; f < F; f++) {
        mass[f] /= cells;
        on[f] /= cells;
        h->reach += f * mass[f];
        if (f >= a->trained)
            h->beyond += mass[f];
        if (s->marked[f])
            h->references += on[f];
    }
    h->own = mass[0];
    h->next = F > 1 ? mass[1] : NAN;
    return true;
}

static bool is_asked_for(const ss_run *r, int layer, const char *const *globs, int n_globs)
{
    for (int g = 0; g < n_globs; g++) {
        if (ss_glob_module(globs[g], r->layers[layer]))
            return true;
    }
    return n_globs == 0;
}

/* Fills all heads of a, whose arrays have room for all of the run. on: [n_frames] of work space. */
static void fill(const source *s, const char *const *globs, int n_globs, ss_frame_attention *a,
                 double *on)
{
    for (int l = 0; l < s->r->n_layers; l++) {
        const double frames = s->frames[l];

        if (!(frames >= 1 && frames <= a->most_frames) || !is_asked_for(s->r, l, globs, n_globs))
            continue;
        for (int h = 0; h < s->r->n_heads; h++) {
            ss_frame_head *of = &a->heads[a->n];

            *of = (ss_frame_head){.layer = l, .head = h, .frames = (int)frames};
            a->n += fill_head(s, a, of, a->mass + (size_t)a->n * (size_t)a->most_frames, on);
        }
    }
}

ss_code ss_frame_attention_find(ss_run *r, const char *const *globs, int n_globs, int input,
                                ss_frame_attention *a, ss_err *e)
{
    source s = {.r = r, .input = input};
    double *on = NULL;
    ss_code rc;

    *a = (ss_frame_attention){.most_frames = r->n_frames, .trained = r->trained_frames};
    if (!r->n_frames)
        return SS_OK;
    if ((rc = ss_run_frame_mass(r, false, &s.by_distance, e)) != SS_OK ||
        (rc = ss_run_frame_mass(r, true, &s.on_frame, e)) != SS_OK ||
        (rc = ss_run_attention_frames(r, &s.frames, e)) != SS_OK)
        return rc;
    if (!s.by_distance || !s.on_frame || !s.frames)
        return SS_OK;
    const size_t heads = (size_t)r->n_layers * (size_t)r->n_heads, F = (size_t)r->n_frames;
    s.marked = ss_calloc(F, sizeof *s.marked);
    on = ss_alloc(F, sizeof *on);
    a->heads = ss_alloc(heads, sizeof *a->heads);
    a->mass = ss_alloc(heads, F * sizeof *a->mass);
    if (s.marked && on && a->heads && a->mass) {
        a->n_references = mark_references(r->reference_frames, r->n_frames, s.marked);
        fill(&s, globs, n_globs, a, on);
    } else {
        rc = ss_no_memory(e, r->path);
        ss_frame_attention_release(a);
    }
    ss_free(s.marked);
    ss_free(on);
    return rc;
}

void ss_frame_attention_release(ss_frame_attention *a)
{
    ss_free(a->heads);
    ss_free(a->mass);
    *a = (ss_frame_attention){0};
}

static double from_even(const ss_frame_head *h)
{
    return h->even > 0 ? fabs(h->reach / h->even - 1) : 0;
}

static int furthest_first(const void *a, const void *b)
{
    const ss_frame_head *const *x = a, *const *y = b;
    const double dx = from_even(*x), dy = from_even(*y);

    return dx != dy ? (dx < dy) - (dx > dy) : (*x > *y) - (*x < *y);
}

ss_code ss_frame_attention_table(const ss_run *r, const ss_frame_attention *a, int top, ss_table *t,
                                 ss_err *e)
{
    const int shown = top < a->n ? top : a->n;
    const ss_frame_head **h = ss_alloc((size_t)a->n + 1, sizeof *h);
    ss_code rc =
        h ? ss_table_init(t, "attention over frames", e) : ss_no_memory(e, "attention over frames");

    if (rc != SS_OK) {
        ss_free(h);
        return rc;
    }
    for (int i = 0; i < a->n; i++)
        h[i] = &a->heads[i];
    qsort(h, (size_t)a->n, sizeof *h, furthest_first);
    ss_table_column(t, "layer", SS_COL_TEXT, NULL);
    ss_table_column(t, "head", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "frames", SS_COL_NUMBER, "%.0f");
    ss_table_column(t, "own", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "next", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "reach", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "even", SS_COL_NUMBER, "%.2f");
    ss_table_column(t, "beyond", SS_COL_NUMBER, "%.3f");
    ss_table_column(t, "references", SS_COL_NUMBER, "%.3f");
    for (int i = 0; i < shown; i++) {
        ss_table_row(t);
        ss_table_text(t, r->layers[h[i]->layer]);
        ss_table_number(t, h[i]->head);
        ss_table_number(t, h[i]->frames);
        ss_table_number(t, h[i]->own);
        ss_table_number(t, h[i]->next);
        ss_table_number(t, h[i]->reach);
        ss_table_number(t, h[i]->even);
        ss_table_number(t, h[i]->beyond);
        ss_table_number(t, h[i]->references);
    }
    ss_table_note(
        t,
        "shares of attention on the own frame and those beside it, mean distance and that "
        "of an even spread%s; the %d of %d heads furthest from it",
        a->trained && a->trained < a->most_frames
            ? ", and what lies beyond the trained number of frames"
            : "",
        shown, a->n);
    if (!(a->trained && a->trained < a->most_frames))
        ss_table_drop(t, "beyond");
    if (!a->n_references)
        ss_table_drop(t, "references");
    ss_free(h);
    return SS_OK;
}
