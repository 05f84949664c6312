"""Training images are found among those that judge a network, altered as people alter them; other faces are not."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from fer_report import translations
from fer_report.project import Project
from scipy import ndimage

from fer_utils import data, faces
from fer_utils.studies import leaks

FACES = faces.draw(160, seed=5).images
TRAINING, OTHERS = FACES[:120], FACES[120:]
N = 12  # copies of each kind


def levels(images):
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def turned(images, angle, mode="constant"):
    return levels(ndimage.rotate(images.astype(float), angle, axes=(1, 2), reshape=False, order=1, mode=mode))


def as_jpeg(image):
    from fer_utils.studies.duplicates import as_jpeg

    return as_jpeg(image, quality=50)


ALTERED = {
    "equal": lambda x: x,
    "mirrored": lambda x: x[:, :, ::-1],
    "rotated": lambda x: turned(x, 6),
    "rotated the other way, black corners": lambda x: turned(x, -10),
    "brightened": lambda x: levels(x * 1.25),
    "darkened": lambda x: levels(x * 0.6),
    "less contrast": lambda x: levels((x - 128.0) * 0.6 + 128),
    "shifted": lambda x: np.roll(x, (2, -3), (1, 2)),
    "JPEG": lambda x: np.stack(list(map(as_jpeg, x))),
    "mirrored, rotated, brightened": lambda x: levels(turned(x[:, :, ::-1], 7, "nearest") * 1.15),
}


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED)
def test_copies_are_found_however_they_were_altered(alter):
    found = leaks.sources(alter(TRAINING[:N]), TRAINING)
    assert np.sum(found == np.arange(N)) >= N - 1, found


def test_other_faces_and_blank_images_are_no_copies():
    blank = np.stack([np.full((48, 48, 1), grey, np.uint8) for grey in (0, 90)])
    assert (leaks.sources(np.concatenate([OTHERS, blank]), TRAINING) == -1).all()
    assert leaks.sources(blank, np.concatenate([TRAINING, blank[1:]])).tolist() == [-1, len(TRAINING)]
    assert leaks.sources(OTHERS[:0], TRAINING).shape == (0,)


def test_waves_turn_as_images_do():
    for angle, mirrored in ((8, False), (-8, True)):
        images = turned(FACES[:9, :, ::-1] if mirrored else FACES[:9], angle, "nearest")
        assert np.abs(leaks.strengths(images) - leaks.strengths(FACES[:9], angle, mirrored)).max() < 0.02
    assert np.abs(leaks.strengths(FACES[:9]) - leaks.strengths(FACES[:9], 8)).max() > 0.05


@pytest.fixture
def leaking(tmp_path, monkeypatch):
    """120 training images, 10 of them val; 20 public images, of which 3 are copies; 20 private ones, of which none."""
    monkeypatch.setenv("FER_CACHE", str(tmp_path))
    copies = np.concatenate([TRAINING[:1], TRAINING[1:2, :, ::-1], turned(TRAINING[2:3], 5)])
    images = np.concatenate([TRAINING, copies, OTHERS[3:]])
    split = np.repeat(["train", "val", "public", "private"], [110, 10, 20, 20])
    labels = np.arange(160) % 7
    return data.Dataset(images, labels, split, "FER2013 (test)", "nowhere.csv", {}, (), drawn=False)


def test_leaks_are_counted_and_kept(leaking, tmp_path, monkeypatch):
    assert leaks.originals(leaking, "public")[:4].tolist() == [0, 1, 2, -1]
    assert [tuple(leak) for leak in leaks.count(leaking)] == [
        ("val", 10, 0, 0),
        ("public", 20, 3, 1),
        ("private", 20, 0, 0),
    ]
    kept = sorted(tmp_path.glob("leaks-*.json"))
    assert len(kept) == 3 and sorted(len(json.loads(path.read_text())) for path in kept) == [10, 20, 20]
    monkeypatch.setattr(leaks, "sources", None)  # not computed again
    assert leaks.count(leaking)[1].copies == 3
    kept[0].write_text("damaged")
    with pytest.raises(TypeError):
        leaks.count(leaking)


def test_the_warning_names_what_exceeds_one_percent(leaking, monkeypatch):
    assert leaks.warning(leaking) == (
        "Leak: copies of training images, exact or altered, are in public 3 (15.0\u00a0%, exact 1)."
    )
    monkeypatch.setattr(leaks, "WORTH_NAMING", 0.15)
    assert leaks.warning(leaking) is None


def test_the_line_on_the_cover_names_leaks(leaking, tmp_path, monkeypatch):
    split = np.where(leaking.split == "val", "train", leaking.split)
    np.savez(tmp_path / "leaking.npz", images=leaking.images, labels=leaking.labels, split=split)
    monkeypatch.setenv("FER_DATA", str(tmp_path / "leaking.npz"))
    project = Project(Path(data.ROOT))
    english, chinese = (project.data_line(translations.catalog(project, lang)) for lang in ("en", "zh-TW"))
    assert "public 3 (15.0\u00a0%, exact 1)" in english["leaks"] and "public 3 張（15.0%" in chinese["leaks"]
    monkeypatch.setattr(leaks, "WORTH_NAMING", 0.15)
    assert "leaks" not in project.data_line(translations.catalog(project, "en"))


def test_a_cache_that_cannot_be_written_stops_nothing(leaking, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_CACHE", str(tmp_path / "nowhere"))
    assert leaks.warning(leaking)


def test_drawn_faces_have_no_leaks(leaking, monkeypatch):
    monkeypatch.setattr(leaks, "sources", None)
    assert leaks.warning(dataclasses.replace(leaking, drawn=True)) is None


# -- FER2013 -----------------------------------------------------------------------------------------------------------


def test_leaks_in_fer2013(real):
    """3,000 training images, and the first 100 public ones with 30 altered copies among them."""
    training, clean = real.part("train")[0][:3000], real.part("public")[0][:100]
    before = leaks.sources(clean, training)
    assert (before >= 0).sum() <= 10  # that FER2013 has itself
    kinds = [alter(training[at : at + 3]) for at, alter in zip(range(0, 300, 30), ALTERED.values(), strict=True)]
    after = leaks.sources(np.concatenate([*kinds, clean]), training)
    assert (after[:30] >= 0).sum() >= 29 and (after[30:] == before).all()
