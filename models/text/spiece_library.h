/* spiece_library.h - the few calls of libsentencepiece that spiece.c makes, from C
 *
 * No exception leaves them. Messages are cut to the room that there is.
 */
#ifndef SS_MODELS_TEXT_SPIECE_LIBRARY_H
#define SS_MODELS_TEXT_SPIECE_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Outcome of a call; where it failed, `why` says what the library says. */
typedef enum { SS_SPIECE_OK, SS_SPIECE_NO_MEMORY, SS_SPIECE_FAILED } ss_spiece_result;

ss_spiece_result ss_spiece_library_open(const void *bytes, size_t n, void **model, char *why,
                                        size_t room);
void ss_spiece_library_close(void *model); /* NULL is fine */

/* Calls add(arg, id) for each piece of the text. */
ss_spiece_result ss_spiece_library_encode(const void *model, const char *text, size_t n,
                                          void (*add)(void *arg, int id), void *arg, char *why,
                                          size_t room);

#ifdef __cplusplus
}
#endif

#endif
