/* loader.h - a network while it is built: its modules, its parameters, its memory
 *
 * The layers (layers.h) ask for each parameter by name and expected shape. Loading is
 * strict: at the end every tensor of the checkpoint must have been asked for, unless the user
 * ignores it, and every one that was asked for must be there with its shape; one error lists what
 * differs.
 *
 *   ss_net *n = ss_net_new(checkpoint, "config.json", &err);
 *   my_layer *l = ss_net_alloc(n, sizeof *l);            // zeroed, lives as long as the net
 *   if (!l)
 *       return NULL;                                     // ss_net_finish says why
 *   ss_net_module(n, &l->m, parent, "Conv2d", "conv_in");
 *   l->weight = ss_net_weight(n, &l->m, "weight", ss_shape_of(out, in, 3, 3));
 *   ...
 *   rc = ss_net_finish(n, &err);
 *
 * A constructor needs no other error check: the first failure is remembered, and a net that
 * failed never runs.
 */
#ifndef SS_MODELS_LOADER_H
#define SS_MODELS_LOADER_H

#include "kernels/hooks.h"
#include "models/file/checkpoint.h"
#include "models/net/init.h"
#include "models/net/remedies.h"

enum { SS_NET_MAX_MODULES = 1 << 16 }; /* the largest published networks have some 4,000 */

/* One parameter. */
typedef struct {
    const char *name; /* "down_blocks.0.resnets.0.conv1.weight" */
    ss_dtype dtype;
    ss_shape shape;
    const void *data; /* aligned, in the mapped checkpoint or made; NULL: ss_weight_data loads it */
    size_t bytes;
    const ss_stored_tensor *stored; /* NULL: untrained */
    void *loaded;                   /* a copy that ss_weight_data made, or NULL */
    bool normalised;                /* the forward pass normalises it (magnitude.h) */
    const char *file;               /* path of the file that it is from; NULL: untrained */
    ss_tensor *tensor;              /* on the device, while the network is bound to a context */
} ss_weight;

/* Returns the values, of w->dtype and aligned for it. Those that are not so in a mapped file are
 * loaded at the first call and stay until ss_weight_unload or the net's end. NULL after an error.
 */
const void *ss_weight_data(ss_weight *w, ss_err *e);
/* Frees what ss_weight_data loaded. The weight's tensor must be gone, which may borrow it. */
void ss_weight_unload(ss_weight *w);

typedef struct ss_net ss_net;

/* Begins a network. checkpoint and config_name (for messages) are borrowed and outlive the net. */
ss_net *ss_net_new(const ss_checkpoint *checkpoint, const char *config_name, ss_err *e);
/* Begins a network that was never trained: parameters are made (init.h) instead of loaded. init is
 * borrowed until the end of building. */
ss_net *ss_net_new_untrained(const ss_init *init, const char *config_name, ss_err *e);
/* Sets the remedies of the layers that are made from now on, none before (borrowed until the end of
 * building). Blocks have the clamp that was set when they were made. */
void ss_net_set_remedies(ss_net *n, const ss_remedies *r);
const ss_remedies *ss_net_remedies(const ss_net *n);
/* Parameters that are asked for from now on (on), or no longer (off), begin at 0 in an untrained
 * network: the last layer of a branch that is added to a trained network. */
void ss_net_begin_zero(ss_net *n, bool on);
/* Tensors of the checkpoint that match one of the globs may be there without being asked for. The
 * list is borrowed until the end of building. */
void ss_net_ignore(ss_net *n, const char *const *globs, int n_globs);
/* Tensors of the checkpoint that match are of another network in it (the decoder of a text
 * encoder), or buffers that are made: they may be there. The glob is borrowed until the end of
 * building. */
void ss_net_leave_out(ss_net *n, const char *glob);
/* The parameter NAME, a whole path, may be stored as ALSO, too, because its table is shared. Where
 * both are there, NAME's values count. To be said before the parameter is asked for; both texts are
 * borrowed until the end of building. */
void ss_net_also_stored(ss_net *n, const char *name, const char *also);
/* True if the checkpoint has a tensor of this name; false of an untrained network. */
bool ss_net_stores(const ss_net *n, const char *name);
void ss_net_free(ss_net *n); /* and all its layers, modules and weights; NULL is fine */

void *ss_net_alloc(ss_net *n, size_t bytes);
/* Records the first failure of building. */
void ss_net_fail(ss_net *n, ss_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds m to the modules, with the path PARENT.NAME (parent NULL: the whole network, path ""). */
void ss_net_module(ss_net *n, ss_module *m, const ss_module *parent, const char *kind,
                   const char *name_fmt, ...) __attribute__((format(printf, 5, 6)));

/* Adds the inner value OWNER.NAME (hooks.h). */
void ss_net_inner(ss_net *n, ss_module *m, const ss_module *owner, ss_inner kind, const char *name);

/* Asks for the parameter NAME of a module, which must have the shape. Names that diffusers gave the
 * projections of attention blocks before version 0.18 are found too. */
ss_weight *ss_net_weight(ss_net *n, const ss_module *m, const char *name, ss_shape shape);

/* Makes the buffer NAME of a module, values that no training changes: as f32, those of the
 * checkpoint if it has them, *stored then; else the caller fills them. Lives as long as the net;
 * NULL after a failure. */
float *ss_net_buffer(ss_net *n, const ss_module *m, const char *name, ss_shape shape, bool *stored);

/* Ends building. An error lists what was asked for and is not there, and what is there and was not
 * asked for. */
ss_code ss_net_finish(ss_net *n, ss_err *e);

/* Returns the names of the tensors that were ignored, "a, b", and the globs of those that were left
 * out, "decoder.* (12)"; "" for none. Borrowed. */
const char *ss_net_ignored(const ss_net *n, int *count);

/* Makes the parameters' tensors in a context, or drops them. */
ss_code ss_net_bind(ss_net *n, ss_ctx *c, ss_err *e);
void ss_net_unbind(ss_net *n);

/* In order of definition; borrowed. */
const ss_module *const *ss_net_modules(const ss_net *n, int *count);
ss_weight *const *ss_net_weights(const ss_net *n, int *count);

#endif
