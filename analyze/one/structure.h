/* structure.h - which line of the network's structure a module of a run is on
 *
 * A run file of layout 1.3 has the list of what in the network lets activations grow
 * (ss_run.structure; models/structure.h says how it is made). A module is linked to a line:
 *
 *   1. that names it: the first such line, and lines come by kind, attention without norm first
 *   2. that names what is directly in it: up_blocks.0.upsamplers.0, whose conv is named
 *   3. that names what it is in, the nearest: up_blocks.0.resnets.0.conv1, whose block adds up
 *
 * or to none: a block of several layers is no place, and the output of a norm is on no line. The
 * link says how the network is built there, not that this is the cause.
 */
#ifndef SS_ANALYZE_STRUCTURE_H
#define SS_ANALYZE_STRUCTURE_H

#include "analyze/one/sites.h"

typedef enum { SS_LINK_NONE, SS_LINK_NAMED, SS_LINK_CONTAINS, SS_LINK_INSIDE } ss_structure_link;

/* The index of the line, and how the module is linked to it; -1 and SS_LINK_NONE without. how may
 * be NULL. */
int ss_structure_find(const ss_run *r, const char *module, ss_structure_link *how);

/* A sentence of a module: its line, why that lets activations grow, and the key; ss_free. NULL
 * where the file has no list (or out of memory): then nothing is known. A module that is on no line
 * gets a sentence that says so. */
char *ss_structure_say(const ss_run *r, const char *module);

/* The modules that a run's findings are about, each once: indices into ss_run.modules. */
enum { SS_STRUCTURE_ASKED = 8 };
typedef struct {
    int module[SS_STRUCTURE_ASKED], n;
} ss_structure_asked;

/* Adds the module of a site, unless it is there; beyond SS_STRUCTURE_ASKED nothing is added. */
void ss_structure_ask(ss_structure_asked *a, ss_site s);
#endif
