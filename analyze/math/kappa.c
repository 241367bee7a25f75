/* kappa.c - see kappa.h */
#include "analyze/math/kappa.h"

#include <math.h>

static ss_agreement agreement(int items, double raw, double chance)
{
    const ss_agreement none = {0, NAN, NAN};

    return items ? (ss_agreement){items, raw, chance < 1 ? (raw - chance) / (1 - chance) : NAN}
                 : none;
}

ss_agreement ss_fleiss_kappa(const int *count, int n, int categories)
{
    double share[SS_KAPPA_CATEGORIES] = {0}, all = 0, raw = 0, chance = 0;
    int items = 0;

    for (int i = 0; i < n; i++) {
        const int *c = count + i * categories;
        double judges = 0, pairs = 0;

        for (int j = 0; j < categories; j++) {
            judges += c[j];
            pairs += (double)c[j] * (c[j] - 1);
        }
        if (judges < 2)
            continue;
        items++;
        raw += pairs / (judges * (judges - 1));
        all += judges;
        for (int j = 0; j < categories; j++)
            share[j] += c[j];
    }
    for (int j = 0; j < categories && items; j++)
        chance += share[j] / all * (share[j] / all);
    return agreement(items, raw / items, chance);
}

ss_agreement ss_cohen_kappa(const int *a, const int *b, int n, int categories)
{
    double p[SS_KAPPA_CATEGORIES] = {0}, q[SS_KAPPA_CATEGORIES] = {0}, same = 0, chance = 0;
    int items = 0;

    for (int i = 0; i < n; i++) {
        if (a[i] < 0 || b[i] < 0)
            continue;
        items++;
        p[a[i]]++;
        q[b[i]]++;
        same += a[i] == b[i];
    }
    for (int j = 0; j < categories && items; j++)
        chance += p[j] / items * (q[j] / items);
    return agreement(items, same / items, chance);
}
