/* events.h - TensorBoard event files
 *
 * A file of records, each of them
 *
 *   bytes 0..7     n, little-endian u64
 *   bytes 8..11    masked CRC-32C of those 8 bytes, little-endian
 *   bytes 12..     n bytes: a protocol buffer of type Event
 *   the last 4     masked CRC-32C of those n bytes
 *
 * with masked(c) = rotate_right(c, 15) + 0xa282ead8. The first event says "brain.Event:2". The
 * messages and their fields that are written:
 *
 *   Event           wall_time = 1 (double), step = 2, file_version = 3, summary = 5
 *   Summary         value = 1, repeated
 *   Summary.Value   tag = 1, simple_value = 2 (float); of a text tensor = 8, metadata = 9
 *   TensorProto     dtype = 1 (7: string), tensor_shape = 2, string_val = 8
 *   SummaryMetadata plugin_data = 1, whose plugin_name = 1 is "text"
 *
 *   ss_events *ev;
 *   rc = ss_events_open("runs/baseline", now, &ev, &err);
 *   rc = ss_events_scalar(ev, now, step, "loss", 0.13, &err);
 *   rc = ss_events_close(ev, &err);
 *
 * Sources: tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto,
 * tensorflow/core/framework/summary.proto; CRC-32C: Castagnoli et al. 1993, RFC 3720 B.4.
 */
#ifndef SS_TRAIN_EVENTS_H
#define SS_TRAIN_EVENTS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ss_events ss_events;

/* Makes FOLDER (its parent must exist) and in it events.out.tfevents.SECONDS.PID, a new file each
 * time: TensorBoard shows the files of a folder as one run, so a resumed training goes on in the
 * same curves. wall_time: seconds since 1970, for this and for every event. */
ss_code ss_events_open(const char *folder, double wall_time, ss_events **ev, ss_err *e);

/* One number of a step. */
ss_code ss_events_scalar(ss_events *ev, double wall_time, int64_t step, const char *tag,
                         double value, ss_err *e);

/* A text of a step, shown under TEXT. */
ss_code ss_events_text(ss_events *ev, double wall_time, int64_t step, const char *tag,
                       const char *text, ss_err *e);

/* Hands what was written to the system, so that a running TensorBoard sees it. Where that fails
 * (a full disk), what was written since the last flush is taken back as far as it came, so that no
 * half record ends the file. */
ss_code ss_events_flush(ss_events *ev, ss_err *e);

/* Ends the file and frees ev, also on failure. NULL is fine. */
ss_code ss_events_close(ss_events *ev, ss_err *e);

/* CRC-32C of n bytes: 0xe3069283 of "123456789". */
uint32_t ss_crc32c(const void *data, size_t n);

#endif
