"""What NumPy would take in silence is refused in a line, or taken rightly."""

import os
import pathlib

import numpy as np
import pytest
from refusals import refused

import rethinking
from rethinking import corruptions, label_issues, memorization
from rethinking.config import fields
from rethinking.corruptions import Corruption
from rethinking.data import Dataset, own
from rethinking.training import trained

_N = 12
_LABELS = np.arange(_N) % 3
_IMAGES = (np.arange(_N * 8 * 8) ** 2 % 251).astype(np.uint8)
_IMAGES = _IMAGES.reshape(_N, 8, 8, 1)
_SPAN = np.arange(_N).astype("m8[s]")
_RAGGED = [[0], *[[1, 2]] * (_N - 1)]
_NAMES = [f"{i:03}" for i in range(_N)]
_MATRIX = 0.7 * np.eye(3) + 0.1
_PROBS = _MATRIX[_LABELS]
_MASKS = memorization.design(_N, _LABELS, 0.5, 2, 3, seed=0)
_P = np.full(_MASKS.shape, 0.5)
_NAN = np.where(np.arange(_N) == 3, np.nan, _P)
_WRONG = np.arange(_N) < 3


def _apply(noise=("uniform", 0.5), **given):
  about = {"labels": _LABELS, "num_classes": 3} | given
  noises = about.pop("noises", [Corruption.create(*noise)])
  return corruptions.apply(noises, seed=0, **about)


def _asymmetric(map):
  return Corruption.create("asymmetric", level=1.0, map=map)


def _masked(values):
  return np.ma.array(values, mask=np.arange(np.size(values)) == 1)


def _dataset(**given):
  return Dataset.from_arrays(**{"images": _IMAGES, "labels": _LABELS} | given)


def _design(ratio=0.5, ids=_N):
  return memorization.design(ids, _LABELS, ratio, 2, 3, seed=0)


def _find(**given):
  return label_issues.find(_LABELS, **{"pred_probs": _PROBS} | given)


@pytest.mark.parametrize(
  ("act", "words"),
  [
    # Time spans are integers to NumPy.
    (lambda: _apply(labels=_SPAN), "Labels must be integers"),
    (lambda: _apply(ids=_SPAN), "Ids must be integers"),
    (lambda: _dataset(ids=_SPAN), "Ids must be integers"),
    # Rows of several lengths.
    (lambda: _apply(labels=_RAGGED), "Labels must be an array, got rows"),
    (lambda: _apply(ids=_RAGGED), "Ids must be an array, got rows"),
    (lambda: _dataset(labels=_RAGGED), "labels must be an array, got rows"),
    (lambda: _dataset(ids=_RAGGED), "ids must be an array, got rows"),
    # What has another number of values than was meant.
    (lambda: _apply(noises=None), "corruptions must be a list, got None"),
    (
      lambda: _apply(noises={Corruption.create("uniform", 0.5)}),
      "corruptions must be a list, got {",
    ),
    (lambda: _apply(num_classes=2**31 - 1), "num_classes must be an integer"),
    (lambda: _asymmetric(np.array(3)), "The map must be one of"),
    (lambda: _asymmetric(np.eye(3, dtype=int)), "The map must be of integers"),
    (
      lambda: Corruption.create("occlusion", 0.5, value=np.array([7, 8])),
      "value must be an integer in 0..255",
    ),
    *(
      (
        lambda m=m: Corruption.create("transition", matrix=m),
        "must be numbers of shape [K, K]",
      )
      for m in (np.eye(3).astype(str), np.eye(3) * 1j, [["1", "0"]] * 2)
    ),
    # Names.
    (lambda: corruptions.name_ids("abc"), "must be a list of strings"),
    (lambda: corruptions.name_ids({"a", "b"}), "which has no order"),
    (lambda: corruptions.name_ids(["\udcff"]), "must be Unicode text"),
    *(
      (lambda names=names: _dataset(class_names=names), "class_names must be")
      for names in (
        *({"a", "b", "c"}, {"a": 0, "b": 1, "c": 2}, "abc", 3),
        *(
          ["a", "a", "b"],
          ["a", "b\n", "c"],
          ["a", "b", None],
          np.array([b"a", b"b", b"c"]),
        ),
      )
    ),
    # Ensembles of others.
    (lambda: _design("0.5"), "ratio must be in (0, 1), got '0.5'"),
    (lambda: _design(None), "ratio must be in (0, 1), got None"),
    (
      lambda: memorization.unpack(memorization.pack(_MASKS), 12.0),
      "examples must be an integer",
    ),
    (
      lambda: [*memorization.influence(_MASKS, _masked(_MASKS[0])[None])],
      "correct must have no masked values",
    ),
    (
      lambda: memorization.halves(_MASKS, _NAN, 3),
      "p must be a probability of each run, got NaN for 6",
    ),
    (
      lambda: memorization.halves(_MASKS, _P.astype(str), 3),
      "p must be numbers, got <U",
    ),
    (
      lambda: memorization.resampled(_MASKS, _P.astype(str), 3, 0),
      "outcome must be numbers, got <U",
    ),
    (
      lambda: memorization.compare([1, None, 3], [1, 2, 3]),
      "ours must be numbers, got object",
    ),
    (
      lambda: memorization.compare([1.0, 2, 3], [1, np.nan, 3]),
      "reference must have a score for each example, got NaN for 1",
    ),
    # Predictions of others.
    (
      lambda: _find(pred_probs=np.ma.masked_less(_PROBS, 0.2)),
      "pred_probs must have no masked values",
    ),
    *(
      (lambda names=names: _find(names=names), "names must be a list of 3")
      for names in ("ab", ["a"], {"a", "b", "c"}, 3)
    ),
    *(
      (
        lambda among=among: _find().expected_precision(among),
        "among must be bool [12]",
      )
      for among in (_WRONG.astype(int), np.arange(3), _WRONG[:3])
    ),
    (
      lambda: label_issues.p_right(_LABELS, _PROBS, 9 * _MATRIX),
      "Row 0 of the transition matrix must sum to 1",
    ),
    (
      lambda: label_issues.unfold(_PROBS, np.eye(4)),
      "The transition matrix must be of shape [3, 3]",
    ),
    (
      lambda: label_issues.unfold(_PROBS[0], _MATRIX),
      "must be [N, K], got [3]",
    ),
    (
      lambda: label_issues.transition(np.zeros((3, 3))),
      "joint must be counts",
    ),
    # A finished run, and its arrays.
    (lambda: rethinking.load(None), "workdir must be a path, got None"),
    (lambda: rethinking.load(b"w"), "workdir must be a path, got b'w'"),
  ],
)
def test_what_has_no_meaning_is_refused(act, words):
  refused(act, words, "; try ")


