"""The recorder in the trainings that people have: compiled, checkpointed, in half precision, with adapters."""
import copy
import dataclasses
import functools
import io
import pickle
import unittest
import warnings

import h5py
import numpy as np
import torch
from case import Case, Net, batch, column, one_step
from torch.utils.checkpoint import checkpoint

import sigmascope
from sigmascope import eager


def sgd(model):
    return torch.optim.SGD(model.parameters(), 1e-2)


def modules_of(path):
    with h5py.File(path, "r") as f:
        return [t.decode() for t in f["axes/module"][()]]


class Said:
    """Collects warnings of the recorder."""

    def __enter__(self):
        self._catch = warnings.catch_warnings(record=True)
        self._list = self._catch.__enter__()
        warnings.simplefilter("always")
        return self

    def __exit__(self, *why):
        self.texts = [str(w.message) for w in self._list if "sigmascope" in str(w.message)]
        return self._catch.__exit__(*why)


class Blocks(torch.nn.Module):
    """[N, width], three blocks that can be checkpointed."""

    def __init__(self, width=8, how=None):
        super().__init__()
        self.blocks = torch.nn.ModuleList(torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.Tanh())
                                          for _ in range(3))
        self.how = how

    def forward(self, x):
        for b in self.blocks:
            x = x + (b(x) if self.how is None else self.how(b, x))
        return x


def record(path, model, steps=3, every=1, call=None, **options):
    """Trains a model of [4, 8] for some steps; returns the bytes of all losses."""
    torch.manual_seed(3)
    optimizer = sgd(model)
    watch = sigmascope.watch(model, path, every=every, optimizer=optimizer, **options) if path else None
    losses = []
    for _ in range(steps):
        x = torch.randn(4, 8, requires_grad=True)
        loss = (call or model)(x).square().mean(1)
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        losses.append(loss.detach().numpy().tobytes())
        if watch:
            watch.step(loss=loss, sigma=torch.tensor([0.1, 0.1, 3.0, 3.0]))
    if watch:
        watch.close()
    return losses


def stats(path):
    with h5py.File(path, "r") as f:
        found = {k: f["stats"][k][()] for k in f["stats"] if k not in ("module", "port", "input", "step", "sample")}
        found["exponent"] = f["hist/exponent"][()]
        return found


class Checkpointing(Case):
    def compare(self, **kinds):
        torch.manual_seed(0)
        plain = Blocks()
        record(self.path("plain.h5"), copy.deepcopy(plain), bins=[1.0])
        want = stats(self.path("plain.h5"))
        for name, make in kinds.items():
            record(self.path(name + ".h5"), make(copy.deepcopy(plain)), bins=[1.0])
            for key, value in stats(self.path(name + ".h5")).items():
                np.testing.assert_array_equal(value, want[key], err_msg=name + " " + key)
            self.assertEqual(modules_of(self.path(name + ".h5")), modules_of(self.path("plain.h5")))

    def test_each_pass_counts_once(self):
        def of(reentrant):
            def make(model):
                model.how = functools.partial(checkpoint, use_reentrant=reentrant)
                return model
            return make
        self.compare(reentrant=of(True), other=of(False))

    def test_wrapper(self):
        try:
            from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
        except ImportError as why:
            self.skipTest(str(why))

        def make(model):
            for i, b in enumerate(model.blocks):
                model.blocks[i] = checkpoint_wrapper(b)
            return model
        self.compare(wrapped=make)

    def test_the_whole_model(self):
        """One that is itself checkpointed runs twice and counts once."""
        torch.manual_seed(0)
        plain = Blocks()
        record(self.path("plain.h5"), copy.deepcopy(plain), bins=[1.0])
        for reentrant in (True, False):
            model, name = copy.deepcopy(plain), self.path(f"{reentrant}.h5")
            record(name, model, call=lambda x: checkpoint(model, x, use_reentrant=reentrant), bins=[1.0])
            for key, value in stats(name).items():
                np.testing.assert_array_equal(value, stats(self.path("plain.h5"))[key], err_msg=f"{reentrant} {key}")


