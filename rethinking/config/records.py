"""Configs as files hold them, those of earlier versions too."""

import functools
import json
import sys
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from rethinking.config import fields


def plain(config: ConfigDict) -> dict[str, Any]:
  """Returns a config as JSON gives it back: lists for tuples.

  Args:
    config: resolved.
  """
  return json.loads(json.dumps(config.to_dict()))


@functools.cache
def _say(name: str, old: str, new: str) -> None:
  print(f"note: {name}={old} is called {new} now.", file=sys.stderr)


def _value(name: str, value: Any, say: bool) -> Any:
  """A field's value, or several of an axis, by today's names."""
  if isinstance(value, list | tuple):
    return type(value)(_value(name, one, say) for one in value)
  new = fields.RENAMED.get(name, {})
  if not isinstance(value, str) or value not in new:
    return value
  if say:
    _say(name, value, new[value])
  return new[value]


def renamed(config: Mapping[str, Any], *, say: bool = False) -> dict[str, Any]:
  """Returns a config whose values, and those of its grids, have today's names.

  Args:
    config: any fields.
    say: print a note on stderr for each old name, once in a process.
  """
  return {
    name: renamed(value, say=say)
    if isinstance(value, Mapping)
    else _value(name, value, say)
    for name, value in config.items()
  }


def rename(config: ConfigDict) -> None:
  """Gives a config's values today's names, and says so.

  Args:
    config: changed in place; may be locked.
  """
  old = config.to_dict()
  new = renamed(old, say=True)
  config.update({name: new[name] for name in old if new[name] != old[name]})


def recorded(config: Mapping[str, Any]) -> dict[str, Any]:
  """Reads a config that any version wrote: today's names, absent fields too.

  Args:
    config: of a config.json, or of a row of results.jsonl.
  """
  c = renamed(config)
  experiment = c.get("experiment")
  for row in fields.TABLE:
    ours = experiment in ("train", "sweep") or "common" in row.flags
    # Options were once a mapping, which is empty where there are none.
    if row.absent is not ... and ours and c.get(row.name, {}) == {}:
      # What a recipe fills in, a sweep leaves to its cells.
      empty = experiment == "sweep" and row.initial is None
      c[row.name] = None if empty else row.absent
  if experiment != "sweep":
    own = [name for name in fields.SEEDS if c.get(name, ...) is None]
    c |= dict.fromkeys(own, c.get("seed"))
  return c


def recorded_row(row: Mapping[str, Any]) -> dict[str, Any]:
  """Reads a row of results.jsonl that any version wrote.

  Args:
    row: a JSON object, perhaps not a row at all.
  """
  found = dict(row)
  if isinstance(row.get("config"), Mapping):
    found["config"] = recorded(row["config"])
  if isinstance(row.get("figure"), str):
    found["figure"] = _value("variant", row["figure"], False)
  if isinstance(row.get("cell"), str):
    # A cell is called after its values, see rethinking.sweeps.grid.
    new = {
      f"{prefix}{old}": f"{prefix}{name}"
      for field, names in fields.RENAMED.items()
      for old, name in names.items()
      for prefix in ("", field)
    }
    parts = row["cell"].split("-")
    found["cell"] = "-".join(new.get(part, part) for part in parts)
  return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Names the fields in which two configs differ, and so might their numbers.

  Args:
    old: a config as read from config.json, of any version.
    new: a config, from `plain`.

  Returns:
    Lines "field: old -> new", empty if the configs describe the same run.
  """
  missing = object()
  old, new = recorded(old), recorded(new)
  return [
    f"{k}: {old.get(k)!r} -> {new.get(k)!r}"
    for k in sorted({*old, *new} - {*fields.flagged("resume")})
    if old.get(k, missing) != new.get(k, missing)
  ]
