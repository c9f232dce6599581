"""Labels that somebody gave, in the set or in a CSV file."""

import numpy as np
import pytest
from own_sets import CLASSES, config, make, pair, write_folder, write_npz

import rethinking
from rethinking import config as config_lib
from rethinking import corruptions, data
from rethinking.corruptions.report import OF_TRUTH
from rethinking.exports.write import write
from rethinking.runtime.errors import UserError
from rethinking.storage import reading
from rethinking.training import task as task_lib

IMAGES, LABELS, NAMES = make(60)
GIVEN = np.where(np.arange(60) % 4, LABELS, (LABELS + 1) % 3)


def _split(rows):
  return data.Dataset.from_arrays(
    IMAGES[rows],
    LABELS[rows],
    ids=NAMES[rows],
    given_labels=GIVEN[rows],
    class_names=CLASSES,
  )


@pytest.fixture
def csv(tmp_path):
  """A train set of 40, and a CSV of what was given for all of them."""
  path = write_npz(tmp_path / "a.npz", IMAGES, LABELS, NAMES, train=40)
  rows = [f"{NAMES[i]},{CLASSES[GIVEN[i]]}" for i in range(40)]
  (tmp_path / "l.csv").write_text("\n".join(["id,label", *rows]) + "\n")
  return path, tmp_path / "l.csv"


def test_a_run_on_given_labels_knows_the_true_ones(tmp_path):
  c = config("", label_noise="given", batch_size=8)
  splits = {"train": _split(slice(40)), "test": _split(slice(40, None))}
  seen = rethinking.run(c, tmp_path, **splits)
  report = reading.read_json(tmp_path / "corruption.json")
  assert report["labels_changed"] == 10 and report["flip_rate"] == 0.25
  assert report["corruptions"][0]["name"] == "given"
  for part in ("unchanged", "changed"):
    assert 0 <= seen[f"train_accuracy_{part}"] <= 1
  mean = seen["train_accuracy_unchanged"] * 30
  mean += seen["train_accuracy_changed"] * 10
  assert seen["train_accuracy"] == pytest.approx(mean / 40)


def test_validation_gets_its_own_given_labels(tmp_path):
  c = config("", label_noise="given", batch_size=8)
  c.update(validation=10, validation_labels="given")
  from rethinking.data import own

  with own.holding(_split(slice(40)), _split(slice(40, None))) as name:
    task = task_lib.load(config_lib.resolve(own.config_of(c, name)))
  for part in (task.train, task.validation):
    place = [NAMES.tolist().index(one) for one in part.given_ids]
    np.testing.assert_array_equal(part.labels, GIVEN[place])
    np.testing.assert_array_equal(part.true_labels, LABELS[place])


def test_without_given_labels_it_is_refused(tmp_path):
  path = write_npz(tmp_path / "a.npz", IMAGES, LABELS, NAMES, train=40)
  with pytest.raises(
    UserError, match="given_labels must be there .*, got none"
  ):
    rethinking.run(
      config(path, label_noise="given", batch_size=8), tmp_path / "w"
    )
  assert not (tmp_path / "w").exists()


def test_a_csv_replaces_labels_by_id(csv):
  path, labels = csv
  train, test = pair(path, labels=str(labels))
  place = [NAMES.tolist().index(one) for one in train.names]
  np.testing.assert_array_equal(train.labels, GIVEN[place])
  np.testing.assert_array_equal(test.labels, pair(path)[1].labels)
  # Some of them, by numbers, in any order: the others keep theirs.
  labels.write_text(f"label,id\n2,{NAMES[3]}\n0,{NAMES[1]}\n")
  train, _ = pair(path, labels=str(labels))
  found = dict(zip(train.names, train.labels.tolist(), strict=True))
  wanted = dict(zip(NAMES[:40], LABELS[:40].tolist(), strict=True))
  assert found == wanted | {NAMES[3]: 2, NAMES[1]: 0}


def test_an_export_is_read_back(csv):
  path, labels = csv
  rows = [f"{NAMES[i]},{LABELS[i]},{GIVEN[i]},1" for i in range(40)]
  labels.write_text("\n".join(["id,true_label,given_label,changed", *rows]))
  train, _ = pair(path, labels=str(labels))
  place = [NAMES.tolist().index(one) for one in train.names]
  np.testing.assert_array_equal(train.labels, LABELS[place])
  np.testing.assert_array_equal(train.given_labels, GIVEN[place])


