/* torch_order.c - see torch_order.h */
#include "models/torch_order.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* Names of modules and parameters, each before those that its class makes later. */
static const char *const names[] = {
    "conv_in",
    "time_proj",
    "time_embedding",
    "encoder_hid_proj",
    "class_embedding",
    "add_embedding",
    "transformer_in",
    "down_blocks",
    "up_blocks",
    "mid_block",
    "conv_norm_out",
    "conv_out",
    "attentions", /* after the residual blocks in those with temp_convs */
    "temp_attentions",
    "resnets",
    "temp_convs",
    "spatial_res_block",
    "temporal_res_block",
    "motion_modules",
    "resnet_up",
    "resnet_down",
    "downsamplers",
    "upsamplers",
    "skip_norm",
    "skip_conv",
    "spatial_norm",
    "group_norm",
    "norm",
    "norm_cross",
    "norm_in",
    "ff_in",
    "norm1",
    "conv1",
    "attn1",
    "time_emb_proj",
    "positional_embedding",
    "k_proj",
    "q_proj",
    "v_proj",
    "pool",
    "proj",
    "norm2",
    "conv2",
    "conv3",
    "conv4",
    "attn2",
    "conv_shortcut",
    "norm3",
    "ff",
    "proj_in",
    "transformer_blocks",
    "temporal_transformer_blocks",
    "time_pos_embed",
    "time_mixer",
    "proj_out",
    "linear_1",
    "cond_proj",
    "linear_2",
    "to_q",
    "to_k",
    "to_v",
    "add_k_proj",
    "add_v_proj",
    "to_out",
    "net",
    "conv",
    "weight",
    "bias",
    "mix_factor",
};
enum { N_NAMES = sizeof names / sizeof *names, NUMBER = N_NAMES /* a part that is a number */ };

/* Finds the place of a part of n bytes; -1 where it is not known. */
static int place_of(const char *part, size_t n, long *number)
{
    char *end;

    *number = strtol(part, &end, 10);
    if (n && end == part + n)
        return NUMBER;
    for (int i = 0; i < N_NAMES; i++) {
        if (strlen(names[i]) == n && memcmp(names[i], part, n) == 0)
            return i;
    }
    return -1;
}

static bool is_known(const char *name)
{
    for (;;) {
        const size_t n = strcspn(name, ".");
        long number;

        if (place_of(name, n, &number) < 0)
            return false;
        if (!name[n])
            return true;
        name += n + 1;
    }
}

/* Ranks the lists of a block that attends over frames: UNet3DConditionModel makes them in another
 * order. 0: not one of these. */
static int rank_3d(const char *part, size_t n)
{
    static const char *const lists[] = {"resnets", "temp_convs", "attentions", "temp_attentions"};

    for (int i = 0; i < 4; i++) {
        if (strlen(lists[i]) == n && memcmp(lists[i], part, n) == 0)
            return i + 1;
    }
    return 0;
}

/* Compares two names; three_d: of a UNet3DConditionModel. */
static int compare_names(const char *x, const char *y, bool three_d)
{
    const bool up = strncmp(x, "up_blocks.", strlen("up_blocks.")) == 0;

    for (;;) {
        const size_t n = strcspn(x, "."), m = strcspn(y, ".");
        long i, j;

        if (n == m && memcmp(x, y, n) == 0) {
            if (!x[n] || !y[m])
                return (x[n] != '\0') - (y[m] != '\0');
            x += n + 1;
            y += m + 1;
            continue;
        }
        if (three_d && rank_3d(x, n) && rank_3d(y, m))
            return rank_3d(x, n) - rank_3d(y, m);
        const int p = place_of(x, n, &i), q = place_of(y, m, &j);
        if (p == NUMBER && q == NUMBER)
            return (i > j) - (i < j);
        /* blocks with skips make norm and convolution, those on the way up the other way round */
        return up && strncmp(x, "skip_", 5) == 0 && strncmp(y, "skip_", 5) == 0 ? q - p : p - q;
    }
}

static int compare(const void *a, const void *b)
{
    return compare_names((*(ss_weight *const *)a)->name, (*(ss_weight *const *)b)->name, false);
}

static int compare_3d(const void *a, const void *b)
{
    return compare_names((*(ss_weight *const *)a)->name, (*(ss_weight *const *)b)->name, true);
}

ss_code ss_torch_order(ss_weight **weights, size_t n, ss_err *e)
{
    bool three_d = false;

    for (size_t i = 0; i < n; i++) {
        three_d |= strstr(weights[i]->name, ".temp_convs.") != NULL;
        if (!is_known(weights[i]->name))
            return ss_fail(e, SS_UNSUPPORTED,
                           "it is not known where PyTorch lists %s among the parameters",
                           SS_SHOW(weights[i]->name));
    }
    if (n)
        qsort(weights, n, sizeof *weights, three_d ? compare_3d : compare);
    return SS_OK;
}