@unittest.skipUnless(eager.available(), "torch.compiler.set_stance is in PyTorch 2.6 and newer")
class Compiled(Case):
    def tearDown(self):
        from torch._dynamo.utils import counters
        torch._dynamo.reset()
        counters.clear()

    def check(self, compiled, call=None):
        from torch._dynamo.utils import counters
        torch._dynamo.reset()
        counters.clear()
        with Said() as said:
            record(self.path(), compiled, 9, every=4, call=call, bins=1)
        self.assertEqual([t for t in said.texts if "without torch.compile" not in t], [])
        self.assertEqual(len(said.texts), 1)
        self.assertEqual(counters["stats"]["unique_graphs"], self.graphs)  # recorded steps cause no other
        found = stats(self.path())
        self.assertEqual(found["absmax"].shape[3], 3)
        for name, x in zip(modules_of(self.path()), found["absmax"]):
            self.assertEqual(np.isfinite(x).all(), name != "blocks", name)  # the list itself does not run
        self.assertEqual(torch._dynamo.eval_frame._stance.stance, "default")

    graphs = 1

    def test_wrapped(self):
        self.check(torch.compile(Blocks(), backend="aot_eager"))

    def test_in_place(self):
        model = Blocks()
        model.compile(backend="aot_eager")
        self.check(model)

    def test_parts(self):
        model = Blocks()
        for i in range(3):
            if i == 1:
                model.blocks[i].compile(backend="eager")
            else:
                model.blocks[i] = torch.compile(model.blocks[i], backend="eager")
        self.graphs = 2  # two of the parts share one
        self.check(model)

    def test_after_watch(self):
        """Compiled once it is watched, before its first step."""
        model = Blocks()
        compiled = []

        def call(x):
            if not compiled:
                compiled.append(torch.compile(model, backend="eager"))
            return compiled[0](x)
        self.check(model, call)

    def test_two_models(self):
        """The end of one's step does not take from the other."""
        a, b = (sigmascope.watch(Blocks(), self.path(n), every=1, optimizer=sgd(Blocks())) for n in ("a.h5", "b.h5"))
        a.close()
        self.assertEqual(torch._dynamo.eval_frame._stance.stance, "force_eager")
        b.close()
        self.assertEqual(torch._dynamo.eval_frame._stance.stance, "default")


class OldCompiled(Case):
    def test_what_cannot_work_is_said(self):
        model = Blocks()
        model._compiled_call_impl = None
        there, eager.available = eager.available, lambda: False
        self.addCleanup(setattr, eager, "available", there)
        find, eager.compiled = eager.compiled, lambda _: True
        self.addCleanup(setattr, eager, "compiled", find)
        with Said() as said:
            record(self.path(), model)
        self.assertEqual(len(said.texts), 1)
        self.assertIn("torch.compiler.set_stance of 2.6", said.texts[0])


class Fused(Case):
    def test_weights_without_a_call_are_named_once(self):
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.q, self.k = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
                self.idle = torch.nn.Linear(8, 8)
                self.tied = torch.nn.Linear(8, 8)
                self.tied.weight = self.q.weight
                self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
                self.scale = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(8))])

            def forward(self, x):
                x = self.q(x) + torch.nn.functional.linear(x, self.k.weight, self.k.bias)
                x = x[:, None] * self.scale[0]
                return self.attention(x, x, x)[0][:, 0]
        with Said() as said:
            record(self.path(), Model())
        self.assertEqual(said.texts, ["sigmascope: k, attention.out_proj ran without its hooks (fused) and is not "
                                      "recorded"])

    def test_parts_that_are_called_without_the_model(self):
        model = Blocks()
        with Said() as said:
            record(self.path(), model, call=lambda x: model.blocks[1](x))
        self.assertEqual(len(said.texts), 1)
        self.assertIn("call the model itself", said.texts[0])
        self.assertIn("blocks.1", said.texts[0])

    def test_no_grad(self):
        model = Blocks()
        with Said() as said:
            with sigmascope.watch(model, self.path(), every=1, optimizer=sgd(model)) as watch:
                with torch.no_grad():
                    model(torch.ones(1, 8))
                watch.step(sigma=1.0)
        self.assertIn("no forward pass of the model with gradients", said.texts[0])

    def test_transformer_encoder(self):
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
        model = torch.nn.Sequential(torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))
        with Said() as said:
            record(self.path(), model, call=lambda x: model(x[:, None])[:, 0], bins=1)
        self.assertEqual(said.texts, ["sigmascope: 0.layers.0.self_attn.out_proj, 0.layers.1.self_attn.out_proj ran "
                                      "without its hooks (fused) and is not recorded"])
        found, at = stats(self.path()), modules_of(self.path())
        self.assertTrue(np.isfinite(found["absmax"][at.index("0.layers.1.linear2")]).all())


