"""Label and pixel noise, defined exactly and reproducible anywhere.

Ops act on one example and are pure functions of its key; `apply` corrupts a
whole data set from a list of `Corruption` descriptions and reports on it.

May import: JAX and NumPy alone, and Matplotlib inside what draws.
"""

from rethinking.corruptions.checks import check_matrix
from rethinking.corruptions.dataset import Corrupted, apply
from rethinking.corruptions.description import DEFINITIONS, Corruption
from rethinking.corruptions.gaussian import (
  add_noise,
  look_up_pixels,
  random_gaussian_noise,
  random_gaussian_pixels,
)
from rethinking.corruptions.images import (
  occlude,
  random_occlude,
  random_partial_shuffle,
  random_shuffle_pixels,
  shuffle_pixels,
)
from rethinking.corruptions.instance_noise import instance, projection
from rethinking.corruptions.keys import example_keys, named_key, root_key
from rethinking.corruptions.labels import (
  asymmetric,
  drawn,
  pair_flip,
  symmetric,
  transition,
  uniform,
)
from rethinking.corruptions.matrices import (
  asymmetric_matrix,
  exclusive_rate,
  inclusive_rate,
  pair_flip_matrix,
  symmetric_matrix,
  uniform_matrix,
)
from rethinking.corruptions.permutations import (
  partial_permutation,
  random_permutation,
)
from rethinking.corruptions.pictures import draw_examples, draw_transitions
from rethinking.corruptions.quantiles import (
  ImageStatistics,
  image_statistics,
  noise_table,
  pixel_table,
)
from rethinking.corruptions.report import fingerprint, transition_matrix
from rethinking.corruptions.subsets import (
  drawn_exactly,
  exact,
  exact_count,
  human,
  permutation,
)

__all__ = [
  "DEFINITIONS",
  "Corrupted",
  "Corruption",
  "ImageStatistics",
  "add_noise",
  "apply",
  "asymmetric",
  "asymmetric_matrix",
  "check_matrix",
  "draw_examples",
  "draw_transitions",
  "drawn",
  "drawn_exactly",
  "exact",
  "exact_count",
  "example_keys",
  "exclusive_rate",
  "fingerprint",
  "human",
  "image_statistics",
  "inclusive_rate",
  "instance",
  "look_up_pixels",
  "named_key",
  "noise_table",
  "occlude",
  "pair_flip",
  "pair_flip_matrix",
  "partial_permutation",
  "permutation",
  "pixel_table",
  "projection",
  "random_gaussian_noise",
  "random_gaussian_pixels",
  "random_occlude",
  "random_partial_shuffle",
  "random_permutation",
  "random_shuffle_pixels",
  "root_key",
  "shuffle_pixels",
  "symmetric",
  "symmetric_matrix",
  "transition",
  "transition_matrix",
  "uniform",
  "uniform_matrix",
]
