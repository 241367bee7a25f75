// unit_rms.cu - rows of unit root mean square, and the gradient
//
//   y = scale x / u,  u = 1e-4 + r,  r = rms(x)
//   dx = scale / u (dy - x sum(dy x) / (u n r)), without the second term where r is 0
//
// A warp keeps a row of up to 256 packs: 8 bytes a value forward, 12 back, which is the least. Four
// operations in double a value forward, ten back.
#include "kernels/cuda/rows.cuh"

__device__ static const double UNIT_EPS = 1e-4;

// Sums of squares and, unless dy is NULL, of products with dy: in double, as the gradient of a
// short row is what little is left of their difference.
template <int V, class Row, class Team>
__device__ static sums row_sums(const Row &row, const Team &team, const float *dy)
{
    sums s = {0, 0};

    row.each([&](const pack<V> &x, int64_t i) {
        const pack<V> g = dy ? load<V>(dy + i) : pack<V>{};

        for (int k = 0; k < V; k++) {
            s.s1 = fma((double)x.v[k], (double)x.v[k], s.s1);
            s.s2 = fma((double)x.v[k], (double)g.v[k], s.s2);
        }
    });
    return team.sum(s);
}

template <int V, class Row, class Team, class Args>
__device__ static void unit_rms(const Args &a, const Team &team, int64_t r)
{
    const Row row(a.x + r * a.row, a.row);
    const sums s = row_sums<V>(row, team, (const float *)NULL);
    const float k = (float)(a.scale / (UNIT_EPS + sqrt(s.s1 / (double)a.row)));

    row.each([&](const pack<V> &x, int64_t i) {
        pack<V> y;

        for (int j = 0; j < V; j++)
            y.v[j] = k * x.v[j];
        store(a.y + r * a.row + i, y);
    });
}

template <int V, class Row, class Team, class Args>
__device__ static void unit_rms_back(const Args &a, const Team &team, int64_t r)
{
    const float *dy = a.dy + r * a.row;
    const Row row(a.x + r * a.row, a.row);
    const sums s = row_sums<V>(row, team, dy);
    const double n = (double)a.row, rms = sqrt(s.s1 / n), u = UNIT_EPS + rms;
    const double k = a.scale / u, along = rms > 0 ? s.s2 / (u * n * rms) : 0.0;

    row.each([&](const pack<V> &x, int64_t i) {
        pack<V> g = load<V>(dy + i);

        for (int j = 0; j < V; j++)
            g.v[j] = (float)(k * fma(-along, (double)x.v[j], (double)g.v[j]));
        store(a.dx + r * a.row + i, g);
    });
}

ROW_KERNELS(unit_rms, unit_rms)
ROW_KERNELS(unit_rms_back, unit_rms_back)
