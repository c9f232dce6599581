"""Writes a corrupted data set or a trained model, for any framework.

  python -m rethinking.export --out=DIR \\
      --config=configs/cifar.py:partial_labels,p=0.4
  python -m rethinking.export --verify=DIR \\
      --config=configs/cifar.py:partial_labels,p=0.4
  python -m rethinking.export --model=WORKDIR --out=DIR

Of a config DIR gets labels.npz (id, true_label, given_label, changed), the same
as labels.csv, images.npy and test_images.npy where pixels change, report.json,
transitions and examples as .png and .svg and, last, SHA256SUMS. --verify
computes the data again and compares it, and all files with SHA256SUMS; a folder
without that file was not written to its end. Of a run it gets parameters.npz,
whose arrays have names such as params/logits/kernel, and architecture.json.
Exit codes: 0 finished, 1 a difference, 2 refused input.

  noisy = np.load("DIR/labels.npz")
  print(noisy["given_label"][:5], noisy["changed"].mean())
"""

import sys

from absl import flags
from ml_collections import ConfigDict

from rethinking.runtime import cli
from rethinking.runtime.errors import UserError

_OUT = flags.DEFINE_string("out", None, "Folder to write to.")
_VERIFY = flags.DEFINE_string("verify", None, "Folder to compare with.")


def main(config: ConfigDict) -> int:
  """Writes or verifies; returns the exit code."""
  # After the flags: --help and a mistyped config need not wait for JAX.
  from rethinking.exports.verify import verify
  from rethinking.exports.write import write

  if (_OUT.value is None) == (_VERIFY.value is None):
    both = "both" if _OUT.value else "neither"
    raise UserError(
      f"One of --out and --verify must be given, got {both}; try --out=DIR."
    )
  if _OUT.value is not None:
    facts = write(config, _OUT.value)
    print(
      f"{_OUT.value}: {facts['num_examples']} examples of {facts['dataset']}, "
      f"{facts['labels_changed']} labels changed "
      f"({100 * facts['flip_rate']:.2f} %), "
      f"{facts['images_changed'] or 0} images changed; labels SHA-256 "
      f"{facts['labels_sha256']}"
    )
    return cli.FINISHED
  found = verify(config, _VERIFY.value)
  for line in found:
    print(f"differs: {line}", file=sys.stderr)
  if not found:
    print(f"{_VERIFY.value}: the same")
  return cli.FAILED if found else cli.FINISHED


def main_model(argv: list[str] | None = None) -> int:
  """Writes the model of --model, which needs no config; returns the exit code.

  Args:
    argv: the arguments; None: this process's.
  """
  parser = cli.Parser(prog="python -m rethinking.export", description=__doc__)
  parser.add_argument("--model", required=True, help="workdir of a run")
  parser.add_argument("--out", required=True, help="folder to write to")
  given = parser.parse_args(argv)
  # As in `main`.
  from rethinking.exports import model
  from rethinking.training import trained

  size = model.write(trained.load(given.model), given.out)
  print(f"{given.out}: the {size:,} parameters of {given.model}")
  return cli.FINISHED


if __name__ == "__main__":
  stopped = "Stopped before the end; run the same command again."
  if any(word.startswith(("--model", "-model")) for word in sys.argv[1:]):
    cli.call(main_model, stopped)
  cli.run(main, stopped=stopped)
