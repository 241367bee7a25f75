"""The NaN guard names the place of the first value that is not finite, changes no bit, and ends no training."""
import contextlib
import json
import os
import random
import subprocess
import sys
import unittest
import warnings

import h5py
import numpy as np
import torch
import torch.utils.checkpoint
from case import ROOT, Case, Net, batch, one_step

import sigmascope

INF = float("inf")


def adam(model):
    return torch.optim.Adam(model.parameters(), 1e-3)


class At(torch.nn.Module):
    """Multiplies one sample of what it takes, in forward or in backward."""

    class Backward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factors):
            ctx.save_for_backward(factors)
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0], None

    def __init__(self):
        super().__init__()
        self.sample, self.forward_by, self.backward_by = None, 1.0, 1.0

    def forward(self, x):
        if self.sample is None:
            return x
        factors = torch.ones(len(x), *[1] * (x.dim() - 1))
        factors[self.sample] = self.forward_by
        x = x * factors
        factors = torch.ones(len(x), *[1] * (x.dim() - 1))
        factors[self.sample] = self.backward_by
        return self.Backward.apply(x, factors)


class Sick(Net):
    """A network with a part that can be made to fail, dropout, and running statistics."""

    def __init__(self, width=8):
        super().__init__(width)
        self.at = At()
        self.drop = torch.nn.Dropout(0.2)
        self.batch_norm = torch.nn.BatchNorm2d(width)

    def forward(self, x, sigma):
        h = self.drop(self.act(self.conv_in(x))) + self.time(sigma.log()[:, None])[:, :, None, None]
        h = self.batch_norm(self.at(self.both(h)["hidden"]))
        return {"sample": self.conv_out(self.act(self.norm(h))), "nothing": None}


def sick_step(model, optimizer, watch=None, hide=False, data=None):
    x0, noise, sigma = data or batch()
    y = model(x0 + sigma[:, None, None, None] * noise, sigma=sigma)["sample"]
    loss = (y - x0).square().mean((1, 2, 3))
    total = loss.mean()
    if hide and not torch.isfinite(total):
        loss, total = torch.zeros(4), (y * 0).nan_to_num().sum()
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    if watch:
        watch.step(loss=loss, sigma=sigma)
    return loss, sigma


