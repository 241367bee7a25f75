"""The recorder in a loop of Hugging Face Accelerate: a step is recorded when its gradients are complete.

    model, optimizer, ... = accelerator.prepare(model, optimizer, ...)
    watch = sigmascope.accelerate.watch(accelerator, model, "run.h5", every=50, scheduler=noise_scheduler)
    for batch in data:
        with accelerator.accumulate(model):
            ...                                # accelerator.backward(loss), optimizer.step(), as ever
        watch.step(loss=loss_of_each_sample)   # after each batch

Give `sigma`, or the `scheduler` and the recorder reads the timesteps that the model takes. When the training
resumes, step= is its first step's number.
"""
from .recorder import Watch


class AccelerateWatch(Watch):
    def __init__(self, accelerator, model, path, **options):
        self.accelerator = accelerator
        super().__init__(model, path, **{"scaler": accelerator.scaler, **options})

    def step(self, loss=None, sigma=None, timestep=None, scheduler=None, step=None):
        """Call it after each batch: it ends a step only where the gradients of several batches are complete."""
        if self.accelerator.sync_gradients:
            super().step(loss, sigma, timestep, scheduler, step)
        else:
            self.batch(loss, sigma, timestep, scheduler)


def watch(accelerator, model, path, **options):
    """As sigmascope.watch(), for a model that accelerator.prepare() gave."""
    return AccelerateWatch(accelerator, model, path, **options)
