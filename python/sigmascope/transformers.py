"""The recorder as a callback of the Trainer of Hugging Face Transformers.

    recorder = sigmascope.transformers.Recorder("run.h5", every=50, scheduler=noise_scheduler)
    Trainer(model, args, ..., callbacks=[recorder]).train()

Steps have the numbers of the trainer, also where it resumes. The loss is the one that the model returns with its
output; a compute_loss() that knows more calls recorder.batch(loss=loss_of_each_sample, sigma=sigma).
"""
import transformers

from .recorder import watch


class Recorder(transformers.TrainerCallback):
    """Options are those of sigmascope.watch(); `module` names the part of the model to watch, if not the whole."""

    def __init__(self, path, module="", **options):
        self.path, self.module, self.options, self.watch = path, module, options, None

    def batch(self, *args, **kwargs):
        """Tells the noise levels and losses of a batch, from compute_loss(); see Watch.batch."""
        if self.watch:
            self.watch.batch(*args, **kwargs)

    def on_train_begin(self, args, state, control, model=None, **_):
        self.watch = watch(model.get_submodule(self.module), self.path, step=state.global_step, **self.options)

    def on_step_end(self, args, state, control, **_):
        self.watch.step(step=state.global_step - 1)

    def on_train_end(self, args, state, control, **_):
        self.watch.close(complete=not args.max_steps > 0 or state.global_step >= state.max_steps)
