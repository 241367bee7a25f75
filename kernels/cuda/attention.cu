// attention.cu - the rows of logits of an attention, to probabilities; their statistics; gradients
//
// A row is read once and written once, 8 bytes a logit: a team of threads has it in registers. With
// statistics a team adds up its rows' probabilities there as well, key by key, and writes the sums
// once: 8 bytes more for each 16 logits. Sums of a row run in f32, in an order that the number of
// keys alone decides.
#include "kernels/cuda/row.cuh"
#include "kernels/cuda/tally.cuh"

enum { LAST_BIN = SS_CUDA_LOGIT_BINS - 1, BINS = 2 * SS_CUDA_LOGIT_BINS };

// What is added to a row of logits, a value a key, or NULL
struct addends {
    const float *bias, *mask;

    __device__ bool none() const
    {
        return !bias && !mask;
    }
    __device__ bool masks(int64_t j) const
    {
        return (bias && bias[j] <= SS_CUDA_MASKED) || (mask && mask[j] <= SS_CUDA_MASKED);
    }
};

__device__ static addends addends_of(const ss_cuda_softmax &s, int64_t unit, int64_t row)
{
    return {s.bias ? s.bias + unit % s.heads * s.bias_step + row * s.keys : nullptr,
            s.mask ? s.mask + unit / s.heads * s.keys : nullptr};
}

// ---- statistics ----

// Counts a value for each lane that has one; those of one bin at once, as most have few.
__device__ static void count_together(uint32_t *bins, bool has, int bin)
{
    for (unsigned left = __ballot_sync(FULL_WARP, has); left;
         left = __ballot_sync(FULL_WARP, has)) {
        const int of_first = __shfl_sync(FULL_WARP, bin, __ffs((int)left) - 1);
        const bool counted = has && bin == of_first;
        const unsigned same = __ballot_sync(FULL_WARP, counted);

        if (threadIdx.x % 32 == 0)
            atomicAdd(&bins[of_first], (unsigned)__popc(same));
        has = has && !counted;
    }
}

// Adds this thread's cells times scale to the range, but of masked keys, and counts large ones by
// the exponents they have without; a warp looks at them one by one only where there are any.
// Returns its largest.
template <class C>
__device__ static float tally(C &c, float scale, const addends &add, ss_cuda_range &r,
                              uint32_t *bins)
{
    float least = INFINITE, most = -INFINITE, top = 0;
    bool bad = false;

    c.each([&](float &u, int64_t j) {
        const float x = u * scale, magnitude = abs_f32(u);

        if (add.masks(j))
            return;
        if (is_finite(x)) {
            least = less(least, x);
            most = more(most, x);
            top = more(top, magnitude);
        } else {
            bad = true;
        }
    });
    r.least = less(r.least, least);
    r.most = more(r.most, most);
    if (__any_sync(FULL_WARP, bad || top >= 1 << SS_CUDA_LOGIT_FROM))
        c.together([&](float u, bool inside, int64_t j) {
            const bool there = inside && !add.masks(j);
            const int exponent = (int)(bits_of(u) >> 23 & 255) - 127 - SS_CUDA_LOGIT_FROM;

            count_together(bins, there && (exponent >= 0 || !is_finite(u * scale)),
                           is_finite(u * scale) ? exponent : LAST_BIN);
        });
    return most;
}

// What a thread knows of its team's rows
struct watch {
    ss_cuda_range raw, stored; // of its cells; peaks of the team
    float Z, dot;              // of the row whose number is its lane
    uint32_t *bins;            // [2][SS_CUDA_LOGIT_BINS], of the team

    __device__ void row(int number, float z, float d)
    {
        if ((int)threadIdx.x % 32 == number) {
            Z = z;
            dot = d;
        }
    }
};

// The entropy H = log Z - sum e (l - m) / Z, e = exp(l - m), of the rows of a team: of each in a
// lane, so that a warp computes them at once. A row without probabilities has Z = 0.
__device__ static void add_entropies(const watch &w, int rows, ss_cuda_row_stats &s)
{
    const bool has = (int)threadIdx.x % 32 < rows;
    double H = has ? log_f64(w.Z) - (double)w.dot / w.Z : 0;
    const float inverse = has && w.Z != 0 ? 1.0f / w.Z : 0;

    H = H < 0 ? 0 : H;
    s.entropy = H;
    s.entropy_min = has ? H : (double)INFINITE;
    s.probability = is_nan(inverse) ? 0 : inverse;
    s.lost = is_nan(inverse);
    for (int k = 16; k; k >>= 1) {
        s.entropy += __shfl_xor_sync(FULL_WARP, s.entropy, k);
        s.entropy_min = least_or_nan(s.entropy_min, __shfl_xor_sync(FULL_WARP, s.entropy_min, k));
        s.probability = more(s.probability, __shfl_xor_sync(FULL_WARP, s.probability, k));
        s.lost += __shfl_xor_sync(FULL_WARP, s.lost, k);
    }
}

