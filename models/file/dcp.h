/* dcp.h - checkpoints of torch.distributed.checkpoint: tensors in parts, over the files of a folder
 *
 * By its file system writer, one file or several a rank:
 *
 *     FOLDER/.metadata       a pickle of Metadata: of each tensor its dtype, size and chunks
 * (offsets, sizes); of each chunk the file, and the place in it; of each name the keys of the
 * nested dicts that were saved, ("model", "conv_in.weight") FOLDER/__R_K.distcp    one torch.save a
 * chunk, one after the other
 *
 * By its Hugging Face writer, where every rank saves its own part, safetensors files without an
 * index, shard-RRRRR-model-KKKKK-of-NNNNN.safetensors, whose __metadata__ says where their tensors
 * begin in the whole: DCP_SHARDING_INFO {"NAME": {"saved_offsets": [...]}}. How large the whole is,
 * they do not say: without its last shard a tensor is smaller, which a network then refuses.
 *
 * Source: torch/distributed/checkpoint/metadata.py, filesystem.py, hf_storage.py of PyTorch 2.15.
 */
#ifndef SS_MODELS_DCP_H
#define SS_MODELS_DCP_H

#include "models/file/pickle.h"
#include "models/file/weight_format.h"

/* Checkpoints as weights: the model among what was saved (tensor_groups.h). The second is for the
 * safetensors shards; it opens them all by the path of one. */
extern const ss_weight_format ss_dcp_format, ss_dcp_shards_format;

typedef struct ss_dcp ss_dcp;

/* Opens a checkpoint by the path of its .metadata, or of one of its shards. Every element of every
 * tensor must be in exactly one chunk, and every chunk inside its file. */
ss_code ss_dcp_open(const char *path, ss_dcp **d, ss_err *e);
void ss_dcp_close(ss_dcp *d); /* its tensors end with it; NULL is fine */

/* All tensors, of a model, an optimiser and all else, in the order of their names: "model.w",
 * "optim.state.w.exp_avg". */
size_t ss_dcp_count(const ss_dcp *d);
const ss_stored_tensor *ss_dcp_at(const ss_dcp *d, size_t i);
const ss_stored_tensor *ss_dcp_find(const ss_dcp *d, const char *name); /* or NULL */
/* The name of tensor i without the keys that lead to the dict that it was in, "w", and those with
 * dots between, "optim.state"; "" for the outermost dict. */
const char *ss_dcp_leaf(const ss_dcp *d, size_t i);
const char *ss_dcp_keys(const ss_dcp *d, size_t i);

/* Opens what was saved under a name and is no tensor, such as a learning rate; *p is the caller's
 * to close, and must be before the checkpoint. SS_USAGE where there is none of that name. */
ss_code ss_dcp_object(const ss_dcp *d, const char *name, ss_pickle **p, ss_err *e);

/* Path of file i of the checkpoint; NULL past the last. */
const char *ss_dcp_file(const ss_dcp *d, int i);

#endif
