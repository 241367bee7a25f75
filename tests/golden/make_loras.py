"""Makes tests/golden/loras: LoRA and its kin by their real writers, and the weights that they make.

    make_loras.py tests/golden/loras

    unet/, unet-f16/           a UNet2DConditionModel with random weights (seed 0), in f32 and in f16
    peft/                      PEFT's save_pretrained: rank and alpha patterns, rsLoRA, linear and convolution
    peft-dora/, peft-loha/, peft-lokr/      likewise
    diffusers.safetensors      StableDiffusionPipeline.save_lora_weights, with the adapter's metadata
    kohya.safetensors          as sd-scripts names them (by hand), with alphas, a 3x3 kernel and the text encoder
    kohya-ldm.safetensors      likewise, in the names of its XL trainer, with other ranks, and a layer without
                               alpha; by its formula, as diffusers mixes alphas up where they differ
    mid.safetensors            LyCORIS' LoCon with a core, lora_mid (by hand)
    want.safetensors           CASE:NAME, the weights that each changes: PEFT's merge_and_unload, diffusers'
                               load_lora_weights and fuse_lora; of mid, LyCORIS' formula

All tensors of the adapters are random (seed 1). Versions: torch 2.15.0, diffusers 0.42.1, peft 0.21.2.
"""
import copy
import os
import shutil
import sys

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

out = sys.argv[1]
shutil.rmtree(out, ignore_errors=True)
os.makedirs(out)
want = {}


def network():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=8, in_channels=2, out_channels=2, layers_per_block=1, block_out_channels=(4, 8),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), cross_attention_dim=6, norm_num_groups=2,
        attention_head_dim=2).eval()


def randomise(model):
    rng = torch.Generator().manual_seed(1)
    for name, p in model.named_parameters():
        if any(s in name for s in ("lora_", "hada_", "lokr_")):
            size = 1 + 0.3 * torch.randn(p.shape, generator=rng) if "magnitude" in name \
                else 0.3 * torch.randn(p.shape, generator=rng)
            p.data = size.to(p.dtype)


def keep(case, state):
    """What differs from the network without the adapter."""
    base = network().state_dict()
    for k, v in state.items():
        if not torch.equal(v, base[k].to(v.dtype)):
            want[f"{case}:{k}"] = v.detach().clone().contiguous()


network().save_pretrained(f"{out}/unet")
network().half().save_pretrained(f"{out}/unet-f16")

LINEAR = ["down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
          "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
          "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
          "up_blocks.1.attentions.1.transformer_blocks.0.attn1.to_out.0"]
CONV = ["down_blocks.0.resnets.0.conv1", "mid_block.resnets.1.conv2", "up_blocks.1.attentions.0.proj_in"]
OTHER = ["down_blocks.0.downsamplers.0.conv", "up_blocks.0.upsamplers.0.conv", "time_embedding.linear_1",
         "up_blocks.0.resnets.1.time_emb_proj"]

configs = {
    "peft": LoraConfig(r=4, lora_alpha=6, target_modules=LINEAR + CONV, rank_pattern={"to_k": 2, "conv2": 3},
                       alpha_pattern={"to_k": 5, "mid_block.resnets.1.conv2": 2}, use_rslora=True),
    "peft-dora": LoraConfig(r=2, lora_alpha=3, target_modules=LINEAR + CONV, use_dora=True),
    "peft-loha": LoHaConfig(r=2, alpha=3, target_modules=LINEAR + CONV[:1]),
    "peft-lokr": LoKrConfig(r=2, alpha=3, target_modules=LINEAR + CONV[:1], decompose_factor=2),
}
for case, config in configs.items():
    model = get_peft_model(network(), config)
    randomise(model)
    model.save_pretrained(f"{out}/{case}")
    os.remove(f"{out}/{case}/README.md")
    keep(case, model.merge_and_unload().state_dict())

unet = network()
unet.add_adapter(LoraConfig(r=4, lora_alpha=6, target_modules=LINEAR + CONV))
randomise(unet)
layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
StableDiffusionPipeline.save_lora_weights(out, unet_lora_layers=layers, weight_name="diffusers.safetensors",
                                          unet_lora_adapter_metadata=unet.peft_config["default"].to_dict())


def fused(cls, file, dtype=torch.float32, scale=1.0):
    unet = network().to(dtype)
    state, alphas, metadata = cls.lora_state_dict(file, unet_config=unet.config, return_lora_metadata=True)
    state = {k: v for k, v in state.items() if k.startswith("unet.")}
    alphas = {k: v for k, v in (alphas or {}).items() if k.startswith("unet.")} or None
    cls.load_lora_into_unet(state, network_alphas=alphas, unet=unet, metadata=metadata)
    unet.fuse_lora(lora_scale=scale)
    unet.unload_lora()
    return unet.state_dict()


