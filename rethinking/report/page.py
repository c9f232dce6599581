"""index.html: what a workdir holds, as one page that needs nothing else."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from rethinking import __version__
from rethinking.report import gallery
from rethinking.storage import files, jsonl, plots, reading

NAME = "index.html"
_MOST_BYTES = 2**26
# Pictures with more come without: the page stays small enough for a phone.
_MOST_PICTURES = 1_000_000
_TEXTS = (
  "label_issues.md",
  "table.md",
  "memorization.md",
  "claims.md",
)
_RESULTS = {
  "train_accuracy": "train accuracy",
  "train_accuracy_unchanged": "train accuracy, label unchanged",
  "train_accuracy_changed": "train accuracy, label changed",
  "changed_predicted_true": "changed labels seen through",
  "test_accuracy": "test accuracy",
}


class Block(NamedTuple):
  """A part of a text.

  Attributes:
    kind: heading, text, list or table.
    level: of a heading.
    lines: its texts.
    rows: of a table, the titles first.
  """

  kind: str
  level: int = 0
  lines: Sequence[str] = ()
  rows: Sequence[Sequence[str]] = ()


def write(workdir: epath.PathLike) -> list[str]:
  """Writes index.html of a finished workdir, from the files in it alone.

  Args:
    workdir: the folder of a run, a sweep or a theory experiment.

  Returns:
    The name of the file; nothing where it cannot be written, which is a
    warning.
  """
  folder = files.workdir(workdir)
  with plots.drawing(NAME):
    files.replace(folder / NAME, render([folder]).encode())
    return [NAME]
  return []


def render(
  folders: Sequence[epath.Path],
  table: str = "",
  picture: epath.Path | None = None,
) -> str:
  """Returns the page of some workdirs.

  Args:
    folders: at least one.
    table: Markdown that comes first, on all of them.
    picture: a PNG that comes with it.
  """
  # Imported here: a mistyped flag need not wait.
  import jinja2

  environment = jinja2.Environment(
    loader=jinja2.PackageLoader("rethinking.report", ""),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  runs = [_run(folder) for folder in folders]
  title = runs[0]["title"] if len(runs) == 1 else f"{len(runs)} workdirs"
  return environment.get_template("page.html.j2").render(
    title=title,
    runs=runs,
    together=[*blocks(table)] if table else [],
    picture=_base64(picture) if picture else None,
    version=__version__,
  )


def _run(folder: epath.Path) -> dict[str, Any]:
  config = _json(folder / "config.json")
  summary = _json(folder / "summary.json")
  shown = gallery.of(folder, config)
  sprite = shown.pop("sprite", None) if shown else None
  return {
    "name": folder.name,
    "title": _title(config),
    "sentence": _sentence(folder, config, summary),
    "results": _results(summary),
    "texts": [
      (name, [*blocks(reading.read(folder / name, _MOST_BYTES).decode())])
      for name in _TEXTS
      if (folder / name).exists()
    ],
    "pictures": [*_pictures(folder)],
    "gallery": shown,
    "sprite": base64.b64encode(sprite).decode() if sprite else None,
    "made": _made(folder, config, summary),
    "config": {k: v for k, v in config.items() if v is not None},
  }


def _base64(path: epath.Path) -> str:
  return base64.b64encode(reading.read(path, _MOST_BYTES)).decode()


def _json(path: epath.Path) -> Mapping[str, Any]:
  return reading.read_json(path) if path.exists() else {}


def _title(config: Mapping[str, Any]) -> str:
  words = str(config.get("variant", config.get("experiment", "Results")))
  of = config.get("dataset")
  return words.replace("_", " ").capitalize() + (f" on {of}" if of else "")


def _sentence(
  folder: epath.Path, config: Mapping[str, Any], summary: Mapping[str, Any]
) -> str:
  issues = folder / "label_issues.md"
  if issues.exists():
    for block in blocks(reading.read(issues, _MOST_BYTES).decode()):
      if block.kind == "list":
        # What is estimated, and why not to believe it.
        return " ".join(
          line
          for k, line in enumerate(block.lines)
          if k == 0 or "may be inverted" in line
        )
  # Of a theory experiment there may be neither.
  if "arch" in config and summary.get("test_accuracy") is not None:
    seen = f"{config['arch']} fits {_percent(summary['train_accuracy'])} of "
    seen += "its train labels"
    if summary.get("train_accuracy_changed") is not None:
      share = _percent(summary["train_accuracy_changed"])
      seen += f", {share} of the changed ones,"
    right = _percent(summary["test_accuracy"])
    return f"{seen} and is right on {right} of the test set."
  if "cells" in summary:
    return (
      f"{summary['cells']} runs, {summary.get('finished', 0)} of them finished."
    )
  return "What was measured is in the tables below."


def _percent(value: float) -> str:
  return f"{100 * value:.1f} %"


def _results(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
  return [
    (words, _percent(summary[name]))
    for name, words in _RESULTS.items()
    if summary.get(name) is not None
  ]


def _made(
  folder: epath.Path, config: Mapping[str, Any], summary: Mapping[str, Any]
) -> list[tuple[str, str]]:
  runs, path = [summary], folder / "results.jsonl"
  if "device" not in summary and path.exists():
    # A sweep's runs say it each for itself, on whatever machine they were.
    runs = jsonl.parse(path, jsonl.read(path)[0])
  found: dict[str, dict[str, None]] = {}
  for run in runs:
    for words, value in _made_by(run).items():
      if value:
        found.setdefault(words, {})[str(value)] = None
  if config.get("data"):
    found["data at"] = {str(config["data"]): None}
  return [(words, "; ".join(values)) for words, values in found.items()]


def _made_by(summary: Mapping[str, Any]) -> dict[str, Any]:
  versions = summary.get("versions") or {}
  source = summary.get("data_source") or {}
  hardware = [summary.get("device"), summary.get("processor")]
  return {
    "rethinking": summary.get("rethinking"),
    "commit": summary.get("git_commit"),
    "Python": summary.get("python"),
    "versions": ", ".join(f"{k} {v}" for k, v in versions.items()),
    "hardware": ", ".join(str(one) for one in hardware if one),
    "data": "; ".join(f"{k}: {v}" for k, v in source.items()),
  }


def _pictures(folder: epath.Path) -> Iterator[tuple[str, str]]:
  left = _MOST_PICTURES
  deeper = sorted((folder / "memorization").glob("*/*.png"))
  for path in [*sorted(folder.glob("*.png")), *deeper]:
    # It is of several runs, not of this one.
    if path.stem == "comparison":
      continue
    content = reading.read(path, _MOST_BYTES)
    if len(content) <= left:
      left -= len(content)
      level = f"{path.parent.name}: " if path.parent != folder else ""
      yield (
        level + path.stem.replace("_", " "),
        base64.b64encode(content).decode(),
      )


def blocks(text: str) -> Iterator[Block]:
  """Reads the Markdown that this package writes: no more than that.

  Args:
    text: headings, paragraphs, lists of one level, tables.

  >>> [block.kind for block in blocks("# A\\n\\n- b\\n- c\\n\\nd\\n")]
  ['heading', 'list', 'text']
  """
  for part in re.split(r"\n\s*\n", text.strip()):
    lines = part.splitlines()
    if lines and lines[0].startswith("#"):
      marks, _, words = lines.pop(0).partition(" ")
      yield Block("heading", len(marks), [words])
    if not lines:
      continue
    if all(line.startswith("|") for line in lines):
      rows = [[c.strip() for c in x.strip("|").split(" | ")] for x in lines]
      yield Block("table", rows=[rows[0], *rows[2:]])
    elif all(line.startswith("- ") for line in lines):
      yield Block("list", lines=[line[2:] for line in lines])
    else:
      yield Block("text", lines=[" ".join(lines)])
