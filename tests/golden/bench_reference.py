"""The PyTorch side of `make bench`: a case that is run when asked, over standard input and output.

    bench_reference.py --threads T forward FOLDER --batch N
    bench_reference.py --threads T text FOLDER --batch TOKENS
    bench_reference.py --threads T train|video FOLDER
    bench_reference.py --threads T attention
    bench_reference.py --threads T vae FOLDER --batch N
    bench_reference.py --threads T start FOLDER
    bench_reference.py --threads T --device cuda forward|train|attention|norm FOLDER --batch N

FOLDER holds a config.json of diffusers, of transformers for `text`. When the case stands the script writes "ready"; then each
line it reads names a method of the case, whose number (seconds, if not said otherwise) it writes
back. Eager, channels last, weights as the constructors leave them. On a GPU a time ends when it
has finished; `exact` and `statistics` multiply in f32 there, `defaults` as PyTorch does unless asked.

Used with torch 2.15.0 on the CPU, diffusers 0.42.1, transformers 5.24.0.
"""
import argparse
import copy
import gzip
import json
import math
import os
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
from diffusers import (AutoencoderKL, UNet2DConditionModel, UNet2DModel, UNet3DConditionModel,
                       UNetMotionModel)

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))
import sigmascope  # noqa: E402

DEVICE = "cpu"
FRAMES = 16  # of a video
TIMES = 20  # a single operation runs so often before the device is waited for
DATA = "/usr/share/datasets/fashion-mnist/train-"


def make_model(folder):
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    cls = {c.__name__: c for c in (UNet2DModel, UNet2DConditionModel, UNet3DConditionModel,
                                   UNetMotionModel)}[config["_class_name"]]
    torch.manual_seed(0)
    model = cls.from_config(config).to(DEVICE)
    for p in model.parameters():  # those of convolutions over frames have another rank
        if p.ndim == 4:
            p.data = p.data.to(memory_format=torch.channels_last)
    return model


def finish():
    if DEVICE != "cpu":
        torch.cuda.synchronize()


