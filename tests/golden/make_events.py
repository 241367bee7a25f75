"""Writes tests/golden/events.inc: the bytes of a small event file, made by TensorBoard's own code.

tensorboard 2.21.0; a version event and a scalar, as tests/test_events.c writes them.
"""
import io
import pathlib

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Kept(io.BytesIO):
    def close(self):
        pass


events = [
    Event(wall_time=1.5, file_version="brain.Event:2"),
    Event(wall_time=2.5, step=300,
          summary=Summary(value=[Summary.Value(tag="loss", simple_value=0.125)])),
]
out = Kept()
writer = RecordWriter(out)
for event in events:
    writer.write(event.SerializeToString())
writer.flush()
data = out.getvalue()
lines = [", ".join(str(b) for b in data[i:i + 20]) for i in range(0, len(data), 20)]
path = pathlib.Path(__file__).with_name("events.inc")
path.write_text(",\n".join(lines) + "\n")
