"""The activation penalty is that of its definition, in value, gradient and steps, whatever a training does."""
import copy
import warnings

import h5py
import numpy as np
import torch
from case import Case, Net, batch, one_step
from torch.utils.checkpoint import checkpoint

import sigmascope
from sigmascope.blocks import blocks
from sigmascope.penalty import _MeanSquare

SOME = ["conv_in", "both", "norm"]


class Checkpointed(Net):
    """Computes a part again in the backward pass."""
    reentrant = True

    def forward(self, x, sigma):
        h = self.act(self.conv_in(x)) + self.time(sigma.log()[:, None])[:, :, None, None]
        h = checkpoint(lambda y: self.norm(self.both(y)["hidden"]), h, use_reentrant=self.reentrant)
        return (self.conv_out(self.act(h)),)


def n_hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def outputs(model, x, sigma, modules):
    """Answer and outputs of modules, with gradients, without the code that is tested."""
    kept = []
    hooks = [model.get_submodule(m).register_forward_hook(
        lambda m, a, y: kept.append(y["hidden"] if isinstance(y, dict) else y)) for m in modules]
    y = model(x, sigma)[0]
    for h in hooks:
        h.remove()
    return y, kept


def gradients(model):
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


class Penalty(Case):
    def objective(self, model, weight, data, modules=SOME, scale=1.0):
        """P and gradients by the definition."""
        x0, noise, sigma = data
        model = copy.deepcopy(model)
        model.reentrant = False
        model.zero_grad()
        y, kept = outputs(model, x0 + sigma[:, None, None, None] * noise, sigma, modules)
        p = sum(a.square().mean() for a in kept) / len(kept)
        (scale * ((y - x0).square().mean() + weight * p)).backward()
        return p.item(), gradients(model)

    def found(self, model, penalty, data, scale=1.0):
        x0, noise, sigma = data
        model.zero_grad()
        y = model(x0 + sigma[:, None, None, None] * noise, sigma)[0]
        (scale * ((y - x0).square().mean() + penalty())).backward()
        return penalty.value, gradients(model)

    def same(self, got, want, tolerance=1e-12):
        np.testing.assert_allclose(got[0], want[0], tolerance)
        for a, b in zip(got[1], want[1]):
            self.assertEqual(a is None, b is None)
            if a is not None:
                np.testing.assert_allclose(a.numpy(), b.numpy(), tolerance, tolerance * b.abs().max().item())

    def test_value_and_gradient(self):
        for kind in (Net, Checkpointed):
            for reentrant in (True, False):
                for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
                    torch.manual_seed(2)
                    model = kind().to(dtype)
                    model.reentrant = reentrant
                    penalty = sigmascope.penalty(model, 0.3, every=1, modules=SOME)
                    data = [t.to(dtype) for t in batch(5, 6)]
                    self.same(self.found(model, penalty, data, 512.0), self.objective(model, 0.3, data, scale=512.0),
                              tolerance)

    def test_backward_does_not_count_twice(self):
        """Parts that the backward pass computes again, with hooks that stay for the next step."""
        for reentrant in (True, False):
            torch.manual_seed(2)
            model = Checkpointed().double()
            model.reentrant = reentrant
            penalty = sigmascope.penalty(model, 0.3, every=1, modules=SOME)
            for _ in range(4):
                data = [t.double() for t in batch(3, 4)]
                self.same(self.found(model, penalty, data), self.objective(model, 0.3, data))
            penalty.remove()
            self.assertEqual(n_hooks(model), 0)

    def test_steps(self):
        """Every k-th step has it, k times over, step 0 among them; in the others there are no hooks."""
        for start in (0, 4):
            model = Net().double()
            penalty = sigmascope.penalty(model, 0.5, every=3, modules="conv_in", step=start)
            for i in range(start, start + 8):
                self.assertEqual(n_hooks(model) > 0, i % 3 == 0)
                data = [t.double() for t in batch()]
                got = self.found(model, penalty, data)
                want = self.objective(model, 1.5 if i % 3 == 0 else 0, data, ["conv_in"])
                self.same(got, want if i % 3 == 0 else (np.nan, want[1]))
            penalty.step = 9
            self.assertGreater(n_hooks(model), 0)

    def test_accumulation(self):
        """Calls of one step: P is their mean."""
        model = Net().double()
        penalty = sigmascope.penalty(model, 0.5, every=2, modules=SOME, accumulate=3)
        for step in range(4):
            values = []
            for _ in range(3):
                data = [t.double() for t in batch()]
                want = self.objective(model, 0, data)[0]
                x0, noise, sigma = data
                model(x0 + sigma[:, None, None, None] * noise, sigma)
                self.assertAlmostEqual(penalty().item(), want if step % 2 == 0 else 0, 12)  # 0.5 times 2
                values.append(want)
            np.testing.assert_allclose(penalty.value, np.mean(values) if step % 2 == 0 else np.nan, 1e-12)

    def test_what_does_not_count(self):
        """A forward pass without gradients, one that failed, one that was dropped, and that of a copy."""
        model = Net().double()
        penalty = sigmascope.penalty(model, 0.3, every=1, modules=SOME)
        data = [t.double() for t in batch()]
        x0, _, sigma = data
        with torch.no_grad():
            model(100 * x0, sigma)
        fails = model.conv_out.register_forward_pre_hook(lambda *_: 1 / 0)
        with self.assertRaises(ZeroDivisionError):
            model(100 * x0, sigma)
        fails.remove()
        copy.deepcopy(model)(100 * x0, sigma)
        got = self.found(model, penalty, data)
        self.same(got, self.objective(model, 0.3, data))
        model(100 * x0, sigma)
        penalty.drop()
        self.same(self.found(model, penalty, data), got)

    def test_frozen(self):
        """Counts in P, and has no gradient."""
        model = Net().double()
        model.conv_in.requires_grad_(False)
        penalty = sigmascope.penalty(model, 0.3, every=1, modules=SOME)
        data = [t.double() for t in batch()]
        self.same(self.found(model, penalty, data), self.objective(model, 0.3, data))
        self.assertIsNone(model.conv_in.weight.grad)

    def test_half(self):
        """Squares that f16 cannot hold, and factors that it cannot."""
        a = (torch.randn(3, 4, 50, 50) * 3000).half().requires_grad_()
        p = 1e-9 * _MeanSquare.apply(a)
        p.backward()
        want = a.detach().double()
        np.testing.assert_allclose(p.item() * 1e9, want.square().mean().item(), 1e-6)
        np.testing.assert_allclose(a.grad.double().numpy(), (want * 2e-9 / want.numel()).half().double().numpy(), 1e-3, 6e-8)
        scaled = (torch.randn(3, 4, 50, 50) * 3000).half().requires_grad_()
        (65536 * 1e-4 * _MeanSquare.apply(scaled)).backward()
        want = scaled.detach().double() * (2 * 6.5536 / scaled.numel())
        np.testing.assert_allclose(scaled.grad.double().numpy(), want.numpy(), 1e-3, 6e-8)

    def test_autocast(self):
        model = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.SiLU(), torch.nn.Conv2d(8, 1, 3))
        penalty = sigmascope.penalty(model, 0.3, every=1, modules="[02]")
        kept = []
        for m in model[::2]:
            m.register_forward_hook(lambda m, x, y: kept.append(y))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            model(torch.randn(4, 1, 8, 8))
            loss = penalty()
        self.assertEqual(kept[0].dtype, torch.bfloat16)
        self.assertEqual(loss.dtype, torch.float32)
        want = np.mean([a.detach().double().square().mean().item() for a in kept])
        np.testing.assert_allclose(penalty.value, want, 1e-6)
        loss.backward()
        self.assertTrue(torch.isfinite(model[0].weight.grad).all())

    def test_many_values(self):
        """A sum of squares in one go loses 6e-4 of 8 million values."""
        a = torch.randn(2, 1000, 4000) * 3 + 1
        np.testing.assert_allclose(_MeanSquare.apply(a).item(), a.double().square().mean().item(), 1e-6)
        a = a.transpose(1, 2)
        np.testing.assert_allclose(_MeanSquare.apply(a).item(), a.double().square().mean().item(), 1e-6)

    def test_parts_called_by_themselves(self):
        """An autoencoder's encode() and decode()."""
        model = Net().double()
        penalty = sigmascope.penalty(model, 1.0, every=1, modules=["conv_in", "norm"])
        for _ in range(3):
            x = torch.randn(2, 1, 4, 4).double()
            h = model.conv_in(x)
            y = model.norm(h)
            p = penalty()
            self.assertAlmostEqual(p.item(), ((h.square().mean() + y.square().mean()) / 2).item(), 12)
            p.backward()

    def test_distributed(self):
        """In DistributedDataParallel, of either name."""
        torch.distributed.init_process_group("gloo", init_method="file://" + self.path("store"), rank=0, world_size=1)
        self.addCleanup(torch.distributed.destroy_process_group)
        plain = Net().double()
        plain.unused = None
        model = torch.nn.parallel.DistributedDataParallel(plain)
        for given in (model, plain):
            penalty = sigmascope.penalty(given, 0.3, every=1, modules=SOME)
            data = [t.double() for t in batch()]
            self.same(self.found(model, penalty, data), self.objective(plain, 0.3, data))
            penalty.remove()

    def test_ends(self):
        model = Net()
        with self.assertRaises(ZeroDivisionError):
            with sigmascope.penalty(model, 1e-3, every=1, modules=SOME):
                self.assertGreater(n_hooks(model), 0)
                1 / 0
        self.assertEqual(n_hooks(model), 0)
        penalty = sigmascope.penalty(model, 1e-3, every=1, modules=SOME)
        del penalty
        self.assertEqual(n_hooks(model), 0)

    def test_usage(self):
        model = Net()
        for options, text in (({}, "has no blocks that are known: name modules"), ({"modules": "nowhere"}, "'nowhere'"),
                              ({"modules": "both", "every": 0}, "every=0"), ({"modules": "both", "step": -1}, "step=-1")):
            with self.assertRaisesRegex(ValueError, text):
                sigmascope.penalty(model, 1e-3, **options)
        with self.assertRaisesRegex(ValueError, "weight=nan"):
            sigmascope.penalty(model, float("nan"), modules="both")
        if hasattr(torch, "compile"):
            with self.assertRaisesRegex(ValueError, "is compiled"):
                sigmascope.penalty(torch.compile(model), 1e-3, modules="both")
        penalty = sigmascope.penalty(model, 1e-3, modules="both")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            self.assertEqual([penalty().item() for _ in range(9)], [0] * 9)
        self.assertEqual(len(said), 1)
        self.assertIn("no forward pass of Net", str(said[0].message))

    def test_blocks(self):
        """Of a network that has the parts of a UNet of diffusers."""
        class Level(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.resnets = torch.nn.ModuleList([torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1))])
                self.downsamplers = torch.nn.ModuleList([torch.nn.Identity()])

        model = torch.nn.Module()
        model.conv_in = model.conv_out = torch.nn.Conv2d(1, 1, 1)
        model.conv_out = torch.nn.Conv2d(1, 1, 1)
        model.down_blocks = torch.nn.ModuleList([Level()])
        self.assertEqual(list(blocks(model)), ["conv_in", "conv_out", "down_blocks.0.resnets.0",
                                               "down_blocks.0.downsamplers.0"])
        self.assertEqual(blocks(Net()), {})

    def test_recorded(self):
        """P of recorded steps that have it is in the run file."""
        model = Net()
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        penalty = sigmascope.penalty(model, 1e-3, every=2, modules=SOME)
        want = []
        with sigmascope.watch(model, self.path(), every=1, optimizer=optimizer) as watch:
            for _ in range(5):
                loss, sigma = one_step(model, optimizer, penalty=penalty)
                watch.step(loss=loss, sigma=sigma)
                want.append(penalty.value)
        self.assertEqual(np.isnan(want).tolist(), [False, True] * 2 + [False])
        with h5py.File(self.path()) as f:
            np.testing.assert_allclose(f["training/penalty"][()], want, 1e-7)

    def test_keeps_activations_small(self):
        size = []
        for weight in (0, 0.3):
            torch.manual_seed(3)
            model = Net()
            optimizer = torch.optim.Adam(model.parameters(), 1e-2)
            penalty = sigmascope.penalty(model, weight, every=2, modules=SOME)
            for _ in range(60):
                one_step(model, optimizer, penalty=penalty)
            y, kept = outputs(model, *batch()[::2], SOME)
            size.append(max(a.abs().max().item() for a in kept))
        self.assertLess(size[1], 0.8 * size[0])
