"""index.html: from files alone, safe with any class name, and in a browser."""

import importlib.metadata
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from etils import epath

from rethinking import __version__
from rethinking.report import gallery, page

_NAMES = ["<script>alert(1)</script>", "b&c", "plain"]
_COUNT = 500


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """What a run over label issues leaves, of one's own 500 images."""
  folder = epath.Path(tmp_path_factory.mktemp("page"))
  images = np.random.default_rng(0).integers(
    0, 256, (_COUNT, 28, 28, 3), np.uint8
  )
  labels = np.arange(_COUNT) % 3
  np.savez(
    folder / "set.npz",
    train_images=images,
    train_labels=labels,
    test_images=images[:9, ::-1],
    test_labels=labels[:9],
    class_names=np.array(_NAMES),
  )
  config = {
    "dataset": "own",
    "data": str(folder / "set.npz"),
    "data_dir": None,
    "data_cache": False,
    "variant": "label_issues",
    "arch": "<b>",
  }
  for name in ("labels", "resize", "test_fraction"):
    config[name] = None
  (folder / "config.json").write_text(json.dumps(config))
  (folder / "summary.json").write_text('{"cells": 5, "finished": 5}')
  (folder / "table.md").write_text(
    "# Results\n\n| a | b |\n| --- | --- |\n| <i>1</i> | 2 |\n"
  )
  lines = [
    "id,is_label_issue,label_score,given_label,predicted_label,p_wrong,rank"
  ]
  lines += [
    f"{i},True,{i / 1000},{i % 3},{(i + 1) % 3},{1 - i / 1000},{i + 1}"
    for i in range(_COUNT)
  ]
  (folder / "issues.csv").write_text("\n".join(lines) + "\n")
  return folder


@pytest.fixture(scope="module")
def text(workdir):
  assert page.write(workdir) == ["index.html"]
  return (workdir / "index.html").read_text()


def _data(text):
  found = re.search(r'<script type="application/json">(.*)</script>', text)
  return json.loads(found[1])


def test_500_images_fit_in_3_mb_and_nothing_is_fetched(text):
  assert len(text.encode()) <= 3_000_000
  assert len(_data(text)["items"]) == _COUNT
  assert _data(text)["problem"] is None
  assert not re.search(r"""(src|href)=["']?(?!data:)[^"'$]""", text)
  assert "url(" not in text and "@import" not in text


def test_a_checkout_that_is_not_installed_has_pages_too(workdir, monkeypatch):
  def version(name):
    raise importlib.metadata.PackageNotFoundError(name)

  monkeypatch.setattr(importlib.metadata, "version", version)
  assert f"rethinking {__version__}" in page.render([workdir])


def test_what_comes_from_data_stays_text(text):
  assert _data(text)["names"] == _NAMES
  assert "<script>alert" not in text
  assert "&lt;i&gt;1&lt;/i&gt;" in text
  assert "&lt;b&gt;" in text


def test_the_same_files_give_the_same_page(workdir, text):
  assert page.render([workdir]) == text


def test_a_sweeps_page_says_how_each_of_its_runs_was_made(tmp_path):
  (tmp_path / "config.json").write_text('{"variant": "levels"}')
  (tmp_path / "summary.json").write_text('{"cells": 3, "finished": 3}')
  rows = [
    {"device": device, "processor": "P", "versions": {"jax": "1"}}
    for device in ("cpu", "cpu", "gpu")
  ]
  lines = "".join(json.dumps(row) + "\n" for row in rows)
  (tmp_path / "results.jsonl").write_text(lines)
  text = page.render([epath.Path(tmp_path)])
  assert ">cpu, P; gpu, P<" in text and ">jax 1<" in text


def test_images_that_are_gone_are_said(workdir, tmp_path):
  folder = epath.Path(tmp_path)
  for name in ("issues.csv", "config.json"):
    shutil.copy(workdir / name, folder / name)
  config = json.loads((folder / "config.json").read_text())
  config["data"] = str(folder / "gone.npz")
  (folder / "config.json").write_text(json.dumps(config))
  found = _data(page.render([folder]))
  assert found["problem"].startswith("Images cannot be shown (")
  assert len(found["items"]) == _COUNT


