/* structure_list.h - a list of what in a network lets activations grow, while a family makes it
 *
 *   static const ss_structure_clause sum = {.kind = SS_STRUCTURE_SUM, .reads = "x + branch"};
 *   ss_structure_add(l, &sum, SS_PLACE_ENCODER, "down_blocks.0.resnets.0");
 *
 * A row of the list (base/structure.h) says one thing, its clause, of all modules at one place.
 */
#ifndef SS_MODELS_STRUCTURE_LIST_H
#define SS_MODELS_STRUCTURE_LIST_H

#include "base/structure.h"
#include "models/net/loader.h"

/* The kinds of row, in the order of the list.
 *   attention    q, k and v are made of the stream itself
 *   convolution  reads the stream itself: resampling, conv_shortcut, a transformer's proj_out
 *   sum          x + branch, neither divided nor scaled
 *   skip         concatenated to the stream as the encoder left it
 *   logits       q and k have no norm of their own
 *   upcast       logits that eager attention stores in the half format
 *   product      of two projections of the same values (GEGLU)
 *   modulation   norm(h) (1 + scale) + shift
 *   embedding    times, classes and sizes, added up without a norm
 *   text         keys and values of the text as it is given
 *   input        the noised picture as it is
 *   factor       a learned factor of a remedy
 *   division     of the answer by sigma
 *   zero         weights of a branch's end that are all zero now */
#define SS_STRUCTURE_KINDS(X)                  \
    X(ATTENTION, "attention without norm")     \
    X(CONVOLUTION, "convolution without norm") \
    X(SUM, "sum without scale")                \
    X(SKIP, "skip without norm")               \
    X(LOGITS, "no norm of q and k")            \
    X(UPCAST, "logits not upcast")             \
    X(PRODUCT, "product")                      \
    X(MODULATION, "scale after the norm")      \
    X(EMBEDDING, "embedding without norm")     \
    X(TEXT, "text without norm")               \
    X(INPUT, "input without norm")             \
    X(FACTOR, "learned factor")                \
    X(DIVISION, "division by sigma")           \
    X(ZERO, "end that is zero")
#define X(name, text) SS_STRUCTURE_##name,
typedef enum { SS_STRUCTURE_KINDS(X) SS_N_STRUCTURE_KINDS } ss_structure_kind;
#undef X

/* Places in a network, in the order of the list. */
#define SS_PLACES(X)            \
    X(INPUT, "input")           \
    X(EMBEDDINGS, "embeddings") \
    X(ENCODER, "encoder")       \
    X(MIDDLE, "middle")         \
    X(DECODER, "decoder")       \
    X(OUTPUT, "output")
#define X(name, text) SS_PLACE_##name,
typedef enum { SS_PLACES(X) SS_N_PLACES } ss_place;
#undef X

/* The texts of a row (base/structure.h), constant. key is one of config.json, "remedies.NAME" of
 * its remedies, "motion.NAME" of its motion, or "" where none changes it. */
typedef struct {
    ss_structure_kind kind;
    const char *reads, *why, *key, *remedy;
} ss_structure_clause;

typedef struct ss_structure_draft ss_structure_draft;

typedef struct {
    const ss_module *const *modules;
    int n_modules;
    ss_weight *const *weights;
    int n_weights;
    const float *absmax; /* [n_weights], NaN where it is not known; NULL: of none */

    ss_structure_draft *rows;
    size_t n, cap;
    bool failed; /* memory ran out */
} ss_structure_list;

/* Adds a module to the row of its clause and place; the first one makes the row. */
void ss_structure_add(ss_structure_list *l, const ss_structure_clause *c, ss_place at,
                      const char *path);
/* Appends a text to what the rows of a clause say they read. */
void ss_structure_say_more(ss_structure_list *l, const ss_structure_clause *c, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes the rows, ordered by kind, key and place, with the values of their keys in config; empties
 * the list. The caller frees *rows [*n] by ss_structure_rows_free. */
ss_code ss_structure_finish(ss_structure_list *l, const json_t *config, ss_structure_row **rows,
                            int *n, ss_err *e);
void ss_structure_rows_free(ss_structure_row *rows, int n); /* NULL is fine */

/* ---- the modules of the list ---- */

/* Returns the part of a path after that of its parent. */
const char *ss_structure_own_name(const ss_structure_list *l, const ss_module *m);
/* Returns the module or inner value NAME directly below m, or NULL. */
const ss_module *ss_structure_child(const ss_structure_list *l, const ss_module *m,
                                    const char *name);
/* Returns the path of the module that has this parameter, if it is called NAME there; else NULL. */
const char *ss_structure_owner(const ss_structure_list *l, const char *parameter, const char *name);

#endif
