"""The 500-image, 3-class, 16 x 16 grey set of the tests, in every form."""

import numpy as np
from PIL import Image

from rethinking import config as config_lib
from rethinking.data import own as own_lib

CLASSES = ("ant", "bee", "cat")
COUNT, TRAIN = 500, 400


def make(count=COUNT, channels=0, side=16):
  """Images that differ, their labels and their names."""
  rng = np.random.default_rng(0)
  labels = np.arange(count) % 3
  shape = (side, side, *([channels] if channels else []))
  means = rng.integers(0, 128, (3, *shape))
  images = means[labels] + rng.integers(0, 128, (count, *shape))
  names = np.array([f"{i:04d}.png" for i in range(count)])
  return images.astype(np.uint8), labels, names


def write_npz(path, images, labels, names, train=TRAIN):
  parts = {"images": images, "labels": labels, "ids": names}
  arrays = {f"train_{k}": v[:train] for k, v in parts.items()}
  arrays |= {f"test_{k}": v[train:] for k, v in parts.items()}
  np.savez_compressed(path, **arrays, class_names=CLASSES)
  return path


def write_folder(root, images, labels, names, train=TRAIN):
  for i, (image, label) in enumerate(zip(images, labels, strict=True)):
    split = "" if train is None else "train" if i < train else "test"
    place = root / split / CLASSES[label]
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(place / names[i])
  return root


def config(path, variant="partial_labels", **fields):
  c = config_lib.default()
  c.update(dataset="own", data=str(path), arch="mlp_1x512", batch_size=32)
  c.update(config_lib.VARIANTS[variant])
  c.update(epochs=2, plots=False, tensorboard=False)
  c.update(fields)
  return c


def pair(path, **fields):
  return own_lib.pair(own_lib.Own(str(path), **fields))
