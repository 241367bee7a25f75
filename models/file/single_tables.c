/* single_tables.c - names of the latent diffusion code base (LDM) and of OpenCLIP, and what
 * diffusers and transformers call the same tensors
 *
 * A UNet's input_blocks are conv_in and then, block by block, layers_per_block layers and the
 * convolution that halves the resolution; the output_blocks have one layer more in a block, and the
 * convolution that doubles the resolution is part of the last one, after its attention if it has
 * one. A VAE's decoder counts its blocks from the picture's side, diffusers from the latents'.
 */
#include "models/file/single_names.h"

#define TO(f, ...)                     \
    {                                  \
        .from = (f), .to = __VA_ARGS__ \
    }

/* ---- UNet ---- */

static const ss_name_rule unet_resnet[] = {
    TO("in_layers.0.*", "norm1.*"),
    TO("in_layers.2.*", "conv1.*"),
    TO("emb_layers.1.*", "time_emb_proj.*"),
    TO("out_layers.0.*", "norm2.*"),
    TO("out_layers.3.*", "conv2.*"),
    TO("skip_connection.*", "conv_shortcut.*"),
    {0},
};

static const ss_name_rule unet_transformer[] = {
    TO("norm.*", "norm.*"),
    TO("proj_in.*", "proj_in.*"),
    TO("transformer_blocks.*", "transformer_blocks.*"),
    TO("proj_out.*", "proj_out.*"),
    {0},
};

const ss_name_rule ss_ldm_unet_rules[] = {
    TO("time_embed.0.*", "time_embedding.linear_1.*"),
    TO("time_embed.2.*", "time_embedding.linear_2.*"),
    TO("label_emb.0.0.*", "$e.linear_1.*"),
    TO("label_emb.0.2.*", "$e.linear_2.*"),
    TO("label_emb.weight", "class_embedding.weight"),
    TO("input_blocks.0.0.*", "conv_in.*"),
    TO("input_blocks.#.0.op.*", "down_blocks.$b.downsamplers.0.conv.*", .first = 1),
    TO("input_blocks.#.0.*", "down_blocks.$b.resnets.$i.*", .first = 1, .rest = unet_resnet),
    TO("input_blocks.#.1.*", "down_blocks.$b.attentions.$i.*", .first = 1,
       .rest = unet_transformer),
    TO("middle_block.0.*", "mid_block.resnets.0.*", .rest = unet_resnet),
    TO("middle_block.1.*", "mid_block.attentions.0.*", .rest = unet_transformer),
    TO("middle_block.2.*", "mid_block.resnets.1.*", .rest = unet_resnet),
    TO("output_blocks.#.0.*", "up_blocks.$b.resnets.$i.*", .rest = unet_resnet),
    TO("output_blocks.#.1.conv.*", "up_blocks.$b.upsamplers.0.conv.*"),
    TO("output_blocks.#.2.conv.*", "up_blocks.$b.upsamplers.0.conv.*"),
    TO("output_blocks.#.1.*", "up_blocks.$b.attentions.$i.*", .rest = unet_transformer),
    TO("out.0.*", "conv_norm_out.*"),
    TO("out.2.*", "conv_out.*"),
    {0},
};

/* ---- VAE ---- */

static const ss_name_rule vae_resnet[] = {
    TO("norm1.*", "norm1.*"),
    TO("conv1.*", "conv1.*"),
    TO("norm2.*", "norm2.*"),
    TO("conv2.*", "conv2.*"),
    TO("nin_shortcut.*", "conv_shortcut.*"),
    {0},
};

static const ss_name_rule vae_attention[] = {
    TO("norm.*", "group_norm.*"),
    TO("q.*", "to_q.*", .change = SS_VALUES_LINEAR),
    TO("k.*", "to_k.*", .change = SS_VALUES_LINEAR),
    TO("v.*", "to_v.*", .change = SS_VALUES_LINEAR),
    TO("proj_out.*", "to_out.0.*", .change = SS_VALUES_LINEAR),
    {0},
};

