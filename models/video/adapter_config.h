/* adapter_config.h - the configuration of a UNet2DConditionModel with a MotionAdapter on it
 *
 * It is what UNetMotionModel.from_unet2d of diffusers makes: the options of the UNet that both
 * classes have, its block types by their other names, and the adapter's.
 */
#ifndef SS_MODELS_ADAPTER_CONFIG_H
#define SS_MODELS_ADAPTER_CONFIG_H

#include "base/json.h"
#include "models/file/checkpoint.h"

/* Puts the adapter's options onto the UNet's; *config is the caller's to json_decref. SS_SHAPE
 * where the two do not fit, SS_UNSUPPORTED for an option of the UNet that UNetMotionModel does not
 * have, because diffusers would go on without it. */
ss_code ss_adapter_config(ss_json *unet, ss_json *adapter, json_t **config, ss_err *e);

/* Makes the config.json of an adapter that has none, from the names and shapes of its tensors,
 * which are named as diffusers names them; *config is the caller's to json_decref. Heads are 8, as
 * in every adapter that was published. max_frames: rows of the table of positions, 0 where none was
 * stored. */
ss_code ss_adapter_infer(const ss_stored_tensor *const *list, size_t n, int64_t max_frames,
                         const char *file, json_t **config, ss_err *e);

#endif