def use_tf32(convolutions):
    """Products of matrices have f32 by default, convolutions TF32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = convolutions


def peak():
    """Most memory that the process ever held, in MiB."""
    with open("/proc/self/status") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024


def moments(x):
    """Per sample, as the program has them."""
    x = x.detach().float().flatten(1)
    x.amin(1), x.amax(1), x.abs().amax(1), x.mean(1), x.std(1, correction=0)
    l2 = torch.linalg.vector_norm(x, dim=1)
    rms = l2 / x.shape[1] ** 0.5
    nonfinite = (~x.isfinite()).sum(1)
    return l2, rms, nonfinite


def statistics(x):
    """The same and the histogram of exponents."""
    x = x.detach().float().flatten(1)
    exponents = [torch.bincount((s.view(torch.int32) >> 23) & 255, minlength=256)
                 for s in x.contiguous()]
    return moments(x), exponents


def tensors(y):
    if torch.is_tensor(y):
        if y.is_floating_point() and y.ndim > 1:
            yield y
    elif isinstance(y, dict):
        yield from tensors(list(y.values()))
    elif isinstance(y, (tuple, list)):
        for v in y:
            yield from tensors(v)


def watch(model, take=statistics):
    """Takes them of inputs and outputs of every module; what to call to end it."""
    def hook(module, args, y):
        for x in list(tensors(list(args))) + list(tensors(y)):
            take(x)
    hooks = [m.register_forward_hook(hook) for m in model.modules()]
    return lambda: [h.remove() for h in hooks]


def blocks(model):
    """What a precision policy calls blocks."""
    return [m for m in model.modules() if type(m).__name__ in
            ("ResnetBlock2D", "Transformer2DModel", "Attention", "Upsample2D", "Downsample2D")]


class Case:
    def peak(self):
        return peak()

    def exact(self):
        use_tf32(False)
        return self.forward()

    def defaults(self):
        use_tf32(True)
        return self.forward()


class Forward(Case):
    def __init__(self, a):
        self.model = make_model(a.folder).eval()
        self.half = None
        c = self.model.config
        x = torch.randn(a.batch, c.in_channels, c.sample_size, c.sample_size)
        self.x = x.to(DEVICE, memory_format=torch.channels_last)
        self.t = torch.full((a.batch,), 500, device=DEVICE)
        self.more = {}
        if c.get("num_class_embeds"):
            self.more["class_labels"] = torch.zeros(a.batch, dtype=torch.long, device=DEVICE)
        if c.get("cross_attention_dim"):
            width = c.get("encoder_hid_dim") or c.cross_attention_dim
            tokens = 77 if c.cross_attention_dim > 64 else 4
            self.more["encoder_hidden_states"] = torch.randn(a.batch, tokens, width, device=DEVICE)
        if isinstance(self.model, (UNet3DConditionModel, UNetMotionModel)):
            # laid out so that its frames are pictures with channels last
            x = torch.randn(a.batch, FRAMES, c.sample_size, c.sample_size, c.in_channels)
            self.x = x.to(DEVICE).permute(0, 4, 1, 2, 3)
        if isinstance(self.model, UNetMotionModel):  # as its pipeline does
            text = self.more["encoder_hidden_states"]
            self.more["encoder_hidden_states"] = text.repeat_interleave(FRAMES, 0)

    @torch.no_grad()
    def forward(self):
        start = time.perf_counter()
        self.model(self.x, self.t, **self.more)
        finish()
        return time.perf_counter() - start

    def bf16(self):
        """The same with parameters and activations in bfloat16."""
        if not self.half:
            self.half = copy.deepcopy(self.model).bfloat16()
        with torch.no_grad():
            more = {k: v.bfloat16() for k, v in self.more.items()}
            start = time.perf_counter()
            self.half(self.x.bfloat16(), self.t, **more)
            return time.perf_counter() - start

    def statistics(self):
        end = watch(self.model)
        seconds = self.exact()
        end()
        return seconds

    def moments(self):
        end = watch(self.model, moments)
        seconds = self.forward()
        end()
        return seconds

    def rounded(self):
        hooks = [m.register_forward_hook(lambda m, a, y: y.half().float() if torch.is_tensor(y) else y)
                 for m in blocks(self.model)]
        seconds = self.forward()
        for h in hooks:
            h.remove()
        return seconds


class Vae(Case):
    def __init__(self, a):
        with open(os.path.join(a.folder, "config.json")) as f:
            self.model = AutoencoderKL.from_config(json.load(f)).eval()
        self.model.to(DEVICE, memory_format=torch.channels_last)
        c = self.model.config
        side = c.sample_size // 2 ** (len(c.block_out_channels) - 1)
        x = torch.randn(a.batch, c.in_channels, c.sample_size, c.sample_size)
        z = torch.randn(a.batch, c.latent_channels, side, side)
        self.x, self.z = (v.to(DEVICE, memory_format=torch.channels_last) for v in (x, z))

    @torch.no_grad()
    def encode(self):
        start = time.perf_counter()
        self.model.encode(self.x).latent_dist.mode()
        finish()
        return time.perf_counter() - start

    @torch.no_grad()
    def decode(self):
        start = time.perf_counter()
        self.model.decode(self.z)
        finish()
        return time.perf_counter() - start


class Text(Case):
    """A text encoder on one prompt."""

    def __init__(self, a):
        import transformers

        with open(os.path.join(a.folder, "config.json")) as f:
            cls = getattr(transformers, json.load(f)["architectures"][0])
        self.model = cls(cls.config_class.from_pretrained(a.folder)).eval()
        self.half = None
        self.ids = torch.arange(3, 3 + a.batch)[None]

    @torch.no_grad()
    def timed(self, model):
        start = time.perf_counter()
        model(self.ids)
        return time.perf_counter() - start

    def forward(self):
        return self.timed(self.model)

    def bf16(self):
        if not self.half:
            self.half = copy.deepcopy(self.model).bfloat16()
        return self.timed(self.half)


class Start(Case):
    """Ends with its first forward pass."""

    def __init__(self, a):
        with open(os.path.join(a.folder, "config.json")) as f:
            cls = json.load(f)["_class_name"]
        cls = UNet2DModel if cls == "UNet2DModel" else UNet2DConditionModel
        model = cls.from_pretrained(a.folder, torch_dtype=torch.float32, low_cpu_mem_usage=False)
        c = model.eval().config
        x = torch.randn(1, c.in_channels, c.sample_size, c.sample_size)
        more = {}
        if c.get("cross_attention_dim"):
            more["encoder_hidden_states"] = torch.randn(1, 77, c.cross_attention_dim)
        with torch.no_grad():
            model(x, torch.tensor([500]), **more)


class Single(Case):
    """One operation, TIMES times; --batch 1 asks for a small one."""

    @torch.no_grad()
    def forward(self):
        start = time.perf_counter()
        for _ in range(TIMES):
            self.run()
        finish()
        return (time.perf_counter() - start) / TIMES


class Attention(Single):
    def __init__(self, a):
        self.q = torch.randn(1, 8, 16 if a.batch == 1 else 4096, 40, device=DEVICE)

    def run(self):
        F.scaled_dot_product_attention(self.q, self.q, self.q)

    @torch.no_grad()
    def attend(self):
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start

    @torch.no_grad()
    def entropy(self):
        start = time.perf_counter()
        logits = self.q @ self.q.transpose(-1, -2) * 40 ** -0.5
        p = logits.softmax(-1)
        p @ self.q
        torch.special.entr(p).sum(-1).mean(-1), p.mean(-2).amax(-1), logits.amax((-1, -2))
        return time.perf_counter() - start


class Norm(Single):
    """Group norm and SiLU at the size of Stable Diffusion's first block."""

    def __init__(self, a):
        side = 4 if a.batch == 1 else 64
        x = torch.randn(2, 320, side, side)
        self.x = x.to(DEVICE, memory_format=torch.channels_last)

    def run(self):
        F.silu(F.group_norm(self.x, 32))


