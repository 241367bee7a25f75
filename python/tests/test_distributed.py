"""Several processes that train one model: what is recorded is what one process records of all their samples."""
import os
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np
import torch
from case import ROOT, Case

PRELUDE = f"""
import os, sys, time, warnings
sys.path[:0] = [{ROOT + '/python'!r}, {ROOT + '/python/tests'!r}]
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel as DDP
import sigmascope
from sigmascope import distributed
torch.set_num_threads(1)
RANK, WORLD, PATH, PLACE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if WORLD > 1:
    dist.init_process_group("gloo", init_method="file://" + PLACE, rank=RANK, world_size=WORLD)

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(8, 16), torch.nn.Linear(16, 8)
        self.extra = torch.nn.Linear(8, 8)
        self.spill = torch.nn.Identity()

    def forward(self, x, sigma, extra=False):
        h = torch.tanh(self.a(x)) * sigma[:, None]
        h = self.b(h)
        self.spill(torch.where(x > 2, float("inf"), x))
        return h + (self.extra(h) if extra else 0 * self.extra.weight.sum() + 0 * self.extra.bias.sum())

def batch(step, part=0, parts=1, n=12):
    g = torch.Generator().manual_seed(step)
    x, sigma = torch.randn(n, 8, generator=g), torch.randn(n, generator=g).mul(2).exp()
    return x[part::parts], sigma[part::parts]

torch.manual_seed(0)
model = Model()
"""
LOOP = """
optimizer = torch.optim.Adam(train.parameters(), 1e-2)
watch = sigmascope.watch(train, PATH, every=2, optimizer=optimizer, bins=[0.5, 2.0])
for step in range(6):
    optimizer.zero_grad()
    x, sigma = batch(step, RANK, WORLD)
    loss = (train(x, sigma) - x).square().mean(1)
    loss.mean().backward()
    optimizer.step()
    watch.step(loss=loss, sigma=sigma)
watch.close()
"""


