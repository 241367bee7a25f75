/* single_vae.c - configuration of an AutoencoderKL from its tensors */
#include "models/file/single_infer.h"

#include <stdio.h>
#include <string.h>

enum { MAX_LEVELS = 16 };

static json_t *repeated(const char *text, int n)
{
    json_t *list = json_array();

    while (n-- > 0)
        json_array_append_new(list, json_string(text));
    return list;
}

static void set_widths(ss_inference *x, int levels)
{
    json_t *widths = json_array();
    char name[96];

    for (int i = 0; i < levels; i++) {
        snprintf(name, sizeof name, "encoder.down_blocks.%d.resnets.0.conv1.weight", i);
        json_array_append_new(widths,
                              json_integer(ss_infer_dim(x, ss_infer_find(x, "%s", name), name, 0)));
    }
    ss_infer_set(x, "block_out_channels", widths,
                 "rows of encoder.down_blocks.N.resnets.0.conv1.weight");
}

/* Sets a flag by whether a tensor is there, where the class takes the other value for granted. */
static void set_presence(ss_inference *x, const char *key, const char *name)
{
    if (!ss_infer_find(x, "%s", name))
        ss_infer_set(x, key, json_false(), "%s is not there", name);
}

/* Sets how latents are scaled, which no tensor says. */
static void set_scaling(ss_inference *x, ss_sd_version version, int64_t latents)
{
    const bool xl = version == SS_SD_XL;

    if (latents == 16) {
        ss_infer_set(x, "scaling_factor", json_real(0.3611),
                     "assumed: Flux's VAE; Stable Diffusion 3's has 1.5305");
        ss_infer_set(x, "shift_factor", json_real(0.1159),
                     "assumed: Flux's VAE; Stable Diffusion 3's has 0.0609");
    } else if (version == SS_SD_OTHER) {
        ss_infer_set(x, "scaling_factor", json_real(0.18215),
                     "assumed: the VAE is alone, and Stable Diffusion 1.x and 2.x have it; XL's "
                     "has 0.13025");
    } else {
        ss_infer_set(x, "scaling_factor", json_real(xl ? 0.13025 : 0.18215),
                     "convention of %s, whose file it is in", ss_sd_version_name(version));
    }
}

void ss_infer_vae(ss_inference *x, ss_sd_version version)
{
    const ss_stored_tensor *in = ss_infer_find(x, "encoder.conv_in.weight");
    const ss_stored_tensor *latent = ss_infer_find(x, "decoder.conv_in.weight");
    const ss_stored_tensor *out = ss_infer_find(x, "decoder.conv_out.weight");
    const int levels = ss_infer_count(x, "encoder.down_blocks.", ".resnets.0.conv1.weight");
    const int layers = ss_infer_count(x, "encoder.down_blocks.0.resnets.", ".conv1.weight");
    char text[128];

    if (levels < 1 || levels > MAX_LEVELS)
        ss_infer_fail(x, SS_FORMAT,
                      "the configuration cannot be inferred: there are %d encoder.down_blocks",
                      levels);
    if (ss_infer_find(x, "decoder.time_conv_out.weight"))
        ss_infer_fail(x, SS_UNSUPPORTED,
                      "the configuration of a decoder of videos cannot be inferred; name a "
                      "config.json by --config");
    const int64_t latents = ss_infer_dim(x, latent, "decoder.conv_in.weight", 1);
    ss_infer_set(x, "_class_name", json_string("AutoencoderKL"), "encoder and decoder");
    ss_infer_set(x, "in_channels", json_integer(ss_infer_dim(x, in, "encoder.conv_in.weight", 1)),
                 "%s", ss_infer_evidence(in, text, sizeof text));
    ss_infer_set(x, "out_channels",
                 json_integer(ss_infer_dim(x, out, "decoder.conv_out.weight", 0)), "%s",
                 ss_infer_evidence(out, text, sizeof text));
    ss_infer_set(x, "latent_channels", json_integer(latents), "%s",
                 ss_infer_evidence(latent, text, sizeof text));
    set_widths(x, levels);
    ss_infer_set(x, "layers_per_block", json_integer(layers),
                 "number of encoder.down_blocks.0.resnets");
    ss_infer_set(x, "down_block_types", repeated("DownEncoderBlock2D", levels),
                 "all have these blocks");
    ss_infer_set(x, "up_block_types", repeated("UpDecoderBlock2D", levels),
                 "all have these blocks");
    set_presence(x, "use_quant_conv", "quant_conv.weight");
    set_presence(x, "use_post_quant_conv", "post_quant_conv.weight");
    set_presence(x, "mid_block_add_attention", "decoder.mid_block.attentions.0.group_norm.weight");
    set_scaling(x, version, latents);
    ss_infer_set(x, "sample_size",
                 json_integer(version == SS_SD_XL || latents == 16 ? 1024
                              : version == SS_SD_2                 ? 768
                                                                   : 512),
                 "convention of %s; nothing is computed with it", ss_sd_version_name(version));
    static const ss_infer_common common[] = {
        {"act_fn", "\"silu\""}, {"norm_num_groups", "32"}, {0}};
    ss_infer_set_common(x, common, "all models of latent diffusion have it");
}
