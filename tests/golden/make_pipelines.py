"""Makes tests/golden/pipelines: whole pipelines in small, and what diffusers makes of prompts.

    python tests/golden/make_pipelines.py            (torch 2.15, diffusers 0.42, transformers 5.24)

sd    CLIPTextModel, UNet2DConditionModel, AutoencoderKL
xl    CLIPTextModel and CLIPTextModelWithProjection, penultimate states side by side, pooled text
if    T5EncoderModel with its mask, pixels

Weights are f16, random (seed 0), and computed with in f32. Tokenizers are those of
tests/golden/tokenizers, which a test copies beside them: they are not in these folders.
golden.safetensors has, for the prompts below in their order,

    states       [n][tokens][width]   encode_prompt's prompt_embeds
    pooled       [n][width]           of xl
    latents      [1][4][h][w]         of sd, and what the VAE decodes it to:
    picture      [1][3][H][W]
    encoded      [1][4][h][w]         mode of the VAE's latents of `picture`, times scaling_factor
"""

import json
import pathlib
import shutil
import tempfile

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, DDPMScheduler, IFPipeline,
                       StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel)
from safetensors.torch import save_file
from transformers import (AutoTokenizer, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection,
                          CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer)

HERE = pathlib.Path(__file__).parent
OUT = HERE / "pipelines"
TOKENIZERS = HERE / "tokenizers"
PROMPTS = ["a photo of a cat", "", "Ein Hund, der läuft \U0001F415", "one two three " * 40]


def folder_of(kind, files):
    """A tokenizer's folder as a pipeline has it."""
    folder = pathlib.Path(tempfile.mkdtemp())
    for path in (TOKENIZERS / kind).iterdir():
        shutil.copy(path, folder)
    for name in files:
        shutil.copy(TOKENIZERS / name, folder)
    return folder


def clip(cls, width, projection, act, tokenizer, layers):
    """A text encoder whose end token is the tokenizer's."""
    config = CLIPTextConfig(vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width,
                            projection_dim=projection, num_hidden_layers=layers,
                            num_attention_heads=2, hidden_act=act, max_position_embeddings=77,
                            bos_token_id=tokenizer.bos_token_id,
                            eos_token_id=tokenizer.eos_token_id,
                            pad_token_id=tokenizer.pad_token_id)
    return halve(cls(config))


def halve(m):
    """Weights that f16 holds, larger than they are made, so that states differ."""
    with torch.no_grad():
        for p in m.parameters():
            p.copy_((p * 2).half().float())
    return m.eval()


def unet(width, **more):
    return halve(UNet2DConditionModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=width,
        attention_head_dim=4, **more))


def vae(factor):
    return halve(AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=4,
        sample_size=64, scaling_factor=factor))


def save(name, pipe, golden):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module):
            module.half()
    pipe.save_pretrained(folder)
    for path in folder.glob("tokenizer*"):
        shutil.rmtree(path)
    save_file({k: v.contiguous().float() for k, v in golden.items()},
              str(folder / "golden.safetensors"))
    print(name, sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()))


@torch.no_grad()
def main():
    torch.manual_seed(0)
    clip_tokenizer = CLIPTokenizer.from_pretrained(folder_of("clip", ["vocab.json", "merges.txt"]))
    other = CLIPTokenizer.from_pretrained(folder_of("clip_pad0", ["vocab.json", "merges.txt"]))
    t5_tokenizer = AutoTokenizer.from_pretrained(folder_of("t5", ["spiece.model"]))
    OUT.mkdir(exist_ok=True)
    (OUT / "prompts.json").write_text(json.dumps(PROMPTS) + "\n")

    pipe = StableDiffusionPipeline(
        vae=vae(0.18215), text_encoder=clip(CLIPTextModel, 16, 16, "quick_gelu", clip_tokenizer, 2),
        tokenizer=clip_tokenizer, unet=unet(16), scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    states = pipe.encode_prompt(PROMPTS, "cpu", 1, False)[0]
    latents = torch.randn(1, 4, 8, 8)
    picture = pipe.vae.decode(latents / 0.18215).sample
    encoded = pipe.vae.encode(picture).latent_dist.mode() * 0.18215
    save("sd", pipe, {"states": states, "latents": latents, "picture": picture,
                      "encoded": encoded})

    pipe = StableDiffusionXLPipeline(
        vae=vae(0.13025), text_encoder=clip(CLIPTextModel, 16, 16, "quick_gelu", clip_tokenizer, 2),
        text_encoder_2=clip(CLIPTextModelWithProjection, 24, 20, "gelu", other, 3),
        tokenizer=clip_tokenizer, tokenizer_2=other,
        unet=unet(40, addition_embed_type="text_time", addition_time_embed_dim=8,
                  projection_class_embeddings_input_dim=20 + 6 * 8),
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"))
    states, _, pooled, _ = pipe.encode_prompt(PROMPTS, device="cpu",
                                              do_classifier_free_guidance=False)
    save("xl", pipe, {"states": states, "pooled": pooled})

    config = T5Config(vocab_size=len(t5_tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=2,
                      num_heads=2, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    pipe = IFPipeline(
        tokenizer=t5_tokenizer, text_encoder=halve(T5EncoderModel(config)),
        unet=unet(16, encoder_hid_dim=16, encoder_hid_dim_type="text_proj", in_channels=3,
                  out_channels=6),
        scheduler=DDPMScheduler(variance_type="learned_range"), safety_checker=None,
        feature_extractor=None, watermarker=None, requires_safety_checker=False)
    states = pipe.encode_prompt(PROMPTS, False, 1, "cpu")[0]
    save("if", pipe, {"states": states})


main()
