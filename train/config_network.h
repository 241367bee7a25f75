/* config_network.h - the parts of a training configuration that are no plain fields: the network
 * with its remedies, precision, interventions, noise schedule; private to config*.c
 *
 * Complaints are left in r->j; those about the schedule in `objective`, whose key it is.
 */
#ifndef SS_TRAIN_CONFIG_NETWORK_H
#define SS_TRAIN_CONFIG_NETWORK_H

#include "train/config_reader.h"

void ss_config_read_network(ss_config_reader *r);
void ss_config_read_precision(ss_config_reader *r);
void ss_config_read_interventions(ss_config_reader *r);
void ss_config_read_schedule(ss_config_reader *r, ss_json *objective);

#endif