class Half(Case):
    def test_autocast(self):
        model = Blocks()

        def call(x):
            with torch.autocast("cpu", torch.bfloat16):
                return model(x).float()
        record(self.path(), model, call=call)
        with h5py.File(self.path()) as f:
            self.assertEqual(f.attrs["precision"], "autocast bf16")

    def test_autocast_within(self):
        """As accelerate does it, by the model's forward()."""
        model = Blocks()
        model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
        record(self.path(), model)
        with h5py.File(self.path()) as f:
            self.assertEqual(f.attrs["precision"], "autocast bf16")

    def test_moved_after_watch(self):
        model = Blocks()
        optimizer = sgd(model)
        with sigmascope.watch(model, self.path(), every=1, optimizer=optimizer) as watch:
            model.to(torch.bfloat16)
            model(torch.ones(2, 8, dtype=torch.bfloat16)).mean().backward()
            optimizer.step()
            watch.step(sigma=1.0)
        with h5py.File(self.path()) as f:
            self.assertEqual(f.attrs["precision"], "bf16")
            self.assertTrue(np.isfinite(f["updates/gradient_rms"][()]).all())

    @unittest.skipUnless(hasattr(torch.amp, "GradScaler"), "a GradScaler for the CPU is in PyTorch 2.3 and newer")
    def test_scaler(self):
        """Gradients are those without the scale, also where a fused optimiser takes it off; a step that is left out
        is said to be."""
        for fused in (False, True):
            model, path = Blocks(), self.path(f"{fused}.h5")
            optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=fused)
            scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
            with sigmascope.watch(model, path, every=1, optimizer=optimizer, scaler=scaler) as watch:
                for bad in (False, True):
                    loss = model(torch.ones(2, 8)).square().mean()
                    optimizer.zero_grad()
                    scaler.scale(loss * (float("inf") if bad else 1)).backward()
                    if not bad:
                        want = [p.grad.square().mean().sqrt().item() / 1024 for p in model.parameters()]
                    scaler.step(optimizer)
                    scaler.update()
                    watch.step(loss=loss, sigma=1.0)
            with h5py.File(path) as f:
                np.testing.assert_allclose(f["updates/gradient_rms"][:, 0], want, 1e-5)
                self.assertEqual(f["training/skipped"][()].tolist(), [0, 1])


class Copies(Case):
    def test_copies_do_not_record(self):
        model = Blocks()
        optimizer = sgd(model)
        keys = list(model.state_dict())
        watch = sigmascope.watch(model, self.path(), every=1, optimizer=optimizer, inputs=True)
        self.assertEqual(list(model.state_dict()), keys)
        averaged = copy.deepcopy(model)
        stored = io.BytesIO()
        torch.save(model, stored)
        stored.seek(0)
        again = pickle.loads(pickle.dumps(model))
        model(torch.ones(2, 8)).mean().backward()
        for other in (averaged, again):
            other(1000 * torch.ones(2, 8)).mean().backward()
        optimizer.step()
        watch.step(sigma=1.0)
        watch.close()
        self.assertLess(np.nanmax(stats(self.path())["absmax"]), 100)
        self.assertEqual(sum(map(len, (m._forward_hooks for m in model.modules()))), 0)

    def test_two_names_of_one_module(self):
        model = Blocks()
        model.blocks[2] = model.blocks[0]
        record(self.path(), model)
        self.assertNotIn("blocks.2", modules_of(self.path()))
        with h5py.File(self.path()) as f:  # both calls count
            at = modules_of(self.path()).index("blocks.0")
            self.assertEqual(f["hist/exponent"][at, 0, 0, 0].sum(), 2 * 4 * 8)

    def test_two_models_two_files(self):
        a, b = Blocks(), Blocks()
        optimizer = torch.optim.SGD([*a.parameters(), *b.parameters()], 0.1)
        watches = [sigmascope.watch(m, self.path(n), every=1, optimizer=optimizer) for m, n in ((a, "a"), (b, "b"))]
        a(b(torch.ones(3, 8))).mean().backward()
        optimizer.step()
        for w in watches:
            w.step(sigma=1.0)
            w.close()
        for n in "ab":
            with h5py.File(self.path(n)) as f:
                self.assertTrue(np.isfinite(f["updates/gradient_rms"][()]).all())