const ss_name_rule ss_ldm_vae_rules[] = {
    TO("encoder.conv_in.*", "encoder.conv_in.*"),
    TO("encoder.down.#.block.#.*", "encoder.down_blocks.$1.resnets.$2.*", .rest = vae_resnet),
    TO("encoder.down.#.downsample.conv.*", "encoder.down_blocks.$1.downsamplers.0.conv.*"),
    TO("encoder.mid.block_1.*", "encoder.mid_block.resnets.0.*", .rest = vae_resnet),
    TO("encoder.mid.attn_1.*", "encoder.mid_block.attentions.0.*", .rest = vae_attention),
    TO("encoder.mid.block_2.*", "encoder.mid_block.resnets.1.*", .rest = vae_resnet),
    TO("encoder.norm_out.*", "encoder.conv_norm_out.*"),
    TO("encoder.conv_out.*", "encoder.conv_out.*"),
    TO("quant_conv.*", "quant_conv.*"),
    TO("post_quant_conv.*", "post_quant_conv.*"),
    TO("decoder.conv_in.*", "decoder.conv_in.*"),
    TO("decoder.mid.block_1.*", "decoder.mid_block.resnets.0.*", .rest = vae_resnet),
    TO("decoder.mid.attn_1.*", "decoder.mid_block.attentions.0.*", .rest = vae_attention),
    TO("decoder.mid.block_2.*", "decoder.mid_block.resnets.1.*", .rest = vae_resnet),
    TO("decoder.up.#.block.#.*", "decoder.up_blocks.$r.resnets.$2.*", .rest = vae_resnet),
    TO("decoder.up.#.upsample.conv.*", "decoder.up_blocks.$r.upsamplers.0.conv.*"),
    TO("decoder.norm_out.*", "decoder.conv_norm_out.*"),
    TO("decoder.conv_out.*", "decoder.conv_out.*"),
    TO("loss.*", NULL), /* the discriminator of its training */
    {0},
};

/* ---- text encoders ---- */

/* Files of transformers before version 4.31 have the numbers of the positions, too. */
const ss_name_rule ss_ldm_clip_rules[] = {
    TO("text_model.embeddings.position_ids", NULL),
    TO("embeddings.position_ids", NULL),
    TO("text_model.*", "text_model.*"),
    TO("embeddings.*", "text_model.embeddings.*"),
    TO("encoder.*", "text_model.encoder.*"),
    TO("final_layer_norm.*", "text_model.final_layer_norm.*"),
    {0},
};

static const ss_name_rule open_clip_block[] = {
    TO("ln_1.*", "layer_norm1.*"),
    TO("attn.in_proj_weight", "self_attn.@.weight", .change = SS_VALUES_THIRDS),
    TO("attn.in_proj_bias", "self_attn.@.bias", .change = SS_VALUES_THIRDS),
    TO("attn.out_proj.*", "self_attn.out_proj.*"),
    TO("ln_2.*", "layer_norm2.*"),
    TO("mlp.c_fc.*", "mlp.fc1.*"),
    TO("mlp.c_proj.*", "mlp.fc2.*"),
    {0},
};

const ss_name_rule ss_ldm_open_clip_rules[] = {
    TO("token_embedding.weight", "text_model.embeddings.token_embedding.weight"),
    TO("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    TO("transformer.resblocks.#.*", "text_model.encoder.layers.$1.*", .rest = open_clip_block),
    TO("ln_final.*", "text_model.final_layer_norm.*"),
    TO("text_projection", "text_projection.weight", .change = SS_VALUES_TRANSPOSED),
    TO("logit_scale", NULL),
    {0},
};

/* Stable Diffusion 2 takes what the last but one of 24 layers gives, and no projection. */
const ss_name_rule ss_ldm_open_clip_penultimate_rules[] = {
    TO("transformer.resblocks.23.*", NULL),
    TO("text_projection", NULL),
    TO("*", "*", .rest = ss_ldm_open_clip_rules),
    {0},
};
