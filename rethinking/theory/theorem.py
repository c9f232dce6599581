"""Theorem 1: a two-layer ReLU network with 2n + d weights fits any labels.

  c(x) = sum_j w_j max(<a, x> - b_j, 0),  a in R^d, b and w in R^n

With z_i = <a, x_i> all different and sorted, b_1 < z_1 < b_2 < z_2 < ..., the
matrix `A_ij = max(z_i - b_j, 0)` is lower triangular with a positive diagonal,
so `A w = y` has exactly one solution for any y. Here b_{i+1} is the float just
right of z_i: c is then piecewise linear through the targets. At the midpoints,
slopes set by the narrowest gaps run on into wide ones and |c| explodes between
the samples.

  from rethinking.theory import theorem
  with jax.enable_x64(True):
    variables = theorem.construct(key, x, y)
    outputs = theorem.apply(variables, x)

Reference: Zhang, Bengio, Hardt, Recht, Vinyals (2017), theorem 1 and appendix
C.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from rethinking.runtime.errors import UserError

Variables = dict[str, dict[str, jax.Array]]

# Narrower gaps than this many roundings of |a| |x| would let the outputs miss
# their targets: z differs by a few of them from one order of summing to
# another, and slopes of 1 / gap turn each into 1 / _ULPS of a step in y.
_ULPS = 64


class CollisionError(UserError):
  """Two different examples project onto the same number."""


class TwoLayerReLU(nn.Module):
  """Theorem 1's network as a Linen module: weights a, b and w, no others.

  Attributes:
    width: n, the number of hidden units.
  """

  width: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[B, d]` to `[B]`."""
    normal = nn.initializers.normal()
    a = self.param("a", normal, (x.shape[-1],), x.dtype)
    b = self.param("b", normal, (self.width,), x.dtype)
    w = self.param("w", normal, (self.width,), x.dtype)
    exact = jax.lax.Precision.HIGHEST
    z = jnp.matmul(x, a, precision=exact)
    hidden = jnp.maximum(z[:, None] - b[None], 0)
    return jnp.matmul(hidden, w, precision=exact)


def apply(variables: Variables, x: jax.Array) -> jax.Array:
  """Evaluates the network; the same as `TwoLayerReLU(n).apply`.

  `c(x) = sum_j w_j max(<a, x> - b_j, 0)`. The terms cancel: the error is about
  `eps max|w| range(z)`, 1e-5 at n = 50,000 in float64.

  Args:
    variables: `{"params": {"a": [d], "b": [n], "w": [n]}}`.
    x: `[B, d]` of the same precision; B n numbers are held.

  Returns:
    Outputs `[B]`.
  """
  width = variables["params"]["b"].size
  return TwoLayerReLU(width).apply(variables, x)


def classify(outputs: jax.Array, num_classes: int) -> jax.Array:
  """The class nearest to each output.

  Args:
    outputs: `[B]`.
    num_classes: K.

  Returns:
    int32 `[B]` in `[0, K)`.
  """
  nearest = jnp.clip(jnp.round(outputs), 0, num_classes - 1)
  return nearest.astype(jnp.int32)


@jax.jit
def weights(z: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Solves the triangular system by forward substitution in O(n).

  With s_i = w_1 + ... + w_i the slope between b_i and b_{i+1},

    s_{i+1} = (y_{i+1} - y_i - s_i (b_{i+1} - z_i)) / (z_{i+1} - b_{i+1}),

  and w_i = s_i - s_{i-1}. b_1 lies one mean gap left of z_1.

  Args:
    z: ascending, no two equal, `[n]`, n >= 1.
    y: targets `[n]`, of the same precision.

  Returns:
    Biases b and weights w, `[n]` each.
  """
  gap = (z[-1] - z[0]) / max(len(z) - 1, 1)
  first = z[0] - jnp.where(gap > 0, gap, 1)
  b = jnp.concatenate([first[None], jnp.nextafter(z[:-1], jnp.inf)])
  before = jnp.concatenate([jnp.zeros_like(y[:1]), y[:-1]])
  overlap = jnp.concatenate([jnp.zeros_like(z[:1]), b[1:] - z[:-1]])

  def advance(slope, row):
    step, over, run = row
    slope = (step - slope * over) / run
    return slope, slope

  zero = jnp.zeros((), y.dtype)
  _, slopes = jax.lax.scan(advance, zero, (y - before, overlap, z - b))
  return b, jnp.diff(slopes, prepend=zero[None])


def construct(key: jax.Array, x: jax.Array, y: jax.Array) -> Variables:
  """Builds the network that passes through every target.

  a is drawn from N(0, I / d); with probability 1 the n projections differ, and
  in float64 they do so in practice: the narrowest of n gaps is about
  `range / n^2`, against a rounding of 1e-16. In float32, 1e-7, they mostly
  collide from a hundred examples on, and are refused rather than missed.

  Args:
    key: typed key of the direction a.
    x: examples `[n, d]`, no two the same; float64 under `jax.enable_x64` for
      more than a few dozen.
    y: targets `[n]`, any numbers; classes as 0, 1, 2, ...

  Returns:
    `{"params": {"a": [d], "b": [n], "w": [n]}}`: 2n + d weights.

  Raises:
    CollisionError: two projections are too close for the precision.
  """
  x = jnp.asarray(x)
  d = x.shape[1]
  a = jax.random.normal(key, (d,), x.dtype) / np.sqrt(d)
  z = jnp.matmul(x, a, precision=jax.lax.Precision.HIGHEST)
  order = jnp.argsort(z)
  ascending = z[order]
  gaps = np.diff(np.asarray(ascending))
  # At least sum_j |a_j x_ij|, of which z_i is what is left.
  terms = float(jnp.linalg.norm(a) * jnp.linalg.norm(x, axis=1).max())
  floor = _ULPS * float(jnp.finfo(x.dtype).eps) * terms
  if len(gaps) and gaps.min() <= floor:
    i = int(np.argmin(gaps))
    one, other = sorted(int(k) for k in order[i : i + 2])
    raise CollisionError(
      f"Rows {one} and {other} project within {gaps[i]:.1e} of each other, and"
      f" {x.dtype} needs {floor:.1e}; remove repeated examples, use float64"
      " (jax.enable_x64), or another key."
    )
  b, w = weights(ascending, jnp.asarray(y, x.dtype)[order])
  return {"params": {"a": a, "b": b, "w": w}}


def count(variables: Variables) -> int:
  """Number of weights: 2n + d for the network of n examples in d dimensions.

  Args:
    variables: what `construct` returns.
  """
  return sum(leaf.size for leaf in jax.tree.leaves(variables))
