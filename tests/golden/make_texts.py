"""Golden data for the text encoders: small random-weight transformers models and what each module gives.

    make_texts.py [--out DIR] [CASE...]      DIR: tests/golden/texts; without a CASE, all of them
    make_texts.py --out DIR --full NAME...   networks of published sizes (FULL below), not for git:
                                             SIGMASCOPE_TEXTS=DIR build/tests/test_text_encoders

Made with torch 2.15.0 (CPU, one thread, eval, fp32), transformers 5.24.0, safetensors 0.8.0. Seeds: the
CRC-32 of the case's name plus k, for weights and inputs alike; k is the first of 0, 1, 2... with which
no module is further than 2.5e-6 (relative L2) from the same run in fp64. All weights, norms and biases
included, are random, scaled so that activations stay of order 1 to 10, and rounded to F16 (BF16 in the
cases that say so) before the run, so the stored file is exactly what ran.

Each case is a folder:

    config.json            as transformers writes it, or as older versions did (CASES says what differs)
    model.safetensors      the weights, by the names that the case says
    golden.safetensors     all F32
        ids                [N,T] token ids
        mask               [N,T], 1 keeps a token and 0 hides it; absent: all are seen
        last               [N,T,C] last_hidden_state
        penultimate        [N,T,C] hidden_states[-2]
        pooled, projected  [N,C] pooler_output, [N,P] text_embeds, of networks that have them
        module:PATH        64 samples of the output of the module at PATH, at the indices
                           floor(k numel / 64); all of it if it has fewer than 64 elements
        norm:PATH          its L2 norm (summed in float64), and numel
    gradients.safetensors  in cases that ask for it: target [N,T,C] and, by the names of the parameters,
                           the gradients of mean((last - target)^2), or of pooled states and projections
                           likewise where target says [N,P]; loss [1]. Computed in fp64, stored F32

PATH runs over every module that has parameters or children and gives a tensor, or a tuple or dataclass
whose first element is one; lists, dropouts and activations are left out, and so is the whole model.
transformers 5 calls the modules of a CLIPTextModel encoder.layers.0..., version 4 and the checkpoints of
its time text_model.encoder.layers.0...; PATH follows the names in the case's file.

tests/golden/texts/buckets.safetensors has what T5's _relative_position_bucket gives: bN_D [601] F32, the
buckets of the distances -300 to 300 with N buckets and largest distance D.
"""
import argparse
import copy
import json
import os
import shutil
import zlib

import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers import (CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection,
                          T5Config, T5EncoderModel, T5ForConditionalGeneration, UMT5Config, UMT5EncoderModel)
from transformers.models.t5.modeling_t5 import T5Attention, T5LayerNorm
from transformers.models.umt5.modeling_umt5 import UMT5LayerNorm

transformers.utils.logging.set_verbosity_error()

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = 64
SKIPPED = (nn.ModuleList, nn.Dropout)
NORMS = (nn.LayerNorm, T5LayerNorm, UMT5LayerNorm)
EOS, VOCABULARY = 59, 60


def clip(cls, prompts, names="text_model.", keys=None, gradients=False, **options):
    """names: what stands before the names of the text model's tensors; keys: what config.json has
    beside or, with None, without the keys that transformers writes."""
    base = dict(vocab_size=VOCABULARY, hidden_size=16, intermediate_size=40, num_hidden_layers=2,
                num_attention_heads=2, max_position_embeddings=77, projection_dim=12, bos_token_id=0,
                eos_token_id=EOS)
    return dict(cls=cls, config=CLIPTextConfig(**dict(base, **options)), prompts=prompts, names=names,
                keys=keys or {}, gradients=gradients)


def t5(cls, config, prompts, stored="shared", keys=None, gradients=False, **options):
    """stored: which names of the tied table of tokens are in the file: shared, embed_tokens or both."""
    base = dict(vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=40, num_layers=3, num_heads=2,
                relative_attention_num_buckets=8, relative_attention_max_distance=20)
    return dict(cls=cls, config=config(**dict(base, **options)), prompts=prompts, stored=stored,
                keys=keys or {}, gradients=gradients)


