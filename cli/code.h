/* code.h - --as and --attention: the PyTorch code that a number format is judged for */
#ifndef SS_CLI_CODE_H
#define SS_CLI_CODE_H

#include "runfile/run_reader.h"

#define CLI_AS "half|autocast|autocast-cpu"
#define CLI_AS_HELP                                                                               \
    "the PyTorch code that runs in the format: model.half(), or torch.autocast by its lists for " \
    "CUDA or CPUs"
#define CLI_ATTENTION "sdpa|eager|eager-unscaled"
#define CLI_ATTENTION_HELP                                                                    \
    "the code of attention: scaled_dot_product_attention, which stores no logits (default), " \
    "diffusers' AttnProcessor, or one that stores q.k before it is scaled"

typedef struct {
    const char *as, *attention; /* as given, or NULL */
} cli_code;

/* Sets what the run's analyses assume: what was given, else what the run was made with. A name
 * that is unknown is SS_USAGE, with the option's name. */
ss_code cli_code_set(const cli_code *c, ss_run *r, ss_err *e);

/* Like cli_code_set, for a list of what stays in fp32: autocast unless another code is given. */
ss_code cli_code_set_keep(const cli_code *c, ss_run *r, ss_err *e);

#endif
