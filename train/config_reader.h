/* config_reader.h - a training configuration while it is read, and what its files are read with;
 * private to config*.c */
#ifndef SS_TRAIN_CONFIG_READER_H
#define SS_TRAIN_CONFIG_READER_H

#include "base/json.h"
#include "train/config.h"

/* What a configuration owns. */
typedef struct ss_train_config_parts {
    json_t *root;      /* the file with what --set says; texts are borrowed from it */
    json_t *network;   /* config.json of the network, with the remedies */
    json_t *schedule;  /* scheduler_config.json that noise levels by timesteps are drawn from */
    json_t *scheduler; /* the one that is saved with the network */
    ss_schedule *levels;
    ss_precision precision;
    void **kept; /* [n] */
    size_t n, cap;
} ss_train_config_parts;

/* A configuration while it is read. */
typedef struct {
    ss_train_config *t;
    ss_json *j; /* the file */
    const char *path;
} ss_config_reader;

/* Keeps p until the configuration is freed; NULL after running out of memory. */
void *ss_config_keep(ss_train_config_parts *parts, void *p);

/* Relative to the configuration's folder; in full where it is there. NULL when out of memory. */
const char *ss_config_path(const ss_config_reader *r, const char *path);

/* Opens the object at a key as a file of its own in messages, PATH: KEY; an empty one where it is
 * absent. False after a complaint. */
bool ss_config_open(ss_json *j, const char *key, ss_json *part);
/* Refuses keys that nobody asked for; known: those that there are. */
void ss_config_refuse_unread(ss_json *j, const char *known);
/* Ends a section: its first complaint becomes that of the file. */
void ss_config_close(ss_json *j, ss_json *part);

#endif
