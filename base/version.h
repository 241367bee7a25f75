/* version.h - the version, in one place */
#ifndef SS_BASE_VERSION_H
#define SS_BASE_VERSION_H

#define SS_VERSION "0.1.0"
#define SS_VERSION_DATE "2026-11-25" /* when its manual page was last changed */

#endif
