"""Figures as files, PNG and SVG, in one style."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator

from etils import epath

from rethinking.storage import files

# Okabe and Ito's palette: distinct with any colour vision, and in grey by
# the line styles that go with it.
COLOURS = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000".split()
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), "-")

_LOCK = threading.RLock()


def figure(rows: int, columns: int, size: tuple[float, float]):
  """Returns a Matplotlib figure and its axes, with no window behind it.

  Args:
    rows: of axes.
    columns: of axes.
    size: width and height, inches.
  """
  # Imported here: a run without plots need not wait for it.
  from matplotlib.figure import Figure

  fig = Figure(figsize=size, layout="constrained")
  axes = fig.subplots(rows, columns, squeeze=False)
  for ax in axes.flat:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.5)
  return fig, axes


@contextlib.contextmanager
def drawing(what: str) -> Iterator[None]:
  """Draws as this package does, whatever the user's matplotlibrc says.

  What fails in it is a warning: a picture is not worth a run.

  Args:
    what: is drawn, for the warning.
  """
  try:
    # The settings are the whole process's: runs in threads take turns.
    with _LOCK:
      from matplotlib import style

      with style.context("default"):
        yield
  # Fonts, formats, LaTeX: Matplotlib raises anything.
  except Exception as error:  # noqa: BLE001
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    warnings.warn(
      f"{what} cannot be drawn ({reason}); the numbers are complete.",
      stacklevel=3,
    )


def save(fig, path: epath.Path, dpi: int = 120) -> None:
  """Writes a figure, in the format of the path's ending, local or gs://.

  Args:
    fig: from `figure`.
    path: ends in .png or .svg.
    dpi: dots per inch, for PNG.
  """
  import matplotlib

  buffer = io.BytesIO()
  # No date inside, and ids of the name's own: the same numbers give the same
  # file.
  metadata = {"Date": None} if path.suffix == ".svg" else None
  with matplotlib.rc_context({"svg.hashsalt": path.stem}):
    fig.savefig(buffer, format=path.suffix[1:], dpi=dpi, metadata=metadata)
  files.replace(path, buffer.getvalue())
