"""Records the training of a diffusion model in PyTorch, for the program `sigmascope` to analyse.

    watch = sigmascope.watch(model, "run.h5", every=50)
    ...
    watch.step(loss=loss_of_each_sample, sigma=sigma)

And keeps its activations small:

    penalty = sigmascope.penalty(model, 1e-4, every=8)
    ...
    loss = loss + penalty()
"""
from .guard import NotFiniteError
from .penalty import Penalty, penalty
from .recorder import Watch, watch
from .version import VERSION as __version__

__all__ = ["NotFiniteError", "Penalty", "Watch", "penalty", "watch", "__version__"]