def contents(path):
    with h5py.File(path, "r") as f:
        found = {}
        f.visititems(lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
        return found


class Together(Case):
    def run_all(self, script, world, timeout=100, status=0):
        """Runs a script in some processes; returns what each said."""
        path = self.path("script.py")
        with open(path, "w") as f:
            f.write(PRELUDE + script)
        place = tempfile.mktemp(dir=self.folder)
        out = self.path(f"{world}.h5")
        children = [subprocess.Popen([sys.executable, path, str(r), str(world), out, place], stderr=subprocess.PIPE,
                                     text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}) for r in range(world)]
        try:
            said = [c.communicate(timeout=timeout)[1] for c in children]
        finally:
            for c in children:
                c.kill()
        for c, text in zip(children, said):
            self.assertEqual(c.returncode, status, text)
        return said

    def compare(self, a, b, updates=True):
        a, b = contents(a), contents(b)
        self.assertEqual(sorted(a), sorted(b))
        for name, want in b.items():
            got = a[name]
            if name.startswith("updates") and not updates:
                continue
            if want.dtype.kind == "f":
                # An update is a difference of weights that are larger by far; a gradient a mean in another order.
                near = (1e-4, 1e-6) if name.startswith(("updates", "training/norm")) else (1e-6, 1e-7)
                np.testing.assert_allclose(got, want, *near, err_msg=name)
            else:
                np.testing.assert_array_equal(got, want, err_msg=name)

    def test_ddp(self):
        script = "train = DDP(model) if WORLD > 1 else model\n" + LOOP
        for world in (1, 2, 3):
            for text in self.run_all(script, world):
                self.assertNotIn("sigmascope", text)
            if world > 1:
                self.compare(self.path(f"{world}.h5"), self.path("1.h5"))
        found = contents(self.path("3.h5"))
        self.assertEqual(found["training/samples"].sum(1).tolist(), [12, 12, 12])
        self.assertGreater(found["stats/nonfinite"].sum(), 0)
        self.assertEqual(found["hist/exponent"][..., 255].sum(), found["stats/nonfinite"][:, :, :, 0].sum())

    def fsdp(self, wrap):
        for world in (1, 2):
            if os.path.exists(self.path(f"{world}.h5")):
                os.unlink(self.path(f"{world}.h5"))
        for text in self.run_all("train = model\n" + LOOP, 1):
            self.assertNotIn("sigmascope", text)
        for text in self.run_all(wrap + LOOP, 2):
            self.assertNotIn("sigmascope", text)

    @unittest.skipUnless(hasattr(torch, "func"), "FSDP of PyTorch 1 needs a GPU")
    def test_fsdp(self):
        for names in (True, False):
            self.fsdp(f"""
from torch.distributed.fsdp import FullyShardedDataParallel as FSDP
model.a, model.b = (FSDP(m, use_orig_params={names}, device_id=torch.device("cpu")) for m in (model.a, model.b))
train = FSDP(model, use_orig_params={names}, device_id=torch.device("cpu"))
""")
            if names:
                self.compare(self.path("2.h5"), self.path("1.h5"))
                continue
            got, want = contents(self.path("2.h5")), contents(self.path("1.h5"))
            for k in ("stats/absmax", "stats/rms", "hist/exponent", "training/norm", "training/loss"):
                np.testing.assert_allclose(got[k], want[k], 1e-5, err_msg=k)

    @unittest.skipUnless(hasattr(getattr(torch.distributed, "fsdp", None), "fully_shard") or hasattr(torch, "compiler")
                         and hasattr(torch.compiler, "set_stance"), "fully_shard() is in PyTorch 2.6 and newer")
    def test_fully_shard(self):
        self.fsdp("""
from torch.distributed.fsdp import fully_shard
from torch.distributed.device_mesh import init_device_mesh
mesh = init_device_mesh("cpu", (WORLD,))
for m in (model.a, model.b, model):
    fully_shard(m, mesh=mesh)
train = model
""")
        self.compare(self.path("2.h5"), self.path("1.h5"))

    def test_what_runs_in_one_process_alone(self):
        """A module that the first process does not run, and a process that runs none in a step, are no hang."""
        said = self.run_all("""
watch = sigmascope.watch(model, PATH, every=1, optimizer=torch.optim.SGD(model.parameters(), 0.1), bins=1)
for step in range(3):
    x, sigma = batch(step, RANK, WORLD)
    if RANK == 1 or step == 1:
        model(x, sigma, extra=RANK == 1).mean().backward()
        watch.batch(sigma=sigma)
    watch.step()
watch.close()
""", 2)
        self.assertNotIn("sigmascope", said[0] + said[1])
        found = contents(self.path("2.h5"))
        at = [t.decode() for t in found["axes/module"]].index("extra")
        self.assertTrue(np.isfinite(found["stats/absmax"][at]).all())
        self.assertEqual(found["training/samples"][:, 0].tolist(), [6, 12, 6])

    def test_accumulation_without_sync(self):
        self.run_all("""
import contextlib
train = DDP(model) if WORLD > 1 else model
optimizer = torch.optim.SGD(train.parameters(), 1e-2)
watch = sigmascope.watch(train, PATH, every=1, optimizer=optimizer, bins=[1.0])
for step in range(2):
    for part in range(2):
        with train.no_sync() if WORLD > 1 and part == 0 else contextlib.nullcontext():
            x, sigma = batch(2 * step + part, RANK, WORLD)
            loss = (train(x, sigma) - x).square().mean(1)
            (loss.mean() / 2).backward()
            watch.batch(loss=loss, sigma=sigma)
    optimizer.step()
    optimizer.zero_grad()
    watch.step()
watch.close()
""", 2)
        self.assertEqual(contents(self.path("2.h5"))["training/samples"].sum(1).tolist(), [24, 24])

    def test_one_that_stops_early(self):
        """The others go on alone, and say so; at once if the one that stops closes its recorder."""
        said = self.run_all("""
distributed.WORDS, distributed.PATIENCE = 0.5, 2.0
watch = sigmascope.watch(model, PATH, every=1, optimizer=torch.optim.SGD(model.parameters(), 0.1), bins=1)
for step in range(6 if RANK == 0 else 3):
    x, sigma = batch(step, RANK, WORLD)
    model(x, sigma).mean().backward()
    watch.step(sigma=sigma)
if RANK == 1:
    if "silent" not in PATH:
        watch.close()
    time.sleep(6)
watch.close()
""", 2)
        self.assertIn("process 1 did not end step 3; the recording goes on with this process alone", said[0])
        self.assertEqual(contents(self.path("2.h5"))["training/samples"][:, 0].tolist(), [12] * 3 + [6] * 3)

    def test_one_that_does_not_come(self):
        said = self.run_all("""
distributed.WORDS, distributed.PATIENCE = 0.5, 2.0
watch = sigmascope.watch(model, PATH, every=1, optimizer=torch.optim.SGD(model.parameters(), 0.1), bins=1)
for step in range(4):
    x, sigma = batch(step, RANK, WORLD)
    model(x, sigma).mean().backward()
    if RANK == 1 and step == 2:
        time.sleep(5)
    watch.step(sigma=sigma)
watch.close()
""", 2)
        self.assertIn("this process waits for process 1 to end step 2", said[0])
        self.assertIn("process 1 did not end step 2; the recording goes on with this process alone", said[0])
        self.assertIn("nothing of this process is recorded any more", said[1])
        self.assertEqual(contents(self.path("2.h5"))["training/samples"][:, 0].tolist(), [12, 12, 6, 6])

    def test_watched_in_one_process_alone(self):
        said = self.run_all("""
distributed.WORDS, distributed.AT_FIRST = 0.5, 1.0
train = DDP(model)
if RANK == 0:
    watch = sigmascope.watch(train, PATH, every=1, optimizer=torch.optim.SGD(model.parameters(), 0.1), bins=1)
for step in range(2):
    x, sigma = batch(step, RANK, WORLD)
    train(x, sigma).mean().backward()
    if RANK == 0:
        watch.step(sigma=sigma)
if RANK == 0:
    watch.close()
dist.barrier()
""", 2)
        self.assertIn("process 1 did not call watch(); the recording goes on with this process alone", said[0])
        self.assertEqual(contents(self.path("2.h5"))["training/samples"][:, 0].tolist(), [6, 6])

    def test_join(self):
        """Batches that run out in one process before the other."""
        said = self.run_all("""
from torch.distributed.algorithms.join import Join
train = DDP(model)
optimizer = torch.optim.SGD(train.parameters(), 1e-2)
watch = sigmascope.watch(train, PATH, every=2, optimizer=optimizer, bins=1)
with Join([train, watch.joinable()]):
    for step in range(7 if RANK == 0 else 3):
        x, sigma = batch(step, RANK, WORLD)
        train(x, sigma).mean().backward()
        optimizer.step()
        watch.step(sigma=sigma)
watch.close()
""", 2)
        self.assertNotIn("sigmascope", said[0] + said[1])
        self.assertEqual(contents(self.path("2.h5"))["training/samples"][:, 0].tolist(), [12, 12, 6, 6])


if __name__ == "__main__":
    unittest.main()
