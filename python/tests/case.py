"""What tests share: a folder of their own, a small network, the program."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest
import warnings

import h5py
import numpy as np
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("SIGMASCOPE", os.path.join(ROOT, "build", "sigmascope"))


class Net(torch.nn.Module):
    """A denoiser [N,1,H,W] with what recorders stumble over: parts that return tuples, dictionaries and None, a
    part that is called twice, one that is not called, one that is no picture."""

    class Both(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.conv = torch.nn.Conv2d(width, width, 3, padding=1)

        def forward(self, x, extra=None):
            y = self.conv(x)
            return {"hidden": x + y, "skip": (y,), "nothing": None}

    class Nothing(torch.nn.Module):
        def forward(self, x):
            return None

    def __init__(self, width=8):
        super().__init__()
        self.conv_in = torch.nn.Conv2d(1, width, 3, padding=1)
        self.time = torch.nn.Linear(1, width)
        self.both = self.Both(width)
        self.nothing = self.Nothing()
        self.unused = torch.nn.Linear(3, 3)
        self.act = torch.nn.SiLU()
        self.norm = torch.nn.GroupNorm(2, width)
        self.conv_out = torch.nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x, sigma):
        h = self.act(self.conv_in(x)) + self.time(sigma.log()[:, None])[:, :, None, None]
        self.nothing(h)
        h = self.both(h)["hidden"]
        return (self.conv_out(self.act(self.norm(h))),)


class Case(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        self.folder = tempfile.mkdtemp(prefix="sigmascope-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        warnings.simplefilter("error")  # what is not expected is an error
        self.addCleanup(warnings.resetwarnings)

    def path(self, name="run.h5"):
        return os.path.join(self.folder, name)

    def program(self, *args, status=0):
        """Runs the program and returns its stdout."""
        done = subprocess.run([PROGRAM, *args], capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout

    def tables(self, *args, **options):
        return json.loads(self.program(*args, "--json", **options))


def batch(n=4, size=8):
    """x0, noise and sigma of a step."""
    sigma = (torch.randn(n) * 1.5).exp()
    return torch.randn(n, 1, size, size), torch.randn(n, 1, size, size), sigma


def one_step(model, optimizer, n=4, penalty=lambda: 0):
    """A step of a training as people write it; the loss of each sample, and sigma."""
    x0, noise, sigma = batch(n)
    y = model(x0 + sigma[:, None, None, None] * noise, sigma)[0]
    loss = (y - x0).square().mean((1, 2, 3))
    optimizer.zero_grad()
    (loss.mean() + penalty()).backward()
    optimizer.step()
    return loss, sigma


def column(path, name, module, step, port="output"):
    """[sample] of /stats/NAME at a module and step."""
    with h5py.File(path, "r") as f:
        labels = [t.decode() for t in f["axes/module"][()]]
        ports = [t.decode() for t in f["axes/port"][()]]
        at = np.flatnonzero((f["axes/step"][()] == step) & (f["axes/done"][()] == 1))[0]
        return f["stats/" + name][labels.index(module), ports.index(port), 0, at]
