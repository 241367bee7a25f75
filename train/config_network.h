/* config_network.h - the parts of a training configuration that are no plain fields: the network
 * with its remedies, precision, interventions, noise schedule; private to config*.c
 */
#ifndef SS_TRAIN_CONFIG_NETWORK_H
#define SS_TRAIN_CONFIG_NETWORK_H

#include "train/config_reader.h"

typedef struct {
    const char *section, *key; /* section: as in ss_field_section */
    /* Reads it from its section, after all fields; complaints are in j. NULL: another part does. */
    void (*read)(ss_config_reader *r, ss_json *j);
    /* The object for the effective configuration, borrowed, even if the configuration names a file;
     * NULL: none. */
    json_t *(*given)(const ss_train_config_parts *parts, const char *key);
} ss_config_part;

/* config_stages.c */
void ss_config_read_stages(ss_config_reader *r, ss_json *j);

/* Ends with {0}. */
extern const ss_config_part ss_config_parts[];

#endif
