"""FER2013 of 35 made-up images, in the forms in which people have it: builders of files for tests."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image

# 35 images, five of each class: three for training, one for each test set. They consist of 8x8 blocks, which JPG keeps
# exactly at its best quality.
RNG = np.random.default_rng(0)
IMAGES = np.kron(RNG.integers(0, 256, (35, 6, 6)), np.ones((8, 8), int)).astype(np.uint8)
LABELS = np.tile(np.arange(7), 5)
USAGE = np.repeat(["Training", "PublicTest", "PrivateTest"], [21, 7, 7])
TRAIN = np.flatnonzero(USAGE == "Training")
TEST = np.flatnonzero(USAGE != "Training")
PIXELS = [" ".join(map(str, image.ravel())) for image in IMAGES]
SPELLINGS = {
    "names": "angry disgust fear happy sad surprise neutral",
    "adjectives": "angry disgusted fearful happy sad surprised neutral",
    "nouns": "Anger Disgust Fear Happiness Sadness Surprise Neutral",
    "numbers": "0 1 2 3 4 5 6",
}


def table(header="emotion,pixels,Usage", rows=range(35), cells=lambda i: (LABELS[i], PIXELS[i], USAGE[i])):
    return "\n".join([header, *(",".join(map(str, cells(i))) for i in rows)]) + "\n"


FER2013 = table()
ICML = table("emotion, Usage, pixels", cells=lambda i: (LABELS[i], USAGE[i], PIXELS[i]))
COURSE_TRAIN = table("label,feature", TRAIN, lambda i: (LABELS[i], PIXELS[i]))
COURSE_TEST = table("id,feature", TEST, lambda i: (i - 21, PIXELS[i]))
KAGGLE_TRAIN = table("emotion,pixels", TRAIN, lambda i: (LABELS[i], PIXELS[i]))
KAGGLE_TEST = table("pixels", TEST, lambda i: (PIXELS[i],))
ANSWERS = table("id,label", TRAIN, lambda i: (i, LABELS[i]))
COURSE = {"train.csv": COURSE_TRAIN, "test.csv": COURSE_TEST}


def put(content):
    """Return a function that writes files {name: text or bytes} into a folder."""

    def write(folder):
        for name, value in content.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(value if isinstance(value, bytes) else value.encode())
        return folder / name if len(content) == 1 else folder

    return write


def encoded(i, form="PNG", mode="L"):
    stream = io.BytesIO()
    Image.fromarray(IMAGES[i]).convert(mode).save(stream, form, **({"quality": 100} if form == "JPEG" else {}))
    return stream.getvalue()


def class_folders(classes=SPELLINGS["names"], form="PNG", mode="L", train="train", test="test"):
    suffix = {"PNG": "png", "JPEG": "jpg"}[form]
    sides = [train] * 21 + [test] * 14
    return {f"{sides[i]}/{classes.split()[LABELS[i]]}/{i}.{suffix}": encoded(i, form, mode) for i in range(35)}


NUMBERED = (
    {"train.csv": ANSWERS}
    | {f"train_img/{i:05}.jpg": encoded(i, "JPEG") for i in TRAIN}
    | {f"test_img/{i - 21:04}.jpg": encoded(i, "JPEG") for i in TEST}
)


def zipped(content, name="fer.zip"):
    def write(folder):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, value in content.items():
                archive.writestr(member, value)
        return folder / name

    return write


def tarred(content, name="fer.tar", mode="w"):
    def write(folder):
        with tarfile.open(folder / name, mode) as archive:
            for member, value in content.items():
                value = value if isinstance(value, bytes) else value.encode()
                info = tarfile.TarInfo(member)
                info.size = len(value)
                archive.addfile(info, io.BytesIO(value))
        return folder / name

    return write


def arrays(**changes):
    split = np.repeat(["train", "public", "private"], [21, 7, 7])
    content = {"images": IMAGES[..., None], "labels": LABELS, "split": split} | changes
    stream = io.BytesIO()
    np.savez_compressed(stream, **{key: value for key, value in content.items() if value is not None})
    return stream.getvalue()


def inside(name, write):
    return lambda folder: write(folder) / name


def folder_of(write):
    return lambda folder: write(folder).parent


def blank_image(size=(48, 48), mode="L", colour=None, form="PNG"):
    stream = io.BytesIO()
    Image.new(mode, size, colour).save(stream, form)
    return stream.getvalue()
