/* run_part.c - see run_part.h, and what run_layout.h has of it */
#include "runfile/run_part.h"

#include "runfile/h5.h"
#include "runfile/run_layout.h"

bool ss_run_part_share(const ss_run_part *p, int64_t level, int s, int64_t *first, int64_t *end)
{
    const int64_t at = level * s;

    *first = p->first > at ? p->first - at : 0;
    *end = p->end < at + level ? p->end - at : level;
    return *first < *end;
}

int ss_run_part_mark(const ss_run_part *p, int64_t level, int s)
{
    int64_t first, end;

    if (!ss_run_part_share(p, level, s, &first, &end))
        return SS_RUN_NOT_DONE;
    return first == 0 && end == level ? SS_RUN_DONE : SS_RUN_SHARE_DONE;
}

bool ss_run_part_is_whole(const ss_run_part *p)
{
    return p->count == 1;
}

ss_code ss_run_part_read(hid_t file, ss_run_part *p, bool *there, ss_err *e)
{
    int64_t v[SS_RUN_PART_VALUES] = {0};
    ss_code rc = SS_OK;

    *there = H5Aexists(file, SS_RUN_PART) > 0;
    if (!*there)
        return SS_OK;
    hid_t a = H5Aopen(file, SS_RUN_PART, H5P_DEFAULT);
    hid_t type = H5Aget_type(a), space = H5Aget_space(a);

    if (H5Sget_simple_extent_npoints(space) != SS_RUN_PART_VALUES ||
        H5Tget_class(type) != H5T_INTEGER)
        rc = ss_fail(e, SS_FORMAT, "attribute %s is not four whole numbers", SS_RUN_PART);
    else if (H5Aread(a, H5T_NATIVE_INT64, v) < 0)
        rc = ss_h5_fail(e, SS_FORMAT, "attribute %s", SS_RUN_PART);
    else if (v[1] < 1 || v[1] > SS_RUN_MAX_PARTS || v[0] < 0 || v[0] >= v[1] || v[2] < 0 ||
             v[3] < v[2])
        rc =
            ss_fail(e, SS_FORMAT, "attribute %s is %lld of %lld, samples %lld to %lld", SS_RUN_PART,
                    (long long)v[0], (long long)v[1], (long long)v[2], (long long)v[3]);
    else
        *p = (ss_run_part){(int)v[0], (int)v[1], v[2], v[3]};
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(a);
    return rc;
}