class Train(Case):
    """FAST-16: v-prediction on Fashion-MNIST, cosine levels, Adam."""

    def __init__(self, a):
        self.model = make_model(a.folder)
        size = self.model.config.sample_size
        use_tf32(False)
        if os.path.exists(DATA + "images-idx3-ubyte.gz"):
            x = torch.frombuffer(bytearray(gzip.open(DATA + "images-idx3-ubyte.gz").read()[16:]),
                                 dtype=torch.uint8).reshape(-1, 1, 28, 28).float()
            y = torch.frombuffer(bytearray(gzip.open(DATA + "labels-idx1-ubyte.gz").read()[8:]),
                                 dtype=torch.uint8).long()
        else:  # what the pictures show costs no time
            x, y = 255 * torch.rand(4096, 1, 28, 28), torch.randint(10, (4096,))
        if size == 16:
            x = F.avg_pool2d(x, 2)
        margin = (size - x.shape[-1]) // 2
        self.x = F.pad(x / 127.5 - 1, (margin,) * 4, value=-1).to(DEVICE)
        self.y = y.to(DEVICE)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=5e-3)

    def batch(self, n=32):
        i = torch.randint(len(self.x), (n,), device=DEVICE)
        x0, y = self.x[i], self.y[i]
        y = torch.where(torch.rand(n, device=DEVICE) < 0.1, 10, y)
        u = torch.rand(n, device=DEVICE)
        logsnr = (-2 * torch.log(torch.tan(math.pi * u / 2))).clamp(-15, 15)[:, None, None, None]
        a, s = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        eps = torch.randn_like(x0)
        x = (a * x0 + s * eps).to(memory_format=torch.channels_last)
        return x, 1000 * u, y, a * eps - s * x0

    def statistics(self):
        end = watch(self.model)
        seconds = self.step()
        end()
        return seconds

    def penalty(self):
        with sigmascope.penalty(self.model, 1e-4, every=1) as penalty:
            return self.step(penalty)

    def step(self, penalty=None, watch=None):
        start = time.perf_counter()
        x, t, y, target = self.batch()
        loss = F.mse_loss(self.model(x, t, class_labels=y).sample, target)
        if penalty:
            loss = loss + penalty()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if watch:
            watch.step(loss=loss, sigma=torch.tan(math.pi / 2000 * t))
        loss.item()
        return time.perf_counter() - start