class Changed(Case):
    def test_added_before_the_first_step(self):
        model = Blocks()
        optimizer = sgd(model)
        with sigmascope.watch(model, self.path(), every=1, optimizer=optimizer) as watch:
            model.blocks.append(torch.nn.Linear(8, 8))
            model(torch.ones(2, 8)).mean().backward()
            optimizer.add_param_group({"params": model.blocks[3].parameters()})
            optimizer.step()
            watch.step(sigma=1.0)
        at = modules_of(self.path()).index("blocks.3")
        self.assertTrue(np.isfinite(stats(self.path())["absmax"][at]).any())
        with h5py.File(self.path()) as f:
            self.assertTrue(np.isfinite(f["updates/gradient_rms"][()]).all())

    def test_added_later_is_said(self):
        model = Blocks()
        optimizer = sgd(model)
        with Said() as said:
            with sigmascope.watch(model, self.path(), every=1, optimizer=optimizer) as watch:
                for step in range(3):
                    model(torch.ones(2, 8)).mean().backward()
                    optimizer.step()
                    if step == 0:  # an adapter takes the place of what it wraps
                        model.blocks[1] = torch.nn.Sequential(model.blocks[1], torch.nn.Linear(8, 8))
                        model.blocks[0][0].weight.requires_grad_(False)
                        optimizer.zero_grad(set_to_none=True)
                    watch.step(sigma=1.0)
        self.assertEqual(len(said.texts), 1)
        self.assertIn("blocks.1.0.0, blocks.1.0.1 came after the first recorded step", said.texts[0])
        self.assertEqual(stats(self.path())["absmax"].shape[3], 3)
        with h5py.File(self.path()) as f:
            frozen = [t.decode() for t in f["axes/parameter"]].index("blocks.0.0.weight")
            self.assertEqual(np.isfinite(f["updates/gradient_rms"][frozen]).tolist(), [True, False, False])

    def test_peft(self):
        try:
            import peft
        except ImportError as why:
            self.skipTest(str(why))
        model = Blocks()
        with sigmascope.watch(model, self.path(), every=1, bins=1) as watch:
            lora = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=r"blocks\.\d\.0"))
            optimizer = torch.optim.SGD([p for p in lora.parameters() if p.requires_grad], 1.0)
            for _ in range(2):
                lora(torch.randn(4, 8)).square().mean().backward()
                optimizer.step()
                watch.step(sigma=1.0)
        names = modules_of(self.path())
        found = stats(self.path())["absmax"]
        for part in ("blocks.0.0", "blocks.0.0.base_layer", "blocks.0.0.lora_B.default"):
            self.assertTrue(np.isfinite(found[names.index(part)]).all(), part)
        with h5py.File(self.path()) as f:
            labels = [t.decode() for t in f["axes/parameter"]]
            self.assertTrue(np.isfinite(f["updates/gradient_rms"][labels.index("blocks.0.0.lora_B.default.weight")]).all())
            self.assertTrue(np.isnan(f["updates/gradient_rms"][labels.index("blocks.0.0.base_layer.weight")]).all())


