"""One row a corruption: all that the library asks about a name.

A new corruption is an op, a row here and a golden value. What checks it, runs
it over a set, reports on it and makes its op public follows. A row names its
functions, which are imported when they are called: it is read without JAX.
"""

import dataclasses
import importlib
import os
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from rethinking.corruptions.additions import add

# The default of an option that has none.
REQUIRED = object()


@dataclasses.dataclass(frozen=True)
class Named:
  """A function of this package, imported when it is called.

  Attributes:
    module: its file here.
    name: its own.
  """

  module: str
  name: str

  def __call__(self, *args: Any, **kwargs: Any) -> Any:
    module = importlib.import_module(f"rethinking.corruptions.{self.module}")
    return getattr(module, self.name)(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class Definition:
  """What a corruption's name stands for.

  Attributes:
    target: 'labels' or 'images'.
    meaning: its definition and source; `help(corruptions)` has it.
    op: of one example: of labels op(key, label, ..., *, num_classes), of
      images op(key, image, ...).
    has_level: whether it takes a level in [0, 1].
    options: each option's default and check(name, value), which returns the
      value to keep.
    needs: 'images', 'statistics' and 'given_labels', where it looks at them.
    shared: whether all images have one draw, unless `per_image` says no.
    nests: whether an example that is corrupted at a level is corrupted the
      same way at each higher one.
    matrix: matrix([p,] ..., num_classes=K) -> T[true, given] float64 [K, K];
      None where there is none before the data is seen.
    rate: rate(counts, p, ...) -> expected share of changed labels, from how
      many examples each class has, where there is no matrix.
    prepare: prepare(about, [p or level,] ...) -> the function that a program
      runs for one example, form(key, value, **parameters), and its parameters
      by name: numbers and arrays, which are traced. `about` is a
      `prepared.About`. None: of labels only, see `over_set`.
    over_set: of label corruptions that look at the whole set:
      over_set(corruption, key, examples) -> labels int32 [N], drawn bool [N].
    read: of label corruptions that are read from a file, before any work:
      read(labels, ids, num_classes, ...) -> labels, the file's SHA-256.
  """

  target: str
  meaning: str
  op: Callable[..., Any]
  has_level: bool = True
  options: Mapping[str, tuple[Any, Callable[[str, Any], Any]]] = (
    dataclasses.field(default_factory=dict)
  )
  needs: tuple[str, ...] = ()
  shared: bool = False
  nests: bool = False
  matrix: Callable[..., Any] | None = None
  rate: Callable[..., float] | None = None
  prepare: Callable[..., tuple[Callable, Mapping[str, Any]]] | None = None
  over_set: Callable[..., Any] | None = None
  read: Callable[..., Any] | None = None


def _switch(name: str, value: Any) -> bool:
  if not isinstance(value, bool):
    raise ValueError(f"{name} must be True or False, got {value!r}; try False.")
  return value


def _byte(name: str, value: Any) -> int:
  # An array is equal to none and all of them.
  if (
    isinstance(value, bool)
    or hasattr(value, "__len__")
    or value not in range(256)
  ):
    raise ValueError(
      f"{name} must be an integer in 0..255, got {value!r}; try 0."
    )
  return int(value)


def _text(name: str, value: Any) -> str:
  if not isinstance(value, str) or not value:
    raise ValueError(
      f"{name} must be a non-empty string, got {value!r}; try a name."
    )
  return value


def _path(name: str, value: Any) -> str:
  if isinstance(value, os.PathLike):
    value = os.fspath(value)
  return _text(name, value)


def _share(name: str, value: Any) -> float:
  Named("checks", "check_static_rate")(value, name)
  return float(value)


def _matrix(name: str, value: Any) -> tuple[tuple[float, ...], ...]:
  del name
  Named("checks", "check_matrix")(value)
  rows = value.tolist() if hasattr(value, "tolist") else value
  return tuple(tuple(map(float, row)) for row in rows)


def _map(name: str, value: Any) -> str | tuple[Any, ...]:
  del name
  return Named("matrices", "kept_map")(value)


_EXACT = {"exact": (False, _switch)}


def _label(name: str, meaning: str, **options: Any) -> Definition:
  """A row of the labels whose chance is the true class's, by its functions."""
  return Definition(
    "labels",
    meaning,
    Named("labels", name),
    options={**options, **_EXACT},
    prepare=Named("parameters", name),
    nests=True,
    matrix=Named("matrices", f"{name}_matrix"),
  )


def _image(
  meaning: str,
  op: Named,
  prepare: str,
  *,
  options: Mapping[str, Any] | None = None,
  needs: tuple[str, ...] = (),
  **fields: Any,
) -> Definition:
  """A row of the images, a fraction of which may be corrupted."""
  return Definition(
    "images",
    meaning,
    op,
    prepare=Named("parameters", prepare),
    options={"fraction": (1.0, _share), **_EXACT, **(options or {})},
    needs=("images", *needs),
    **fields,
  )


DEFINITIONS: dict[str, Definition] = {
  "uniform": _label(
    "uniform",
    "T = (1-p) I + (p/K) 11^T; only p(K-1)/K of the labels change."
    " Zhang et al. 2017",
  ),
  "symmetric": _label(
    "symmetric",
    "T_ii = 1-p, T_ij = p/(K-1); p of the labels change."
    " Patrini et al. 2017; Han et al. 2018",
  ),
  "pair_flip": _label("pair_flip", "T_i,i+1 mod K = p. Han et al. 2018"),
  "asymmetric": _label(
    "asymmetric",
    "T_i,map(i) = p; map is cifar10, mnist, cifar100 (next in the superclass)"
    ", K labels or {class: label}. Patrini et al. 2017",
    map=(REQUIRED, _map),
  ),
  "transition": Definition(
    "labels",
    "any row-stochastic matrix. Patrini et al. 2017",
    Named("labels", "transition"),
    has_level=False,
    options={"matrix": (REQUIRED, _matrix)},
    prepare=Named("parameters", "transition"),
    matrix=Named("checks", "check_matrix"),
  ),
  "instance": Definition(
    "labels",
    "q_i ~ N(p, 0.1^2) truncated to [0, 1]; with probability q_i a wrong class"
    " from softmax(x_i W[y_i]), x normalised; mean rate 0.08 at p = 0."
    " Xia et al. 2020",
    Named("instance_noise", "instance"),
    options=_EXACT,
    needs=("images", "statistics"),
    nests=True,
    rate=Named("instance_noise", "by_image_rate"),
    over_set=Named("instance_noise", "by_image"),
  ),
  "permutation": Definition(
    "labels",
    "labels permuted among round(p n) random examples; class counts kept."
    " Edgington, Onghena 2007",
    Named("subsets", "permutation"),
    rate=Named("subsets", "permuted_rate"),
    over_set=Named("subsets", "permuted"),
  ),
  "human": Definition(
    "labels",
    "an array of an .npz at path, matched by id, such as CIFAR-10N's."
    " Wei et al. 2022",
    Named("subsets", "human"),
    has_level=False,
    options={"path": (REQUIRED, _path), "array": (REQUIRED, _text)},
    read=Named("human_labels", "read_human"),
  ),
  "given": Definition(
    "labels",
    "the given_labels that a data set brings beside its true ones.",
    Named("subsets", "given"),
    has_level=False,
    needs=("given_labels",),
    over_set=Named("subsets", "as_given"),
  ),
  "shuffled_pixels": _image(
    "one permutation of the positions, the same for train and test."
    " Zhang et al. 2017",
    Named("images", "shuffle_pixels"),
    "shuffled_pixels",
    shared=True,
    has_level=False,
  ),
  "random_pixels": _image(
    "a permutation for each image. Zhang et al. 2017",
    Named("images", "random_shuffle_pixels"),
    "random_pixels",
    has_level=False,
  ),
  "gaussian_pixels": _image(
    "N(mean, variance) of the train images, all values or per_channel=True;"
    " rounded, clipped to 0..255. Zhang et al. 2017",
    Named("gaussian", "random_gaussian_pixels"),
    "gaussian_pixels",
    has_level=False,
    options={"per_channel": (False, _switch)},
    needs=("statistics",),
  ),
  "partial_shuffle": _image(
    "round(level n) positions permuted; one permutation for all, or"
    " per_image=True. Between true images and random pixels",
    Named("images", "random_partial_shuffle"),
    "partial_shuffle",
    shared=True,
    options={"per_image": (False, _switch)},
  ),
  "gaussian_noise": _image(
    "x + round(255 level z), clipped. Hendrycks, Dietterich 2019",
    Named("gaussian", "random_gaussian_noise"),
    "gaussian_noise",
  ),
  "occlusion": _image(
    "a block of value, level times the image's sides, at a random place."
    " DeVries, Taylor 2017",
    Named("images", "random_occlude"),
    "occlusion",
    options={"value": (0, _byte)},
  ),
}


def register(name: str, row: Definition) -> Definition:
  """Adds a corruption: from then on it is a name like the others.

  A corruption of images gets the options `fraction` and `exact`.

  Args:
    name: a new one.
    row: what it stands for.

  Returns:
    The row.

  Raises:
    ValueError: for a name that is taken, and for an op that cannot run in a
      training step: one of images that isn't prepared for it.

  >>> register("uniform", DEFINITIONS["uniform"])
  Traceback (most recent call last):
  ValueError: The corruption must have a new name, got 'uniform'; try another.
  """
  whole = row.target == "labels" and (row.over_set or row.read)
  if row.prepare is None and not whole:
    raise ValueError(
      f"The row of {name!r} must have prepare, or of labels over_set or read, "
      "got none, so no training step can run it; try prepare=..."
    )
  if row.target == "images":
    options = {"fraction": (1.0, _share), **_EXACT, **row.options}
    needs = ("images", *(n for n in row.needs if n != "images"))
    row = dataclasses.replace(row, options=options, needs=needs)
  add("corruption", DEFINITIONS, name, row)
  return row


def listing(target: str) -> str:
  """Returns the definitions of all corruptions of 'labels' or 'images'.

  Args:
    target: of the rows to list.
  """
  width = max(map(len, DEFINITIONS)) + 4
  return "\n".join(
    textwrap.fill(
      row.meaning,
      79,
      initial_indent=f"  {name}".ljust(width),
      subsequent_indent=" " * width,
    )
    for name, row in DEFINITIONS.items()
    if row.target == target
  )