@pytest.mark.parametrize(
  "measure",
  [
    label_issues.auroc,
    label_issues.average_precision,
    label_issues.precision_at_errors,
    lambda wrong, score: label_issues.auroc_draws(wrong, score, 0, 2),
  ],
)
def test_a_score_and_what_it_finds_are_not_taken_for_each_other(measure):
  score = np.linspace(0, 1, _N)
  assert np.isfinite(measure(_WRONG, score)).all()
  for act, words in (
    (lambda: measure(score, _WRONG), "wrong must be bool [N], got float64"),
    (lambda: measure(_WRONG[None], score[None]), "wrong must be bool [N]"),
    (lambda: measure(_WRONG, _NAN[0]), "got NaN for 1"),
    (lambda: measure(_WRONG, _masked(score)), "no masked values"),
    (lambda: measure(_masked(_WRONG), score), "no masked values"),
  ):
    refused(act, words, "; try ")


def test_what_can_be_taken_is_taken():
  ours, reference = [1.0, np.nan, 3], [1, np.nan, 3]
  assert memorization.compare(ours, reference).examples == 2
  noise = Corruption.create("shuffled_pixels")
  done = corruptions.apply(iter([noise]), seed=0, images=_IMAGES)
  assert (done.images != _IMAGES).any()
  shared = {"pred_probs": _PROBS, "names": np.array(["a", "b", "c"])}
  assert (_find(**shared).rank == _find().rank).all()
  matrix = np.array(_MATRIX, ">f4")
  assert Corruption.create("transition", matrix=matrix).option("matrix")
  # Ids of two words, as names have, in another order of the rows.
  ids = corruptions.name_ids(_NAMES)
  turned = memorization.design(ids[::-1], _LABELS[::-1], 0.5, 2, 3, seed=0)
  assert (_design(ids=ids) == turned[:, ::-1]).all()