# (prompts, tokens, lengths of those with padding, or None for no mask)
CASES = {
    # as Stable Diffusion 1.5: the end token's id is 2 in config.json, so the largest id is the end
    "clip-l": clip(CLIPTextModel, (3, 77, None), eos_token_id=2,
                   keys={"dropout": 0.0, "torch_dtype": "float32"}),
    "clip-mask": clip(CLIPTextModel, (3, 7, (7, 4, 1)), gradients=True),
    # as Stable Diffusion 2.1 and OpenCLIP-bigG of SDXL
    "clip-projection": clip(CLIPTextModelWithProjection, (3, 7, None), names="", hidden_act="gelu",
                            gradients=True),
    "clip-projection-mask": clip(CLIPTextModelWithProjection, (1, 77, (20,)), names="", hidden_act="gelu",
                                 eos_token_id=2, num_attention_heads=4, layer_norm_eps=1e-6),
    # as transformers 5 writes it
    "clip-plain-names": clip(CLIPTextModel, (1, 1, None), names="", hidden_act="gelu_pytorch_tanh"),
    "clip-one-layer": clip(CLIPTextModel, (2, 3, None), num_hidden_layers=1, hidden_act="silu"),
    # no end token among the ids: the first token stands for it
    "clip-no-end": clip(CLIPTextModel, (2, 3, None), hidden_act="relu"),
    # a folder of the whole CLIP, pictures too
    "clip-model": clip(CLIPModel, (2, 7, None), names="", hidden_act="gelu_new"),

    "t5-relu": t5(T5EncoderModel, T5Config, (3, 77, (77, 30, 1)), keys={"n_positions": 512}, gradients=True),
    "t5-gated": t5(T5EncoderModel, T5Config, (1, 77, None), feed_forward_proj="gated-gelu", d_kv=6,
                   num_heads=3, stored="both", relative_attention_num_buckets=32,
                   relative_attention_max_distance=128),
    "t5-gated-mask": t5(T5EncoderModel, T5Config, (3, 7, (2, 7, 5)), feed_forward_proj="gated-gelu",
                        stored="embed_tokens", layer_norm_epsilon=1e-5),
    "t5-one": t5(T5EncoderModel, T5Config, (1, 1, None), feed_forward_proj="gated-silu", num_layers=1),
    # 150 tokens pass every boundary between buckets
    "t5-long": t5(T5EncoderModel, T5Config, (1, 150, None), relative_attention_num_buckets=32,
                  relative_attention_max_distance=128, num_layers=2, feed_forward_proj="gelu"),
    # a decoder and lm_head are in the file
    "t5-conditional": t5(T5ForConditionalGeneration, T5Config, (2, 3, None), num_layers=2,
                         feed_forward_proj="gated-gelu", stored="both"),
    # dense_act_fn and is_gated_act win over feed_forward_proj
    "t5-derived-keys": t5(T5EncoderModel, T5Config, (2, 3, None), feed_forward_proj="gated-gelu", num_layers=2,
                          dense_act_fn="silu", is_gated_act=True),
    "t5-bf16": t5(T5EncoderModel, T5Config, (2, 7, None), feed_forward_proj="gated-gelu"),
    "umt5": t5(UMT5EncoderModel, UMT5Config, (3, 77, (77, 12, 3)), gradients=True,
               keys={"scalable_attention": True}),
    "umt5-relu": t5(UMT5EncoderModel, UMT5Config, (1, 3, None), feed_forward_proj="relu",
                    stored="embed_tokens"),
}

# Of published sizes. Of these no run in fp64 is made.
FULL = {
    "clip-l": clip(CLIPTextModel, (2, 77, (77, 9)), vocab_size=49408, hidden_size=768, intermediate_size=3072,
                   num_hidden_layers=12, num_attention_heads=12, eos_token_id=2),
    "openclip-bigg": clip(CLIPTextModelWithProjection, (1, 77, None), names="", vocab_size=49408,
                          hidden_size=1280, intermediate_size=5120, num_hidden_layers=32,
                          num_attention_heads=20, hidden_act="gelu", projection_dim=1280),
    "t5-xl-bf16": t5(T5EncoderModel, T5Config, (1, 128, (100,)), vocab_size=32128, d_model=2048, d_kv=64,
                     d_ff=5120, num_layers=24, num_heads=32, feed_forward_proj="gated-gelu",
                     relative_attention_num_buckets=32, relative_attention_max_distance=128),
}


