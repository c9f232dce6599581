"""What the label corruptions are on average: T[true, given], and rates."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from rethinking.corruptions.checks import (
  check_integer,
  check_num_classes,
  check_rate,
)

# Krizhevsky (2009): the fine classes of each CIFAR-100 superclass. A fine
# class's label is its position in the alphabet.
_CIFAR100_SUPERCLASSES = (
  "beaver dolphin otter seal whale",
  "aquarium_fish flatfish ray shark trout",
  "orchid poppy rose sunflower tulip",
  "bottle bowl can cup plate",
  "apple mushroom orange pear sweet_pepper",
  "clock keyboard lamp telephone television",
  "bed chair couch table wardrobe",
  "bee beetle butterfly caterpillar cockroach",
  "bear leopard lion tiger wolf",
  "bridge castle house road skyscraper",
  "cloud forest mountain plain sea",
  "camel cattle chimpanzee elephant kangaroo",
  "fox porcupine possum raccoon skunk",
  "crab lobster snail spider worm",
  "baby boy girl man woman",
  "crocodile dinosaur lizard snake turtle",
  "hamster mouse rabbit shrew squirrel",
  "maple_tree oak_tree palm_tree pine_tree willow_tree",
  "bicycle bus motorcycle pickup_truck train",
  "lawn_mower rocket streetcar tank tractor",
)


def _next_in_superclass() -> tuple[int, ...]:
  groups = [sorted(names.split()) for names in _CIFAR100_SUPERCLASSES]
  after = {n: g[(i + 1) % len(g)] for g in groups for i, n in enumerate(g)}
  names = sorted(after)
  return tuple(names.index(after[name]) for name in names)


# The label that each class is mistaken for; itself where it stays clean.
MAPS: dict[str, tuple[int, ...]] = {
  # bird -> airplane, cat <-> dog, deer -> horse, truck -> automobile.
  "cifar10": (0, 1, 0, 5, 7, 3, 6, 7, 8, 1),
  # The next fine class of the same superclass, in a circle.
  "cifar100": _next_in_superclass(),
  # 2 -> 7, 3 -> 8, 5 <-> 6, 7 -> 1.
  "mnist": (0, 1, 7, 8, 4, 6, 5, 1, 8, 9),
}


def flip_map(
  map: str | Sequence[int] | Mapping[int, int] | Sequence[tuple[int, int]],
  num_classes: int | None = None,
) -> tuple[int, ...]:
  """Returns the label that each class is mistaken for.

  Args:
    map: 'cifar10', 'cifar100', 'mnist', K labels in 0..K-1, or {class: label},
      also as pairs, where the other classes keep theirs.
    num_classes: K, or None for as many as the map has.

  Returns:
    K labels.

  Raises:
    ValueError: for an unknown name, a map that isn't of K labels, or one that
      has no order.

  >>> flip_map("mnist", 10)
  (0, 1, 7, 8, 4, 6, 5, 1, 8, 9)
  >>> flip_map({2: 0}, 4)
  (0, 1, 0, 3)
  """
  if isinstance(map, Set):
    raise ValueError(
      f"The map must have an order, got the set {map!r}; try {{class: label}}."
    )
  if pairs := _pairs(map):
    wanted = max(max(pair) for pair in pairs) + 1
    classes = wanted if num_classes is None else num_classes
    if wanted > classes:
      raise ValueError(
        f"The map must be of integers in 0..{classes - 1}, got {wanted - 1} in "
        f"{dict(pairs)}; try others."
      )
    return tuple(dict(pairs).get(label, label) for label in range(classes))
  labels = MAPS.get(map, ()) if isinstance(map, str) else map
  if hasattr(labels, "tolist"):
    labels = labels.tolist()
  if not hasattr(labels, "__iter__") or not (labels := tuple(labels)):
    raise ValueError(
      f"The map must be one of {sorted(MAPS)} or a label a class, got {map!r}; "
      "try one of these."
    )
  classes = len(labels) if num_classes is None else num_classes
  if len(labels) != classes:
    raise ValueError(
      f"The map must have a label for each of {classes} classes, got "
      f"{len(labels)} in {map!r}; try {{class: label}}."
    )
  for label in labels:
    if isinstance(label, bool) or label not in range(classes):
      raise ValueError(
        f"The map must be of integers in 0..{classes - 1}, got {label!r}; try "
        "others."
      )
  return tuple(int(label) for label in labels)


def kept_map(map: Any) -> str | tuple[Any, ...]:
  """Returns a map as a description keeps it: its name, labels or pairs.

  Args:
    map: as in `flip_map`.

  Raises:
    ValueError: as `flip_map`.

  >>> kept_map({9: 0, 3: 5})
  ((3, 5), (9, 0))
  """
  labels = flip_map(map)
  return map if isinstance(map, str) else _pairs(map) or labels


def _pairs(map: Any) -> tuple[tuple[int, int], ...]:
  """A map {class: label} as pairs; empty where it is of another form."""
  if not isinstance(map, Mapping):
    of_two = isinstance(map, tuple | list) and all(
      isinstance(pair, tuple | list) and len(pair) == 2 for pair in map
    )
    if not of_two or not map:
      return ()
    if len(found := dict(map)) < len(map):
      raise ValueError(f"The map must have a class once, got {map!r}; try so.")
    map = found
  if not map:
    raise ValueError("The map must have a class, got {}; try {class: label}.")
  name, most = "A class or label of the map", 2**31 - 2
  checked = (
    (check_integer(one, name, 0, most), check_integer(other, name, 0, most))
    for one, other in map.items()
  )
  return tuple(sorted(checked))


def uniform_matrix(p: float, num_classes: int) -> np.ndarray:
  """Returns T of the inclusive uniform noise, (1 - p) I + (p / K) 1 1^T.

  Args:
    p: rate in [0, 1] at which a label is drawn anew.
    num_classes: K.

  Returns:
    float64 [K, K], T[true, given].

  >>> uniform_matrix(0.5, 2)
  array([[0.75, 0.25],
         [0.25, 0.75]])
  """
  check_rate(p)
  return (1 - p) * np.eye(num_classes) + p / num_classes


def symmetric_matrix(p: float, num_classes: int) -> np.ndarray:
  """Returns T of the exclusive noise: 1 - p, and p / (K - 1) elsewhere.

  Args:
    p: rate in [0, 1] of wrong labels.
    num_classes: K, at least 2.

  Returns:
    float64 [K, K], T[true, given].

  >>> symmetric_matrix(0.5, 3)[0]
  array([0.5 , 0.25, 0.25])
  """
  check_rate(p)
  check_num_classes(num_classes)
  other = p / (num_classes - 1)
  return np.where(np.eye(num_classes, dtype=bool), 1 - p, other)


def asymmetric_matrix(
  p: float, map: str | tuple[int, ...], num_classes: int
) -> np.ndarray:
  """Returns T of class-dependent noise: p at [true, map[true]].

  Args:
    p: rate in [0, 1] for each class that the map changes.
    map: as in `flip_map`.
    num_classes: K.

  Returns:
    float64 [K, K], T[true, given].

  >>> asymmetric_matrix(0.4, (0, 0), 2)
  array([[1. , 0. ],
         [0.4, 0.6]])
  """
  check_rate(p)
  target = np.eye(num_classes)[list(flip_map(map, num_classes))]
  return (1 - p) * np.eye(num_classes) + p * target


def pair_flip_matrix(p: float, num_classes: int) -> np.ndarray:
  """Returns T of pair flips: 1 - p, and p for the next class.

  Args:
    p: rate in [0, 1] of labels moved to the next class, K - 1 to 0.
    num_classes: K, at least 2.

  Returns:
    float64 [K, K], T[true, given].

  >>> pair_flip_matrix(0.25, 3)[2]
  array([0.25, 0.  , 0.75])
  """
  check_num_classes(num_classes)
  following = tuple((i + 1) % num_classes for i in range(num_classes))
  return asymmetric_matrix(p, following, num_classes)


def exclusive_rate(inclusive: float, num_classes: int) -> float:
  """Returns the share of wrong labels, p (K - 1) / K, of an inclusive rate p.

  Args:
    inclusive: rate in [0, 1] at which labels are drawn anew from all K
      classes, the true one among them.
    num_classes: K, at least 2.

  Returns:
    The rate of wrong labels, in [0, (K - 1) / K].

  >>> exclusive_rate(1.0, 10)
  0.9
  """
  check_rate(inclusive)
  check_num_classes(num_classes)
  return inclusive * (num_classes - 1) / num_classes


def inclusive_rate(exclusive: float, num_classes: int) -> float:
  """Returns the inclusive rate p K / (K - 1) with a share p of wrong labels.

  Args:
    exclusive: rate of wrong labels, in [0, (K - 1) / K].
    num_classes: K, at least 2.

  Returns:
    The inclusive rate, in [0, 1].

  Raises:
    ValueError: for a rate that uniform draws from all K classes can't reach.

  >>> inclusive_rate(0.9, 10)
  1.0
  """
  check_rate(exclusive)
  check_num_classes(num_classes)
  most = (num_classes - 1) / num_classes
  if exclusive > most:
    raise ValueError(
      f"The rate must be at most {most:.6g}, all that uniform draws from "
      f"{num_classes} classes can change, got {exclusive}; try {most:.6g}."
    )
  return exclusive * num_classes / (num_classes - 1)
