/* pickle_machine.h - inside of pickle.h: the stack machine and what it makes */
#ifndef SS_MODELS_PICKLE_MACHINE_H
#define SS_MODELS_PICKLE_MACHINE_H

#include "models/file/pickle.h"

enum {
    SS_PICKLE_MAX_VALUES = 1 << 24, /* of one file; a state dict has some 20 a tensor */
    SS_PICKLE_MAX_OPS = 1 << 27     /* of one pickle */
};

/* The values under tensors, as a persistent id of the pickle names them. */
typedef struct {
    const char *key; /* no NUL follows */
    size_t n_key;
    const char *type; /* dtype of the storage, "F32"; "" for bytes without a dtype */
    size_t size;      /* bytes of a value */
    int64_t numel;
    int64_t view_from; /* first value in the storage of that key (older files only) */
    const unsigned char *data;
    size_t bytes; /* at data, in the file */
} ss_pickle_storage;

/* A tensor on a storage. Its stored tensor is complete after ss_pickle_place_tensors. */
typedef struct {
    ss_stored_tensor t; /* first: source of t points here */
    size_t storage;
    int64_t offset, stride[SS_STORED_MAX_RANK]; /* in values */
    size_t size;                                /* bytes of a value */
    const unsigned char *values;                /* the storage's */
} ss_pickle_tensor;

typedef struct ss_pickle_block ss_pickle_block;

/* All that was made of one file. */
typedef struct {
    const char *path; /* for messages; lives as long as the tensors, which name it */
    ss_pickle_block *values, *texts;
    size_t n_values;
    ss_pickle_storage *storages;
    size_t n_storages, cap_storages;
    ss_pickle_tensor **tensors;
    size_t n_tensors, cap_tensors;
} ss_pickle_store;

void ss_pickle_store_release(ss_pickle_store *s); /* {0} is fine */

/* A new value. NULL where memory is out (SS_NOMEM), or there are too many (SS_FORMAT). */
ss_pickle_value *ss_pickle_new(ss_pickle_store *s, ss_pickle_kind kind, ss_err *e);
/* Appends to a TUPLE, LIST, SET or DICT. */
ss_code ss_pickle_append(ss_pickle_store *s, ss_pickle_value *to, ss_pickle_value *item, ss_err *e);
/* Room for a text of n bytes that lives as long as the store. */
char *ss_pickle_text(ss_pickle_store *s, size_t n, ss_err *e);

/* The argument of an opcode: a number, or bytes, a line of digits or of text. */
typedef struct {
    uint64_t number;
    const char *text; /* in the file, no NUL follows */
    size_t n;
} ss_pickle_argument;

/* The value that an opcode and its argument are, without anything else (pickle_literals.c). NULL
 * after an error. */
ss_pickle_value *ss_pickle_literal(ss_pickle_store *s, unsigned char op,
                                   const ss_pickle_argument *a, ss_err *e);

/* Runs the pickle at *at of data [n] to its end, *at then; its value is *root. */
ss_code ss_pickle_run(ss_pickle_store *s, const unsigned char *data, size_t n, size_t *at,
                      ss_pickle_value **root, ss_err *e);

/* The meaning of what a pickle calls (pickle_objects.c): what would be made by calling callee with
 * args, out of what is known here; anything else becomes an OBJECT. */
ss_code ss_pickle_call(ss_pickle_store *s, ss_pickle_value *callee, ss_pickle_value *args,
                       ss_pickle_value **made, ss_err *e);
/* Makes what a persistent id stands for, as torch writes them. */
ss_code ss_pickle_persistent(ss_pickle_store *s, const ss_pickle_value *id, ss_pickle_value **made,
                             ss_err *e);

/* Checks that all tensors are within their storages, whose data is known by now, and says where
 * their values are (pickle_tensors.c). */
ss_code ss_pickle_place_tensors(ss_pickle_store *s, ss_err *e);
/* The dtype and size of a torch storage or dtype by its name, "FloatStorage" or "float32"; false
 * where it is not known. */
bool ss_pickle_dtype(const char *name, size_t n, const char **type, size_t *size);

#endif
