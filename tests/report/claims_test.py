"""Each claim: supported by rows made to, refuted by others, or not measured."""

import pytest

from rethinking.report import claims, published, rows

from . import synthetic


def _check(name, *made):
  found = {c.name: c for c in claims.check(rows.gather(made).groups)}
  assert set(found) == set(published.load()["claims"])
  return found[name].findings


def _seeds(count, test=0.95, spread=0.0, **config):
  return [
    synthetic.row(seed=s, test=test + spread * (s - (count - 1) / 2), **config)
    for s in range(count)
  ]


def _random(accuracy, **config):
  return synthetic.row(
    p=1.0, test=0.1, metrics={"train_accuracy": accuracy}, **config
  )


def test_without_rows_nothing_is_measured_and_the_command_is_given():
  for claim in claims.check([]):
    (finding,) = claim.findings
    assert finding.verdict == claims.MISSING
    assert claim.facts["command"] in finding.numbers


@pytest.mark.parametrize(
  ("accuracy", "verdict"), [(0.9934, claims.SUPPORTED), (0.98, claims.NOT)]
)
def test_fits_random_labels(accuracy, verdict):
  (finding,) = _check("fits_random_labels", synthetic.row(), _random(accuracy))
  assert finding.verdict == verdict
  assert f"{100 * accuracy:.2f} (n = 1)" in finding.numbers


def test_of_ones_own_data_only_what_was_measured_is_said():
  made = [synthetic.row(dataset="own"), _random(1.0, dataset="own")]
  (claim,) = claims.check(rows.gather(made).groups)
  assert claim.name == "fits_random_labels"
  assert not claims.check(rows.gather(made[:1]).groups)


def test_random_labels_with_another_recipe_say_nothing():
  (finding,) = _check(
    "fits_random_labels", synthetic.row(), _random(1.0, learning_rate=0.1)
  )
  assert finding.verdict == claims.MISSING


def test_regularised_runs_have_claims_of_their_own():
  # Fitting despite a regulariser is not fitting without one; and where every
  # run is regularised nothing says that none was needed.
  made = [
    synthetic.row(weight_decay=5e-4),
    synthetic.row(weight_decay=5e-4, augment="crop"),
    _random(1.0, weight_decay=5e-4),
  ]
  for name in ("fits_random_labels", "regularisers_not_needed"):
    (finding,) = _check(name, *made)
    assert finding.verdict == claims.MISSING
  (finding,) = _check("regularisers_help", *made)
  assert finding.setting == (
    "digits, digits_cnn, augmentation crop beside weight decay 0.0005"
  )


@pytest.mark.parametrize(
  ("gain", "verdict"), [(0.03, claims.SUPPORTED), (0.005, claims.NOT)]
)
def test_regularisers_help(gain, verdict):
  # Sample deviations of 1 point: a standard error of 0.816 over 3 seeds each.
  (finding,) = _check(
    "regularisers_help",
    *_seeds(3, 0.8, 0.01),
    *_seeds(3, 0.8 + gain, 0.01, weight_decay=5e-4),
  )
  assert finding.verdict == verdict
  assert "needed 1.63" in finding.numbers
  assert finding.setting == "digits, digits_cnn, weight decay 0.0005"


def test_regularisers_not_needed():
  def verdict(plain):
    (finding,) = _check(
      "regularisers_not_needed",
      synthetic.row(test=plain),
      synthetic.row(test=0.9, augment="crop", crop=28),
    )
    return finding.verdict

  # 0.1 + 0.9 * 0.8 is where nine tenths of what lies above chance are kept.
  assert verdict(0.83) == claims.SUPPORTED
  assert verdict(0.81) == claims.NOT


def test_regularisers_do_not_prevent_fitting():
  made = [
    _random(1.0),
    _random(1.0, weight_decay=5e-4),
    _random(0.5, augment="crop"),
    _random(0.3, weight_decay=5e-4, arch="alexnet"),
  ]
  found = {
    f.setting: f.verdict for f in _check("regularisers_do_not_prevent", *made)
  }
  assert found == {
    "digits, digits_cnn, weight decay 0.0005": claims.SUPPORTED,
    "digits, digits_cnn, augmentation crop": claims.NOT,
  }


def test_alexnet_with_weight_decay_has_a_finding_for_each_coefficient():
  made = [
    _random(accuracy, arch="alexnet", weight_decay=decay)
    for decay, accuracy in ((0.0, 1.0), (5e-5, 1.0), (5e-4, 0.3))
  ]
  assert [f.verdict for f in _check("alexnet_weight_decay", *made)] == [
    claims.NOT,
    claims.SUPPORTED,
  ]


@pytest.mark.parametrize(
  ("gain", "verdict"),
  [(0.035, claims.SUPPORTED), (0.005, claims.NOT), (0.07, claims.NOT)],
)
def test_batch_norm(gain, verdict):
  (finding,) = _check(
    "batch_norm",
    synthetic.row(arch="inception", test=0.82 + gain),
    synthetic.row(arch="inception_no_bn", test=0.82),
  )
  assert finding.verdict == verdict
  assert f"{100 * gain:+.2f}" in finding.numbers


@pytest.mark.parametrize(
  ("seeds", "gap", "verdict"),
  [
    (5, 0.009, claims.SUPPORTED),
    (5, 0.02, claims.NOT),
    (4, 0.009, claims.MISSING),
  ],
)
def test_mlp_shuffled_pixels(seeds, gap, verdict):
  mlp = {"arch": "mlp_1x512"}
  (finding,) = _check(
    "mlp_shuffled_pixels",
    *_seeds(5, 0.5, **mlp),
    *_seeds(seeds, 0.5 + gap, pixel_noise="shuffled_pixels", **mlp),
    *_seeds(5, pixel_noise="shuffled_pixels"),
  )
  assert finding.verdict == verdict
  assert ("5 seeds are needed" in finding.numbers) == (seeds < 5)


def test_runs_of_two_sweeps_are_not_compared():
  (finding,) = _check(
    "fits_random_labels", synthetic.row(), _random(1.0, figure="table1")
  )
  assert finding.verdict == claims.MISSING
