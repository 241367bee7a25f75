/* config_fields.h - the fields of a training configuration; private to config*.c
 *
 * Each field has a place in ss_train_config, a kind, a range, and a role. One list of them reads a
 * file, refuses what is out of range, writes the effective configuration, and says which of it
 * determines what a training measures and what must be the same to go on with one.
 */
#ifndef SS_TRAIN_CONFIG_FIELDS_H
#define SS_TRAIN_CONFIG_FIELDS_H

#include "train/config_reader.h"

typedef enum {
    SS_FIELD_INT,    /* int */
    SS_FIELD_INT64,  /* int64_t */
    SS_FIELD_SEED,   /* uint64_t */
    SS_FIELD_DOUBLE, /* double, from lo to hi; with `over`, lo itself is excluded */
    SS_FIELD_BOOL,
    SS_FIELD_TEXT,   /* const char *, NULL where absent */
    SS_FIELD_PATH,   /* as TEXT, relative to the configuration's folder */
    SS_FIELD_CHOICE, /* an enum, by its names */
    SS_FIELD_TEXTS   /* const char *const *, and an int at `count`, its length; a string alone is
                        a list of one */
} ss_field_kind;

/* The role of a field. The first is usual, and its value 0. */
typedef enum {
    SS_FIELD_DATA,   /* the numbers of a training: in its plan, the same to go on with it */
    SS_FIELD_LENGTH, /* as DATA, but a training can go on with another */
    SS_FIELD_NAME,   /* nothing: not in the plan, and free to change */
    SS_FIELD_STOP,   /* when a training ends, but no number before: not in the plan */
    SS_FIELD_UNUSUAL /* as DATA where it is not the default; else nothing, so that trainings from
                        before there was the field go on */
} ss_field_role;

typedef struct {
    const char *key;
    ss_field_kind kind;
    size_t offset;
    double lo, hi;
    bool over;
    const char *const *names; /* of a choice, NULL-terminated */
    size_t count;
    ss_field_role role;
} ss_field;

typedef struct {
    const char *key;        /* "optimizer"; "" for the keys of the file itself */
    const ss_field *fields; /* ends with {0} */
} ss_field_section;

/* Reads the fields of a section of the file; complaints are in j. */
void ss_fields_read(ss_config_reader *r, const ss_field *fields, ss_json *j);
/* One field's value, and all of a section by their keys; NULL: no memory. */
json_t *ss_field_write(const ss_field *f, const ss_train_config *t);
json_t *ss_fields_write(const ss_field *fields, const ss_train_config *t);

/* The values of what a configuration leaves out (config.c). */
ss_train_config ss_train_config_defaults(void);

/* Ends with {0}. */
extern const ss_field_section ss_train_sections[];

#endif
