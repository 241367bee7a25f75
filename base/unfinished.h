/* unfinished.h - temporary files and folders that a signal must not leave
 *
 * Whoever fills a temporary lists it here until it has its name or is deleted. When the program is
 * told to end at once, another thread deletes all that is listed. So a temporary is given its name
 * in between hold and let_go, where nothing is deleted:
 *
 *   ss_unfinished_add(tmp);
 *   ...                                // fill it
 *   ss_unfinished_hold();
 *   rename(tmp, path);
 *   ss_unfinished_let_go(tmp);
 */
#ifndef SS_BASE_UNFINISHED_H
#define SS_BASE_UNFINISHED_H

/* Lists a path. At most 16 are; longer ones than PATH_MAX and more are left to their owners. */
void ss_unfinished_add(const char *path);

/* Waits for, and holds off, other holders and the deletion. Not to be nested. */
void ss_unfinished_hold(void);
/* Ends that, and takes path off the list; one that is not on it is fine. */
void ss_unfinished_let_go(const char *path);

/* Takes path off the list. */
void ss_unfinished_drop(const char *path);

/* Deletes what is listed, in a process that ends after it: whoever holds or drops afterwards waits
 * forever. */
void ss_unfinished_delete(void);

#endif
