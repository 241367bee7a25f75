/* config_keys.h - the keys of config.json that say nothing of the network, and those unread
 *
 *   ss_config_begin(j);
 *   ...                                          // the family reads its options
 *   rc = ss_config_end(j, class_name, &err);  // what nobody has read is refused by name
 */
#ifndef SS_MODELS_CONFIG_KEYS_H
#define SS_MODELS_CONFIG_KEYS_H

#include "base/json.h"

/* Drops keys whose values were the defaults when the file was written, "_use_default_values": they
 * mean the default of the version that reads them. */
void ss_config_begin(ss_json *j);
/* The first complaint of the reading; else SS_UNSUPPORTED for a key that was not read and is no
 * bookkeeping of trainings and savers. Keys that begin with '_' or are null are let be. */
ss_code ss_config_end(ss_json *j, const char *class_name, ss_err *e);

#endif
