"""What is recorded is what was there, and nothing changes by it."""
import os
import signal
import subprocess
import sys
import warnings

import h5py
import numpy as np
import torch
from case import ROOT, Case, Net, batch, column, one_step

import sigmascope


def adam(model):
    return torch.optim.Adam(model.parameters(), 1e-3)


class Recorder(Case):
    def test_changes_no_bit(self):
        def train(watched):
            torch.manual_seed(1)
            model = Net()
            optimizer = adam(model)
            losses = []
            if watched:
                watch = sigmascope.watch(model, self.path(), every=1, optimizer=optimizer, inputs=True)
            for _ in range(100):
                loss, sigma = one_step(model, optimizer)
                losses.append(loss.detach().numpy().tobytes())
                if watched:
                    watch.step(loss=loss, sigma=sigma)
            return losses, [p.detach().numpy().tobytes() for p in model.parameters()]
        self.assertEqual(train(False), train(True))

    def test_numbers(self):
        """Each statistic against the definition, in float64, over the values of a bin."""
        model = Net()
        optimizer = adam(model)
        watch = sigmascope.watch(model, self.path(), every=1, optimizer=optimizer, bins=[0.5, 2])
        x0, noise, sigma = batch(7, 5)
        kept = {}
        hooks = [m.register_forward_hook(lambda m, a, y, n=n: kept.setdefault(n, []).append(y))
                 for n, m in model.named_modules()]
        y = model(x0 + sigma[:, None, None, None] * noise, sigma)[0]
        loss = (y - x0).square().mean((1, 2, 3))
        loss.mean().backward()
        optimizer.step()
        for h in hooks:
            h.remove()
        watch.step(loss=loss, sigma=sigma)
        watch.close()
        kept = {"conv_in": kept["conv_in"], "both": [kept["both"][0]["hidden"]], "act": kept["act"],
                "time": kept["time"], "(model)": [y]}
        bins = np.digitize(sigma.numpy(), [0.5, 2])
        self.assertGreater(len(set(bins)), 1)
        for name, tensors in kept.items():
            for b in range(3):
                x = np.concatenate([t.detach().double().numpy()[bins == b].ravel() for t in tensors])
                want = dict(zip(("min", "max", "absmax", "mean", "std", "rms", "l2"), [np.nan] * 7))
                if len(x):
                    want = {"min": x.min(), "max": x.max(), "absmax": abs(x).max(), "mean": x.mean(), "std": x.std(),
                            "rms": (x ** 2).mean() ** 0.5, "l2": (x ** 2).sum() ** 0.5}
                for key, value in want.items():
                    np.testing.assert_allclose(column(self.path(), key, name, 0)[b], value, 2e-6, 1e-7, err_msg=name + key)
        self.assertTrue(np.isnan(column(self.path(), "absmax", "nothing", 0)).all())
        self.assertTrue(np.isnan(column(self.path(), "absmax", "unused", 0)).all())
        with h5py.File(self.path()) as f:
            at = [t.decode() for t in f["axes/module"]].index("conv_in")
            counts = f["hist/exponent"][at, 0, 0, 0]
            exponent = np.frexp(kept["conv_in"][0].detach().numpy().ravel())[1] - 1
            np.testing.assert_array_equal(counts, np.bincount(exponent + 127, minlength=256))
            np.testing.assert_allclose(f["training/loss"][0], loss.detach().numpy().mean(), 1e-6)
            np.testing.assert_array_equal(f["training/samples"][0], np.bincount(bins, minlength=3))
            for b in set(bins):
                np.testing.assert_allclose(f["training/sample_loss"][0, b], loss.detach().numpy()[bins == b].mean(), 1e-6)

    def test_updates(self):
        """What a step does to each parameter, and the staleness of Adam, by their definitions."""
        model = Net()
        optimizer = adam(model)
        for _ in range(5):
            one_step(model, optimizer)
        watch = sigmascope.watch(model, self.path(), every=1, optimizer=optimizer, step=8)
        before = {n: p.detach().clone().double() for n, p in model.named_parameters()}
        gradients = []
        for _ in range(2):
            loss, sigma = one_step(model, optimizer)
            watch.step(loss=loss, sigma=sigma)
            gradients.append([p.grad if p.grad is None else p.grad.clone() for p in model.parameters()])
            if len(gradients) == 1:
                after = {n: p.detach().clone().double() for n, p in model.named_parameters()}
                v = {n: optimizer.state[p]["exp_avg_sq"].double().clone() for n, p in model.named_parameters() if
                     p.grad is not None}
        watch.close()

        def rms(x):
            return x.square().mean().sqrt().item()

        with h5py.File(self.path()) as f:
            for i, (name, p) in enumerate(model.named_parameters()):
                self.assertEqual(f["axes/parameter"][i].decode(), name)
                found = {k: f["updates"][k][i, 0] for k in ("gradient_rms", "update_rms", "weight_rms", "staleness")}
                if p.grad is None:
                    self.assertTrue(all(np.isnan(x) for x in found.values()))
                    continue
                g, hat = gradients[0][i].double(), v[name] / (1 - 0.999 ** 6)
                want = {"gradient_rms": rms(g), "update_rms": rms(after[name] - before[name]),
                        "weight_rms": rms(before[name]), "staleness": rms(g / hat.sqrt().clamp(min=1e-8))}
                np.testing.assert_allclose(f["updates/gradient_rms"][i, 1], rms(gradients[1][i].double()), 1e-5)
                self.assertTrue(np.isnan(f["updates/update_rms"][i, 1]))  # of every 8th step at most
                for key, value in want.items():
                    np.testing.assert_allclose(found[key], value, 2e-4 if key == "update_rms" else 1e-5, err_msg=name + key)

    def test_not_finite(self):
        """Finite values are measured beside inf and NaN, and these are counted."""
        model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Identity())
        watch = sigmascope.watch(model, self.path(), every=1, modules="0", bins=1, guard=False,
                                 optimizer=torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1))
        x = torch.ones(2, 3, 3, requires_grad=True) * 3
        x = x.index_put((torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2]), torch.tensor([0, 1, 2])),
                        torch.tensor([float("inf"), float("nan"), -70000.0]))
        model(x)
        watch.step(loss=torch.tensor([1.0, float("nan")]), sigma=torch.tensor([1.0, 1.0]))
        watch.close()
        self.assertEqual(column(self.path(), "nonfinite", "0", 0)[0], 2)
        self.assertEqual(column(self.path(), "absmax", "0", 0)[0], 70000)
        self.assertEqual(column(self.path(), "max", "0", 0)[0], 3)
        np.testing.assert_allclose(column(self.path(), "rms", "0", 0)[0], ((15 * 9 + 70000 ** 2) / 16) ** 0.5, 1e-6)
        with h5py.File(self.path()) as f:
            self.assertEqual(f["training/loss"][0], np.inf)
            self.assertEqual(f["hist/exponent"][0, 0, 0, 0, 255], 2)
        self.program("bisect", self.path(), "--fail", "nonfinite(*)", status=3)

    def test_exceptions_remove_hooks(self):
        model = Net()
        count = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        self.assertEqual(count, 0)
        with self.assertRaises(ZeroDivisionError):
            with sigmascope.watch(model, self.path(), every=1, optimizer=adam(model)) as watch:
                loss, sigma = one_step(model, watch.optimizer)
                watch.step(loss=loss, sigma=sigma)
                1 / 0
        watch = sigmascope.watch(model, self.path("other.h5"), every=1, optimizer=adam(model))
        del watch
        count = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
        self.assertEqual(count, 0)
        with h5py.File(self.path()) as f:
            self.assertEqual((f.attrs["complete"], len(f["axes/step"])), (0, sigmascope.run_file.ROOM))
        self.assertIn("1 measured step", self.program("analyze", self.path()))

    def test_killed_and_resumed(self):
        """kill -9 leaves a file that opens; the training goes on with it from its checkpoint's step."""
        script = os.path.join(self.folder, "train.py")
        with open(script, "w") as f:
            f.write(f"import sys; sys.path[:0] = [{ROOT + '/python'!r}, {ROOT + '/python/tests'!r}]\n"
                    "import torch, sigmascope; from case import *\n"
                    "torch.set_num_threads(1); first, n = map(int, sys.argv[2:])\n"
                    "model = Net(); optimizer = torch.optim.Adam(model.parameters())\n"
                    "watch = sigmascope.watch(model, sys.argv[1], every=5, optimizer=optimizer, step=first)\n"
                    "for i in range(first, n):\n"
                    "    loss, sigma = one_step(model, optimizer)\n"
                    "    watch.step(loss=loss, sigma=sigma)\n"
                    "    print(i, flush=True)\n"
                    "watch.close()\n")
        child = subprocess.Popen([sys.executable, script, self.path(), "0", "100000"], stdout=subprocess.PIPE, text=True)
        while int(child.stdout.readline()) < 103:  # more than the room at first
            pass
        self.program("analyze", self.path())  # while it grows
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with h5py.File(self.path()) as f:
            done = f["axes/step"][()][f["axes/done"][()] == 1]
            self.assertEqual(f.attrs["complete"], 0)
        self.assertEqual(done.tolist()[:21], list(range(0, 105, 5)))
        self.program("analyze", self.path())
        again = subprocess.run([sys.executable, script, self.path(), "60", "200"], capture_output=True, text=True)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("recorded steps are forgotten, as the training goes on from step 60", again.stderr)
        with h5py.File(self.path()) as f:
            self.assertEqual(f["axes/step"][()].tolist(), list(range(0, 200, 5)))
            self.assertEqual(f.attrs["complete"], 1)
        self.assertEqual(os.listdir(self.folder).count("run-1.h5"), 0)

    def test_another_file_is_kept(self):
        model = Net()
        for k in range(2):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                with sigmascope.watch(model, self.path(), every=1, optimizer=adam(model)) as watch:
                    loss, sigma = one_step(model, watch.optimizer)
                    watch.step(loss=loss, sigma=sigma)
            self.assertEqual(len(said), k)
        self.assertIn("run-1.h5", str(said[0].message))
        self.program("analyze", self.path("run-1.h5"))

    def test_a_file_that_cannot_be_written_does_not_end_the_training(self):
        model = Net()
        optimizer = adam(model)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            watch = sigmascope.watch(model, self.path("no/such/folder.h5"), every=1, optimizer=optimizer)
            for _ in range(3):
                loss, sigma = one_step(model, optimizer)
                watch.step(loss=loss, sigma=sigma)
            watch.close()
        self.assertIn("step 0 is not recorded", str(said[0].message))

    def test_full_disk(self):
        """Steps for which there is no room are missing; the training and the file go on."""
        script = os.path.join(self.folder, "train.py")
        with open(script, "w") as f:
            f.write(f"import sys; sys.path[:0] = [{ROOT + '/python'!r}, {ROOT + '/python/tests'!r}]\n"
                    "import resource, signal, torch, sigmascope; from case import *\n"
                    "torch.set_num_threads(1); signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
                    "model = Net(); optimizer = torch.optim.Adam(model.parameters())\n"
                    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
                    "watch = sigmascope.watch(model, sys.argv[1], every=1, optimizer=optimizer)\n"
                    "for i in range(40):\n"
                    "    loss, sigma = one_step(model, optimizer)\n"
                    "    watch.step(loss=loss, sigma=sigma)\n"
                    "watch.close(); print('trained')\n")
        for room, recorded in (10000, 0), (1000000, 32):
            done = subprocess.run([sys.executable, script, self.path(), str(room)], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, "trained\n"), done.stderr)
            self.assertEqual(done.stderr.count("UserWarning"), 1, done.stderr)
            self.assertIn(f"train.py:9: UserWarning: sigmascope: step {recorded} is not recorded", done.stderr)
            self.assertEqual(sorted(os.listdir(self.folder)), ["run.h5", "train.py"][not recorded:])
        self.assertIn("covers 32 measured steps", self.program("analyze", self.path()))

    def test_accumulation(self):
        """Batches of one step count together, each with its own noise levels."""
        model = Net()
        optimizer = adam(model)
        watch = sigmascope.watch(model, self.path(), every=1, optimizer=optimizer, bins=[1.0])
        largest = [0, 0]
        for level in (0.1, 10.0):
            x0, noise, _ = batch()
            y = model(x0 + level * noise, torch.full((4,), level))[0]
            largest[level > 1] = y.abs().max().item()
            loss = (y - x0).square().mean((1, 2, 3))
            (loss.mean() / 2).backward()
            watch.batch(loss=loss, sigma=level)
        optimizer.step()
        watch.step()
        watch.close()
        np.testing.assert_allclose(column(self.path(), "absmax", "(model)", 0), largest, 1e-7)
        with h5py.File(self.path()) as f:
            self.assertEqual(f["training/samples"][0].tolist(), [4, 4])

    def test_some_modules(self):
        """Samples are counted, and told apart, where the whole model is not recorded."""
        model = Net()
        with sigmascope.watch(model, self.path(), every=1, optimizer=adam(model), modules=["conv*"], bins=1) as watch:
            x0, noise, _ = batch()
            model(x=x0 + 3 * noise, sigma=torch.full((4,), 3.0))[0].square().mean().backward()
            watch.step(sigma=3.0)
        with h5py.File(self.path()) as f:
            self.assertEqual([t.decode() for t in f["axes/module"]], ["conv_in", "conv_out"])
            self.assertEqual(f["training/samples"][0].tolist(), [4])

    def test_without_gradients_is_not_seen(self):
        """A sample drawn in the middle of a step is no part of it; a checkpointed part is."""
        class Checkpointed(Net):
            def forward(self, x, sigma):
                h = self.act(self.conv_in(x))
                h = torch.utils.checkpoint.checkpoint(self.both, h, use_reentrant=True)["hidden"] \
                    if torch.is_grad_enabled() else self.both(h)["hidden"]
                return (self.conv_out(self.norm(h)),)
        import torch.utils.checkpoint
        model = Checkpointed()
        optimizer = adam(model)
        watch = sigmascope.watch(model, self.path(), every=1, optimizer=optimizer, bins=1)
        x0, noise, sigma = batch()
        with torch.no_grad():
            model(1000 * x0, sigma)
        y = model(x0, sigma)[0]
        y.square().mean().backward()
        optimizer.step()
        watch.step(sigma=sigma)
        watch.close()
        np.testing.assert_allclose(column(self.path(), "absmax", "(model)", 0)[0], y.detach().abs().max().item(), 1e-7)
        self.assertTrue(np.isfinite(column(self.path(), "absmax", "both.conv", 0)[0]))
        with h5py.File(self.path()) as f:
            labels = [t.decode() for t in f["axes/module"]]
            self.assertEqual(f["hist/exponent"][labels.index("both.conv"), 0, 0, 0].sum(), 4 * 8 * 64)