template <class T> __device__ static void finish_range(T &t, ss_cuda_range &r)
{
    r.least = -t.max(-r.least);
    r.most = t.max(r.most);
}

// ---- softmax ----

template <class C, class T> __device__ static bool has_nan(C &c, T &t)
{
    bool nan = false;

    c.all([&](float &x) { nan = nan || is_nan(x); });
    return t.max(nan) > 0;
}

// Products q.k to logits as they are stored: scaled, biased, masked, rounded. Returns this thread's
// largest that is not NaN.
template <class C>
__device__ static float store_logits(C &c, const ss_cuda_softmax &s, const addends &add)
{
    float m = -INFINITE;

    if (add.none() && !s.round_products && !s.round_logits) {
        c.each([&](float &x, int64_t) {
            x *= s.scale;
            m = more(m, x);
        });
        return m;
    }
    c.each([&](float &x, int64_t j) {
        if (s.round_products)
            x = round_f32(s.to, round_f32(s.to, x) * s.scale);
        else
            x *= s.scale;
        if (add.bias)
            x += add.bias[j];
        if (add.bias && s.round_logits)
            x = round_f32(s.to, x);
        if (add.mask)
            x += add.mask[j];
        if (s.round_logits)
            x = round_f32(s.to, x);
        m = more(m, x);
    });
    return m;
}

// A row to probabilities, or to numerators of them; returns by what those are to be multiplied.
template <bool WATCHED, class C, class T>
__device__ static float softmax(C &c, T &t, const ss_cuda_softmax &s, const addends &add,
                                int number, watch &w)
{
    float raw_top = 0, top = 0, Z = 0, dot = 0;

    if (WATCHED)
        raw_top = tally(c, s.scale, {nullptr, nullptr}, w.raw, w.bins);
    const float m = t.max(store_logits(c, s, add));
    if (WATCHED) {
        top = tally(c, 1, add, w.stored, w.bins + SS_CUDA_LOGIT_BINS);
        top = m == INFINITE || !add.none() ? t.max(top) : m;
        add_peak(w.stored, top);
        add_peak(w.raw, !add.none() || s.round_logits || m == INFINITE ? t.max(raw_top) : top);
    }
    if (s.round_numerators && m == -INFINITE && !has_nan(c, t)) {
        c.all([](float &x) { x = 0; }); // where softmax has NaN, that code has 0
        if (WATCHED)
            w.row(number, 0, 0);
        return 0;
    }
    c.all([&](float &x) {
        const float below = x - m;

        x = exp_nonpositive(below);
        Z += x;
        if (WATCHED)
            dot = fmaf(x, -88.0f > below ? -88.0f : below, dot); // 0 where x is
    });
    t.sum(Z, dot);
    if (WATCHED)
        w.row(number, Z, dot);

    const float inverse = 1.0f / Z;
    if (s.round_numerators) {
        c.all([&](float &x) { x = round_f32(s.to, x); });
        return inverse;
    }
    c.all([&](float &x) { x *= inverse; });
    if (s.round_probabilities)
        c.all([&](float &x) { x = round_f32(s.to, x); });
    return 1;
}

// The rows that a team has
struct run {
    int64_t unit, team, first;
    int rows;
};

__device__ static run run_of(const ss_cuda_softmax &s, int64_t team)
{
    run r;

    r.unit = team / s.teams;
    r.team = team % s.teams;
    r.first = r.team * s.each;
    r.rows = (int)(s.rows - r.first < s.each ? s.rows - r.first : s.each);
    return r;
}

template <class T>
__device__ static void finish_watch(const ss_cuda_softmax &s, T &t, const run &r, watch &w)
{
    ss_cuda_unit_stats &all = s.stats[r.unit / s.heads * s.all_heads + r.unit % s.heads];
    ss_cuda_row_stats part;

    finish_range(t, w.raw);
    finish_range(t, w.stored);
    add_entropies(w, r.rows, part);
    part.raw = w.raw;
    part.stored = w.stored;
    part.lost *= (uint64_t)s.keys;
    if (t.rank == 0)
        s.parts[r.unit * s.teams + r.team] = part;
    t.wait();
    for (int k = t.rank; k < BINS; k += T::SIZE)
        if (w.bins[k])
            atomicAdd(&all.large[0][0] + k, (unsigned long long)w.bins[k]);
}

