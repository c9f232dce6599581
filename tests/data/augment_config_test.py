"""Augmentations read from a config: presets, fields, what is refused."""

import jax
import ml_collections
import numpy as np
import pytest

from rethinking.data import augment, presets
from rethinking.runtime import errors

KEY = jax.random.key(0, impl="threefry2x32")


def noise(*shape):
  return np.random.default_rng(0).random(shape, np.float32)


def test_none_is_the_image_of_any_type():
  image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
  for config in ("none", {}, ml_collections.ConfigDict()):
    found = augment.create(config)(KEY, image)
    np.testing.assert_array_equal(found, image, strict=True)


def test_presets_are_the_published_settings():
  on = {
    name: {field: value for field, value in fields.items() if value}
    for name, fields in presets.PRESETS.items()
  }
  assert on == {
    "none": {},
    "crop": {"crop": 28},
    "flip_rotation": {"flip": True, "rotation": 15.0},
    "keras_cifar": {
      "rotation": 15.0,
      "shift": 0.12,
      "zoom": 0.1,
      "shear": 10.0,
      "channel_shift": pytest.approx(0.02516),
      "flip": True,
      "brightness": 0.1,
    },
    "keras_mnist": {"rotation": 18.0, "zoom": 0.2},
  }
  assert len({tuple(fields) for fields in presets.PRESETS.values()}) == 1


@pytest.mark.parametrize(
  "make",
  [ml_collections.ConfigDict, ml_collections.FrozenConfigDict],
)
def test_fields_are_read_from_configs(make):
  key, image = KEY, noise(8, 8, 1)
  config = make(presets.PRESETS["none"] | {"crop": 5})
  np.testing.assert_array_equal(
    augment.create(config)(key, image), augment.create({"crop": 5})(key, image)
  )


@pytest.mark.parametrize(
  ("config", "message"),
  [
    ("foo", r"augmentation must be one of \['crop', 'flip_rot.* got 'foo'"),
    (
      {"rotate": 3},
      r"augmentation field must be .*'rotate'; did you mean 'rotation'",
    ),
    (None, "augment must be one of .*, got None; try one"),
    ({"rotation": 181}, "rotation must be degrees in .0, 180], got 181"),
    ({"rotation": -1.0}, "rotation must be .*, got -1.0"),
    ({"rotation": float("nan")}, "rotation must be .*, got nan"),
    ({"rotation": "15"}, "rotation must be .*, got '15'"),
    ({"rotation": True}, "rotation must be .*, got True"),
    ({"zoom": -0.1}, "zoom must be a rate in .0, 1\\), got -0.1"),
    ({"zoom": 1.0}, "zoom must be .*, got 1.0"),
    ({"shift": 4}, "shift must be .*, got 4"),
    ({"shear": 90.0}, "shear must be degrees in .0, 90\\), got 90.0"),
    (
      {"channel_shift": 25.0},
      "channel_shift must be a rate in .0, 1], got 25.0",
    ),
    ({"brightness": [0.9, 1.1]}, r"brightness must be .*, got \[0.9, 1.1\]"),
    ({"brightness": 1.5}, "brightness must be .*, got 1.5"),
    ({"flip": 0.5}, "flip must be True or False, got 0.5"),
    ({"crop": 0}, "crop must be whole pixels, at least 1, got 0"),
    ({"crop": 28.5}, "crop must be .*, got 28.5"),
    ({"crop": 28, "padding": -1}, "padding must be .*, got -1"),
    ({"padding": 4}, "got padding=4 alone; try crop"),
  ],
)
def test_nonsense_is_refused_in_one_line(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    augment.create(config)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
  ("side", "fields"),
  [(28, {"crop": 28}), (8, {"crop": 28}), (8, {"crop": 20, "padding": 5})],
)
def test_a_crop_that_cannot_move_is_refused(side, fields):
  key, image = KEY, noise(side, side, 1)
  with pytest.raises(errors.UserError, match="must have room to move"):
    augment.create(fields)(key, image)


@pytest.mark.parametrize(
  "call",
  [
    lambda key, image: augment.random_affine(key, image, zoom=-0.1),
    lambda key, image: augment.random_channel_shift(key, image, limit=-0.1),
    lambda key, image: augment.random_brightness(key, image, limit=2.0),
    lambda key, image: augment.random_crop(key, image, size=-1),
  ],
)
def test_random_ops_refuse_nonsense_themselves(call):
  with pytest.raises(errors.UserError, match=" must be "):
    call(KEY, noise(4, 4, 1))