class Guarded(Case):
    def watch(self, model, optimizer, **options):
        watch = sigmascope.watch(model, self.path(), optimizer=optimizer, **{"every": 1000, **options})
        self.addCleanup(watch.close)
        return watch

    @contextlib.contextmanager
    def said(self, *texts):
        """Each text is in one warning, in this order, and there are no others."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield
        said = [str(w.message) for w in said]
        self.assertEqual(len(said), len(texts), said)
        for text, warned in zip(texts, said):
            self.assertIn(text, warned)

    def bundle(self, name="run.bundle"):
        with open(os.path.join(self.path(name), "finding.json"), encoding="utf-8") as f:
            return json.load(f)

    def replayed(self, name="run.bundle"):
        done = subprocess.run([sys.executable, "-W", "ignore", os.path.join(self.path(name), "replay.py")],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Forward(Guarded):
    def test_names_module_sample_sigma_and_step(self):
        """Of a step that is not recorded, though the trainer hides its loss."""
        model = Sick()
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        for _ in range(3):
            sick_step(model, optimizer, watch)
        model.at.sample, model.at.forward_by = 2, INF
        with self.said("step 3: at (At) returns the first value that is not finite: 512 of 2048 values of sample 2"):
            _, sigma = sick_step(model, optimizer, watch, hide=True)
        found, = watch.found
        self.assertEqual([found[k] for k in ("step", "phase", "module", "class", "port", "samples")],
                         [3, "forward", "at", "At", "output", [2]])
        np.testing.assert_allclose(found["sigma"], [sigma[2].item()], 1e-6)
        np.testing.assert_allclose(found["given"]["kwargs.sigma"], sigma.tolist(), 1e-6)
        with open(self.path("run.guard.jsonl")) as f:
            self.assertEqual([json.loads(line)["module"] for line in f], ["at"])
        self.assertEqual(self.bundle()["samples"], [2])
        self.assertIn("recorded output.0: 512 of 2048 values not finite", self.replayed())

    def test_changes_no_bit(self):
        """Neither on usual steps nor by the replay of a bad one: weights, losses, random numbers, statistics."""
        def train(guarded):
            torch.manual_seed(1)
            random.seed(1)
            np.random.seed(1)
            model = Sick()
            optimizer = adam(model)
            losses, watch = [], None
            if guarded:
                watch = self.watch(model, optimizer, every=10)
            for i in range(100):
                model.at.sample = 1 if i in (50, 60) else None
                model.at.forward_by, model.at.backward_by = (INF, 1.0) if i == 50 else (1.0, INF)
                x = torch.randn(4, 1, 8, 8)
                y = model(x, torch.ones(4))["sample"]
                optimizer.zero_grad()
                (y - x).square().mean().backward()
                if i not in (50, 60):
                    optimizer.step()
                losses.append(y.detach().numpy().tobytes())
                if watch:
                    watch.step(loss=(y - x).square().mean((1, 2, 3)), sigma=1.0)
            end = [torch.get_rng_state().numpy().tobytes(), random.random(), np.random.rand()]
            return losses, [v.numpy().tobytes() for v in model.state_dict().values()], end, \
                [p.grad is None or p.grad.numpy().tobytes() for p in model.parameters()]
        plain = train(False)
        with self.said("step 50: at (At) returns", "step 60: at (At) gives the first gradient"):
            self.assertEqual(plain, train(True))

    def test_penalty(self):
        """A step that is played once more counts once in a penalty, in forward and in backward."""
        def train(guarded):
            torch.manual_seed(1)
            model = Sick()
            optimizer = adam(model)
            penalty = sigmascope.penalty(model, 1e-2, every=1, modules="both.*")
            watch = self.watch(model, optimizer, guard=guarded)
            found = []
            for i in range(4):
                model.at.sample = 1 if i > 1 else None
                model.at.forward_by, model.at.backward_by = (INF, 1.0) if i == 2 else (1.0, INF)
                y = model(torch.randn(4, 1, 8, 8), torch.ones(4))["sample"]
                optimizer.zero_grad()
                term = penalty()
                (y.square().mean() + term).backward()
                found += [term.item()] + [p.grad.numpy().tobytes() for p in model.parameters() if p.grad is not None]
                watch.step(sigma=1.0)
            watch.close()
            os.unlink(self.path())
            penalty.remove()
            return found
        plain = train(False)
        with self.said("step 2: at (At) returns", "step 3: at (At) gives the first gradient"):
            self.assertEqual(plain, train(True))

    def test_batch(self):
        model = Sick()
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        x0, noise, sigma = batch()
        noise[3, 0, 2, 2] = float("nan")
        with self.said("step 0: the batch is not finite: 1 of 256 values of sample 3 at sigma"):
            sick_step(model, optimizer, watch, data=(x0, noise, sigma))
        self.assertEqual([watch.found[0][k] for k in ("module", "port", "samples")], ["(model)", "input", [3]])

    def test_masks_are_no_findings(self):
        class Masked(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.to_q = torch.nn.Linear(4, 4)
                self.bad = At()

            def forward(self, x, mask):
                q = self.to_q(x)
                return self.bad((q @ q.transpose(1, 2) + mask).softmax(-1) @ q)
        model = Masked()
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        mask = torch.zeros(3, 3).masked_fill(torch.ones(3, 3).triu(1).bool(), -INF)
        model(torch.randn(2, 3, 4), mask=mask).sum().backward()
        watch.step()
        self.assertEqual(watch.found, [])
        model.bad.sample, model.bad.forward_by = 1, INF
        with self.said("bad (At) returns"):
            model(torch.randn(2, 3, 4), mask=mask).sum().backward()
            watch.step()

    def test_value_between_modules(self):
        class Between(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

            def forward(self, x):
                return self.second(self.first(x) / (x[:, :1] - x[:, :1]))
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), Between())
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        with self.said("step 0: 1 (Between) computes the first value that is not finite, before 1.second takes it: "):
            model(torch.randn(3, 4))
            watch.step()
        self.assertEqual((watch.found[0]["module"], watch.found[0]["beside"]), ("1", "1.second"))

    def test_norm_of_nothing(self):
        """A division by zero in a norm, whose bundle is played in PyTorch."""
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4, eps=0.0), torch.nn.Linear(4, 2))
        with torch.no_grad():
            model[0].weight.zero_()
            model[0].bias.fill_(2)
        watch = self.watch(model, adam(model))
        with self.said("1 (LayerNorm) returns the first value that is not finite: 12 of 12 values of samples 0, 1, 2; "
                       "what it takes is finite, up to 2"):
            model(torch.randn(3, 4)).sum().backward()
            watch.step()
        self.assertEqual(self.bundle()["settings"],
                         {"normalized_shape": [4], "eps": 0.0, "elementwise_affine": True, **(
                             {"bias": True} if "bias" in self.bundle()["settings"] else {})})
        self.assertIn("float32 does not hold it either", self.replayed())
        played = self.program("bisect", "--bundle", self.path("run.bundle"), status=3)
        self.assertIn("A matter of weights and inputs: fp32 does not hold it either, 12 of 12 values, the first at [0,0].",
                      played)

    def test_half(self):
        """What fp16 does not hold and float32 does: under autocast on the CPU where there is one in fp16."""
        model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 2))
        with torch.no_grad():
            model[0].weight.fill_(60)
        watch = self.watch(model, adam(model))
        x = torch.ones(3, 16)
        x[1] = 200  # 16 * 60 * 200 is over 65504
        try:
            with torch.autocast("cpu", dtype=torch.float16):
                torch.nn.functional.linear(x, x)
        except (RuntimeError, UserWarning) as why:
            self.skipTest(f"no fp16 here: {why}")
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            with torch.autocast("cpu", dtype=torch.float16):
                model(x)
            watch.step(sigma=torch.tensor([1.0, 80.0, 3.0]))
        self.assertIn("0 (Linear) returns the first value that is not finite: 16 of 48 values of sample 1 at sigma 80 in "
                      "fp16", watch.found[0]["text"])
        self.assertEqual(self.bundle()["autocast"], "fp16")
        self.assertIn("float32 holds it: a matter of the format", self.replayed())
        self.assertIn("A matter of the format: fp32 holds it, up to 1.92e+05; in fp16 16 of 48 values are not finite, the "
                      "first at [1,0].", self.program("bisect", "--bundle", self.path("run.bundle"), status=3))

    def test_checkpointed(self):
        for reentrant in (True, False):
            class Checkpointed(Sick):
                def forward(self, x, sigma):
                    h = self.act(self.conv_in(x))
                    h = torch.utils.checkpoint.checkpoint(lambda t: self.at(self.both(t)["hidden"]), h,
                                                          use_reentrant=reentrant)
                    return {"sample": self.conv_out(self.norm(h))}
            for backward in (False, True):
                model = Checkpointed()
                optimizer = adam(model)
                name = f"{reentrant}-{backward}.h5"
                with sigmascope.watch(model, self.path(name), every=1000, optimizer=optimizer) as watch:
                    sick_step(model, optimizer, watch)
                    model.at.sample = 1
                    model.at.forward_by, model.at.backward_by = (1.0, INF) if backward else (INF, 1.0)
                    with self.said("at (At) gives the first gradient" if backward else "at (At) returns"):
                        sick_step(model, optimizer, watch)
                self.assertEqual((watch.found[0]["module"], watch.found[0]["samples"]), ("at", [1]))

    def test_skipped_batches_without_a_step(self):
        """A trainer that goes on to the next batch at a NaN loss, and never says a word about this one."""
        model = Sick()
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        model.at.forward_by = INF
        with self.said("step 0: at (At) returns"):
            for i in range(3):
                model.at.sample = 3 if i == 1 else None
                x = torch.randn(4, 1, 8, 8)
                loss = model(x, torch.ones(4))["sample"].square().mean()
                if not torch.isfinite(loss):
                    continue
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.assertEqual(watch.found[0]["samples"], [3])

    def test_accumulation(self):
        model = Sick()
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        model.at.forward_by = INF
        with self.said("sample 2 at sigma 5"):
            for i in range(3):
                model.at.sample = 2 if i == 1 else None
                y = model(torch.randn(4, 1, 8, 8), torch.ones(4))["sample"]
                y.square().mean().backward()
                watch.batch(sigma=4.0 + i)
            optimizer.step()
            watch.step()

    def test_on_nonfinite(self):
        def run(**options):
            model = Sick()
            model.at.sample, model.at.forward_by = 0, INF
            optimizer = adam(model)
            with sigmascope.watch(model, self.path(), optimizer=optimizer, **options) as watch:
                sick_step(model, optimizer, watch)

        with self.said("at (At)"), self.assertRaises(sigmascope.NotFiniteError) as caught:
            run(on_nonfinite="raise")
        self.assertEqual(caught.exception.finding["module"], "at")
        seen = []
        with self.said("at (At)"):
            run(on_nonfinite=seen.append, bundle=False)
        self.assertEqual([f["module"] for f in seen], ["at"])
        os.unlink(self.path())

        def stop(found):
            raise KeyError("enough")
        with self.said("at (At)"), self.assertRaises(KeyError):
            run(on_nonfinite=stop)
        self.assertEqual(sorted(n for n in os.listdir(self.folder) if "bundle" in n), ["run.bundle", "run.bundle-1"])
        with self.assertRaises(ValueError):
            run(on_nonfinite="explode")

    def test_exception_in_the_middle(self):
        """A model that raises at a value that is not finite; and hooks are gone after it."""
        class Raises(Sick):
            def forward(self, x, sigma):
                y = super().forward(x, sigma)
                if not torch.isfinite(y["sample"]).all():
                    raise ValueError("NaN!")
                return y
        model = Raises()
        optimizer = adam(model)
        with self.assertRaises(ValueError):
            with sigmascope.watch(model, self.path(), optimizer=optimizer) as watch:
                sick_step(model, optimizer, watch)
                model.at.sample, model.at.forward_by = 0, INF
                sick_step(model, optimizer, watch)
        self.assertEqual(sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()), 0)
        self.assertNotIn("__call__", Raises.__dict__)


class Backward(Guarded):
    def test_square_root_of_zero(self):
        class Root(torch.nn.Module):
            def forward(self, x):
                return (x * 0).sqrt() if x.shape[0] == 1 else torch.cat([(x[:1] * 0).sqrt(), x[1:]])
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), Root(), torch.nn.Linear(4, 2))
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        with self.said("step 0: 1 (Root) gives the first gradient that is not finite, that of its input: 4 of 12 values "
                       "of sample 0"):
            model(torch.randn(3, 4)).square().sum().backward()
            before = [p.grad.numpy().tobytes() for p in model.parameters()]
            optimizer.step()
            watch.step()
        self.assertEqual(before, [p.grad.numpy().tobytes() for p in model.parameters()])
        names = self.tensors()
        self.assertIn("gradient.0", names)
        self.assertIn("input.0", names)
        self.assertIn("found", names)

    def tensors(self):
        with open(os.path.join(self.path("run.bundle"), "tensors.safetensors"), "rb") as f:
            return json.loads(f.read(int.from_bytes(f.read(8), "little")))

    def test_between_modules(self):
        class Between(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

            def forward(self, x):
                return self.second((self.first(x) * 0).sqrt() + x)
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), Between())
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        with self.said("1 (Between) computes the first gradient that is not finite, after 1.first"):
            model(torch.randn(3, 4)).square().sum().backward()
            optimizer.step()
            watch.step()

    def test_of_the_loss(self):
        model = torch.nn.Linear(4, 4)
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        with self.said("step 0: the gradient of the loss that reaches the model is not finite: 4 of 12 values of sample 1"):
            y = model(torch.randn(3, 4))
            (y[1] * 0).sqrt().sum().backward()
            optimizer.step()
            watch.step()

    def test_trainer_that_hides_it(self):
        """Gradients that are not finite are put to zero between backward() and the optimiser."""
        model = Sick()
        optimizer = adam(model)
        watch = self.watch(model, optimizer)
        model.at.sample, model.at.backward_by = 3, INF
        with self.said("at (At) gives the first gradient that is not finite, that of its input: 512 of 2048 values of "
                       "sample 3"):
            model(torch.randn(4, 1, 8, 8), torch.ones(4))["sample"].square().mean().backward()
            for p in model.parameters():
                if p.grad is not None:
                    p.grad.nan_to_num_(0, 0, 0)
            optimizer.step()
            watch.step(sigma=1.0)

    def test_loss_alone(self):
        model = torch.nn.Linear(4, 4)
        watch = self.watch(model, adam(model))
        with self.said("step 0: the loss of sample 2 is not finite, but what the model returns is"):
            model(torch.randn(3, 4))
            watch.step(loss=torch.tensor([1.0, 2.0, INF]))


class Optimizer(Guarded):
    def train(self, optimizer_of, **options):
        model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
        with torch.no_grad():
            model[0].bias.fill_(-100)  # no gradient reaches the first layer
        optimizer = optimizer_of(model.parameters())
        watch = self.watch(model, optimizer, **options)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(3, 4)).square().sum().backward()
            optimizer.step()
            watch.step()
        return watch.found

    def test_rate(self):
        with self.said("step 0: SGD makes the weight 0.weight not finite"):
            found = self.train(lambda p: torch.optim.SGD(p, lr=INF))
        self.assertEqual([found[0][k] for k in ("phase", "module", "parameter", "lr", "cause")],
                         ["optimizer", "0", "0.weight", INF, "its learning rate is inf"])

    def test_noticed_in_the_next_step(self):
        for first in (5, 16):  # weights are looked at in every 16th step, else when they spoil the output
            with self.said(f"step {first}: SGD makes the weight 0.weight not finite"):
                self.train(lambda p: torch.optim.SGD(p, lr=INF), step=first)

    def test_noticed_at_the_end(self):
        model = torch.nn.Linear(4, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=INF)
        watch = self.watch(model, optimizer, step=3)
        model(torch.randn(3, 4)).square().sum().backward()
        optimizer.step()
        watch.step()
        self.assertEqual(watch.found, [])
        with self.said("step 3: SGD makes the weight weight not finite"):
            watch.close()

    def test_zero_by_zero(self):
        with self.said("step 0: Adam makes the weight 0.weight not finite: 16 of 16 values; its second moment is 0 there, "
                       "and eps is 0; the largest finite gradient is 0"):
            self.train(lambda p: torch.optim.Adam(p, 1e-3, eps=0))


@unittest.skipUnless(hasattr(torch, "amp") and hasattr(torch.amp, "GradScaler"), "no loss scaling on the CPU here")
class Scaled(Guarded):
    def train(self, steps, bad, every=1, told=True, fused=False):
        model = Sick()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, **({"fused": True} if fused else {}))
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        watch = self.watch(model, optimizer, every=every, scaler=scaler if told else None)
        for i in range(steps):
            model.at.sample, model.at.backward_by = (2, INF) if bad(i) else (None, 1.0)
            x = torch.randn(4, 1, 8, 8)
            with torch.autocast("cpu", dtype=torch.float16):
                y = model(x, torch.ones(4))["sample"]
            optimizer.zero_grad()
            scaler.scale((y.float() - x).square().mean()).backward()
            scaler.step(optimizer)
            scaler.update()
            watch.step(sigma=1.0)
        watch.close()
        return watch

    def test_search_for_a_scale_is_no_finding(self):
        for fused in (False, True):
            watch = self.train(10, lambda i: i in (0, 1, 2, 6), fused=fused)
            self.assertEqual(watch.found, [])
            with h5py.File(self.path()) as f:
                self.assertEqual(f["training/skipped"][()].tolist(), [1, 1, 1, 0, 0, 0, 1, 0, 0, 0])
                self.assertEqual(f["training/skips"][()].tolist(), [1, 2, 3, 3, 3, 3, 4, 4, 4, 4])
            self.assertEqual(watch.guard.history, [[0, 512.0], [1, 256.0], [2, 128.0], [6, 64.0]])
            os.unlink(self.path())

    def test_eight_skips_in_a_row(self):
        for fused in (False, True):
            with self.said("step 10: at (At) gives the first gradient that is not finite, that of its input: 512 of 2048 "
                           "values of sample 2 at sigma 1 in fp16"):
                watch = self.train(12, lambda i: i > 2, fused=fused)
            self.assertIn("; loss scale 32 since step 7, 16 since step 8, 8 since step 9, 4 since step 10;",
                          watch.found[0]["text"])
            self.assertEqual(watch.found[0]["skips"], 8)
            os.unlink(self.path())

    def test_a_scaler_that_was_not_told(self):
        self.assertEqual(self.train(6, lambda i: i < 3, told=False).found, [])


WORKER = """
import sys, warnings
sys.path[:0] = [{root!r} + "/python", {root!r} + "/python/tests"]
import torch, sigmascope
from test_guard import Sick, adam
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
torch.manual_seed(0)
model = Sick()
wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
optimizer = adam(model)
watch = sigmascope.watch(wrapped, sys.argv[1], every=2, optimizer=optimizer)
for i in range(5):
    bad = i == 3 and rank == 1
    model.at.sample = 2 if bad else None
    model.at.forward_by, model.at.backward_by = (float("inf"), 1.0) if sys.argv[2] == "forward" else (1.0, float("inf"))
    x = torch.randn(4, 1, 8, 8)
    loss = (wrapped(x, torch.ones(4))["sample"] - x).square().mean((1, 2, 3))
    optimizer.zero_grad()
    loss.mean().backward()
    if i != 3:
        optimizer.step()
    watch.step(loss=loss.nan_to_num(), sigma=1.0)