def randomise(model, dtype):
    """Random weights everywhere, exact in dtype."""
    with torch.no_grad():
        for name, module in model.named_modules():
            for key, p in module.named_parameters(recurse=False):
                if isinstance(module, NORMS) and key == "weight":
                    v = 1 + 0.3 * torch.randn(p.shape)
                elif p.ndim < 2:
                    v = 0.2 * torch.randn(p.shape)
                elif isinstance(module, nn.Embedding):
                    v = torch.randn(p.shape)
                else:
                    # T5 does not divide logits by the root of a head's width
                    root = module.in_features if name.endswith((".q", ".k")) else 1
                    gain = 1.5 * root ** -0.125 if name.endswith((".q", ".k", "q_proj", "k_proj")) else 1.0
                    v = gain * torch.randn(p.shape) / p[0].numel() ** 0.5
                p.copy_(v.to(dtype).float())


def make_inputs(name, case):
    n, tokens, lengths = case["prompts"]
    ids = torch.randint(3, EOS, (n, tokens))
    out = {}
    if name != "clip-no-end":
        for i in range(n): # further ends after the first do not matter
            end = (lengths[i] if lengths else tokens - 2 * i if tokens > 4 else tokens) - 1
            ids[i, max(end, 0):] = EOS
    if lengths:
        out["mask"] = torch.tensor([[float(t < l) for t in range(tokens)] for l in lengths])
    return {"ids": ids, **out}


def first_tensor(y):
    if hasattr(y, "last_hidden_state"):
        y = y.last_hidden_state
    if isinstance(y, tuple) and y:
        y = y[0]
    return y if torch.is_tensor(y) else None


def encoder(model):
    """The part of a model that encodes text."""
    return model.text_model if isinstance(model, CLIPModel) else model


def watched(model):
    for name, module in model.named_modules():
        if name and not isinstance(module, SKIPPED) and (
                any(True for _ in module.children()) or any(True for _ in module.parameters())):
            yield name, module


def call(model, given):
    """Everything that an encoder gives."""
    args = dict(input_ids=given["ids"], attention_mask=given.get("mask"))
    out = {}
    if isinstance(model, CLIPModel):
        y = model.text_model(**args, output_hidden_states=True)
        out["projected"] = model.text_projection(y.pooler_output)
    elif isinstance(model, T5ForConditionalGeneration):
        y = model.encoder(**args, output_hidden_states=True)
    else:
        y = model(**args, output_hidden_states=True)
    out.update(last=y.last_hidden_state, penultimate=y.hidden_states[-2])
    if isinstance(model, CLIPTextModelWithProjection):
        out["projected"] = y.text_embeds
        out["pooled"] = model.text_model(**args).pooler_output
    elif "pooler_output" in y:
        out["pooled"] = y.pooler_output
    return out


def run(case, model, given):
    golden, hooks = {}, []

    def hook(name):
        def f(module, _, y):
            y = first_tensor(y)
            if y is None:
                return
            y = y.reshape(-1)
            n = y.numel()
            k = torch.arange(SAMPLES) * n // SAMPLES if n > SAMPLES else torch.arange(n)
            golden["module:" + name] = y[k].clone()
            golden["norm:" + name] = torch.tensor([float(y.double().norm()), n])
        return f
    prefix = case.get("names", "")
    for name, module in watched(model):
        if not name.startswith(("decoder", "lm_head", "vision_model", "visual_projection")):
            hooks.append(module.register_forward_hook(hook(prefix + name)))
    if prefix:
        hooks.append(model.register_forward_hook(hook(prefix[:-1])))
    with torch.no_grad():
        out = call(model, given)
    for h in hooks:
        h.remove()
    return golden, out


