"""Values kept in JSON files beside the tests that compare with them."""

import hashlib
import json
import os
import pathlib
import platform
import re

import jaxlib
import numpy as np

_HERE = pathlib.Path(__file__).resolve().parent
ROOT = _HERE.parents[1]


def machine() -> str:
  """What the last bits of a program depend on: jaxlib, processor, cores."""
  try:
    text = pathlib.Path("/proc/cpuinfo").read_text()
  except OSError:
    text = platform.processor()
  about = sorted(set(re.findall(r"^(?:model|cpu family|flags).*", text, re.M)))
  kind = hashlib.sha256("\n".join(about).encode()).hexdigest()[:12]
  return f"jaxlib {jaxlib.__version__}, {os.cpu_count()} cores of {kind}"


class _Value:
  def __init__(self, path, name, write):
    self._path, self._name, self._write = path, name, write
    text = path.read_text() if path.exists() else "{}"
    self._all = json.loads(text)

  @property
  def kept(self):
    return self._all.get(self._name)

  def exactly(self, found):
    """Compares with the kept value, or keeps what was found."""
    if self._write:
      self._keep(found)
    assert self.kept is not None, f"{self._name} is not in {self._path.name}"
    assert json.loads(json.dumps(found)) == self.kept

  def closely(self, found, digest, rtol=0.0, atol=0.0):
    """Compares numbers; to the bit where this machine's bits were kept."""
    kept = dict(self.kept or {})
    digests = kept.get("digests", {})
    if self._write:
      kept.setdefault("values", found)
      digests[machine()] = digest
      self._keep({"values": kept["values"], "digests": digests})
    assert kept, f"{self._name} is not in {self._path.name}"
    np.testing.assert_allclose(found, kept["values"], rtol, atol)
    assert digest == digests.get(machine(), digest)

  def _keep(self, value):
    self._all[self._name] = value
    lines = [
      f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(self._all.items())
    ]
    self._path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def golden(request, file: str, name: str) -> _Value:
  """Returns the kept value of a name.

  Args:
    request: pytest's, for --golden=write.
    file: of the JSON file, without its ending.
    name: in it.
  """
  write = request.config.getoption("--golden") == "write"
  return _Value(_HERE / f"{file}.json", name, write)
