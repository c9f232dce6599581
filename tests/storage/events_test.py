import struct

import pytest
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter

from rethinking.storage.events import Events


@pytest.fixture
def folder(tmp_path):
  return tmp_path / "tensorboard"


def read(events):
  """Every (step, {tag: value}) of the file, read without the writer's code."""
  data = events._path.read_bytes()
  found, start = [], 0
  while start < len(data):
    (size,) = struct.unpack_from("<Q", data, start)
    event = event_pb2.Event.FromString(data[start + 12 : start + 12 + size])
    if event.HasField("summary"):
      values = {v.tag: v.simple_value for v in event.summary.value}
      found.append((event.step, values))
    else:
      assert event.file_version == "brain.Event:2"
    start += 16 + size
  return found


def filled(folder):
  events = Events(folder)
  for step in range(4):
    events.append(step, {"train_loss": 0.5 * step, "epoch": 1})
  return events


EXPECTED = [
  (step, {"train_loss": 0.5 * step, "epoch": 1.0}) for step in range(4)
]


def test_scalars_come_back(folder):
  assert read(filled(folder)) == EXPECTED


def test_a_resumed_run_has_no_step_twice(folder):
  filled(folder)
  events = Events(folder, last_step=1)
  assert read(events) == EXPECTED[:2]
  for step in (2, 3):
    events.append(step, EXPECTED[step][1])
  assert read(events) == EXPECTED


def test_a_new_run_begins_anew(folder):
  filled(folder)
  assert read(Events(folder)) == []


def test_a_torn_or_damaged_event_ends_what_is_kept(folder):
  path = filled(folder)._path
  data = path.read_bytes()
  path.write_bytes(data[:-3])
  assert read(Events(folder, last_step=9)) == EXPECTED[:3]
  path.write_bytes(data[:-20] + b"\xff" + data[-19:])
  assert read(Events(folder, last_step=9)) == EXPECTED[:3]


def test_records_are_framed_as_tensorboardx_frames_them(tmp_path):
  events = Events(tmp_path)
  writer = RecordWriter(str(tmp_path / "reference"))
  writer.write(b"some data")
  writer.close()
  assert (tmp_path / "reference").read_bytes() == events._record(b"some data")


def test_one_file_whatever_the_number_of_resumes(tmp_path):
  for last in (-1, 0, 3):
    Events(tmp_path, last_step=last)
  assert len(list(tmp_path.iterdir())) == 1