class Recorder(Case):
    """FAST-16 twice, in turns: one is watched. Numbers are per cent of the steps of the other."""
    CYCLE = 16  # recorded steps

    def __init__(self, a):
        self.other, self.mine, self.a = Train(a), Train(a), a
        self.folder = tempfile.TemporaryDirectory()
        self.watch = None

    def cycle(self, watch, each):
        """each() are the calls between two steps that are recorded."""
        plain = seen = 0
        for _ in range(self.CYCLE):
            plain += self.other.step()
            seen += self.mine.step(watch=watch)
            start = time.perf_counter()
            each()
            seen += time.perf_counter() - start
        return plain, seen

    def begin(self, every):
        if self.watch is None or self.watch.every != every:
            if self.watch:
                self.watch.close()
            path = os.path.join(self.folder.name, f"{every}.h5")
            if os.path.exists(path):
                os.unlink(path)
            self.watch = sigmascope.watch(self.mine.model, path, every=every, optimizer=self.mine.optimizer)
            self.mine.step(watch=self.watch)  # makes the file
            for _ in range(every - 1):
                self.watch.step()
        return self.watch

    def each(self):
        plain, seen = self.cycle(self.begin(1), lambda: None)
        return 100 * (seen / plain - 1)

    def rarely(self):
        watch = self.begin(50)

        def between():
            for _ in range(watch.every - 1):
                watch.step()

        plain, seen = self.cycle(watch, between)
        return 100 * (seen - plain) / (watch.every * plain)

    def plainly(self):
        """Hooks that compute the same of outputs, each by itself."""
        def hook(module, args, y):
            for x in list(tensors(y))[:1]:
                statistics(x)
        if self.watch:
            self.watch.close()
            self.watch = None
        hooks = [m.register_forward_hook(hook) for m in self.mine.model.modules()]
        plain, seen = self.cycle(None, lambda: None)
        for h in hooks:
            h.remove()
        return 100 * (seen / plain - 1)

    def memory(self):
        """MiB that a recorded step adds to the peak of the process."""
        for _ in range(4):
            self.mine.step()
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # the peak so far is forgotten
        self.mine.step()
        before = peak()
        watch = self.begin(1)
        for _ in range(9):
            self.mine.step(watch=watch)
        return peak() - before


class Video(Train):
    """VIDEO-16: motion blocks of FAST-16, all else frozen, on 4 videos of 8 frames that move and wrap."""

    def __init__(self, a):
        from motion_net import MotionNet

        super().__init__(a)
        with open(os.path.join(a.folder, "config.json")) as f:
            motion = json.load(f)["motion"]
        self.net, self.frames = MotionNet(self.model, motion), motion["frames"]
        trained = []
        for name, p in self.net.named_parameters():
            if p.ndim == 4:
                p.data = p.data.contiguous(memory_format=torch.channels_last)
            p.requires_grad_(".motion." in name)
            trained += [p] if p.requires_grad else []
        self.optimizer = torch.optim.Adam(trained, lr=5e-3)

    def batch(self, n=4):
        i = torch.randint(len(self.x), (n,))
        v = torch.randint(-2, 3, (n, 2)).tolist()
        x0 = torch.stack([torch.stack([self.x[k].roll((f * a, f * b), (1, 2)) for f in range(self.frames)])
                          for k, (a, b) in zip(i, v)])
        y = torch.where(torch.rand(n) < 0.1, 10, self.y[i])
        u = torch.rand(n)
        logsnr = (-2 * torch.log(torch.tan(math.pi * u / 2))).clamp(-15, 15)[:, None, None, None, None]
        a, s = torch.sigmoid(logsnr).sqrt(), torch.sigmoid(-logsnr).sqrt()
        eps = torch.randn_like(x0)
        return a * x0 + s * eps, 1000 * u, y, a * eps - s * x0

    def step(self):
        start = time.perf_counter()
        x, t, y, target = self.batch()
        answer = self.net(dict(x=x, timesteps=t, class_labels=y))
        loss = F.mse_loss(answer, target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        loss.item()
        return time.perf_counter() - start


CASES = {"forward": Forward, "train": Train, "recorder": Recorder, "video": Video, "attention": Attention, "norm": Norm, "start": Start,
         "vae": Vae, "text": Text}


def main():
    global DEVICE
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, required=True)
    p.add_argument("case", choices=CASES)
    p.add_argument("folder", nargs="?")
    p.add_argument("--batch", type=int, default=0)
    p.add_argument("--device", default="cpu")
    a = p.parse_args()
    DEVICE = a.device
    torch.set_num_threads(a.threads)
    case = CASES[a.case](a)
    print("ready", flush=True)
    for line in sys.stdin:
        print(getattr(case, line.strip())(), flush=True)


if __name__ == "__main__":
    main()
