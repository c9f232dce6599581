"""The table of fields: what follows from it is what it was."""

import pytest

from rethinking.config import fields

_SEEDS = {
  "seed",
  "corruption_seed",
  "init_seed",
  "order_seed",
  "noise_seed",
  "validation_seed",
}
_LABELS = {"label_noise", "label_options", "p", "exact"}
_PLACE = {"data_dir", "data_cache", "compilation_cache", "runs_at_once"}
# Lists of field names as they were kept by hand.
_KEPT = {
  "seeds": (fields.SEEDS, _SEEDS),
  "labels": (fields.LABELS, _LABELS),
  "pixels": (fields.PIXELS, {"pixel_noise", "pixel_options"}),
  "resume": (fields.flagged("resume"), _PLACE),
  "sweep": (
    fields.flagged("sweep"),
    {"experiment", "variant", "grids", "only", "runs_at_once"},
  ),
  "group": (
    fields.flagged("group"),
    _PLACE | {"stop_at_fit"} | _SEEDS - {"corruption_seed"},
  ),
  "images": (
    fields.flagged("images"),
    _LABELS | {"variant", "corruption_seed"},
  ),
  "program": (
    fields.flagged("program"),
    {
      *("arch", "dropout", "dtype", "crop", "augment", "normalization"),
      *("batch_size", "epochs", "optimizer", "learning_rate", "schedule"),
      *("decay", "weight_decay", "l2", "l2_kernels"),
    },
  ),
  "sized": (
    fields.flagged("sized"),
    {
      *("dataset", "subset", "batch_size", "crop", "epochs", "augment"),
      *("pixel_noise", "validation"),
    },
  ),
  "unseen": (
    fields.flagged("unseen"),
    {
      *("experiment", "variant", "only", "eval_batch_size", "chunk_steps"),
      *("checkpoint_epochs", "stop_at_fit", "per_example", "tensorboard"),
      *("plots", *_PLACE, *_SEEDS),
    },
  ),
  "regularisers": (
    fields.flagged("regulariser"),
    {"weight_decay", "l2", "augment", "dropout", "crop"},
  ),
  # The experiments of the theory chose these one by one.
  "common": (
    fields.flagged("common"),
    {
      *("experiment", "variant", "dataset", "data_dir", "data_cache", "subset"),
      *("pixel_noise", "pixel_options", *_LABELS, "seed", "corruption_seed"),
      *("plots", "compilation_cache"),
    },
  ),
  # With label_options, exact, pixel_options and validation_labels, which were
  # forgotten: runs that differ in them do not have the same data.
  "data": (
    (*fields.DATA, *fields.LABELS, *fields.PIXELS),
    {
      *("dataset", "data_dir", "data_cache", "subset", "validation"),
      *("validation_labels", *_LABELS, "pixel_noise", "pixel_options"),
    },
  ),
}


@pytest.mark.parametrize("name", _KEPT)
def test_what_follows_from_the_table_is_what_was_kept_by_hand(name):
  found, kept = _KEPT[name]
  assert len(set(found)) == len(found) and set(found) == kept


def test_every_flag_means_something():
  flags = {flag for row in fields.TABLE for flag in row.flags.split()}
  assert flags == {
    *("program", "sized", "group", "images", "resume", "sweep", "unseen"),
    *("regulariser", "common"),
  }
  assert all(row.sentence.endswith(".") for row in fields.TABLE)


def test_the_defaults_are_those_of_the_table():
  from rethinking import config as config_lib

  old, new = config_lib.default(), fields.default()
  assert new.to_dict() == old.to_dict()
  assert {k: new.get_type(k) for k in new} == {k: old.get_type(k) for k in old}
