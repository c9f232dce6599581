"""What a step is given is what the export writes, wherever it is made."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from rethinking import config as config_lib
from rethinking import corruptions, models
from rethinking.corruptions import Corruption
from rethinking.data.dataset import Dataset
from rethinking.runtime.errors import UserError
from rethinking.training import parallel, slots, step, task
from rethinking.training import state as state_lib
from rethinking.training.examples import Run

N, SHAPE = 96, (6, 6, 3)
RNG = np.random.default_rng(0)
MATRIX = (0.5 * np.eye(10) + 0.05).tolist()


def _dataset(split, count):
  return Dataset(
    name="random",
    split=split,
    images=RNG.integers(0, 256, (count, *SHAPE)).astype(np.uint8),
    labels=RNG.integers(0, 10, count).astype(np.int32),
    ids=np.sort(RNG.permutation(1000)[:count]).astype(np.uint32),
    num_classes=10,
    class_names=tuple("0123456789"),
    identity=split,
  )


TRAIN, TEST = _dataset("train", N), _dataset("test", 40)
LABELS = [
  Corruption.create("uniform", level=0.5),
  Corruption.create("uniform", level=0.5, exact=True),
  Corruption.create("symmetric", level=0.5),
  Corruption.create("pair_flip", level=0.5),
  Corruption.create("asymmetric", level=0.5, map="cifar10"),
  Corruption.create("transition", matrix=MATRIX),
  Corruption.create("permutation", level=0.5),
  Corruption.create("instance", level=0.5),
]
IMAGES = [
  Corruption.create("shuffled_pixels"),
  Corruption.create("random_pixels"),
  Corruption.create("random_pixels", fraction=0.5),
  Corruption.create("random_pixels", fraction=0.5, exact=True),
  Corruption.create("gaussian_pixels"),
  Corruption.create("gaussian_pixels", per_channel=True, fraction=0.5),
  Corruption.create("partial_shuffle", level=0.5),
  Corruption.create("partial_shuffle", level=0.5, per_image=True),
  Corruption.create("gaussian_noise", level=0.2),
  Corruption.create("occlusion", level=0.5, value=7),
]


def _config(**fields):
  c = config_lib.default()
  c.update(arch="mlp_1x512", crop=0, batch_size=16, epochs=4, dropout=0.0)
  c.update(fields)
  return config_lib.resolve(c)


def _task(*chain, in_step=True, **fields):
  return task.assemble(_config(**fields), TRAIN, TEST, chain, in_step=in_step)


class _Probe(nn.Module):
  """Keeps the images that it sees; its loss's gradient tells the labels."""

  @nn.compact
  def __call__(self, x, *, train, dropout_keys=None):
    bias = self.param("bias", nn.initializers.zeros_init(), (len(x), 10))
    seen = self.variable("batch_stats", "seen", jnp.zeros, x.shape)
    seen.value = x
    return bias


def _probed(split):
  """Images and labels of a split as one training step sees them."""
  count = len(split.rows)
  state = step.init_state(
    _Probe(), optax.sgd(1.0), jax.random.key(0), (count, *SHAPE)[1:]
  )
  state = state.replace(
    params={"bias": jnp.zeros((count, 10))},
    batch_stats={"seen": jnp.zeros((count, *SHAPE))},
  )
  whole, m = split.dataset, len(split.whole)
  data = state_lib.Data(
    split.whole.reshape(m, -1),
    whole.labels[:m],
    whole.ids[:m],
    # Normalised by these, a value is 0 to 255.
    (jnp.zeros(3), jnp.ones(3) / 255),
  )
  train = step.make_train_step(_Probe(), optax.sgd(1.0), shape=SHAPE, crop=0)
  batch = state_lib.Batch(split.rows, np.zeros(count, np.int32))
  key = jax.random.key(1)
  new, _ = jax.jit(train)(state, data, batch, key, split.noise)
  images = np.rint(new.batch_stats["seen"]).astype(np.uint8)
  return images, np.argmax(new.params["bias"], -1)


