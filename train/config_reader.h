/* config_reader.h - a training configuration while it is read, and what its files are read with;
 * private to config*.c */
#ifndef SS_TRAIN_CONFIG_READER_H
#define SS_TRAIN_CONFIG_READER_H

#include "base/json.h"
#include "train/config.h"

/* All that a configuration owns. */
typedef struct ss_train_config_parts {
    json_t *root;      /* the file with what --set says; texts are borrowed from it */
    json_t *network;   /* config.json of the network, with the remedies */
    json_t *schedule;  /* scheduler_config.json from which noise levels by timesteps are drawn */
    json_t *scheduler; /* scheduler_config.json that is saved with the network */
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

/* A path that is relative to the configuration's folder; the full path if it exists. NULL: no
 * memory.
 */
const char *ss_config_path(const ss_config_reader *r, const char *path);

/* Opens the object at a key like a file of its own, which messages call "PATH: KEY"; an empty
 * object if the key is absent. False after a complaint. */
bool ss_config_open(ss_json *j, const char *key, ss_json *part);
/* Refuses keys that nothing has read; known: the keys that there are, for the message. */
void ss_config_refuse_unread(ss_json *j, const char *known);
/* Ends a section: its first complaint becomes the file's. */
void ss_config_close(ss_json *j, ss_json *part);

#endif