_LINES = {
  "a column twice": ("id,label,label\n0,2,1\n", "id,label,label has a column"),
  "an id twice": ("id,label,id\n0,2,1\n", "has a column twice"),
  "two of one kind": ("id,label,fixed\n0,2,1\n", "got label and fixed"),
  "too many": ("id,label\n0,2,1\n", "more values than columns in line 2"),
  "too many below two lines": (
    'id,label,note\n0,2,"a\nb"\n\n1,2,c,d\n',
    "more values than columns in line 5",
  ),
  "too large": (f"id,label\n0,1{'0' * 30}\n", "in line 2; try such as"),
  "too long": (f"id,label\n0,{'1' * 5000}\n", f"got '{'1' * 100}' in line 2"),
  "of Python": ("id,label\n0,0_2\n", "got '0_2' in line 2"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  np.savez(
    "own.npz",
    train_images=_IMAGES,
    train_labels=_LABELS,
    test_images=255 - _IMAGES,
    test_labels=_LABELS,
    class_names=np.array(["1", "2", "10"]),
  )
  return tmp_path


@pytest.mark.parametrize("kind", _LINES)
def test_a_csv_that_can_be_read_in_two_ways_is_refused(folder, kind):
  text, words = _LINES[kind]
  pathlib.Path("l.csv").write_text(text)
  raw = {"images": _IMAGES, "labels": _LABELS}
  refused(lambda: own.label_files.replace(raw, "l.csv"), words, "; try ")
  assert (raw["labels"] == _LABELS).all()


def test_an_accent_of_its_own_is_the_same_name(folder):
  pathlib.Path("l.csv").write_text("id,label\ne\u0301.png,2\n")
  raw = {"images": _IMAGES[:2], "labels": _LABELS[:2]}
  raw["ids"] = ["a.png", "\u00e9.png"]
  own.label_files.replace(raw, "l.csv")
  assert raw["labels"].tolist() == [_LABELS[0], 2]


def test_one_set_beside_two_is_refused(folder):
  np.savez("both.npz", images=_IMAGES, labels=_LABELS, train_images=_IMAGES)
  refused(
    lambda: own.pair(own.Own("both.npz", test_fraction=0.5)),
    "must have one set or two, got images beside train_images",
    "; try ",
  )


def test_names_of_classes_that_are_numbers_are_names(folder):
  pathlib.Path("l.csv").write_text("id,label\n0,2\n1,10\n")
  train, _ = own.pair(own.Own("own.npz", labels="l.csv"))
  assert train.labels[:2].tolist() == [1, 2]
  # The number of another class than the one of that name.
  pathlib.Path("l.csv").write_text("id,label\n0,0\n")
  refused(
    lambda: own.pair(own.Own("own.npz", labels="l.csv")),
    "must have names of classes, got '0' in line 2; try such as 1",
  )


@pytest.mark.parametrize(
  ("given", "words"),
  [
    (
      {"data": "~no_such_user/own.npz"},
      "must be in a home folder that is there",
    ),
    ({"data": "own.npz", "labels": "."}, "labels must be a readable CSV file"),
    (
      {"data": "own.npz", "labels": "~no_such_user/l.csv"},
      "labels must be in a home folder that is there",
    ),
    (
      {"data": "one.npz", "test_fraction": "0.2"},
      "test_fraction must be a num",
    ),
  ],
)
def test_a_field_of_own_data_is_named(folder, given, words):
  np.savez("one.npz", images=_IMAGES, labels=_LABELS)
  refused(lambda: own.pair(own.Own(**given)), words, "; try ")


def test_class_names_of_a_file_are_strings(folder):
  for names in (np.array("abc"), np.arange(3.0), np.array([b"a", b"b", b"c"])):
    np.savez("one.npz", images=_IMAGES, labels=_LABELS, class_names=names)
    refused(
      lambda: own.pair(own.Own("one.npz", test_fraction=0.2)),
      "one.npz",
      "class_names must be a list",
    )


@pytest.mark.parametrize(
  ("field", "value"),
  [("labels", "l.csv"), ("resize", 8), ("test_fraction", 0.3)],
)
def test_fields_of_own_data_are_not_dropped(tmp_path, field, value):
  config = fields.default()
  config.update({"dataset": "own", field: value})
  train, test = _dataset(), _dataset(images=255 - _IMAGES)
  refused(
    lambda: rethinking.run(config, tmp_path / "w", train=train, test=test),
    f"{field} must be left out where train= and test= are given",
  )
  assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("folder", [None, 3, b"w", "~no_such_user/w"])
def test_a_workdir_that_is_no_path_is_refused(folder, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = fields.default()
  config.dataset = "digits"
  refused(lambda: rethinking.run(config, folder), "workdir must be")
  assert os.listdir() == []


def test_a_model_takes_no_masked_arrays():
  model = object.__new__(trained.Trained)
  for name, value in (("image_shape", (8, 8, 1)), ("class_names", "abc")):
    object.__setattr__(model, name, value)
  refused(lambda: model.predict(_masked_images()), "no masked values")
  refused(lambda: model.evaluate(_IMAGES, _masked(_LABELS)), "no masked values")


def _masked_images():
  return np.ma.masked_greater(_IMAGES, 200)
