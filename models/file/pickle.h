/* pickle.h - a Python pickle as data: what torch.save wrote, nothing of it is run
 *
 * A pickle is a program for a small stack machine (pickle_machine.c). Here it only builds values:
 * numbers, texts, lists, dicts, and tensors, whose values stay in the mapped file. Any class or
 * function that the program names is kept by its name, with what it would have been called with;
 * nothing is imported and nothing is called.
 *
 *   ss_pickle *p;
 *   rc = ss_pickle_open("optimizer.bin", &p, &err);
 *   const ss_pickle_value *state = ss_pickle_get(ss_pickle_root(p), "state");
 *   for (size_t i = 0; i < ss_pickle_count(state); i++) {
 *       const ss_pickle_value *m = ss_pickle_get(ss_pickle_at(state, i), "exp_avg");
 *       if (m && m->kind == SS_PICKLE_TENSOR)
 *           use(m->tensor);
 *   }
 *   ss_pickle_close(p);
 *
 * Layouts (pickle.c): torch's zip, its older one of pickles in a row, and a lone pickle.
 */
#ifndef SS_MODELS_PICKLE_H
#define SS_MODELS_PICKLE_H

#include "models/file/stored_tensor.h"

typedef enum {
    SS_PICKLE_NONE,
    SS_PICKLE_BOOL,
    SS_PICKLE_INT,
    SS_PICKLE_BIG, /* an integer beyond 64 bits, its bytes (or digits) as in the file */
    SS_PICKLE_FLOAT,
    SS_PICKLE_TEXT,
    SS_PICKLE_BYTES,
    SS_PICKLE_TUPLE,
    SS_PICKLE_LIST,
    SS_PICKLE_SET,
    SS_PICKLE_DICT,   /* OrderedDict and defaultdict too */
    SS_PICKLE_TENSOR, /* Parameter too */
    SS_PICKLE_GLOBAL, /* a class or a function, by its name */
    SS_PICKLE_OBJECT, /* what a class or function that is not known here would have made */
    SS_PICKLE_STORAGE /* the values under tensors, alone */
} ss_pickle_kind;

typedef struct ss_pickle_value ss_pickle_value;

/* Values form a graph, in which one may appear in many places, and below itself: a walk needs a
 * limit of its depth, and of its length. */
struct ss_pickle_value {
    ss_pickle_kind kind;
    union {
        bool truth;
        int64_t number;
        double real;
        struct {
            const char *s; /* may hold NUL, no NUL follows, may be no UTF-8 */
            size_t n;
        } text; /* of TEXT, BYTES and BIG */
        struct {
            ss_pickle_value **at; /* of DICT: key, value, key, value, ... */
            size_t n, cap;
        } items;                        /* of TUPLE, LIST, SET and DICT */
        const ss_stored_tensor *tensor; /* its name is "" */
        struct {
            const char *module, *name; /* no NUL follows */
            size_t n_module, n_name;
        } global;
        struct {
            const ss_pickle_value *class_, *args;
            const ss_pickle_value *state; /* __dict__, or what __setstate__ would get; or NULL */
            ss_pickle_value *items;       /* LIST or DICT that was added to it, or NULL */
        } object;
        size_t storage; /* index (pickle_machine.h) */
    };
};

typedef struct ss_pickle ss_pickle;

/* Opens a file. Errors: SS_FORMAT where it is no pickle or damaged, SS_UNSUPPORTED for the tar
 * files of PyTorch before 0.1.10 and for big-endian values. */
ss_code ss_pickle_open(const char *path, ss_pickle **p, ss_err *e);
/* Opens a torch.save in the n bytes at data, which are borrowed; path is the file around them. */
ss_code ss_pickle_open_bytes(const char *path, const void *data, size_t n, ss_pickle **p,
                             ss_err *e);
void ss_pickle_close(ss_pickle *p); /* all values and tensors end with it; NULL is fine */

const ss_pickle_value *ss_pickle_root(const ss_pickle *p);

/* How many items a list, tuple or set has, or entries a dict; 0 for others. NULL is fine, here and
 * below. */
size_t ss_pickle_count(const ss_pickle_value *v);
/* Item i, or the value of entry i, below ss_pickle_count. */
const ss_pickle_value *ss_pickle_at(const ss_pickle_value *v, size_t i);
/* The key of entry i of a dict. */
const ss_pickle_value *ss_pickle_key(const ss_pickle_value *v, size_t i);
/* The value of a text key of a dict, or attribute of an object; NULL where there is none. */
const ss_pickle_value *ss_pickle_get(const ss_pickle_value *v, const char *key);
/* The same by several keys with dots between, "state_dict.model"; keys may hold dots themselves,
 * and be numbers, as items of lists. */
const ss_pickle_value *ss_pickle_find(const ss_pickle_value *v, const char *path);

/* True for that text. */
bool ss_pickle_is(const ss_pickle_value *v, const char *text);
/* True for a class or function of that name, "torch.Size", and for an object of it. */
bool ss_pickle_names(const ss_pickle_value *v, const char *name);
/* Fills out [max] with integers of a list, tuple or torch.Size; returns how many there are, or -1
 * where it is none of them, has others, or more than max. */
int ss_pickle_ints(const ss_pickle_value *v, int64_t *out, int max);

#endif
