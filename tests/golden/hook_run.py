"""Writes a run file that sigmascope reads, from forward hooks on any PyTorch model."""
import h5py
import numpy as np
import torch


def first_tensor(y):
    """Of what a module returns: a tensor, or a tuple, dictionary or object of some; or None."""
    if torch.is_tensor(y):
        return y if y.numel() else None
    parts = y.values() if isinstance(y, dict) else y if isinstance(y, (tuple, list)) else \
        vars(y).values() if hasattr(y, "__dict__") else ()
    return next((t for t in map(first_tensor, parts) if t is not None), None)


@torch.no_grad()
def record(model, forward, inputs, sigmas, samples, path, **attributes):
    """forward(input, sigma) runs the model once on a batch of `samples`; inputs are labels."""
    shape = (len(inputs), len(sigmas), samples)
    seen = {}  # module: its statistics, in the order in which modules are entered

    def enter(name):
        def hook(module, args):
            seen.setdefault(name, {"absmax": np.full(shape, np.nan, "f4"),
                                   "rms": np.full(shape, np.nan, "f4"),
                                   "nonfinite": np.zeros(shape, "u8")})
        return hook

    def leave(name):
        def hook(module, args, y):
            y = first_tensor(y)
            if y is None:
                return
            x = y.double().abs()
            batched = x.dim() > 0 and x.shape[0] % samples == 0  # else it is one for all samples
            x = x.reshape(samples if batched else 1, -1)
            finite = x.isfinite()
            x = x.where(finite, torch.nan)
            values = {"absmax": x.nan_to_num(-1).amax(1).where(finite.any(1), torch.nan),
                      "rms": x.square().nanmean(1).sqrt(), "nonfinite": (~finite).sum(1)}
            for key, value in values.items():  # of several calls the largest counts
                seen[name][key][at] = np.fmax(seen[name][key][at], value.cpu().numpy())
        return hook

    hooks = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(enter(name or "(model)")))
        hooks.append(module.register_forward_hook(leave(name or "(model)")))
    for at in np.ndindex(shape[:2]):
        forward(inputs[at[0]], sigmas[at[1]])
    for hook in hooks:
        hook.remove()
    with h5py.File(path, "w") as f:
        f.attrs.update(format="sigmascope-run", version="1.0", **attributes)
        f["axes/module"], f["axes/input"] = list(seen), list(inputs)
        f["axes/sigma"], f["axes/sample"] = sigmas, np.arange(samples)
        for key in ("absmax", "rms", "nonfinite"):  # [module, input, sigma, sample]
            f["stats/" + key] = np.stack([s[key] for s in seen.values()])
