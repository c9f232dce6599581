"""What each corruption reports of digits: corruption.json must never drift.

  python -m pytest tests/golden --golden=write

writes what is found into the JSON files beside this one; a commit that does so
says why the numbers changed.
"""

import hashlib

import numpy as np
import pytest
from kept import golden

from rethinking import config as config_lib
from rethinking.training import task as task_lib

LABELS = {
  "none": {},
  "uniform": {"label_noise": "uniform", "p": 0.4},
  "uniform_1": {"label_noise": "uniform", "p": 1.0},
  "uniform_exact": {"label_noise": "uniform", "p": 0.4, "exact": True},
  "symmetric": {"label_noise": "symmetric", "p": 0.4},
  "symmetric_exact": {"label_noise": "symmetric", "p": 0.4, "exact": True},
  "pair_flip": {"label_noise": "pair_flip", "p": 0.45},
  "pair_flip_exact": {"label_noise": "pair_flip", "p": 0.45, "exact": True},
  "asymmetric": {
    "label_noise": "asymmetric",
    "p": 0.4,
    "label_options": "map=mnist",
  },
  "permutation": {"label_noise": "permutation", "p": 0.3},
  "transition": {
    "label_noise": "transition",
    "label_options": "matrix="
    + str((0.5 * np.eye(10) + 0.05).round(2).tolist()).replace(" ", ""),
  },
}
PIXELS = {
  "shuffled": "shuffled_pixels",
  "shuffled_half": "shuffled_pixels fraction=0.5",
  "shuffled_half_exact": "shuffled_pixels fraction=0.5 exact=True",
  "random": "random_pixels",
  "random_half": "random_pixels fraction=0.5",
  "gaussian": "gaussian_pixels",
  "gaussian_half": "gaussian_pixels fraction=0.5 per_channel=True",
  "partial": "partial_shuffle level=0.3",
  "partial_each": "partial_shuffle level=0.3 per_image=True",
  "occlusion": "occlusion level=0.5",
  "occlusion_half": "occlusion level=0.5 fraction=0.5",
}


def _cases():
  for validation in (0, 144):
    for name, fields in LABELS.items():
      yield f"{name}-{validation}", {**fields, "validation": validation}
  for name, text in PIXELS.items():
    pixel, _, options = text.partition(" ")
    fields = {"pixel_noise": pixel, "pixel_options": options}
    yield name, {**fields, "normalization": "global"}
  # Both at once, and a part of the examples.
  yield "both", {**LABELS["uniform"], "pixel_noise": "random_pixels"}
  yield "subset", {**LABELS["uniform_exact"], "subset": 1000, "seed": 7}


CASES = dict(_cases())


@pytest.mark.parametrize("name", CASES)
def test_what_is_reported_and_held_out_stays(name, request):
  config = config_lib.default()
  config.update(dataset="digits", arch="digits_cnn", data_cache=False)
  config.update(validation_labels="given", **CASES[name])
  task = task_lib.load(config_lib.resolve(config))
  found = {"corruption.json": task.facts()}
  if task.validation is not None:
    parts = (task.validation.ids, task.validation.labels)
    joined = b"".join(np.asarray(part).tobytes() for part in parts)
    found["validation_sha256"] = hashlib.sha256(joined).hexdigest()
  if task.statistics:
    found["statistics"] = np.stack(task.statistics).tolist()
  golden(request, "corruptions", name).exactly(found)
