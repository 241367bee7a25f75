/* average_folder.h - the average of a network's weights, which a training leaves beside the network
 *
 *   checkpoint-500/unet/            the network
 *   checkpoint-500/unet_ema/        an average of its weights over the training
 */
#ifndef SS_MODELS_AVERAGE_FOLDER_H
#define SS_MODELS_AVERAGE_FOLDER_H

#include "base/err.h"

/* Finds the average of a network's weights in MODEL, of the component or (NULL) of any denoiser:
 * its folder, or NULL where there is none; the caller's to ss_free. */
ss_code ss_average_folder_find(const char *model, const char *component, char **path, ss_err *e);
/* Says, where MODEL has an average, whether it or the network itself was taken, by the folder of
 * the weights. *note is the caller's to ss_free; NULL: there is no choice. */
ss_code ss_average_folder_note(const char *model, const char *taken, char **note, ss_err *e);

#endif