@pytest.mark.parametrize(
  ("text", "match"),
  [
    ("", "must have a first line such as id,label .*got no line"),
    ("id,class\n1,2\n", "got id,class; try to name its columns so"),
    (
      "id,label\n9999.png,1\n",
      "got '9999.png' in line 2, which is none of it; try",
    ),
    (
      "id,label\n0001.png,1\n0001.png,1\n",
      "got '0001.png' in line 3, a second time",
    ),
    (
      "id,label\n0001.png,dog\n",
      r"names of classes, got 'dog' in line 2; try such as ant",
    ),
    ("id,label\n0001.png\n", "names of classes, got None in line 2"),
    ("id,label\n0001.png,7\n", "names of classes, got '7' in line 2"),
    ("id,label\n0001.png,-1\n", "names of classes, got '-1' in line 2"),
    ('id,label\n"0001', "must be a readable CSV file"),
  ],
)
def test_a_csv_that_does_not_match(csv, text, match):
  path, labels = csv
  labels.write_text(text)
  with pytest.raises(UserError, match=match) as error:
    pair(path, labels=str(labels))
  assert "\n" not in str(error.value)


def test_a_csv_says_how_many_labels_are_others(csv, capsys):
  path, labels = csv
  pair(path, labels=str(labels))
  changed = int((GIVEN[:40] != LABELS[:40]).sum())
  said = f"note: {changed} of 40 labels are others by labels={labels}.\n"
  assert changed and said in capsys.readouterr().err


def test_a_csv_that_is_no_text(csv):
  path, labels = csv
  labels.write_bytes(b"\xff\xfe\x00")
  with pytest.raises(UserError, match="must be a readable CSV file, got '"):
    pair(path, labels=str(labels))
  with pytest.raises(UserError, match="labels must be a CSV file, got .*csvx"):
    pair(path, labels=str(labels) + "x")


def test_the_library_takes_them():
  given = corruptions.Corruption.create("given")
  done = corruptions.apply(
    [given], seed=0, labels=LABELS, ids=NAMES, given_labels=GIVEN
  )
  np.testing.assert_array_equal(done.labels, GIVEN)
  assert done.report["corruptions"][0]["changed"] == 15
  with pytest.raises(ValueError, match="as many as labels, 60, got 59"):
    corruptions.apply([given], seed=0, labels=LABELS, given_labels=GIVEN[1:])


def test_a_folder_takes_a_csv(tmp_path):
  root = write_folder(tmp_path / "f", IMAGES, LABELS, NAMES, train=40)
  (tmp_path / "l.csv").write_text("id,given_label\n0000.png,cat\n")
  train, _ = pair(root, labels=str(tmp_path / "l.csv"))
  changed = train.names[train.labels != train.given_labels]
  assert changed.tolist() == ["0000.png"]


def test_what_depends_on_true_labels_is_absent_without_them(tmp_path):
  """Only given labels: in arrays, in a file; train alone."""
  arrays = {"train_images": IMAGES[:40], "train_given_labels": GIVEN[:40]}
  arrays |= {"test_images": IMAGES[40:], "test_labels": LABELS[40:]}
  np.savez(tmp_path / "a.npz", **arrays)
  c = config(tmp_path / "a.npz", label_noise="given", batch_size=8)
  c.per_example = True
  seen = rethinking.run(c, tmp_path / "w")
  report = reading.read_json(tmp_path / "w/corruption.json")
  assert {report[name] for name in OF_TRUTH} == {None}
  assert report["class_counts_given"] == np.bincount(GIVEN[:40]).tolist()
  parts = [name for name in seen if "changed" in name]
  assert len(parts) == 5 and {seen[name] for name in parts} == {None}
  assert 0 <= seen["train_accuracy"] <= 1 and 0 <= seen["test_accuracy"] <= 1
  kept = np.load(next((tmp_path / "w/per_example").iterdir()))
  assert "train_true_label" not in kept and "test_true_label" in kept
  np.testing.assert_array_equal(kept["train_label"], GIVEN[:40])
  with pytest.raises(UserError, match="An export must have true labels"):
    write(c, tmp_path / "out")
  c.validation = 10
  with pytest.raises(UserError, match="validation_labels must be given where"):
    rethinking.run(c, tmp_path / "v")
  alone = data.Dataset.from_arrays(IMAGES[40:], given_labels=GIVEN[40:])
  with pytest.raises(UserError, match="labels of the test set must be true"):
    rethinking.run(c, tmp_path / "t", train=_split(slice(40)), test=alone)