def test_a_sprite_that_is_too_large_is_halved(monkeypatch):
  images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 1), np.uint8)
  monkeypatch.setattr(gallery, "_MOST_SPRITE", 20_000)
  sprite, size = gallery._sprite(images)
  assert len(sprite) <= 20_000
  assert size == [16, 16]


_STEPS = """
<script>
const texts = [];
URL.createObjectURL = (blob) => { blob.text().then((t) => {
  seen.csv = t; show(); }); return "#"; };
const one = (q) => document.querySelector(q);
const count = () => document.querySelectorAll(".card").length;
const id = () => one(".card .soft").textContent;
const seen = {};
const show = () => { document.body.replaceChildren(Object.assign(
  document.createElement("pre"), {id: "seen",
    textContent: JSON.stringify(seen)})); };
addEventListener("load", () => setTimeout(() => {
  seen.remembered = one("[role=status]").textContent;
  seen.first = [count(), id(), one(".card .image").getAttribute("aria-label")];
  seen.drawn = [...one(".card .image").getContext("2d")
    .getImageData(0, 0, 1, 1).data];
  one(".next").click();
  seen.next = id();
  one("select[name=class]").value = "1";
  one("select[name=class]").dispatchEvent(new Event("input"));
  seen.filtered = [id(), one("[role=status]").textContent];
  const pressed = () => one(".card .fix").getAttribute("aria-pressed");
  if (pressed() === "false") one(".card .fix").click();
  seen.pressed = pressed();
  seen.wide = document.documentElement.scrollWidth - innerWidth;
  seen.fetched = performance.getEntriesByType("resource").map((e) => e.name)
    .filter((name) => !name.startsWith("data:"));
  one(".save").click();
}, 50));
</script>
"""


def _opened(path, profile, width):
  """What the steps saw in a browser, and what it logged."""
  browser = shutil.which("chromium") or shutil.which("google-chrome")
  if browser is None:
    pytest.skip("no Chromium here; as root: apt-get install chromium")
  done = subprocess.run(
    [
      browser,
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--enable-logging=stderr",
      f"--user-data-dir={profile}",
      f"--window-size={width},900",
      "--virtual-time-budget=4000",
      "--dump-dom",
      path.as_uri(),
    ],
    capture_output=True,
    text=True,
    timeout=100,
  )
  found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
  seen = found[1].replace("&lt;", "<").replace("&gt;", ">")
  return json.loads(seen.replace("&amp;", "&")), done.stderr


@pytest.mark.browser
@pytest.mark.parametrize("width", (390, 1400))
def test_in_a_browser(text, workdir, tmp_path, width):
  path, profile = tmp_path / "index.html", tmp_path / "profile"
  path.write_text(text.replace("</body>", _STEPS))
  seen, logged = _opened(path, profile, width)
  assert "CONSOLE" not in logged
  assert seen["remembered"].endswith("; 0 marked")
  assert seen["first"] == [
    24,
    "id 0",
    f"Example 0, given {_NAMES[0]}, suggested {_NAMES[1]}",
  ]
  with np.load(workdir / "set.npz") as own:
    assert seen["drawn"][:3] == own["train_images"][0, 0, 0].tolist()
  assert seen["next"] == "id 24"
  assert seen["filtered"][0] == "id 1"
  assert seen["filtered"][1].startswith("167 images, page 1 of 7")
  assert seen["pressed"] == "true"
  assert seen["wide"] <= 0
  assert seen["fetched"] == []
  assert seen["csv"] == "id,label\n1,2\n"


@pytest.mark.browser
def test_marks_are_there_when_the_page_is_opened_again(text, workdir, tmp_path):
  path, profile = tmp_path / "index.html", tmp_path / "profile"
  path.write_text(text.replace("</body>", _STEPS))
  _opened(path, profile, 1400)
  assert _opened(path, profile, 1400)[0]["remembered"].endswith("; 1 marked")
  # Of another suggestion the mark would say what was not marked.
  path.write_text(path.read_text().replace('"suggested": 2', '"suggested": 0'))
  assert _opened(path, profile, 1400)[0]["remembered"].endswith("; 0 marked")
