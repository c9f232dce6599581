"""The table of fields: what follows from it is what it was."""

import ast
import pathlib

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
_LEVELS = {"fraction", "level"}
_PLACE = {"data_dir", "data_cache", "compilation_cache", "runs_at_once"}
_OWN = {"data", "labels", "resize", "test_fraction"}
# Lists of field names as they were kept by hand.
_KEPT = {
  "seeds": (fields.SEEDS, _SEEDS),
  "labels": (fields.LABELS, _LABELS),
  "pixels": (
    fields.PIXELS,
    {*_LEVELS, "pixel_noise", "pixel_options", "redraw", "corrupt_in"},
  ),
  # Pictures and event files were not in it.
  "resume": (
    fields.flagged("resume"),
    _PLACE | {"plots", "tensorboard", "corrupt_in", "influence", "reference"},
  ),
  "sweep": (
    fields.flagged("sweep"),
    {
      *("experiment", "variant", "grids", "only", "runs_at_once"),
      *("levels", "influence", "reference"),
    },
  ),
  "group": (
    fields.flagged("group"),
    _PLACE
    | {"stop_at_fit", "member", "without"}
    | _SEEDS - {"corruption_seed"},
  ),
  "images": (
    fields.flagged("images"),
    _LABELS | _LEVELS | {"variant", "corruption_seed"},
  ),
  "program": (
    fields.flagged("program"),
    {
      *("arch", "dropout", "dtype", "crop", "augment", "normalization"),
      "matmul_precision",
      *("batch_size", "epochs", "optimizer", "learning_rate", "schedule"),
      *("decay", "weight_decay", "l2", "l2_kernels"),
      *("per_example", "presentations", "early_epochs", "el2n_epochs"),
    },
  ),
  "sized": (
    fields.flagged("sized"),
    {
      *("dataset", "subset", "batch_size", "crop", "epochs", "augment"),
      *("ratio", "members", "permutations"),
      *("pixel_noise", "validation", "without", *_OWN),
    },
  ),
  "unseen": (
    fields.flagged("unseen"),
    {
      *("experiment", "variant", "only", "eval_batch_size", "chunk_steps"),
      *("checkpoint_epochs", "stop_at_fit", "per_example", "tensorboard"),
      *("member", "presentations", "early_epochs", "el2n_epochs"),
      *("influence", "reference", "keep_params"),
      *("plots", "corrupt_in", *_PLACE, *_SEEDS),
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
      *("pixel_noise", "pixel_options", *_LABELS, *_LEVELS),
      *("seed", "corruption_seed"),
      *("plots", "compilation_cache", *_OWN),
    },
  ),
  # With label_options, exact, pixel_options and validation_labels, which were
  # forgotten: runs that differ in them do not have the same data.
  "data": (
    (*fields.DATA, *fields.LABELS, *fields.PIXELS),
    {
      *("dataset", "data_dir", "data_cache", "subset", "validation"),
      *("without", "validation_labels", *_LABELS),
      *("pixel_noise", "pixel_options"),
      *(*_LEVELS, *_OWN, "redraw", "corrupt_in"),
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
    *("regulariser", "own", "common", "anew", "option", "named"),
  }
  assert all(row.sentence.endswith(".") for row in fields.TABLE)


def test_defaults_have_the_types_of_their_rows():
  c = fields.default()
  for row in fields.TABLE:
    optional = isinstance(row.default, type)
    assert c.to_dict()[row.name] == row.initial
    assert not optional or c.get_type(row.name) is row.default


# What the first version's workdirs hold. A later field says what its absence
# means.
_FIRST = {
  *(
    "arch",
    "batch_size",
    "checkpoint_epochs",
    "chunk_steps",
    "compilation_cache",
  ),
  *("corruption_seed", "crop", "data_cache", "data_dir", "dataset", "decay"),
  *("deterministic", "dropout", "dtype", "epochs", "eval_batch_size"),
  *("eval_epochs", "exact", "experiment", "fit_accuracy", "init_seed"),
  *("label_noise", "learning_rate", "noise_seed", "optimizer", "order_seed"),
  *("p", "per_example", "pixel_noise", "plots", "recipe", "schedule", "seed"),
  *("stop_at_fit", "subset", "tensorboard", "variant", "weight_decay"),
}


def test_a_field_that_came_later_says_what_its_absence_means():
  assert {row.name for row in fields.TABLE if row.absent is ...} == _FIRST


def _lists(path):
  """Tuples, lists and sets of two or more fields' names and nothing else.

  One that has other words in it, such as a table's header, names columns.
  """
  names = {row.name for row in fields.TABLE}
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
      words = [e.value for e in node.elts if isinstance(e, ast.Constant)]
      if len(words) > 1 and names.issuperset(words):
        yield f"{path}:{node.lineno}: {words}"


def test_no_list_of_fields_is_kept_beside_the_table():
  package = pathlib.Path(fields.__file__).parent.parent
  found = [
    one
    for path in package.rglob("*.py")
    # The library knows no config; two of its options have a field's name.
    if path.parent.name != "corruptions"
    for one in _lists(path)
  ]
  assert not found, "ask the table, by a flag or a role"


def test_a_list_of_fields_is_found(tmp_path):
  path = tmp_path / "one.py"
  path.write_text('a = ["p", "seed"]\nb = ["p"]\nc = ("p", "words", "seed")\n')
  assert [one.split(":")[1] for one in _lists(path)] == ["1"]
