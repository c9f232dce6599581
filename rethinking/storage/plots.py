"""Figures as files, PNG and SVG, in one style."""

import contextlib
import io
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from etils import epath

from rethinking.storage import files

# Okabe and Ito's palette: distinct with any colour vision, and in grey by
# the line styles that go with it.
COLOURS = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000".split()
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), "-")

_LOCK = threading.RLock()


def figure(
  rows: int, columns: int, size: tuple[float, float], into: Any = None
):
  """Returns a Matplotlib figure and its axes, with no window behind it.

  Args:
    rows: of axes.
    columns: of axes.
    size: width and height, inches.
    into: a part of another figure, from `sheet`, to draw in instead.
  """
  fig = sheet(1, size)[0] if into is None else into
  axes = fig.subplots(rows, columns, squeeze=False)
  for ax in axes.flat:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.5)
  return fig, axes


def sheet(parts: int, size: tuple[float, float]):
  """Returns a Matplotlib figure, and with several parts these, side by side.

  Args:
    parts: how many.
    size: width and height of all, inches.
  """
  # Imported here: a run without plots need not wait for it.
  from matplotlib.figure import Figure

  fig = Figure(figsize=size, layout="constrained")
  return fig, fig.subfigures(1, parts) if parts > 1 else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps to itself what is wrong with a matplotlibrc that is not used."""
  logger = logging.getLogger("matplotlib")
  level = logger.level
  logger.setLevel(logging.CRITICAL)
  try:
    yield
  finally:
    logger.setLevel(level)


@contextlib.contextmanager
def _own_style() -> Iterator[None]:
  try:
    from matplotlib import style
  # MPLBACKEND or a matplotlibrc that it cannot read: what draws fails likewise.
  except Exception:  # noqa: BLE001
    yield
  else:
    with style.context("default"):
      yield


@contextlib.contextmanager
def drawing(what: str) -> Iterator[None]:
  """Draws as this package does, whatever the user's matplotlibrc says.

  What fails in it is a warning: a picture is not worth a run.

  Args:
    what: is drawn, for the warning.
  """
  try:
    # The settings are the whole process's: runs in threads take turns.
    with _LOCK, _quiet(), _own_style():
      yield
  # Fonts, formats, LaTeX: Matplotlib raises anything.
  except Exception as error:  # noqa: BLE001
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    warnings.warn(
      f"{what} cannot be drawn ({reason}); the numbers are complete.",
      stacklevel=3,
    )


def save(
  fig, path: epath.Path, dpi: int = 120, about: str | None = None
) -> list[str]:
  """Writes a figure as PNG and SVG, local or gs://.

  Args:
    fig: from `figure`.
    path: without an ending.
    dpi: dots per inch, for PNG.
    about: what the files say of it in their metadata.

  Returns:
    The names of the files.
  """
  import matplotlib

  names = [f"{path.name}.png", f"{path.name}.svg"]
  for name in names:
    buffer = io.BytesIO()
    form = name.rpartition(".")[2]
    # No date inside, and ids of the name's own: the same numbers give the same
    # file.
    metadata = {"Description": about} if about else {}
    if form == "svg":
      metadata["Date"] = None
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
      fig.savefig(buffer, format=form, dpi=dpi, metadata=metadata)
    files.replace(path.parent / name, buffer.getvalue())
    # The layout is found: finding it again would take as long as drawing.
    fig.set_layout_engine("none")
  return names