class Exceptions(Case):
    def test_what_failed_does_not_count(self):
        """Out of memory within the forward or the backward pass, and once more with half the batch."""
        class Fails(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

            @staticmethod
            def backward(ctx, g):
                raise MemoryError

        class Model(Blocks):
            fail = None

            def forward(self, x):
                x = Fails.apply(x) if self.fail == "backward" else x
                x = super().forward(x)
                if self.fail == "forward":
                    raise MemoryError
                return x
        for fail in ("forward", "backward"):
            model, path = Model(), self.path(fail)
            optimizer = sgd(model)
            with sigmascope.watch(model, path, every=1, optimizer=optimizer, bins=1) as watch:
                model.fail = fail
                with self.assertRaises(MemoryError):
                    model(1000 * torch.ones(4, 8, requires_grad=True)).mean().backward()
                model.fail = None
                optimizer.zero_grad()
                y = model(torch.ones(2, 8))
                y.mean().backward()
                optimizer.step()
                watch.step(loss=y.mean(1), sigma=torch.ones(2))
            self.assertLess(np.nanmax(stats(path)["absmax"]), 100)
            with h5py.File(path) as f:
                self.assertEqual(f["training/samples"][0].tolist(), [2])
                self.assertEqual(f["hist/exponent"][0, 0, 0, 0].sum(), 2 * 8)

    def test_forget(self):
        model = Blocks()
        with sigmascope.watch(model, self.path(), every=1, optimizer=sgd(model)) as watch:
            model(1000 * torch.ones(2, 8))
            self.assertTrue(watch.pending)
            watch.forget()
            self.assertFalse(watch.pending)
            model(torch.ones(2, 8))
            watch.step(sigma=1.0)
        self.assertLess(np.nanmax(stats(self.path())["absmax"]), 100)


class Outputs(Case):
    def test_dataclass_with_slots(self):
        @dataclasses.dataclass
        class Output:
            __slots__ = ("nothing", "sample")
            nothing: object
            sample: torch.Tensor

        class Model(Blocks):
            def forward(self, x):
                return Output(None, super().forward(x))
        model = Model()
        record(self.path(), model, call=lambda x: model(x).sample)
        self.assertTrue(np.isfinite(stats(self.path())["absmax"][0]).any())

    def test_loss_of_the_output(self):
        class Model(Blocks):
            def forward(self, x):
                return {"loss": (super().forward(x) - 1).square().mean()}
        model = Model()
        optimizer = sgd(model)
        with sigmascope.watch(model, self.path(), every=1, optimizer=optimizer) as watch:
            losses = [model(torch.full((2, 8), v))["loss"] for v in (1.0, 2.0)]
            watch.step()
        with h5py.File(self.path()) as f:
            np.testing.assert_allclose(f["training/loss"][0], sum(losses).item() / 2, 1e-6)

    @unittest.skipUnless(hasattr(torch, "func"), "torch.func is in PyTorch 2")
    def test_functional(self):
        """Gradients of each sample by torch.func: vmap over grad."""
        model = Blocks()
        parameters = dict(model.named_parameters())

        def loss(parameters, x):
            return torch.func.functional_call(model, parameters, (x[None],)).square().mean()
        with sigmascope.watch(model, self.path(), every=1, optimizer=sgd(model), bins=1) as watch:
            x = torch.randn(4, 8)
            torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
            watch.step(sigma=1.0)
        want = model(x).abs().max().item()
        np.testing.assert_allclose(column(self.path(), "absmax", "(model)", 0), want, 1e-6)


class Schedule:
    alphas_cumprod = torch.linspace(0.99, 0.01, 100)


class Levels(Case):
    def test_read_from_the_model(self):
        """Noise levels are those of the timesteps that the model takes, by name and by position, of each batch."""
        class Model(Blocks):
            def forward(self, x, timestep, unused=None):
                return super().forward(x)
        model, schedule = Model(), Schedule()
        optimizer = sgd(model)
        with sigmascope.watch(model, self.path(), every=1, optimizer=optimizer, scheduler=schedule, bins=[1.0]) as watch:
            for t in ([0, 99, 99], [0, 0, 0]):
                loss = model(torch.randn(3, 8), torch.tensor(t)).square().mean(1)
                loss.mean().backward()
            watch.step()
            if sigmascope.hooks._KWARGS:
                model(torch.randn(2, 8), timestep=99)
                watch.step(loss=torch.tensor([1.0, 2.0]))
            model(torch.randn(2, 8), torch.tensor([99, 99]))
            watch.step(sigma=0.1)  # what is said counts
        with h5py.File(self.path()) as f:
            want = [[4, 2], [0, 2], [2, 0]] if sigmascope.hooks._KWARGS else [[4, 2], [2, 0]]
            self.assertEqual(f["training/samples"][()].tolist(), want)
            high = (0.99 / 0.01) ** 0.5
            np.testing.assert_allclose(f["training/sigma"][0], [1 / high, high], 1e-4)

    def test_sigma_argument(self):
        model = Net()
        with sigmascope.watch(model, self.path(), every=1, optimizer=sgd(model), sigma_argument="sigma",
                              bins=[1.0]) as watch:
            sigma = torch.tensor([0.5, 2.0, 3.0])
            loss = model(torch.randn(3, 1, 8, 8), sigma)[0].square().mean((1, 2, 3))
            watch.step(loss=loss)
        with h5py.File(self.path()) as f:
            self.assertEqual(f["training/samples"][0].tolist(), [1, 2])
            np.testing.assert_allclose(f["training/sample_loss"][0], [loss[0].item(), loss[1:].mean().item()], 1e-6)
        with self.assertRaisesRegex(ValueError, "sigma_argument='level': Net.forward.. has none"):
            sigmascope.watch(model, self.path("other"), sigma_argument="level")


if __name__ == "__main__":
    unittest.main()
