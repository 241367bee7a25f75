"""The recorder in accelerate's, Lightning's and transformers' trainings."""
import contextlib
import importlib.util
import io
import logging
import os
import unittest
import warnings

import h5py
import numpy as np
import torch
from case import Case

import sigmascope


def needs(name):
    return unittest.skipUnless(importlib.util.find_spec(name), f"needs {name}")


class Net(torch.nn.Module):
    """A denoiser [N, 8] that takes a timestep."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(8, 16), torch.nn.Linear(16, 8)

    def forward(self, x, timestep):
        return self.b(torch.tanh(self.a(x)) * (1 + timestep[:, None] / 100))


class Schedule:
    alphas_cumprod = torch.linspace(0.99, 0.01, 100)


class Callbacks(Case):
    def setUp(self):
        super().setUp()
        warnings.simplefilter("ignore")  # of the trainers; of ours: error
        warnings.filterwarnings("error", "sigmascope")

    def check(self, path, steps, samples, losses=None):
        with h5py.File(path, "r") as f:
            done = f["axes/done"][()] == 1
            self.assertEqual(f["axes/step"][()][done].tolist(), steps)
            self.assertEqual(f["training/samples"][()][done].sum(1).tolist(), [samples] * len(steps))
            self.assertTrue(np.isfinite(f["updates/update_rms"][()][:, done]).all())
            self.assertGreater((f["training/samples"][()][done] > 0).sum(), len(steps))  # in several bins
            if losses is not None:
                np.testing.assert_allclose(f["training/loss"][()][done], losses, 1e-5)
            return f.attrs["complete"], f.attrs["precision"]

    @needs("accelerate")
    def test_accelerate(self):
        import accelerate
        accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3, mixed_precision="bf16")
        data = torch.utils.data.DataLoader(torch.randn(48, 8), batch_size=4)
        net = Net()
        model, optimizer, data = accelerator.prepare(net, torch.optim.AdamW(net.parameters(), 1e-3), data)
        means, sums = [], []
        with sigmascope.accelerate.watch(accelerator, model, self.path(), every=2, optimizer=optimizer,
                                         scheduler=Schedule()) as watch:
            for i, x in enumerate(data):
                with accelerator.accumulate(model):
                    t = torch.randint(0, 100, (len(x),))
                    losses = (model(x, t) - x).square().mean(1)
                    accelerator.backward(losses.mean())
                    optimizer.step()
                    optimizer.zero_grad()
                watch.step(loss=losses)
                sums.append(losses.mean().item())
                if i % 3 == 2:
                    means.append(np.mean(sums))
                    sums = []
        self.assertEqual(self.check(self.path(), [0, 2], 12, means[::2]), (1, "autocast bf16"))

    @needs("lightning")
    def test_lightning(self):
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        import lightning.pytorch as pl
        told = []

        class Module(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.net = Net()

            def training_step(self, batch, _):
                t = torch.randint(0, 100, (len(batch[0]),))
                loss = (self.net(batch[0], timestep=t) - batch[0]).square().mean()
                told.append(loss.item())
                return loss

            def configure_optimizers(self):
                return torch.optim.Adam(self.net.parameters(), 1e-3)

        def fit(module, steps, resume=None):
            data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(64, 8)), 4)
            recorder = sigmascope.lightning.Recorder(self.path(), every=2, scheduler=Schedule())
            trainer = pl.Trainer(max_steps=steps, accelerator="cpu", accumulate_grad_batches=2, logger=False,
                                 enable_progress_bar=False, enable_model_summary=False, callbacks=[recorder],
                                 default_root_dir=self.folder, enable_checkpointing=False)
            trainer.fit(module, data, ckpt_path=resume)
            trainer.save_checkpoint(self.path("last.ckpt"))
        module = Module()
        fit(module, 4)
        means = np.array(told).reshape(-1, 2).mean(1)
        self.check(self.path(), [0, 2], 8, means[[0, 2]])
        fit(module, 7, self.path("last.ckpt"))
        self.check(self.path(), [0, 2, 4, 6], 8)

    @needs("transformers")
    def test_transformers(self):
        import transformers

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.net = Net()

            def forward(self, x=None, timestep=None):
                return {"loss": (self.net(x, timestep) - x).square().mean()}

        data = [{"x": torch.randn(8), "timestep": torch.randint(0, 100, ())} for _ in range(40)]

        def train(steps, resume=None):
            recorder = sigmascope.transformers.Recorder(self.path(), every=2, scheduler=Schedule())
            args = transformers.TrainingArguments(
                self.path("out"), max_steps=steps, per_device_train_batch_size=4, gradient_accumulation_steps=2,
                use_cpu=True, report_to=[], save_steps=4, logging_steps=1, disable_tqdm=True, save_only_model=False)
            with contextlib.redirect_stdout(io.StringIO()):
                trainer = transformers.Trainer(Model(), args, train_dataset=data, callbacks=[recorder])
                trainer.train(resume_from_checkpoint=resume)
            return [x["loss"] for x in trainer.state.log_history if "loss" in x]
        losses = train(4)
        with h5py.File(self.path()) as f:
            np.testing.assert_allclose(f["training/loss"][()], losses[::2], 1e-3)
        self.check(self.path(), [0, 2], 8)
        train(8, os.path.join(self.path("out"), "checkpoint-4"))
        self.check(self.path(), [0, 2, 4, 6], 8)


class Package(unittest.TestCase):
    def test_a_trainer_that_is_not_there(self):
        with self.assertRaises(AttributeError):
            sigmascope.tensorflow
        for name in ("lightning", "transformers"):
            if not importlib.util.find_spec(name) and not importlib.util.find_spec("pytorch_" + name):
                with self.assertRaises(ImportError):
                    getattr(sigmascope, name)
        self.assertTrue(sigmascope.accelerate.watch)