def rounding(case, model, given, golden):
    """The worst relative L2 distance of golden to the same run in fp64, over the modules."""
    given = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
    exact, _ = run(case, copy.deepcopy(model).double(), given)
    return max(float((golden[k] - v).norm() / v.norm()) for k, v in exact.items() if k.startswith("module:"))


def write_config(case, model, folder):
    path = folder + "/config.json"
    model.config.save_pretrained(folder)
    with open(path) as f:
        config = json.load(f)
    config["architectures"] = [type(model).__name__]
    config.update(case["keys"])
    config = {k: v for k, v in config.items() if v is not None}
    with open(path, "w") as f:
        f.write(json.dumps(config, indent=2, sort_keys=True) + "\n")


def stored_state(case, model, dtype):
    """The tensors by the names of the file; old files have the buffer of positions, too."""
    state = {}
    for k, v in model.state_dict().items():
        if k.endswith("embed_tokens.weight") and case["stored"] == "shared":
            continue
        if k == "shared.weight" and case["stored"] == "embed_tokens":
            continue
        state[case.get("names", "") + k] = v.to(dtype).clone().contiguous()
    if case.get("names"):
        state["text_model.embeddings.position_ids"] = torch.arange(77).expand((1, -1)).clone()
    return state


def write_gradients(case, model, given, folder):
    model = copy.deepcopy(model).double()
    given = {k: v.double() if v.is_floating_point() else v for k, v in given.items()}
    out = call(model, given)
    y = out["projected"] if "projected" in out else out["last"]
    target = torch.randn(y.shape).double()
    loss = (y - target.float().double()).square().mean()
    loss.backward()
    state = {"target": target, "loss": loss.detach().reshape(1)}
    for k, p in model.named_parameters():
        if p.grad is not None:
            k = {"shared.weight": "encoder.embed_tokens.weight"}.get(k, k)
            state[case.get("names", "") + k] = p.grad
    save_file({k: v.float().contiguous() for k, v in state.items()}, folder + "/gradients.safetensors")


def build(case):
    config = case["config"]
    if case["cls"] is CLIPModel:
        text = config.to_dict()
        vision = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
                      image_size=8, patch_size=4, projection_dim=12)
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    return case["cls"](config).eval()


def make(name, folder, full=False):
    case = (FULL if full else CASES)[name]
    dtype = torch.bfloat16 if name.endswith("bf16") else torch.float16
    for k in range(50):
        torch.manual_seed(zlib.crc32(name.encode()) + k)
        model = build(case)
        randomise(model, dtype)
        given = make_inputs(name, case)
        golden, out = run(case, model, given)
        error = 0 if full else rounding(case, model, given, golden)
        if error < 2.5e-6:
            break
    assert error < 2.5e-6 and all(torch.isfinite(v).all() for v in out.values()), (name, error)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_config(case, model, folder)
    save_file(stored_state(case, model, dtype), folder + "/model.safetensors", metadata={"format": "pt"})
    save_file({k: v.float().contiguous() for k, v in {**given, **golden, **out}.items()},
              folder + "/golden.safetensors")
    if case["gradients"]:
        write_gradients(case, model, given, folder)
    top = max(float(v.abs().max()) for k, v in golden.items() if k.startswith("module:"))
    total = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:22s} {sum(k.startswith('module:') for k in golden):4d} modules {total / 1024:7.1f} KiB, "
          f"largest sample {top:6.2f}, rounding {error:.1e}, k {k}", flush=True)
    return total


def make_buckets(path):
    distances = torch.arange(-300, 301)
    save_file({f"b{n}_{d}": T5Attention._relative_position_bucket(distances, True, n, d).float()
               for n, d in ((32, 128), (8, 20), (32, 100), (64, 256), (4, 3))}, path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default=os.path.join(HERE, "texts"))
    p.add_argument("--full", action="store_true")
    p.add_argument("cases", nargs="*")
    a = p.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if a.full:
        for name in a.cases or FULL:
            make(name, os.path.join(a.out, name), True)
        return
    total = sum(make(name, os.path.join(a.out, name)) for name in a.cases or CASES)
    make_buckets(os.path.join(a.out, "buckets.safetensors"))
    print(f"{total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