watch.close()
"""


@unittest.skipUnless(torch.distributed.is_available(), "no torch.distributed here")
class Together(Guarded):
    def test_one_rank_alone(self):
        for phase in ("forward", "backward"):
            with open(self.path("worker.py"), "w") as f:
                f.write(WORKER.format(root=ROOT))
            port = str(20000 + os.getpid() % 20000)
            children = [subprocess.Popen(
                [sys.executable, self.path("worker.py"), self.path(phase + ".h5"), phase], stderr=subprocess.PIPE, text=True,
                env={**os.environ, "RANK": str(k), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
                for k in range(2)]
            said = [c.communicate(timeout=120)[1] for c in children]
            self.assertEqual([c.returncode for c in children], [0, 0], said)
            self.assertIn("at (At) " + ("returns" if phase == "forward" else "gives"), said[1])
            self.assertIn("of sample 2 at sigma 1", said[1])
            self.assertIn("(rank 1 of 2)", said[1])
            self.assertNotIn("at (At)", said[0])
            self.assertIn("gradients are not finite, but those of this process are: they come from another one", said[0])
            with open(self.path(phase + ".rank1.guard.jsonl")) as f:
                self.assertEqual([json.loads(line)["rank"] for line in f], [1])
            self.assertTrue(os.path.isdir(self.path(phase + ".rank1.bundle")))
            self.assertFalse(os.path.exists(self.path(phase + ".bundle")))
