"""Golden data of every operation, tests/golden/ops.safetensors, read by tests/test_ops.c.

    python tests/golden/make_ops.py

PyTorch 2.x computes in float64 from inputs rounded to what the file holds; results are
stored as f32. Seed 0. A case is a set of tensors OP/CASE/NAME; y is its result, opt its
numbers, the rest its inputs. Pictures and tokens are stored channels last, weights in
PyTorch's order. The test runs every case it finds, so a new case needs only this file.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(0)
cases = {}


def put(name, opt=(), **tensors):
    for key, value in tensors.items():
        if value is not None:
            kept = value if value.dtype in (torch.float16, torch.bfloat16) else value.float()
            cases[f"{name}/{key}"] = kept.contiguous().clone()
    if opt:
        cases[f"{name}/opt"] = torch.tensor([float(v) for v in opt])


def rand(*shape, dtype=torch.float32, scale=1.0, mean=0.0):
    return (torch.randn(*shape) * scale + mean).to(dtype)


def f64(x):
    return None if x is None else x.double()


def first(x):  # channels last -> channels first
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def conv2d(name, n, h, w, i, o, k, stride=1, pad=(0, 0, 0, 0), bias=True, dtype=torch.float32):
    """pad: top, left, bottom, right"""
    kh, kw = k if isinstance(k, tuple) else (k, k)
    x, wt = rand(n, h, w, i), rand(o, i, kh, kw, dtype=dtype, scale=(i * kh * kw) ** -0.5)
    b = rand(o, dtype=dtype) if bias else None
    top, left, bottom, right = pad
    padded = F.pad(first(f64(x)), (left, right, top, bottom))
    y = F.conv2d(padded, f64(wt), f64(b), stride=stride)
    put(f"conv2d/{name}", (stride, *pad), x=x, w=wt, b=b, y=last(y))


conv2d("1x1_one_channel", 1, 1, 1, 1, 1, 1)
conv2d("1x1", 2, 5, 3, 7, 33, 1)
conv2d("1x1_stride2", 1, 7, 6, 3, 7, 1, stride=2)
conv2d("3x3", 2, 7, 5, 3, 33, 3, pad=(1, 1, 1, 1))
conv2d("3x3_wide", 1, 9, 9, 33, 64, 3, pad=(1, 1, 1, 1))
conv2d("3x3_no_bias", 1, 6, 6, 8, 16, 3, pad=(1, 1, 1, 1), bias=False)
conv2d("3x3_stride2", 2, 8, 7, 16, 7, 3, stride=2, pad=(1, 1, 1, 1))
conv2d("3x3_stride2_asymmetric", 1, 8, 8, 16, 16, 3, stride=2, pad=(0, 0, 1, 1))
conv2d("3x3_valid", 1, 3, 3, 3, 1, 3)
conv2d("5x5", 1, 7, 9, 7, 3, 5, pad=(2, 2, 2, 2))
conv2d("5x5_top_left", 1, 6, 6, 3, 8, 5, pad=(4, 3, 0, 1))
conv2d("3x1", 1, 5, 5, 3, 3, (3, 1), pad=(1, 0, 1, 0))
conv2d("f16_weights", 1, 5, 5, 16, 16, 3, pad=(1, 1, 1, 1), dtype=torch.float16)
conv2d("bf16_weights", 1, 5, 5, 7, 9, 3, pad=(1, 1, 1, 1), dtype=torch.bfloat16)


def linear(name, lead, i, o, bias=True, dtype=torch.float32, conv_shape=False):
    x, w = rand(*lead, i), rand(o, i, dtype=dtype, scale=i**-0.5)
    b = rand(o, dtype=dtype) if bias else None
    y = F.linear(f64(x), f64(w), f64(b))
    put(f"linear/{name}", x=x, w=w[:, :, None, None] if conv_shape else w, b=b, y=y)


linear("one", (1,), 1, 1)
linear("row", (1,), 33, 7)
linear("two_rows", (2,), 64, 128)
linear("tokens", (3, 7), 33, 33)
linear("many", (1, 77), 40, 24)
linear("picture", (2, 3, 3), 8, 16, conv_shape=True)
linear("no_bias", (5,), 16, 3, bias=False)
linear("f16_weights", (3,), 33, 17, dtype=torch.float16)
linear("bf16_weights", (4,), 16, 16, dtype=torch.bfloat16)



def gelu(x):
    """F.gelu, but right in the negative tail too, where its 1 + erf cancels even in float64, and
    at inf, where that of PyTorch 2.15 in f32 is NaN"""
    return x * torch.special.erfc(-x * 0.5**0.5) / 2


def gelu_tanh(x):
    """F.gelu(x, approximate="tanh"), but right in the negative tail too, where 1 + tanh cancels"""
    return x * torch.sigmoid((8 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))


# The names of SS_ACTS (kernels/ops.h), in its order.
ACTS = {"identity": lambda x: x, "silu": F.silu, "gelu": gelu, "mish": F.mish, "relu": F.relu,
        "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x), "gelu_tanh": gelu_tanh,
        "gelu_new": gelu_tanh, "sigmoid": torch.sigmoid}


def group_norm(name, n, dims, c, groups, act=0, affine=True, mod=False, eps=1e-5, mean=0.0,
               scale=1.0, dtype=torch.float32):
    x = rand(n, *dims, c, mean=mean, scale=scale)
    gamma = rand(c, dtype=dtype, mean=1) if affine else None
    beta = rand(c, dtype=dtype) if affine else None
    m = rand(n, 2 * c) if mod else None
    y = last(F.group_norm(first(f64(x)), groups, f64(gamma), f64(beta), eps))
    if mod:
        at = [n] + [1] * len(dims) + [c]
        y = y * (1 + f64(m[:, :c]).reshape(at)) + f64(m[:, c:]).reshape(at)
    put(f"group_norm/{name}", (groups, eps, act), x=x, gamma=gamma, beta=beta, mod=m,
        y=list(ACTS.values())[act](y))


for act, text in enumerate(ACTS):
    group_norm(text, 2, (3, 3), 32, 8, act)
group_norm("one_group", 1, (5, 7), 7, 1)
group_norm("each_channel", 2, (4, 3), 33, 33)
group_norm("odd_groups", 1, (7, 7), 33, 3, 1)
group_norm("mod", 3, (2, 5), 16, 4, 1, mod=True)
group_norm("mod_only", 2, (3, 3), 8, 2, affine=False, mod=True)
group_norm("plain", 1, (6,), 12, 3, affine=False)
group_norm("one_position", 2, (1, 1), 64, 32, eps=1e-6)
group_norm("offset", 1, (9, 9), 16, 4, mean=1000.0)
group_norm("huge", 1, (3, 3), 8, 2, scale=1e30)
group_norm("constant", 1, (3, 3), 8, 2, mean=3.0, scale=0.0)
group_norm("f16_weights", 1, (3, 3), 8, 2, dtype=torch.float16)
group_norm("many_positions", 1, (40, 41), 7, 7)


def layer_norm(name, lead, c, affine=True, mean=0.0, dtype=torch.float32):
    x = rand(*lead, c, mean=mean)
    gamma, beta = (rand(c, dtype=dtype), rand(c, dtype=dtype)) if affine else (None, None)
    y = F.layer_norm(f64(x), (c,), f64(gamma), f64(beta), 1e-5)
    put(f"layer_norm/{name}", (1e-5,), x=x, gamma=gamma, beta=beta, y=y)


layer_norm("row", (1,), 33)
layer_norm("tokens", (2, 7), 40)
layer_norm("plain", (3,), 7, affine=False)
layer_norm("one_channel", (3,), 1)
layer_norm("offset", (5,), 64, mean=300.0)
layer_norm("bf16_weights", (2,), 16, dtype=torch.bfloat16)

line = torch.cat([torch.linspace(-14, 14, 1001), torch.logspace(-30, 0, 61),
                  -torch.logspace(-30, 0, 61), torch.tensor([0.0, 50, -50, 88, -88, 1e4, 3e38])])
inf = float("inf")
special = torch.tensor([inf, -inf, float("nan")])
for act, text in enumerate(ACTS):
    put(f"activate/{text}", (act,), x=line, y=ACTS[text](line.double()))
    # what PyTorch's f32 kernels make of these is what we are to make of them
    put(f"activate_special/{text}", (act,), x=special, y=ACTS[text](special))


def geglu(name, lead, k):
    x = rand(*lead, 2 * k, scale=2)
    value, gate = f64(x).chunk(2, dim=-1)
    put(f"geglu/{name}", x=x, y=value * gelu(gate))


geglu("row", (1,), 33)
geglu("tokens", (2, 7), 20)


def attention(name, n, t, s, heads, d, scale=None, mask=None, gain=1.0):
    q, k, v = rand(n, t, heads * d, scale=gain), rand(n, s, heads * d, scale=gain), rand(n, s, heads * d)
    scale = d**-0.5 if scale is None else scale
    m = None
    if mask == "cut":  # the last keys are masked
        m = torch.zeros(n, s)
        m[:, s // 2 + 1:] = -inf
    elif mask == "bias":
        m = rand(n, s, scale=3)
    elif mask == "all":  # the last sample sees nothing
        m = torch.zeros(n, s)
        m[-1] = -inf
    split = lambda x, len: f64(x).reshape(n, len, heads, d).transpose(1, 2)
    logits = split(q, t) @ split(k, s).transpose(-1, -2) * scale
    if m is not None:
        logits = logits + f64(m)[:, None, None, :]
    y = (logits.softmax(-1) @ split(v, s)).transpose(1, 2).reshape(n, t, heads * d)
    put(f"attention/{name}", (heads, scale), q=q, k=k, v=v, mask=m, y=y)


attention("one", 1, 1, 1, 1, 1)
attention("one_key", 2, 7, 1, 2, 8)
attention("one_query", 1, 1, 33, 3, 5)
attention("self", 2, 33, 33, 2, 7)
attention("width40", 1, 25, 49, 2, 40)
attention("width64", 1, 24, 32, 1, 64)
attention("width20_cross", 2, 50, 77, 2, 20)
attention("many_heads", 1, 9, 12, 16, 3)
attention("cut", 2, 10, 21, 2, 8, mask="cut")
attention("bias", 2, 5, 19, 1, 16, mask="bias")
attention("all_masked", 2, 3, 5, 1, 4, mask="all")
attention("peaked", 1, 16, 40, 1, 16, gain=6)
attention("plain_scale", 1, 8, 8, 1, 8, scale=1.0)

a, b = rand(3, 7, 33), rand(3, 7, 33)
put("add/plain", (1,), x=a, b=b, y=f64(a) + f64(b))
put("add/scaled", (0.70710678,), x=a, b=b,
    y=(f64(a) + f64(b)) * float(torch.tensor(0.70710678)))
put("affine/one", (2.5, -1.0), x=a, y=f64(a) * 2.5 - 1)
put("clamp/one", (-0.5, 0.75), x=torch.cat([a.flatten(), special]),
    y=torch.cat([a.flatten(), special]).clamp(-0.5, 0.75))
put("scale_samples/one", (1.5, -2, 0.25), x=a,
    y=f64(a) * torch.tensor([1.5, -2, 0.25]).double().reshape(3, 1, 1))
v = rand(3, 33)
put("add_channels/one", x=a, v=v, y=f64(a) + f64(v)[:, None])

for axis, (s1, s2) in {-1: ((2, 3, 3), (2, 3, 7)), 0: ((1, 5), (3, 5)), 1: ((2, 3, 4), (2, 1, 4))}.items():
    p, q = rand(*s1), rand(*s2)
    put(f"concat/axis{axis}", (axis,), x=p, b=q, y=torch.cat([p, q], axis))
p = rand(3, 5, 7)
put("slice/last", (-1, 2, 5), x=p, y=p[..., 2:5])
put("slice/first", (0, 1, 3), x=p, y=p[1:3])
put("slice/middle", (1, 4, 5), x=p, y=p[:, 4:5])

for h, w in ((8, 6), (7, 5), (4, 3), (13, 1)):
    p = rand(2, 4, 3, 5)
    put(f"upsample/{h}x{w}", (h, w), x=p,
        y=last(F.interpolate(first(p), (h, w), mode="nearest")))
for h, w in ((4, 6), (5, 7), (2, 2)):
    p = rand(2, h, w, 3)
    put(f"avg_pool2/{h}x{w}", x=p, y=last(F.avg_pool2d(first(f64(p)), 2)))


def upfirdn2d(x, kernel, up, down, pad0, pad1):
    """Karras et al. 2020, written out: zero insertion, padding or cropping, true convolution."""
    n, c, h, w = x.shape
    big = x.new_zeros(n, c, h * up, w * up)
    big[:, :, ::up, ::up] = x
    big = F.pad(big, (pad0, pad1, pad0, pad1))
    k = torch.outer(kernel, kernel).flip(0, 1)[None, None].expand(c, 1, -1, -1)
    return F.conv2d(big, k, groups=c)[:, :, ::down, ::down]


for name, taps, up, down, pad0, pad1 in (
    ("up2", [1, 3, 3, 1], 2, 1, 2, 1), ("down2", [1, 3, 3, 1], 1, 2, 1, 1),
    ("same", [1, 2, 1], 1, 1, 1, 1), ("skewed", [1, 2, 4, 8, 16], 1, 1, 2, 2),
    ("crop", [1, 3, 3, 1], 2, 1, -1, 2), ("up3down2", [1, 2, 3, 4, 3, 2, 1], 3, 2, 3, 3),
    ("one", [2], 1, 1, 0, 0), ("eight", [1, 2, 3, 4, 5, 6, 7, 8], 2, 2, 4, 3)):
    p, k = rand(2, 6, 5, 3), torch.tensor(taps, dtype=torch.float32)
    k = k / k.sum()
    put(f"fir/{name}", (up, down, pad0, pad1), x=p, kernel=k,
        y=last(upfirdn2d(first(f64(p)), f64(k), up, down, pad0, pad1)))

p = rand(3, 11, 70)
put("mean_tokens/one", x=p, y=f64(p).mean(1, keepdim=True))
for dtype in (torch.float32, torch.float16, torch.bfloat16):
    table = rand(5, 33, dtype=dtype)
    put(f"embedding/{str(dtype)[6:]}", (4, 0, 0, 3), x=table, y=table[[4, 0, 0, 3]].double())

v = rand(3, 66)
put("modulate/one", x=a, v=v, y=f64(a) * (1 + f64(v)[:, None, :33]) + f64(v)[:, None, 33:])

for name, shape, axes in (
    ("tokens", (2, 7, 13), (0, 2, 1)), ("odd", (3, 5, 7, 11), (3, 1, 0, 2)),
    ("rows", (5, 3, 33), (1, 0, 2)), ("ones", (1, 9, 1, 4), (2, 1, 0, 3)),
    ("time", (2, 3, 5, 7, 4), (0, 2, 3, 1, 4)), ("all", (2, 3, 5, 7, 4), (4, 3, 2, 1, 0)),
    ("frames_last", (1, 17, 6, 1, 35), (0, 4, 2, 3, 1)), ("tiles", (33, 2, 67), (2, 1, 0)),
    ("vector", (19,), (0,)), ("one", (1, 1, 1), (2, 0, 1))):
    p = rand(*shape).requires_grad_()
    y = p.permute(axes)
    dy = rand(*y.shape)
    y.backward(dy)
    put(f"permute/{name}", axes, x=p.detach(), y=y.detach(), dy=dy, dx=p.grad)

for name, shape in (("rows", (3, 7, 33)), ("one", (1, 1)), ("odd", (5, 13, 3, 7))):
    a, b = rand(*shape), rand(*shape)
    put(f"multiply/{name}", x=a, b=b, y=f64(a) * f64(b))
put("multiply/special", x=torch.tensor([inf, -inf, inf, 3e38, -3e38, float("nan"), 0]),
    b=torch.tensor([-2.0, inf, 0, 2, 3, 0, -1]), y=torch.tensor(
        [-inf, -inf, float("nan"), inf, -inf, float("nan"), 0]))



def t5_layer_norm(x, gamma, eps):
    """transformers 5.24, T5LayerNorm.forward"""
    variance = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
    y = x * torch.rsqrt(variance + eps)
    return gamma * y.to(gamma.dtype) if gamma.dtype in (torch.float16, torch.bfloat16) else gamma * y


def rms_norm(name, lead, c, gain=True, mean=0.0, scale=1.0, dtype=torch.float32):
    x, gamma = rand(*lead, c, mean=mean, scale=scale), rand(c, dtype=dtype) if gain else None
    y = f64(x) * torch.rsqrt(f64(x).pow(2).mean(-1, keepdim=True) + 1e-6)
    put(f"rms_norm/{name}", (1e-6,), x=x, gamma=gamma, y=y * f64(gamma) if gain else y)


rms_norm("row", (1,), 33)
rms_norm("tokens", (2, 7), 40)
rms_norm("wide", (3,), 2048)
rms_norm("plain", (3,), 7, gain=False)
rms_norm("one_channel", (3,), 1)
rms_norm("offset", (5,), 64, mean=300.0)
rms_norm("huge", (2,), 9, scale=1e30)
rms_norm("small", (2,), 9, scale=1e-3)
rms_norm("bf16_weights", (2,), 16, dtype=torch.bfloat16)
for dtype in (torch.float16, torch.bfloat16):
    for name, x in (("tokens", rand(5, 7, 40, scale=3)), ("wide", rand(3, 1024, scale=500)),
                    ("zero", torch.zeros(2, 8)),
                    ("overflown", torch.tensor([[1.0, inf, -2, 0], [float("nan"), 1, 2, 3]])),
                    ("huge", rand(2, 5, scale=1e4 if dtype == torch.float16 else 1e30))):
        x, gamma = x.to(dtype), rand(x.shape[-1], dtype=dtype, mean=1)
        put(f"rms_norm_half/{name}_{str(dtype)[6:]}", (1e-6,), x=x.float(), gamma=gamma,
            y=t5_layer_norm(x, gamma, 1e-6))



def biased(name, n, t, heads, d, scale=None, bias="positions", padding=False, bias_heads=None):
    """As attention(), with bias [heads or 1][t][t]: T5's relative positions, or causal."""
    q, k, v = (rand(n, t, heads * d) for _ in range(3))
    scale = d**-0.5 if scale is None else scale
    if bias == "positions":
        b = rand(heads if bias_heads is None else bias_heads, 2 * t - 1, scale=2)
        b = torch.stack([b[:, t - 1 - i:2 * t - 1 - i] for i in range(t)], 1)
    else:
        b = torch.full((1, t, t), -inf if bias == "causal" else torch.finfo(torch.float32).min).triu(1)
    m = None
    if padding:  # of the first sample
        m = torch.zeros(n, t)
        m[0, t // 2 + 1:] = torch.finfo(torch.float16).min
    split = lambda x: f64(x).reshape(n, t, heads, d).transpose(1, 2)
    logits = split(q) @ split(k).transpose(-1, -2) * scale + f64(b)[None]
    if padding:
        logits = logits + f64(m)[:, None, None, :]
    y = (logits.softmax(-1) @ split(v)).transpose(1, 2).reshape(n, t, heads * d)
    put(f"attention/{name}", (heads, scale), q=q, k=k, v=v, bias=b, mask=m, y=y)


biased("bias_one_token", 2, 1, 3, 4, scale=1.0)
biased("bias_of_heads", 2, 7, 3, 8, scale=1.0)
biased("bias_of_all", 1, 13, 2, 5, bias_heads=1)
biased("bias_and_padding", 2, 33, 2, 7, scale=1.0, padding=True)
biased("causal", 2, 19, 2, 6, bias="causal")
biased("causal_77", 1, 77, 2, 8, bias="causal")
biased("causal_least", 1, 9, 1, 16, bias="least", padding=True)
attention("one_head_of_512", 1, 9, 9, 1, 512)

path = Path(__file__).with_name("ops.safetensors")
save_file(cases, path, metadata={"torch": torch.__version__, "seed": "0"})
print(path.name, path.stat().st_size, "bytes,", sum(k.endswith("/y") for k in cases), "cases")
