"""Scalars for TensorBoard, in its own event files, without TensorFlow.

The records are tensorboardX's; its writer is not: that reaches gs:// with a
client of its own alone, holds events back for up to two minutes in a queue, and
begins a file at each resume, which leaves the steps that a resumed run takes
again (and a torn end, behind which nothing is read) to the reader to skip.
"""

import struct
import time
import warnings
from collections.abc import Iterator, Mapping

from etils import epath

from rethinking.storage import files, reading

# A thousand times what a run of a thousand evaluations writes.
_MOST_BYTES = 2**30
# One name, so that a resumed run continues the same file: TensorBoard reads
# every file of a folder, and two with the same steps draw the curve twice.
_NAME = "events.out.tfevents.0.rethinking"


class Events:
  """Appends scalars to a TensorBoard event file.

  Args:
    folder: where TensorBoard looks (`tensorboard --logdir=FOLDER`); made if
      missing.
    last_step: a resumed run's step: what was written after it is dropped, as
      is a torn end. -1 begins anew, as a file that cannot be read does, which
      is a warning.
  """

  def __init__(self, folder: epath.PathLike, last_step: int = -1):
    # Not at the top: the import is slow, and slower where PyTorch is there.
    from tensorboardX.proto import event_pb2
    from tensorboardX.record_writer import masked_crc32c

    self._sum = masked_crc32c
    self._event = event_pb2.Event
    folder = epath.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    self._path = folder / _NAME
    events = [(body, self._event.FromString(body)) for body in self._bodies()]
    kept = [
      self._record(body)
      for body, event in events
      if event.HasField("summary") and event.step <= last_step
    ]
    first = self._event(wall_time=time.time(), file_version="brain.Event:2")
    files.replace(
      self._path, b"".join([self._record(first.SerializeToString()), *kept])
    )

  def _record(self, data: bytes) -> bytes:
    """`data` framed as a TFRecord: length, its sum, the data, its sum."""
    size = struct.pack("<Q", len(data))
    size_sum, data_sum = (struct.pack("<I", self._sum(x)) for x in (size, data))
    return size + size_sum + data + data_sum

  def _bodies(self) -> Iterator[bytes]:
    """The intact records at the start of the file, without their frames."""
    try:
      data = reading.read(self._path, _MOST_BYTES)
    except FileNotFoundError:
      return
    except (OSError, ValueError) as error:
      reason = getattr(error, "strerror", None) or error
      warnings.warn(f"'{self._path}' begins anew: {reason}.", stacklevel=4)
      return
    start = 0
    while len(data) >= start + 12:
      (size,) = struct.unpack_from("<Q", data, start)
      body = data[start + 12 : start + 12 + size]
      if data[start : start + 16 + size] != self._record(body):
        return
      yield body
      start += 16 + size

  def append(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes one event with a value for each name, on disk when it returns.

    Args:
      step: the training step.
      scalars: values by TensorBoard tag.

    Raises:
      OSError: it could not be written; the file is as it was.
    """
    values = [{"tag": t, "simple_value": float(x)} for t, x in scalars.items()]
    summary = {"value": values}
    event = self._event(wall_time=time.time(), step=step, summary=summary)
    files.append(self._path, self._record(event.SerializeToString()))
