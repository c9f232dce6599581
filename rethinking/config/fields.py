"""Every field of a run's config, a row each, from which all lists follow."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from rethinking.runtime.allowed import AT_LEAST_1, BELOW_1, RATE, Range

AT_LEAST_0 = Range("at least 0", lambda x: x >= 0, "0")
ABOVE_0 = Range("above 0", lambda x: x > 0, "0.001")
FRACTION = Range("in (0, 1]", lambda x: 0 < x <= 1, "1")
INSIDE_1 = Range("in (0, 1)", lambda x: 0 < x < 1, "0.5")
SEED = Range("in [0, 2**32)", lambda x: 0 <= x < 2**32, "0")
LEVELS = Range(
  "one or more rates in [0, 1]",
  # key=value makes characters of a tuple's text.
  lambda x: (
    len(x) > 0
    and all(isinstance(one, int | float) and RATE.holds(one) for one in x)
  ),
  "--config.levels='(0.0, 0.2)'",
)
EPOCHS = Range(
  "epochs, from 1",
  lambda x: all(isinstance(one, int) and one >= 1 for one in x),
  "--config.el2n_epochs='(1, 5)'",
)


class Field(NamedTuple):
  """A field of a config.

  Attributes:
    name: of the field.
    default: its value in a config file's beginning; a type: None, which means
      that it is optional or filled in by `rethinking.config.resolve`.
    flags: any of these words.
      program: the compiled programs depend on it.
      sized: it must go with the size of the data set.
      group: runs of one vectorised program may differ in it.
      images: they may, unless images are corrupted at load.
      resume: it changes no number, so that a resume may bring another value.
      sweep: the sweep's own, which its cells do not have.
      anew: of a finished sweep, another value asks for more.
      unseen: no condition in reports: it changes no number, is a repetition's,
        or is said by other fields.
      regulariser: reports compare runs that have more of these with others.
      own: each run of an ensemble has its own.
      common: the theory's experiments have it, too.
      option: it means nothing without the corruption that it is of.
      named: reports name every run by it, so none can lack it.
    sentence: what it says, with unit and range.
    allowed: a range, or the words to choose from; None: checked elsewhere, or
      every value of its type.
    absent: what it stands for where a workdir is older than the field and
      lacks it; `...`: every version has written it.
    renamed: which of its values have another name now, old to new.
    role: what it is about, a section of the table.
  """

  name: str
  default: Any
  flags: str
  sentence: str
  allowed: Range | tuple[str, ...] | None = None
  absent: Any = ...
  renamed: Mapping[str, str] = MappingProxyType({})
  role: str = ""

  @property
  def initial(self) -> Any:
    return None if isinstance(self.default, type) else self.default


# What the roles are about, as `--help` says it.
ROLES: dict[str, str] = {}


def _section(role: str, title: str, *rows: Field) -> tuple[Field, ...]:
  ROLES[role] = title
  return tuple(row._replace(role=role) for row in rows)


# fmt: off
TABLE: tuple[Field, ...] = (
  *_section("run", "What is run",
    Field("experiment", "train", "sweep unseen common",
          "What main runs; see Experiments."),
    Field("variant", "true_labels", "images sweep unseen common",
          "The condition's name, for titles and folders.",
          renamed={"seed_study": "keras_study"}),
  ),
  *_section("sweep", "A sweep",
    Field("grids", {}, "sweep",
          "Name -> axis -> values; see rethinking.sweeps.grid.", absent={}),
    Field("only", str, "sweep unseen",
          "The cells whose names contain this; none: all.", absent=None),
    Field("runs_at_once", int, "group resume sweep unseen",
          "Runs in one program; none: by platform.", AT_LEAST_1, absent=None),
    Field("levels", tuple, "sweep",
          "Label-noise levels, as '(0.0, 0.2)', of each grid that has some of "
          "their kind, 0 or above; none: the grids' own.", LEVELS, absent=None),
    Field("influence", False, "resume sweep anew unseen",
          "Of runs on subsets: which test examples lean on which train "
          "examples, and a check by runs without these.", absent=False),
    Field("reference", str, "resume sweep anew unseen",
          "Of runs on subsets: a file of scores to compare p_out with.",
          absent=None),
  ),
  *_section("data", "Data",
    Field("dataset", "cifar10", "sized common named",
          "The data set; see Data sets."),
    Field("data", str, "sized common",
          "Of dataset=own: an .npz, a folder of class folders with images, or "
          "tfds:NAME[/CONFIG][:VERSION]; see configs/own.py.", absent=None),
    Field("labels", str, "sized common",
          "A CSV of id and label, or given_label, for its train set.",
          absent=None),
    Field("resize", int, "sized common",
          "Pixels a side that its images get; none: they have one size.",
          Range("in 4..256", lambda x: 4 <= x <= 256, "32"), absent=None),
    Field("test_fraction", float, "sized common",
          "The share of its examples to test on, where it is one set.",
          INSIDE_1, absent=None),
    Field("data_dir", str, "group resume unseen common",
          "Folder of prepared TFDS data; none: TFDS_DATA_DIR."),
    Field("data_cache", True, "group resume unseen common",
          "Keep decoded arrays in the user's cache folder."),
    Field("subset", int, "sized common",
          "Train on the n lowest ids; none: all.", AT_LEAST_1),
    Field("validation", 0, "sized",
          "Train examples kept apart, drawn before corruption; 0: none.",
          AT_LEAST_0, absent=0),
    Field("validation_labels", "true", "",
          "Theirs: true, or given, corrupted as the train labels are.",
          ("true", "given"), absent="true"),
    Field("without", "", "sized group",
          "Ids that are not trained on, as 12+45 (in one + is %2B, % is %25); "
          "validated on instead.",
          absent=""),
  ),
  *_section("ensemble", "A run of an ensemble on subsets; all or none",
    Field("member", int, "group unseen",
          "Which run: trains on its subset, is validated on the others; none: "
          "trains on all.", AT_LEAST_0, absent=None),
    Field("ratio", float, "sized",
          "The share of the examples in a subset, in (0, 1).", INSIDE_1,
          absent=None),
    Field("members", int, "sized",
          "Runs of a permutation, which cover it evenly.", AT_LEAST_1,
          absent=None),
    Field("permutations", int, "sized",
          "Permutations: there are members x permutations runs.", AT_LEAST_1,
          absent=None),
  ),
  *_section("labels", "Label corruption, the same in each epoch or redrawn",
    Field("label_noise", str, "images common",
          "A label corruption's name; none: none."),
    Field("p", 0.0, "images common named", "Its level, in [0, 1].", RATE),
    Field("exact", False, "images common option",
          "Corrupt exactly round(p n) labels, not n coins."),
    Field("label_options", "", "images common option",
          "Its other options, such as map=cifar10; by a flag also "
          "matrix=((0.9, 0.1), (0.2, 0.8)).", absent=""),
  ),
  *_section("pixels", "Pixel corruption; test images get it, too",
    Field("pixel_noise", str, "sized common",
          "An image corruption's name; none: none."),
    Field("fraction", 1.0, "images common",
          "The share of the images that it corrupts.", RATE, absent=1.0),
    Field("level", float, "images common",
          "Its level, in [0, 1], where it has one.", RATE, absent=None),
    Field("pixel_options", "", "common option",
          'Its other options, such as "per_image=True".', absent=""),
    Field("redraw", "never", "",
          "Draw labels and pixels anew each epoch, or never.",
          ("never", "epoch"), absent="never"),
    Field("corrupt_in", "auto", "resume unseen",
          "Where images are corrupted: in the step, at load, or auto.",
          ("auto", "step", "load"), absent="auto"),
  ),
  *_section("model", "Model and what it sees",
    Field("arch", "inception", "program named",
          "The architecture; see Architectures.",
          renamed={"seed_cifar_cnn": "keras_cifar_cnn",
                   "seed_mnist_cnn": "keras_mnist_cnn"}),
    Field("augment", "none", "program sized regulariser",
          "A name of rethinking.data.presets.PRESETS.", absent="none",
          renamed={"seed_cifar": "keras_cifar", "seed_mnist": "keras_mnist"}),
    Field("normalization", "per_image", "program",
          "per_image, or global: by the train images' channels.",
          ("per_image", "global"), absent="per_image"),
    Field("crop", int, "program sized regulariser",
          "Centre crop, pixels a side; 0: whole image; none: the paper's.",
          AT_LEAST_0),
    Field("dropout", float, "program regulariser",
          "Every rate, in [0, 1); none: the model's own.", BELOW_1),
    Field("dtype", "float32", "program",
          "Of activations: float32 or bfloat16.", ("float32", "bfloat16")),
    Field("matmul_precision", str, "program",
          "Of float32 products and convolutions, as JAX names it: default, "
          "high or highest; none: JAX's setting, which is the platform's own.",
          ("default", "high", "highest"), absent=None),
  ),
  *_section("optimiser", "Optimisation; none: the recipe's own",
    Field("recipe", "adam_cosine", "",
          "adam_cosine, paper or keras; see rethinking.config.recipes.",
          renamed={"seed": "keras"}),
    Field("batch_size", 128, "program sized",
          "Examples a step, over all devices; an epoch's rest begins the next "
          "one's.", AT_LEAST_1),
    Field("epochs", 30, "program sized",
          "Passes over the train set.", AT_LEAST_1),
    Field("optimizer", str, "program",
          "adam or sgd (momentum 0.9).", ("adam", "sgd")),
    Field("learning_rate", float, "program",
          "At the start of the schedule.", ABOVE_0),
    Field("schedule", str, "program",
          "cosine (to 0), exponential, constant, or plateau: halved after 10 "
          "evaluations without a better validation loss, down to 1e-5.",
          ("cosine", "exponential", "constant", "plateau")),
    Field("decay", 0.95, "program",
          "The exponential schedule's factor an epoch, in (0, 1].", FRACTION),
    Field("weight_decay", 0.0, "program regulariser",
          "Decoupled (AdamW): w -= learning_rate * this * w.", AT_LEAST_0),
    Field("l2", float, "program regulariser",
          "In the loss: l2/2 * the kernels' sum of squares.",
          AT_LEAST_0, absent=0.0),
    Field("l2_kernels", str, "program",
          "Whose: all, or conv for convolutions alone.",
          ("all", "conv"), absent="all"),
    Field("early_stopping", int, "",
          "End after this many epochs without a better validation loss and "
          "take the best weights, however the run ended; 0: neither.",
          AT_LEAST_0, absent=0),
  ),
  *_section("evaluation", "Evaluation and stopping",
    Field("eval_epochs", 1, "", "Epochs between evaluations.", AT_LEAST_1),
    Field("eval_batch_size", 1000, "unseen",
          "Examples a dispatch; changes no number.", AT_LEAST_1),
    Field("fit_accuracy", 1.0, "",
          "Train accuracy that counts as fitted, in (0, 1].", FRACTION),
    Field("stop_at_fit", False, "group unseen",
          "End the run at the first evaluation that fits."),
  ),
  *_section("output", "What is written",
    Field("per_example", False, "program unseen",
          "Write each example's loss, prediction and probabilities, by id."),
    Field("presentations", False, "program unseen",
          "Write what training saw of each example each time, summed, by id.",
          absent=False),
    Field("early_epochs", int, "program unseen",
          "Of these: the first epochs, whose losses and margins are summed; "
          "none: all.", AT_LEAST_1, absent=None),
    Field("el2n_epochs", (), "program unseen",
          "Of these: epochs, from 1, whose EL2N is, as '(1, 5)'.", EPOCHS,
          absent=[]),
    Field("keep_params", False, "unseen",
          "Leave model.npz, which rethinking.load reads, in a sweep too.",
          absent=False),
    Field("checkpoint_epochs", int, "unseen",
          "Epochs between checkpoints; none: ten checkpoints in a run.",
          AT_LEAST_1),
    Field("tensorboard", True, "resume unseen", "Write event files."),
    Field("plots", True, "resume unseen common", "Draw the figures."),
  ),
  *_section("seed", "Seeds; none: the same as seed",
    Field("seed", 0, "group unseen common",
          "The one to change for another repetition.", SEED),
    Field("corruption_seed", int, "images unseen common",
          "Which labels and pixels are changed.", SEED),
    Field("init_seed", int, "group unseen own",
          "The weights' first values.", SEED),
    Field("order_seed", int, "group unseen own",
          "The order of the examples.", SEED),
    Field("noise_seed", int, "group unseen own",
          "Dropout and augmentation.", SEED),
    Field("validation_seed", int, "group unseen",
          "Which examples are kept apart.", SEED, absent=None),
  ),
  *_section("execution", "Execution",
    Field("chunk_steps", int, "unseen",
          "Most steps per dispatch; a signal counts where one ends. None: on "
          "a CPU 1 with convolutions and what 4,096 examples take without, an "
          "epoch elsewhere, 100 where runs train together.", AT_LEAST_1),
    Field("deterministic", False, "", "Bit-exact on a GPU too, at some speed."),
    Field("compilation_cache", True, "group resume unseen common",
          "Keep compiled programs in the user's cache."),
  ),
)
# fmt: on


def _role(name: str) -> tuple[str, ...]:
  return tuple(row.name for row in TABLE if row.role == name)


def flagged(*flags: str) -> tuple[str, ...]:
  """Names the fields that have any of some flags, in the order of the table.

  Args:
    flags: words of `Field.flags`.
  """
  return tuple(r.name for r in TABLE if {*flags} & {*r.flags.split()})


DATA, LABELS, PIXELS = _role("data"), _role("labels"), _role("pixels")
SWEEP = _role("sweep")
SEEDS, ENSEMBLE = _role("seed"), _role("ensemble")
RENAMED = {row.name: row.renamed for row in TABLE if row.renamed}


def create(rows: Iterable[Field]) -> ConfigDict:
  """Returns a config of the rows' defaults.

  Args:
    rows: of `TABLE`, or of a table like it.
  """
  c = ConfigDict()
  for row in rows:
    optional = isinstance(row.default, type)
    c[row.name] = placeholder(row.default) if optional else row.default
  return c


def default() -> ConfigDict:
  """Returns the fields of a training run with their defaults."""
  return create(TABLE)
