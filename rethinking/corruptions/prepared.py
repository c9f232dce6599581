"""Corruptions of one set: labels done, images ready to be streamed."""

import collections
import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from rethinking.corruptions import checks, noise, report, thresholds
from rethinking.corruptions.description import Corruption
from rethinking.corruptions.keys import named_key, root_key
from rethinking.corruptions.noise import Noise
from rethinking.corruptions.quantiles import ImageStatistics
from rethinking.corruptions.report import Examples

# Values a chunk: a few MB of random words and indices at once.
_CHUNK = 2**20


class About(NamedTuple):
  """What parameters may depend on beside level and options.

  Attributes:
    key: typed threefry2x32 key, [], for what all images share.
    num_classes: K.
    shape: H, W, C of an image; None where there are none.
    statistics: of the train images, where the row needs them.
  """

  key: jax.Array
  num_classes: int
  shape: tuple[int, ...] | None
  statistics: ImageStatistics | None

  @property
  def positions(self) -> int:
    """H * W."""
    return self.shape[0] * self.shape[1]


class Prepared:
  """Corruptions of one set: labels done, images ready to be streamed.

  Attributes:
    noise: a `Noise` for each corruption, in order.
    labels: int32 [N], the given labels.
    true_labels: int32 [N].
    ids: uint32 [N] or [N, 2].
    images: uint8 [N, H, W, C], as they were given, or None.
    drawn: bool [N], the images that any corruption takes; None: no corruption
      is of images.
    statistics: of the train images; None where nothing needed them.
    num_classes: K.
  """

  def __init__(
    self,
    corruptions: tuple[Corruption, ...],
    examples: Examples,
    *,
    seed: int,
    files: dict[Corruption, tuple[np.ndarray, str]],
    draw: int | None,
  ):
    self.true_labels, self.ids = examples.labels, examples.ids
    self.labels, self.images = examples.labels.copy(), examples.images
    self.statistics = examples.statistics
    self.drawn: np.ndarray | None = None
    self.num_classes = examples.num_classes
    self._corruptions, self._examples = corruptions, examples
    self._seed, self._draw = seed, draw
    whole = len(self.ids)
    self._draws = None if draw is None else np.full(whole, draw, np.int32)
    self._report: dict[str, Any] | None = None
    self._steps: list[dict[str, Any]] = []
    self.noise: tuple[Noise, ...] = ()
    root, seen = root_key(seed), collections.Counter()
    for one in corruptions:
      key = named_key(root, one.name, seen[one.name])
      seen[one.name] += 1
      before, facts = self.labels, {}
      nominal = report.nominal_rate(one, before, examples.num_classes)
      if one in files:
        self.labels, facts["file_sha256"] = files[one]
        found, drawn = self._noise(one, key, given=self.labels), None
      elif one.target == "labels":
        found, drawn = self._change_labels(one, key)
      else:
        found = self._noise(one, key)
        drawn = _drawn(found, self.ids, self._draws)
        self.drawn = drawn if self.drawn is None else self.drawn | drawn
      self.noise += (found,)
      count = None if drawn is None else int(drawn.sum())
      changed = int((self.labels != before).sum())
      done = {"drawn": count, "changed": changed, "nominal_rate": nominal}
      self._steps.append(report.describe(one) | done | facts)

  def _change_labels(
    self, one: Corruption, key: jax.Array
  ) -> tuple[Noise, np.ndarray | None]:
    """Corrupts the labels once; returns the noise, and which were drawn."""
    row, own = one.definition, named_key(key, self._examples.split)
    now = self._examples._replace(labels=self.labels)
    if row.over_set:
      self.labels, drawn = row.over_set(one, key, now)
      return self._noise(one, key, given=self.labels), drawn
    found, drawn = self._noise(one, key), None
    if one.level is not None:
      if self._draws is not None:
        own = jax.random.fold_in(own, np.uint32(self._draw))
      drawn = thresholds.select(own, self.ids, one.level, exact=one.exact)
    if not one.exact:
      self.labels = _corrupt(found, self.labels, self.ids, self._draws)
      return found, drawn
    certain = {**found.parameters, "p": np.float32(1)}
    every = dataclasses.replace(found, parameters=certain)
    replaced = _corrupt(every, self.labels, self.ids, None)
    self.labels = np.where(drawn, replaced, self.labels)
    return self._noise(one, key, given=self.labels), drawn

  def _noise(
    self, one: Corruption, key: jax.Array, given: np.ndarray | None = None
  ) -> Noise:
    form, parameters, limit = None, {}, None
    own = named_key(key, self._examples.split)
    if given is None:
      shape = None if self.images is None else self.images.shape[1:]
      shared = named_key(key, "shared")
      about = About(shared, self.num_classes, shape, self.statistics)
      form, parameters = one.definition.prepare(about, **one.arguments)
    if one.target == "images":
      share, drawing = one.option("fraction"), named_key(own, "fraction")
      limit = thresholds.threshold(drawing, self.ids, share, exact=one.exact)
    if self._draw is not None and not one.redraws:
      raise ValueError(
        f"draw must be left out where {one!r} is drawn once for the whole set, "
        f"got {self._draw}; try None."
      )
    return Noise(
      key=np.asarray(jax.random.key_data(own)),
      parameters=noise.of_numbers(parameters),
      given=given,
      threshold=limit,
      form=form,
      num_classes=None if one.target == "images" else self.num_classes,
      redraw=self._draw is not None,
    )

  def stream(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the corrupted images in chunks, in the order of their ids.

    What a whole pass saw is in `report`.

    Yields:
      Rows int64 [B] of the set; uint8 [B, H, W, C].
    """
    own = [one for one in self.noise if one.target == "images"]
    order = checks.id_order(self.ids)
    digest = report.digest(self.ids[order], self.images.shape[1:])
    size = max(1, _CHUNK // max(1, self.images[0].size))
    size = min(size, len(order))
    # Of each corruption, and of all.
    changed = np.zeros(len(own) + 1, int)
    for rows in np.split(order, range(size, len(order), size)):
      # The last chunk is filled up, so that one program serves all.
      full = np.resize(rows, size)
      draws = None if self._draws is None else self._draws[full]
      steps = [self.images[full]]
      for one in own:
        steps.append(_corrupt(one, steps[-1], self.ids[full], draws))
      steps = [step[: len(rows)] for step in steps]
      pairs = [*zip(steps, steps[1:], strict=False), (steps[0], steps[-1])]
      changed += [(a != b).any(axis=(1, 2, 3)).sum() for a, b in pairs]
      digest.update(np.ascontiguousarray(steps[-1]).data)
      yield rows, steps[-1]
    of_images = [step for step in self._steps if step["target"] == "images"]
    for step, count in zip(of_images, changed, strict=False):
      step["changed"] = int(count)
    self._report = self.summary() | {
      "images_changed": int(changed[-1]),
      "images_sha256": digest.hexdigest(),
    }

  def drawn_in(self, draw: int) -> np.ndarray | None:
    """Returns which images a draw takes, bool [N]; None as `drawn`.

    Args:
      draw: where the set was prepared with one; else it changes nothing.
    """
    if self._draws is None or self.drawn is None:
      return self.drawn
    draws = np.full_like(self._draws, draw)
    own = [one for one in self.noise if one.target == "images"]
    return np.any([_drawn(one, self.ids, draws) for one in own], axis=0)

  def release(self) -> None:
    """Lets go of the images, which were reported on."""
    self.images = None
    self._examples = self._examples._replace(images=None)

  def report(self) -> dict[str, Any]:
    """Returns the report on the set, see `rethinking.corruptions.report`."""
    if self._report is None:
      if self.images is None:
        return self.summary()
      for _ in self.stream():
        pass
    return self._report

  def summary(self) -> dict[str, Any]:
    """Returns the report without what the images say."""
    return report.summary(
      self._corruptions, self._steps, self._examples, self.labels, self._seed
    )


_jitted = jax.jit(noise.corrupt)
_jitted_drawn = jax.jit(noise.drawn)


@jax.transfer_guard("allow")
def _corrupt(one, values, ids, draws) -> np.ndarray:
  # A copy: NumPy's views of JAX arrays can't be written to.
  return np.array(_jitted(one, values, ids, draws=draws))


@jax.transfer_guard("allow")
def _drawn(one, ids, draws) -> np.ndarray:
  return np.asarray(_jitted_drawn(one, ids, draws))
