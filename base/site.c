/* site.c - see site.h */
#include "base/site.h"

const char *ss_port_name(ss_port p)
{
#define X(name, text) [SS_PORT_##name] = text,
    static const char *const names[] = {SS_PORTS(X)};
#undef X
    return names[p];
}

const char *ss_inner_name(ss_inner k)
{
#define X(name, text) [SS_INNER_##name] = text,
    static const char *const names[] = {SS_INNERS(X)};
#undef X
    return names[k];
}
