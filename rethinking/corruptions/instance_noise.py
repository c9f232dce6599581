"""Label noise that depends on the image (Xia et al. 2020), in integers.

The definition's random projection is quantised to 8 bits and everything else
to integers of the same scale. So the scores are exact sums, whatever the order
of the additions, and the result is the same in any batch, jitted or not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rethinking.corruptions import checks, keys, quantiles, thresholds

# The sum of 65,536 products of 255 and 127 still fits into 31 bits.
_MOST_VALUES = 2**16
# Four standard deviations of a weight are 127.
_WIDTH = 4.0


class Projection(NamedTuple):
  """Everything of instance-dependent noise that the examples share.

  Attributes:
    weights: int8 [K, H * W * C, K], W[true] divided by each channel's
      standard deviation, times `scale`.
    offsets: int32 [K, K], the scores of the mean image.
    gumbel: int32 [65536], quantiles of the Gumbel distribution, times `scale`.
    scale: integer units of a score of 1.
  """

  weights: jax.Array
  offsets: jax.Array
  gumbel: jax.Array
  scale: float


def projection(
  key: jax.Array,
  statistics: quantiles.ImageStatistics,
  shape: tuple[int, int, int],
  *,
  num_classes: int,
) -> Projection:
  """Draws the random projection W ~ N(0, 1) of instance-dependent noise.

  Args:
    key: typed threefry2x32 key, [].
    statistics: of the train images; an image is normalised by its channels'
      means and standard deviations. A constant channel has no say.
    shape: H, W, C of an image, H * W * C at most 65,536.
    num_classes: K, at least 2.

  Returns:
    The projection.

  Raises:
    ValueError: for images that are too large, of other channels than the
      statistics, or without variance.

  >>> from rethinking import corruptions
  >>> images = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
  >>> stats = corruptions.image_statistics(images)
  >>> key = corruptions.root_key(0)
  >>> projection(key, stats, (4, 4, 1), num_classes=3).weights.shape
  (3, 16, 3)
  """
  checks.check_num_classes(num_classes)
  values = int(np.prod(shape))
  if values > _MOST_VALUES:
    raise ValueError(
      f"Images must have at most {_MOST_VALUES} values for instance-dependent "
      f"noise, got {values} of shape {list(shape)}; try symmetric noise."
    )
  statistics.check_channels(shape[-1])
  mean, std = statistics.moments(True)
  if not std.any():
    raise ValueError(
      "Images must have some variance for instance-dependent noise, got "
      f"channels that are constant {mean.tolist()}; try symmetric noise."
    )
  inverse = np.divide(1, std, out=np.zeros_like(std), where=std > 0)
  scale = 127 / _WIDTH / inverse.max()
  # One table a channel: the quotient is rounded once, in float64.
  tables = np.round(inverse[:, None] * scale * quantiles.normal_quantiles())
  tables = np.clip(tables, -127, 127).astype(np.int8)
  drawn = np.asarray(keys.ranks(key, num_classes * values * num_classes))
  drawn = drawn.reshape(num_classes, -1, shape[-1], num_classes)
  channel = np.arange(shape[-1])[None, None, :, None]
  weights = tables[channel, drawn]
  by_channel = weights.sum(axis=1, dtype=np.int64)
  offsets = np.round((by_channel * mean[None, :, None]).sum(axis=1))
  return Projection(
    jnp.asarray(weights.reshape(num_classes, values, num_classes)),
    jnp.asarray(offsets.astype(np.int32)),
    jnp.asarray(quantiles.gumbel_table(scale)),
    float(scale),
  )


def rate_drawn(key: jax.Array, rates: jax.Array) -> jax.Array:
  """Returns whether an example is flipped, at a rate of its own.

  The rate is q ~ N(p, 0.1**2), truncated to [0, 1]; the example is flipped
  where u < q. The truncated mean isn't p near 0 and 1: at p = 0 it is 0.08.

  Args:
    key: the example's key, [].
    rates: float32 [65536], from `rate_table(p)`.

  Returns:
    bool [].

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> bool(rate_drawn(key, jnp.ones(65536)))
  True
  """
  u, word = keys.words(key, 2)
  return keys.below(u, rates[(word >> 16).astype(jnp.int32)])


def pick_target(
  key: jax.Array, label: jax.Array, scores: jax.Array, gumbel: jax.Array
) -> jax.Array:
  """Draws the wrong label with probability softmax(scores).

  The largest score plus Gumbel noise is a draw from the softmax.

  Args:
    key: the example's key, [].
    label: int32 [], never drawn.
    scores: int32 [K], in the units of `gumbel`.
    gumbel: int32 [65536].

  Returns:
    int32 [], in 0..K-1.

  >>> key = jax.random.key(0, impl="threefry2x32")
  >>> int(pick_target(key, 0, jnp.array([9, 0]), jnp.zeros(65536, jnp.int32)))
  1
  """
  classes = jnp.arange(len(scores), dtype=jnp.int32)
  noise = jnp.asarray(gumbel)[keys.ranks(keys.named_key(key, 1), len(scores))]
  lowest = jnp.iinfo(jnp.int32).min
  best = jnp.argmax(jnp.where(classes == label, lowest, scores + noise))
  return best.astype(jnp.int32)


def instance(
  key: jax.Array,
  label: jax.Array,
  image: jax.Array,
  p: float,
  *,
  projection: Projection,
  num_classes: int,
) -> jax.Array:
  """With probability q_i, replaces the label by one that the image suggests.

  q_i ~ N(p, 0.1**2) truncated to [0, 1]; P(given | true, x) = q_i softmax(s),
  s = x W[true] over the wrong classes, x the normalised image. Levels nest,
  with the same wrong label.

  Args:
    key: the example's key, [].
    label: int32 [], in 0..K-1.
    image: uint8 [H, W, C].
    p: in [0, 1], a number, not traced.
    projection: from `projection`.
    num_classes: K, at least 2, static.

  Returns:
    int32 [], in 0..K-1.

  Raises:
    ValueError: for a level outside [0, 1] or traced, a label outside 0..K-1,
      another kind of image, or a projection for another one.

  Reference: Xia, Liu, Han, Wang, Gong, Liu, Niu, Tao, Sugiyama (2020),
    "Part-dependent label noise", algorithm 2.

  >>> from rethinking import corruptions
  >>> image = jnp.arange(16, dtype=jnp.uint8).reshape(4, 4, 1)
  >>> stats = corruptions.image_statistics(np.asarray(image)[None])
  >>> key = corruptions.root_key(0)
  >>> shared = corruptions.projection(key, stats, (4, 4, 1), num_classes=3)
  >>> given = instance(key, 1, image, 0.9, projection=shared, num_classes=3)
  >>> int(given) in (0, 1, 2)
  True
  """
  checks.check_static_rate(p)
  checks.check_image(image)
  label = checks.check_label(label, num_classes)
  needed = (num_classes, image.size, num_classes)
  if projection.weights.shape != needed:
    raise ValueError(
      f"The projection must be of shape {list(needed)} for these images and "
      f"classes, got {list(projection.weights.shape)}; try projection anew."
    )
  weights = projection.weights[label].astype(jnp.int32)
  # The sum of products, in integers: no order of addition to depend on.
  products = image.reshape(-1, 1).astype(jnp.int32) * weights
  scores = products.sum(axis=0, dtype=jnp.int32) - projection.offsets[label]
  target = pick_target(key, label, scores, projection.gumbel)
  rates = jnp.asarray(quantiles.rate_table(float(p)))
  return jnp.where(rate_drawn(key, rates), target, label)


@jax.jit
def class_scores(images: jax.Array, weights: jax.Array, offsets: jax.Array):
  """Returns the scores of images of one class, by exact matrix products.

  A weight is 16 times its high half plus its low half. float32 holds the sums
  of 8-bit by 4-bit products exactly, in any order, for up to 4,096 values; the
  halves are put together as integers.

  Args:
    images: uint8 [N, H, W, C], of one true class.
    weights: int8 [H * W * C, K], that class's.
    offsets: int32 [K].

  Returns:
    int32 [N, K], the same numbers as in `instance`.

  >>> images = jnp.full((1, 1, 1, 1), 200, jnp.uint8)
  >>> class_scores(images, jnp.int8([[3, -2]]), jnp.array([1, 0])).tolist()
  [[599, -400]]
  """
  flat = images.reshape(len(images), -1).astype(jnp.float32)
  halves = jnp.concatenate([weights >> 4, weights & 15], axis=1)
  halves = halves.astype(jnp.float32)
  sums = jnp.zeros((len(images), halves.shape[1]), jnp.int32)
  for start in range(0, len(halves), 4096):
    part = slice(start, start + 4096)
    exact = jnp.matmul(flat[:, part], halves[part], precision="highest")
    sums = sums + exact.astype(jnp.int32)
  high, low = jnp.split(sums, 2, axis=1)
  return 16 * high + low - offsets[None].astype(jnp.int32)


def by_image(corruption, key, examples):
  """Returns what `instance` makes of each label, and which are drawn.

  Args:
    corruption: with a level and the option 'exact'.
    key: typed threefry2x32 key, [], the corruption's own.
    examples: the set, `report.Examples` with images and statistics.

  Returns:
    int32 [N]; bool [N].
  """
  own, ids = keys.named_key(key, examples.split), examples.ids
  shared = projection(
    keys.named_key(key, "projection"),
    examples.statistics,
    examples.images.shape[1:],
    num_classes=examples.num_classes,
  )
  if corruption.exact:
    drawn = thresholds.select(own, ids, corruption.level, exact=True)
  else:
    rates = {"rates": quantiles.rate_table(corruption.level)}
    drawn = np.asarray(keys.each_example(own, ids, op=rate_drawn, shared=rates))
  scores, gumbel = _scores(examples, shared), {"gumbel": shared.gumbel}
  targets = keys.each_example(
    own, ids, examples.labels, scores, op=pick_target, shared=gumbel
  )
  return np.where(drawn, targets, examples.labels), drawn


def by_image_rate(counts: np.ndarray, p: float, exact: bool) -> float:
  """Returns the expected share of labels that `instance` changes.

  Args:
    counts: int [K], the examples of each class.
    p: level in [0, 1].
    exact: whether round(p n) labels are changed.

  >>> by_image_rate(np.array([50, 50]), 0.29, True)
  0.29
  """
  if exact:
    total = int(counts.sum())
    return thresholds.exact_count(p, total) / total
  return float(quantiles.rate_table(p).mean(dtype=np.float64))


def _scores(examples, shared: Projection) -> np.ndarray:
  """Scores int32 [N, K], by one matrix product a class and a chunk."""
  labels, images = examples.labels, examples.images
  scores = np.empty((len(labels), examples.num_classes), np.int32)
  order = np.argsort(labels, kind="stable")
  size = 2 ** int(np.ceil(np.log2(max(1, len(labels) // examples.num_classes))))
  size = min(size, max(1, 2**24 // max(1, images[0].size)), 2048)
  for label in np.unique(labels):
    mine = order[labels[order] == label]
    for rows in np.split(mine, range(size, len(mine), size)):
      # Whole chunks only, so that one program serves all.
      part = images[np.resize(rows, size)]
      scores[rows] = class_scores(
        part, shared.weights[label], shared.offsets[label]
      )[: len(rows)]
  return scores
