"""Records the training of a diffusion model in PyTorch, for the program `sigmascope` to analyse.

    watch = sigmascope.watch(model, "run.h5", every=50)
    ...
    watch.step(loss=loss_of_each_sample, sigma=sigma)
"""
from .recorder import Watch, watch
from .version import VERSION as __version__

__all__ = ["Watch", "watch", "__version__"]
