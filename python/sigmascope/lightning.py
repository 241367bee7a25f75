"""The recorder as a callback of Lightning.

    recorder = sigmascope.lightning.Recorder("run.h5", module="unet", every=50)
    Trainer(callbacks=[recorder], ...).fit(model, data)

    def training_step(self, batch, _):
        ...
        recorder.batch(loss=loss_of_each_sample, sigma=sigma)     # where the trainer does not know it

Steps have the numbers of the trainer (one for each step of an optimiser), also where it resumes. Without
recorder.batch() the loss is what training_step() returns.
"""
try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

from .recorder import watch


class Recorder(Callback):
    """Options are those of sigmascope.watch(); `module` names the network within the LightningModule, and may be left
    out where it has one part that is trained."""

    def __init__(self, path, module=None, **options):
        self.path, self.module, self.options, self.watch = path, module, options, None

    def batch(self, *args, **kwargs):
        """Tells the noise levels and losses of a batch, from training_step(); see Watch.batch."""
        if self.watch:
            self.watch.batch(*args, **kwargs)

    def on_train_start(self, trainer, pl_module):
        self.watch = watch(self._network(pl_module), self.path, step=trainer.global_step, **self.options)
        self._step = trainer.global_step

    def _network(self, pl_module):
        if self.module is not None:
            return pl_module.get_submodule(self.module)
        trained = [n for n, m in pl_module.named_children() if any(p.requires_grad for p in m.parameters())]
        if len(trained) != 1:
            raise ValueError(f"{type(pl_module).__name__} has {len(trained)} parts that are trained "
                             f"({', '.join(trained)}): name the network to record, as module=")
        return pl_module.get_submodule(trained[0])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self.watch.pending:
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            if loss is not None and pl_module.automatic_optimization:
                loss = loss * trainer.accumulate_grad_batches  # Lightning has divided it
            self.watch.batch(loss=loss)
        if trainer.global_step > self._step:  # else gradients are being accumulated
            self.watch.step(step=trainer.global_step - 1)
            self._step = trainer.global_step

    def on_train_end(self, trainer, pl_module):
        self.watch.close()

    def on_exception(self, trainer, pl_module, exception):
        if self.watch:
            self.watch.close(complete=False)