keep("diffusers", fused(StableDiffusionPipeline, f"{out}/diffusers.safetensors"))
keep("diffusers-f16", fused(StableDiffusionPipeline, f"{out}/diffusers.safetensors", torch.float16))
keep("diffusers-half", fused(StableDiffusionPipeline, f"{out}/diffusers.safetensors", scale=0.5))

rng = torch.Generator().manual_seed(1)


def down_up(module, r):
    w = network().get_submodule(module).weight
    shape = (r, *w.shape[1:])
    return (0.3 * torch.randn(shape, generator=rng),
            0.3 * torch.randn(w.shape[0], r, *[1] * (w.dim() - 2), generator=rng))


LDM = {LINEAR[0]: "input_blocks_1_1_transformer_blocks_0_attn1_to_q",
       LINEAR[1]: "input_blocks_1_1_transformer_blocks_0_attn2_to_k",
       LINEAR[2]: "middle_block_1_transformer_blocks_0_ff_net_0_proj",
       LINEAR[3]: "output_blocks_3_1_transformer_blocks_0_attn1_to_out_0",
       CONV[0]: "input_blocks_1_0_in_layers_2", CONV[1]: "middle_block_2_out_layers_3",
       CONV[2]: "output_blocks_2_1_proj_in", OTHER[0]: "input_blocks_2_0_op",
       OTHER[1]: "output_blocks_1_1_conv", OTHER[2]: "time_embed_0", OTHER[3]: "output_blocks_1_0_emb_layers_1"}
LAYERS = LINEAR + CONV + OTHER


def by_hand(names, key):
    """What sd-scripts computes: W + alpha / rank * up down."""
    state = network().state_dict()
    for module in LAYERS:
        down, up = names[f"lora_unet_{key(module)}.lora_down.weight"], names[f"lora_unet_{key(module)}.lora_up.weight"]
        alpha = float(names.get(f"lora_unet_{key(module)}.alpha", torch.tensor(float(len(down)))))
        w = state[f"{module}.weight"]
        w += (alpha / len(down) * (up.flatten(1) @ down.flatten(1))).reshape(w.shape)
    return state


def kohya_file(key, rank, alpha):
    names = {}
    for i, module in enumerate(LAYERS):
        down, up = down_up(module, rank(i))
        names[f"lora_unet_{key(module)}.lora_down.weight"] = down
        names[f"lora_unet_{key(module)}.lora_up.weight"] = up
        if alpha(i):  # without: the rank
            names[f"lora_unet_{key(module)}.alpha"] = torch.tensor(alpha(i))
    return names


# diffusers gives attention one alpha where they differ, and does not take a missing one for the rank
plain = kohya_file(lambda m: m.replace(".", "_"), lambda i: 2, lambda i: 1.5)
state = by_hand(plain, lambda m: m.replace(".", "_"))
for end, value in (("lora_down.weight", torch.zeros(2, 6)), ("lora_up.weight", torch.zeros(6, 2)),
                   ("alpha", torch.tensor(1.5))):
    plain[f"lora_te_text_model_encoder_layers_0_self_attn_q_proj.{end}"] = value
save_file(plain, f"{out}/kohya.safetensors", {"ss_network_module": "networks.lora"})
theirs = fused(StableDiffusionPipeline, f"{out}/kohya.safetensors")
assert max(float((state[k] - theirs[k]).abs().max()) for k in state) < 1e-6
keep("kohya", theirs)
ldm = kohya_file(LDM.get, lambda i: 1 + i % 3, lambda i: 0.5 + i if i != 2 else None)
save_file(ldm, f"{out}/kohya-ldm.safetensors", {"ss_network_module": "networks.lora"})
keep("kohya-ldm", by_hand(ldm, LDM.get))

mid = {}
state = network().state_dict()
module = CONV[0]
w = state[f"{module}.weight"]
down, core, up = (0.5 * torch.randn(s, generator=rng) for s in ((2, w.shape[1], 1, 1), (2, 2, 3, 3), (w.shape[0], 2, 1, 1)))
key = f"lora_unet_{module.replace('.', '_')}"
mid = {f"{key}.lora_down.weight": down, f"{key}.lora_mid.weight": core, f"{key}.lora_up.weight": up, f"{key}.alpha": torch.tensor(1.0)}
save_file(mid, f"{out}/mid.safetensors")
state[f"{module}.weight"] = w + 0.5 * torch.einsum("ijkl,jr,ip->prkl", core, down.flatten(1), up.flatten(1).T)
keep("mid", state)
save_file(want, f"{out}/want.safetensors")
