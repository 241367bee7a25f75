/* config_keys.h - keys of config.json that say nothing of the network, and keys that nobody read
 *
 *   ss_config_begin(j);
 *   ...                                          // the family reads its options
 *   rc = ss_config_end(j, class_name, &err);  // what nobody has read is refused by name
 */
#ifndef SS_MODELS_CONFIG_KEYS_H
#define SS_MODELS_CONFIG_KEYS_H

#include "base/json.h"

/* Drops keys that "_use_default_values" lists: they held the default when the file was written, and
 * mean the default of the version that reads them. */
void ss_config_begin(ss_json *j);
/* Returns the first complaint; else SS_UNSUPPORTED for a key that was not read and is no
 * bookkeeping of trainings and savers. Keys that are null, or begin with '_', are passed over. */
ss_code ss_config_end(ss_json *j, const char *class_name, ss_err *e);

#endif
