"""Records the training of a diffusion model in PyTorch, for the program `sigmascope` to analyse.

    watch = sigmascope.watch(model, "run.h5", every=50)
    ...
    watch.step(loss=loss_of_each_sample, sigma=sigma)

And keeps its activations small:

    penalty = sigmascope.penalty(model, 1e-4, every=8)
    ...
    loss = loss + penalty()

sigmascope.accelerate, sigmascope.lightning and sigmascope.transformers have the recorder for these trainers.
"""
import importlib

from .guard import NotFiniteError
from .penalty import Penalty, penalty
from .recorder import Watch, watch
from .version import VERSION as __version__

__all__ = ["NotFiniteError", "Penalty", "Watch", "penalty", "watch", "__version__"]


def __getattr__(name):
    """Modules for trainers are imported when they are used: the package itself needs torch and h5py alone."""
    if name in ("accelerate", "lightning", "transformers"):
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
