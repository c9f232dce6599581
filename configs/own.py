"""Your own images: an .npz file, a folder, or what TFDS has prepared.

  python -m rethinking.main \\
      --config=configs/own.py:partial_labels,p=0.4,data=PATH

PATH is one of

  FILE.npz    images uint8 [N, H, W, C] or [N, H, W] and labels, integers from 0
              on; prefixed train_ and test_, or one set and test_fraction=0.2.
              Perhaps ids (numbers or names), given_labels, class_names.
  FOLDER      CLASS/IMAGE, or train/CLASS/IMAGE and test/CLASS/IMAGE: PNG, JPEG
              or WebP of one size, or any with resize=32. The first frame is
              taken, orientation tags are ignored.
  tfds:NAME[/CONFIG][:VERSION]
              of --config.data_dir, as array_record or tfrecord, with one image
              and one label.

Images have 4 to 256 pixels a side and 1 to 4 channels; there are 2 to 1,000
classes. An example's draws depend on its id alone: a folder's is the file's
name, so that moving a file to another class changes no draw. Decoded folders
are kept in the user's cache.

labels=CSV puts the labels of a file with the columns id and label in the place
of the train set's. With given_labels, or a CSV's given_label, label_noise=given
trains on them, and all that is measured knows the true ones.

`memorization` trains 100 networks on 70 % of the set each and says of each
example how often those that never saw it are right on it, see
`rethinking.memorization`.

`label_issues` trains 5 networks on 80 % each for 20 epochs, takes the mean of
what they predict of the rest until its loss turns, which it says, and lists the
labels that look wrong, see `rethinking.label_issues`; with
`--pred_probs=FILE` it trains none and ranks your own predictions: an .npz with
`pred_probs` [N, K] and `ids`, or an .npy in ascending order of id. Then

  python -m rethinking.report --label_issues=WORKDIR --labels_fixed

writes labels_fixed.csv, what is wrong with a probability of 0.9 or more, which
labels=CSV takes; your files stay as they are.
`repair` says whether it helps to remove or to fix what is listed.

In Python: rethinking.run(config, workdir, train=..., test=...) with
rethinking.data.Dataset.from_arrays(images, labels). Of a Hugging Face set:

  images = np.stack([np.asarray(x) for x in split["image"]])
  train = Dataset.from_arrays(images, np.array(split["label"]))

and of a torch.utils.data.Dataset whose images are uint8 [H, W, C]:

  images, labels = zip(*((np.asarray(x), int(y)) for x, y in whole))
  train = Dataset.from_arrays(np.stack(images), np.array(labels))
"""

from ml_collections import ConfigDict

from rethinking import config
from rethinking.config import figures

_SETTINGS = {
  "dataset": "own",
  "arch": "mlp_1x512",
  "batch_size": 32,  # Small enough for a small set.
  "epochs": 30,
}

_ISSUES = {
  **figures.label_issues(),
  "learning_rate": 2e-3,
  "epochs": 20,
  "checkpoint_epochs": 20,
}

_SWEEPS = {
  "figure1": figures.figure1("mlp_1x512", ("mlp_1x512",)),
  "levels": figures.levels(),
  "portions": figures.portions("mlp_1x512"),
  "redraw": figures.redraw("mlp_1x512"),
  "memorization": {
    **figures.memorization(
      ratio=0.7, members=10, permutations=10, levels=(0.0,)
    ),
    "eval_epochs": 30,
    "checkpoint_epochs": 30,
  },
  "label_issues": _ISSUES,
  "repair": _ISSUES,
  "detection": {**_ISSUES, **figures.detection()},
}


def get_config(variant: str = "true_labels") -> ConfigDict:
  """Returns the config of "variant,key=value,..."."""
  return config.create(variant, _SETTINGS, _SWEEPS)
