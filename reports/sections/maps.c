/* maps.c - see maps.h */
#include "reports/sections/maps.h"

#include "base/mem.h"

#include <limits.h>
#include <math.h>

/* Tokens are positions in row-major order; their grid has the input's aspect. */
static bool grid_of_tokens(ss_run *r, int64_t tokens, int *h, int *w)
{
    ss_run_shape x;
    double aspect = 1;

    if (ss_run_has_pictures(r, "/inputs/x", &x) && x.rank == 3 && x.dim[0] > 0 && x.dim[1] > 0)
        aspect = (double)x.dim[0] / (double)x.dim[1];
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
        if (m->shape.rank == 3) {
            m->h = (int)m->shape.dim[0];
            m->w = (int)m->shape.dim[1];
            m->c = m->shape.dim[2];
            found = true;
        } else if (m->shape.rank == 2) {
            m->c = m->shape.dim[1];
            found = grid_of_tokens(r, m->shape.dim[0], &m->h, &m->w);
        }
        found = found && m->h > 1 && m->w > 1;
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

    for (int64_t i = 0; i < (int64_t)m->h * m->w && rc == SS_OK; i++) {
        double sum = 0;

        for (int64_t k = 0; k < m->c; k++)
            sum += (double)room[i * m->c + k] * room[i * m->c + k];
        map[i] = (float)sqrt(sum / (double)m->c);
    }
    return rc;
}
