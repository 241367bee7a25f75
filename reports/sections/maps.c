/* maps.c - see maps.h */
#include "reports/sections/maps.h"

#include "base/mem.h"

#include <limits.h>
#include <math.h>

/* Tokens are positions in row-major order; their grid has the input's aspect. */
static bool grid_of_tokens(ss_run *r, int64_t tokens, int *h, int *w)
{
    ss_run_shape x;
    ss_sample_size size;
    double aspect = 1;

    if (ss_run_has_pictures(r, "/inputs/x", &x) && ss_sample_size_of(x.rank, x.dim, &size))
        aspect = (double)size.height / size.width;
    *h = (int)lround(sqrt((double)tokens * aspect));
    if (*h < 1 || tokens % *h != 0)
        return false;
    *w = (int)(tokens / *h);
    return fabs((double)*h / *w - aspect) <= 0.01 * aspect;
}

bool ss_map_find(ss_run *r, int module, ss_map_source *m)
{
    bool found = false;

    *m = (ss_map_source){.module = module, .set = ss_run_activation_set(r->modules[module])};
    if (m->set && ss_run_has_pictures(r, m->set, &m->shape) && m->shape.n > 0 &&
        m->shape.n < INT_MAX) {
        found = ss_sample_size_of(m->shape.rank, m->shape.dim, &m->size);
        if (m->shape.rank == 2) {
            m->size.channels = (int)m->shape.dim[1];
            found = grid_of_tokens(r, m->shape.dim[0], &m->size.height, &m->size.width);
        }
        found = found && m->size.height > 1 && m->size.width > 1;
    }
    if (!found)
        ss_map_release(m);
    return found;
}

void ss_map_release(ss_map_source *m)
{
    ss_free(m->set);
    *m = (ss_map_source){0};
}

ss_code ss_map_read(ss_run *r, const ss_map_source *m, int input, int sigma, int sample,
                    float *room, float *map, ss_err *e)
{
    ss_code rc = ss_run_picture(r, m->set, input, sigma, sample, room, e);

    const int c = m->size.channels;

    for (int64_t i = 0; i < ss_sample_pixels(m->size) && rc == SS_OK; i++) {
        double sum = 0;

        for (int k = 0; k < c; k++)
            sum += (double)room[i * c + k] * room[i * c + k];
        map[i] = (float)sqrt(sum / c);
    }
    return rc;
}