template <bool WATCHED, int TEAM, int N>
__device__ static void softmax_rows(const ss_cuda_softmax &s, team<TEAM> &t, const run &r,
                                    uint32_t *bins)
{
    cells<TEAM, N> mass(WATCHED ? s.mass + (r.unit * s.teams + r.team) * s.pitch : nullptr, s.keys,
                        t.rank);
    watch w;

    if (WATCHED) {
        clear(w.raw);
        clear(w.stored);
        w.bins = bins;
        w.Z = w.dot = 0;
        for (int k = t.rank; k < BINS; k += TEAM)
            bins[k] = 0;
        t.wait();
        mass.all([](float &x) { x = 0; });
    }
    for (int i = 0; i < r.rows; i++) {
        const int64_t row = r.unit * s.rows + r.first + i;
        cells<TEAM, N> c(s.l + row * s.pitch, s.keys, t.rank);

        c.load(-INFINITE);
        const float left = softmax<WATCHED>(c, t, s, addends_of(s, r.unit, r.first + i), i, w);
        c.store();
        if (s.inverse && t.rank == 0)
            s.inverse[row] = left;
        if (WATCHED)
            mass.beside(c, [&](float &sum, float &x) { sum = fmaf(x, left, sum); });
    }
    if (WATCHED) {
        mass.store();
        finish_watch(s, t, r, w);
    }
}

// The team that this thread is in, and its rows; false beyond the last
template <int TEAM>
__device__ static bool my_run(const ss_cuda_softmax &s, float *scratch, team<TEAM> &t, run &r)
{
    const int64_t number = blockIdx.x * (int64_t)(blockDim.x / TEAM) + threadIdx.x / TEAM;

    t = {(int)threadIdx.x % TEAM, scratch, 0};
    if (number >= s.units * s.teams)
        return false;
    r = run_of(s, number);
    return true;
}

#define SOFTMAX(name, TEAM, N)                                                        \
    KERNEL(softmax_##name)                                                            \
    {                                                                                 \
        SHARED(float, scratch, 128);                                                  \
        team<TEAM> t;                                                                 \
        run r;                                                                        \
                                                                                      \
        if (my_run(a.s, scratch, t, r))                                               \
            softmax_rows<false, TEAM, N>(a.s, t, r, nullptr);                         \
    }                                                                                 \
    KERNEL(watched_##name)                                                            \
    {                                                                                 \
        SHARED(float, scratch, 128);                                                  \
        SHARED(uint32_t, bins, BINS *SS_THREADS_watched_##name / TEAM);               \
        team<TEAM> t;                                                                 \
        run r;                                                                        \
                                                                                      \
        if (my_run(a.s, scratch, t, r))                                               \
            softmax_rows<true, TEAM, N>(a.s, t, r, bins + threadIdx.x / TEAM * BINS); \
    }
SOFTMAX(warp, 32, 2)
SOFTMAX(block, 256, 4)
SOFTMAX(any, 256, 0)

// ---- gradient ----

// P, and dL = P (dP - rowsum(P dP)) in place of dP
template <int TEAM, int N>
__device__ static void dsoftmax_rows(const ss_cuda_softmax &s, team<TEAM> &t, const run &r)
{
    watch none;

    for (int i = 0; i < r.rows; i++) {
        const int64_t at = (r.unit * s.rows + r.first + i) * s.pitch;
        cells<TEAM, N> p(s.l + at, s.keys, t.rank), d(s.dp + at, s.keys, t.rank);
        float dot = 0, no = 0;

        p.load(-INFINITE);
        d.load(0);
        const float left = softmax<false>(p, t, s, addends_of(s, r.unit, r.first + i), i, none);
        p.beside(d, [&](float &x, float &dx) {
            x *= left;
            dx = round_f32(s.gradients_to, dx);
            dot = fmaf(x, dx, dot);
        });
        t.sum(dot, no);
        p.beside(d, [&](float &x, float &dx) { dx = round_f32(s.gradients_to, x * (dx - dot)); });
        p.store();
        d.store();
    }
}

#define DSOFTMAX(name, TEAM, N)                \
    KERNEL(dsoftmax_##name)                    \
    {                                          \
        SHARED(float, scratch, 128);           \
        team<TEAM> t;                          \
        run r;                                 \
                                               \
        if (my_run(a.s, scratch, t, r))        \
            dsoftmax_rows<TEAM, N>(a.s, t, r); \
    }
DSOFTMAX(warp, 32, 2)
DSOFTMAX(block, 256, 4)
DSOFTMAX(any, 256, 0)