@pytest.mark.parametrize(
  "in_step", [True, pytest.param(False, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("one", LABELS + IMAGES, ids=repr)
def test_a_step_sees_what_is_exported(one, in_step):
  other = Corruption.create("uniform", level=0.5)
  chain = [one] if one.target == "labels" else [other, one]
  found = _task(*chain, in_step=in_step, validation=20)
  pixel = [c for c in chain if c.target == "images"]
  kept = TRAIN.images[found.train.rows]
  statistics = corruptions.image_statistics(kept)
  for name, own in (("train", chain), ("validation", pixel), ("test", pixel)):
    split = getattr(found, name)
    images, labels = _probed(split)
    want = corruptions.apply(
      own,
      seed=0,
      images=split.dataset.images[split.rows],
      labels=split.dataset.labels[split.rows],
      ids=split.ids,
      split="test" if name == "test" else "train",
      num_classes=10,
      statistics=statistics,
    )
    np.testing.assert_array_equal(labels, want.labels)
    np.testing.assert_array_equal(images, want.images)
    np.testing.assert_array_equal(split.labels, want.labels)


def _trained(found, devices, steps=8):
  """The state after some steps, and what is then seen of all parts."""
  key = jax.random.key(0, impl="threefry2x32")
  held = slots.Slots(_config(), found, jax.devices()[:devices])
  one = Run("one", found, key, key, 0)
  held.lay_out([one], 1)
  while one.step < steps:
    held.train({"one": steps})
  return held.states()["one"], [held.evaluate(p) for p in ("train", "test")]


@pytest.mark.parametrize(
  "devices", [pytest.param(1, marks=pytest.mark.slow), 4]
)
@pytest.mark.parametrize("one", IMAGES, ids=repr)
def test_in_the_step_and_at_load_are_the_same_bits(one, devices):
  found = [
    _trained(_task(one, in_step=in_step), devices) for in_step in (True, False)
  ]
  jax.tree.map(np.testing.assert_array_equal, *found)


@pytest.mark.parametrize("arch", ["mlp_1x512", "digits_cnn"])
def test_where_images_are_corrupted_is_chosen_by_what_it_costs(arch):
  for one in IMAGES:
    options = dict(one.options)
    config = _config(
      arch=arch,
      pixel_noise=one.name,
      level=one.level,
      pixel_options=" ".join(
        f"{k}={v}" for k, v in options.items() if k not in ("fraction", "exact")
      ),
    )
    quick = one.name in ("shuffled_pixels", "occlusion", "partial_shuffle")
    quick = quick and not options.get("per_image") and arch == "digits_cnn"
    assert task.corrupt_in(config) == ("step" if quick else "load")
    for forced in ("step", "load"):
      config = _config(**{**config, "corrupt_in": forced})
      assert task.corrupt_in(config) == forced


def _traces(monkeypatch, tasks):
  """How often the training program is traced for tasks one after another."""
  traced = []
  batch = state_lib.batch

  def counted(*args):
    traced.append(args)
    return batch(*args)

  with monkeypatch.context() as patch:
    patch.setattr(parallel.state_lib, "batch", counted)
    slots.programs.create.cache_clear()
    for found in tasks:
      _trained(found, 1, steps=2)
  slots.programs.create.cache_clear()
  return len(traced)


LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@pytest.mark.parametrize(
  "name", ["uniform", "symmetric", "pair_flip", "gaussian_noise", "occlusion"]
)
def test_levels_and_seeds_are_one_program(monkeypatch, name):
  seeds = (0, 1, 2) if name == "uniform" else (0,)
  tasks = (
    _task(Corruption.create(name, level=level), seed=seed)
    for level in LEVELS
    for seed in seeds
  )
  assert _traces(monkeypatch, tasks) == 1


def test_partial_shuffles_are_one_program(monkeypatch):
  tasks = [
    _task(Corruption.create("partial_shuffle", level=level)) for level in LEVELS
  ]
  assert _traces(monkeypatch, tasks) == 1


def test_what_looks_at_the_whole_set_is_one_program(monkeypatch, tmp_path):
  given = np.zeros(1000, np.int32)
  np.savez(tmp_path / "labels.npz", given=given)
  human = Corruption.create(
    "human", path=str(tmp_path / "labels.npz"), array="given"
  )
  chains = [LABELS[1], LABELS[6], LABELS[7]]
  tasks = [_task(chain) for chain in chains]
  with pytest.warns(UserWarning, match="Human labels must be in the order"):
    tasks.append(_task(human))
  assert _traces(monkeypatch, tasks) == 1


@pytest.mark.parametrize(
  ("arch", "most"), [("mlp_1x512", 1), ("digits_cnn", 2)]
)
def test_the_conditions_of_figure_1_are_two_programs(monkeypatch, arch, most):
  conditions = ("true_labels", "random_labels", "shuffled_pixels",
                "random_pixels", "gaussian_pixels")  # fmt: skip
  tasks = []
  for name in conditions:
    config = _config(arch=arch, **config_lib.VARIANTS[name])
    chain = config_lib.corruptions(config)
    in_step = task.corrupt_in(config) == "step"
    tasks.append(_task(*chain, in_step=in_step))
  assert _traces(monkeypatch, tasks) == most


def test_the_test_program_holds_no_label_noise():
  found = _task(LABELS[0], validation=20)
  assert found.test.noise == () == found.validation.noise
  [label] = found.train.noise
  assert label.target == "labels"
  both = _task(LABELS[0], IMAGES[0], validation=20)
  assert [one.target for one in both.test.noise] == ["images"]
  module = models.create("mlp_1x512", num_classes=10)
  evaluate = step.make_eval_step(module, shape=SHAPE, crop=0)
  rows = np.arange(4, dtype=np.int32)
  state = step.init_state(module, optax.sgd(1.0), jax.random.key(0), SHAPE)
  data = state_lib.Data(TEST.images.reshape(40, -1), TEST.labels, TEST.ids, ())
  programs = [
    str(jax.make_jaxpr(evaluate)(state, data, rows, noise, 0))
    for noise in (found.test.noise, found.train.noise)
  ]
  assert ["random_bits" in program for program in programs] == [False, True]


def test_a_redrawn_set_is_another_each_epoch_and_the_test_set_is_not():
  chain = (LABELS[0], Corruption.create("random_pixels", fraction=0.5))
  about = {"label_noise": "uniform", "p": 0.5, "pixel_noise": "random_pixels"}
  found = _task(*chain, redraw="epoch", **about)
  key = jax.random.key(0, impl="threefry2x32")
  held = slots.Slots(_config(), found, jax.devices()[:1])
  one = Run("one", found, key, key, 0)
  held.lay_out([one], 1)
  seen, tests = [], []
  for epoch in range(4):
    one.epoch = epoch
    seen.append(held.evaluate("train").given[0])
    draw = max(epoch - 1, 0)
    want = corruptions.prepare(
      chain[:1], seed=0, labels=TRAIN.labels, ids=TRAIN.ids, num_classes=10,
      draw=draw,
    )  # fmt: skip
    np.testing.assert_array_equal(seen[-1], want.labels)
    tests.append(held.evaluate("test").loss)
  assert all((one == tests[0]).all() for one in tests)
  assert (seen[0] == seen[1]).all() and (seen[1] != seen[2]).any()
  # A step draws by each example's own epoch.
  prepared, images = found.train.prepared, {}
  for epoch in (0, 1):
    [_, pixels] = found.train.noise
    draws = np.full(N, epoch, np.int32)
    images[epoch] = corruptions.corrupt(
      pixels, TRAIN.images, TRAIN.ids, draws=draws
    )
    moved = (np.asarray(images[epoch]) != TRAIN.images).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(prepared.drawn_in(epoch), moved)
  assert (images[0] != images[1]).any()
  assert (prepared.drawn_in(0) == prepared.drawn).all()


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"label_noise": "uniform", "p": 0.4, "exact": True}, "uniform.* once"),
    ({"label_noise": "permutation", "p": 0.4}, "permutation.* once"),
    ({"label_noise": "instance", "p": 0.4}, "instance.* once"),
    ({"pixel_noise": "shuffled_pixels"}, "shuffled_pixels.* once"),
    ({"pixel_noise": "partial_shuffle", "level": 0.4}, "partial_shuf.* once"),
    ({"pixel_noise": "random_pixels", "corrupt_in": "load"}, "corrupt_in"),
    ({"pixel_noise": "random_pixels", "stop_at_fit": True}, "stop_at_fit"),
    ({}, "got nothing that is corrupted"),
  ],
)
def test_what_cannot_be_redrawn_is_refused(fields, message):
  with pytest.raises(UserError, match=message) as caught:
    _config(redraw="epoch", **fields)
  assert "\n" not in str(caught.value)


def test_a_fraction_is_said_once():
  fields = {"pixel_noise": "random_pixels", "pixel_options": "fraction=0.5"}
  [one] = config_lib.corruptions(_config(**fields))
  assert one.option("fraction") == 0.5
  fields["pixel_options"] = ""
  [same] = config_lib.corruptions(_config(fraction=0.5, **fields))
  assert same == one
  with pytest.raises(
    UserError, match="fraction must be given once, got 0.3 and pixel_options"
  ):
    _config(**{**fields, "fraction": 0.3, "pixel_options": "fraction=0.5"})


def test_metrics_split_train_examples_by_corrupted_images():
  found = _task(Corruption.create("random_pixels", fraction=0.5))
  drawn = found.train.prepared.drawn
  assert 20 < drawn.sum() < 76
  whole = corruptions.apply(
    [Corruption.create("random_pixels", fraction=0.5)],
    seed=0,
    images=TRAIN.images,
    labels=TRAIN.labels,
    ids=TRAIN.ids,
    num_classes=10,
  )
  changed = (whole.images != TRAIN.images).any(axis=(1, 2, 3))
  np.testing.assert_array_equal(drawn, changed)
