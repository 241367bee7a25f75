/* single_names.h - tables that translate names of tensors
 *
 *   {"input_blocks.#.0.*", "down_blocks.$b.resnets.$i.*", .first = 1, .rest = resnet}
 *
 * In `from`, # stands for a number and * for the rest of the name, which the rules of `rest`
 * translate in turn. In `to`
 *
 *   $1 $2   are the numbers of `from`
 *   $b $i   block and place in it: quotient and remainder of number 1, less `first`, by the number
 *           of layers in a block
 *   $r      number 1 counted from the last block
 *   $e      the embedding that labels go through
 *   *       is the rest
 *   @       stands for each of q_proj, k_proj, v_proj, which share one tensor (SS_VALUES_THIRDS)
 */
#ifndef SS_MODELS_SINGLE_NAMES_H
#define SS_MODELS_SINGLE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* How the values of a tensor that a rule renames change. */
typedef enum {
    SS_VALUES_SAME,
    SS_VALUES_LINEAR,    /* a convolution of 1x1, [out,in,1,1], is a matrix [out,in] */
    SS_VALUES_THIRDS,    /* three tensors one upon the other */
    SS_VALUES_TRANSPOSED /* [in,out] is [out,in] */
} ss_values_change;

typedef struct ss_name_rule {
    const char *from;                /* NULL ends a table */
    const char *to;                  /* NULL: the tensor is dropped */
    const struct ss_name_rule *rest; /* NULL: the rest stays as it is */
    int first;
    ss_values_change change; /* that of the rule for the rest counts where there is one */
} ss_name_rule;

/* Sizes of a network that its names depend on. */
typedef struct {
    int per_block;     /* layers of a block, the one that changes the resolution included */
    int last;          /* number of the last block */
    const char *label; /* "add_embedding" */
} ss_name_sizes;

enum { SS_NAME_MAX = 256 }; /* bytes of a translated name, its end included */

typedef enum { SS_NAME_UNKNOWN, SS_NAME_DROPPED, SS_NAME_TRANSLATED } ss_name_fate;

/* Translates a name by the first rule that fits, which alone counts, into out. A name that is too
 * long, or has a number without a place in the network, is unknown. */
ss_name_fate ss_name_translate(const ss_name_rule *rules, const char *name,
                               const ss_name_sizes *sizes, char out[SS_NAME_MAX],
                               ss_values_change *change);

/* The tables, for names without the prefix of their component. */
extern const ss_name_rule ss_ldm_unet_rules[], ss_ldm_vae_rules[], ss_ldm_clip_rules[],
    ss_ldm_open_clip_rules[], ss_ldm_open_clip_penultimate_rules[];

#endif
