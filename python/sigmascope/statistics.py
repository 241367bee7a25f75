"""Statistics of activations, on the device, in few passes over each.

Of a tensor [rows, ...] there are for each row, over its finite values: largest, smallest, sum, L2 norm, and how
many values are not finite; and for the whole tensor the counts of f32 exponents. Nothing waits for the device
but on the CPU, where waiting is free and a tensor that is wholly finite needs no mask.
"""
import math

import torch

INFINITY = math.inf
LONG = 4096  # values whose squares are summed in one go: f32 loses 6e-4 of the sum of 8 million


def rows_of(x):
    """[rows, values] of a tensor, without a copy wherever the values of a row lie together in memory."""
    if x.dim() < 2:
        return x.reshape(1, -1)
    if x.is_contiguous():
        return x.flatten(1)
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).flatten(1)
    order = [0] + sorted(range(1, x.dim()), key=lambda i: -x.stride(i))
    return x.permute(order).reshape(x.shape[0], -1)


class Measured:
    """What is known of one tensor; all fields lie on its device. `exponents` may be None."""

    __slots__ = ("high", "low", "sum", "norm", "nonfinite", "values", "exponents")

    def rows(self):
        return len(self.high)


def norms(x, dtype=torch.float32):
    """The L2 norm of each row of [rows, values]."""
    n = x.shape[1]
    whole = n // LONG * LONG
    if n <= LONG:
        return torch.linalg.vector_norm(x, dim=1, dtype=dtype)
    if whole == n:
        parts = torch.linalg.vector_norm(x.reshape(len(x), -1, LONG), dim=2, dtype=dtype)
        return torch.linalg.vector_norm(parts, dim=1)
    parts = torch.linalg.vector_norm(x[:, :whole].reshape(len(x), -1, LONG), dim=2, dtype=dtype)
    rest = torch.linalg.vector_norm(x[:, whole:], dim=1, dtype=dtype)
    return torch.linalg.vector_norm(torch.cat([parts, rest[:, None]], 1), dim=1)


def measure(x, exponents, wait=None):
    """Measures a tensor of floating-point numbers. wait: whether it may wait for the device; left out, on the CPU."""
    m = Measured()
    x = rows_of(x.detach())
    if x.dtype == torch.float64:
        x = x.float()
    m.values = x.shape[1]
    if wait is None:
        wait = x.device.type == "cpu"
    if wait:
        m.high, m.low, m.norm = x.amax(1), x.amin(1), norms(x)
        m.nonfinite = None
        if math.isfinite(float(m.norm.sum())):
            m.sum = x.sum(1, dtype=torch.float32)
        else:
            _masked(m, x)
    else:
        _masked(m, x)
    m.exponents = count_exponents(x, wait) if exponents else None
    return m


def _masked(m, x):
    """The same where some values may not be finite: these count as 0, and are put right in `high` and `low`."""
    finite = x.isfinite()
    zeroed = torch.where(finite, x, torch.zeros((), dtype=x.dtype, device=x.device))
    m.nonfinite = m.values - finite.sum(1)
    m.high = torch.where(finite, x, torch.full((), -INFINITY, dtype=x.dtype, device=x.device)).amax(1)
    m.low = torch.where(finite, x, torch.full((), INFINITY, dtype=x.dtype, device=x.device)).amin(1)
    m.norm = norms(zeroed)
    m.sum = zeroed.sum(1, dtype=torch.float32)


def count_exponents(x, wait):
    """[256] how many values have each biased exponent of f32: 0 is zero and subnormal, 255 inf and NaN."""
    bits = x.float().contiguous().view(torch.int32).view(-1) << 1  # the exponent is the upper byte now
    if wait:
        return torch.bincount(bits.view(torch.uint8)[3::4], minlength=256)
    return count_bytes((bits >> 24) & 255)


def count_bytes(byte):
    """[256] how many of each value from 0 to 255, where bincount would wait for the device."""
    try:
        return torch.histc(byte, 256, 0, 255).long()
    except RuntimeError:  # not for integers on this device, or not with deterministic algorithms
        one = torch.ones((), dtype=torch.int64, device=byte.device)
        return torch.zeros(256, dtype=torch.int64, device=byte.device).scatter_add_(0, byte.long(), one.expand_as(byte))
