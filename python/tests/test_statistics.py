"""Statistics of a tensor by their definition: on the CPU, and as they are taken on a device that nothing waits for."""
import numpy as np
import torch
from case import Case

from sigmascope import statistics


class Statistics(Case):
    def expect(self, x, wait):
        m = statistics.measure(x, True, wait)
        rows = x.detach().double().reshape(x.shape[0] if x.dim() > 1 else 1, -1).numpy()
        for i, row in enumerate(rows):
            finite = row[np.isfinite(row)]
            high, low = (finite.max(), finite.min()) if len(finite) else (-np.inf, np.inf)
            self.assertEqual((m.high[i].item(), m.low[i].item()), (high, low))
            np.testing.assert_allclose(m.norm[i].item(), (finite ** 2).sum() ** 0.5, 1e-6)
            np.testing.assert_allclose(m.sum[i].item(), finite.sum(), 1e-6, 1e-6 * abs(finite).sum())
            self.assertEqual(0 if m.nonfinite is None else m.nonfinite[i].item(), len(row) - len(finite))
        bits = x.detach().float().contiguous().numpy().view(np.uint32).ravel()
        np.testing.assert_array_equal(m.exponents.numpy(), np.bincount((bits >> 23) & 255, minlength=256))

    def test_definition(self):
        for wait in (True, False):
            for shape in ((3, 5), (7,), (2, 3, 4, 5), (1, 70000), (2, 16384), (3, 32769)):
                x = torch.randn(shape) * 10 ** torch.randint(-30, 15, shape).float()
                self.expect(x, wait)
                if x.dim() == 4:
                    self.expect(x.contiguous(memory_format=torch.channels_last), wait)
                    self.expect(x.transpose(1, 3), wait)
                for bad in (float("inf"), -float("inf"), float("nan")):
                    x.view(-1)[torch.randint(x.numel(), (3,))] = bad
                    self.expect(x, wait)
            self.expect(torch.full((2, 3), float("nan")), wait)
            self.expect((torch.randn(3, 50) * 1000).half(), wait)
            self.expect(torch.randn(3, 50).bfloat16(), wait)

    def test_deterministic_algorithms(self):
        """Where histc is refused exponents are counted another way."""
        byte = torch.randint(0, 256, (1000,), dtype=torch.int32)
        want = np.bincount(byte.numpy(), minlength=256)
        np.testing.assert_array_equal(statistics.count_bytes(byte).numpy(), want)
        there, torch.histc = torch.histc, self.refuse
        try:
            np.testing.assert_array_equal(statistics.count_bytes(byte).numpy(), want)
        finally:
            torch.histc = there

    @staticmethod
    def refuse(*_):
        raise RuntimeError("not here")

    def test_many_values(self):
        """A sum of squares in one go loses 6e-4 of 8 million values."""
        x = torch.randn(1, 8_000_000) * 3 + 1
        np.testing.assert_allclose(statistics.norms(x)[0].item(), x.double().square().sum().sqrt().item(), 1e-6)
