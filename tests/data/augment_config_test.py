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
    ("foo", r"Unknown augmentation 'foo'; choose one of \['crop', 'flip_rot"),
    (
      {"rotate": 3},
      r"Unknown augmentation field 'rotate'; choose .*'rotation'",
    ),
    (None, "Cannot make an augmentation of None; give one of"),
    ({"rotation": 181}, "rotation=181 makes no sense.*from 0 to 180"),
    ({"rotation": -1.0}, "rotation=-1.0 makes no sense"),
    ({"rotation": float("nan")}, "rotation=nan makes no sense"),
    ({"rotation": "15"}, "rotation='15' makes no sense; give a number"),
    ({"rotation": True}, "rotation=True makes no sense"),
    ({"zoom": -0.1}, "zoom=-0.1 makes no sense; .* at least 0 and below 1"),
    ({"zoom": 1.0}, "zoom=1.0 makes no sense"),
    ({"shift": 4}, "shift=4 makes no sense"),
    ({"shear": 90.0}, "shear=90.0 makes no sense; .* below 90"),
    ({"channel_shift": 25.0}, "channel_shift=25.0 makes no sense.*from 0 to 1"),
    ({"brightness": [0.9, 1.1]}, r"brightness=\[0.9, 1.1\] makes no sense"),
    ({"brightness": 1.5}, "brightness=1.5 makes no sense"),
    ({"flip": 0.5}, "flip=0.5 makes no sense; give True or False"),
    ({"crop": 0}, "crop=0 makes no sense; give a whole number of pixels"),
    ({"crop": 28.5}, "crop=28.5 makes no sense"),
    ({"crop": 28, "padding": -1}, "padding=-1 makes no sense"),
    ({"padding": 4}, "padding=4 without a crop does nothing"),
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
  with pytest.raises(errors.UserError, match="has no room to move"):
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
  with pytest.raises(errors.UserError, match="makes no sense"):
    call(KEY, noise(4, 4, 1))
