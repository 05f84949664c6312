"""Read folders of images: of any size, in grey or colour, in folders of classes or numbered with a csv."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath, PureWindowsPath
from typing import NamedTuple

import numpy as np

from fer_utils.labels import CLASSES, IMAGE_SHAPE
from fer_utils.readers.classes import labels_of, number, word_label
from fer_utils.readers.files import Files
from fer_utils.readers.kinds import identify
from fer_utils.readers.rows import EXPECTED, SIZE, DataError, Rows, at, progress, shown
from fer_utils.readers.splits import COMPATIBLE, FOLDERS, split_in_name, usage
from fer_utils.readers.tables import rows_of
from fer_utils.words import words

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm")
IMAGE_SUFFIX = r"\.(png|jpe?g|bmp|tiff?|webp|pgm)$"
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM")


class Place(NamedTuple):
    """What the path of an image says about it."""

    folder: str | None  # split of its folders; None if they name none
    named: str | None  # split in its file name
    label: str | None  # class as the path writes it, "" = unlabelled test image; None if there is none

    @property
    def split(self) -> str | None:
        """The split; "val" of a folder is part of the Training that a name states."""
        return "val" if (self.folder, self.named) == ("val", "train") else self.named or self.folder


def place_of(name: str) -> Place:
    """Return what the two innermost folders of an image and its file name say."""
    *folders, file = ["", "", *PureWindowsPath(name).parts]
    outer, inner = (folder.strip().lower() for folder in folders[-2:])
    named = split_in_name(file)
    if is_class(inner):
        return Place(FOLDERS.get(outer), named, inner)
    if inner not in FOLDERS:
        return Place(FOLDERS.get(outer), named, None)
    if is_class(outer):
        return Place(FOLDERS[inner], named, outer)
    word = re.match(r"([a-z]{3,})[\s_.-]*[0-9(]", file.lower())  # train/happy_12.png
    if word and is_class(word[1]):
        return Place(FOLDERS[inner], named, word[1])
    return Place("test", named, "") if FOLDERS[inner] == "test" else Place(None, None, None)


def is_class(folder: str) -> bool:
    """Return whether a folder's name is a class: a word, or a number from 0 to 7."""
    return word_label(folder) is not None or (number(folder) in range(len(CLASSES) + 1) and folder.isdecimal())


def shows_classes(images: list[str]) -> bool:
    """Return whether the paths of images name classes."""
    return any(place_of(name).label for name in images)


def read_class_folders(files: Files, images: list[str]) -> Rows:
    """Read train/<class>/… and test/<class>/… or <class>/… at any depth; images directly in test/ have no label."""
    places = {name: place_of(name) for name in sorted(images)}
    split_known = any(place.split for place in places.values())
    names = [name for name, place in places.items() if (place.split if split_known else place.label)]
    if not names:
        raise DataError(f"{images[0]}: is not in a folder train/<class>/, test/<class>/ or <class>/. {EXPECTED}")
    check_places(places, names)
    split = [places[name].split for name in names]
    if not {"test", "public", "private"} & set(split):  # a validation folder without a test folder serves as test set
        split = ["test" if part == "val" else part for part in split]
    labels, numbered = labels_of([places[name].label for name in names], lambda i: in_folder(names[i]), unknown="")
    pixels, notes = read_images(files, names)
    outside = len(images) - len(names)
    if outside and split_known:
        notes += (words("{outside:,} images outside train/ and test/ were not read.", outside=outside),)
    elif outside:
        notes += (words("{outside:,} images outside the folders of the classes were not read.", outside=outside),)
    return Rows(pixels, labels, np.array(split) if split_known else None, notes, numbered)


def check_places(places: dict[str, Place], names: list[str]) -> None:
    """Raise a DataError for an image without a class, or whose name and folder disagree."""
    for name in names:
        if places[name].label is None:
            raise DataError(f"{name}: its folder is not one of the classes {', '.join(CLASSES)}. Rename or remove it.")
        folder, named = places[name].folder, places[name].named
        if folder and named and folder not in COMPATIBLE[named]:
            raise DataError(
                f"{name}: by its name it belongs to the split {named}, but its folder is {folder}. "
                "Move it to the right folder, or rename it."
            )


@contextmanager
def in_folder(name: str) -> Iterator[None]:
    """Turn an error in a class into a DataError that names the image whose folder it is."""
    try:
        yield
    except ValueError as error:
        raise DataError(f"{name}: its folder names no class: {error}. Rename or remove it.") from None


def read_listed_images(files: Files, names: list[str]) -> Rows:
    """Read images whose labels are in a csv: by their numbers, or by the names of their files."""
    answers, *images = names
    kind = identify(answers, files[answers])
    id_at = kind.roles.index("id")
    first = next((cells[id_at] for _, cells in rows_of(answers, files[answers], kind)), "")
    by_number = not first or re.sub(IMAGE_SUFFIX, "", first.strip()).isdecimal()
    return (read_numbered_images if by_number else read_named_images)(files, answers, images)


def read_named_images(files: Files, answers: str, images: list[str]) -> Rows:
    """Read images that a csv names, with their labels and, if it has a column Usage, their splits."""
    kind = identify(answers, files[answers])
    at_role = {role: kind.roles.index(role) for role in ("id", "label", "usage") if role in kind.roles}
    of_file, rows, names, tokens, split = {}, [], [], [], []
    for image in images:
        of_file.setdefault(PurePath(image).name.lower(), []).append(image)
    for row, cells in rows_of(answers, files[answers], kind):
        with at(answers, row):
            names.append(image_called(cells[at_role["id"]].strip(), of_file))
            split.append(usage(cells[at_role["usage"]]) if "usage" in at_role else split_of_path(names[-1]))
        rows.append(row)
        tokens.append(cells[at_role["label"]].strip())
    if len(set(names)) < len(names):
        seen = set()
        twice = next(i for i, name in enumerate(names) if name in seen or seen.add(name))
        with at(answers, rows[twice]):
            raise ValueError(f"image {shown(PurePath(names[twice]).name)} is there twice")
    labels, numbered = labels_of(tokens, lambda place: at(answers, rows[place]))
    pixels, notes = read_images(files, names)
    unlisted = len(images) - len(names)
    if unlisted:
        csv = PurePath(answers).name
        notes += (words("{unlisted:,} images that have no row in {csv} were not read.", unlisted=unlisted, csv=csv),)
    return Rows(pixels, labels, None if None in split else np.array(split), notes, numbered)


def image_called(cell: str, of_file: dict[str, list[str]]) -> str:
    """Return the image that a cell names, as images/1.jpg, 1.jpg or 1."""
    parts = tuple(part.lower() for part in PureWindowsPath(cell).parts)
    last = parts[-1] if parts else ""
    suffixes = ("", *IMAGE_SUFFIXES) if last else ()
    found = next((of_file[last + suffix] for suffix in suffixes if last + suffix in of_file), [])
    folders = [part for part in parts[:-1] if part.strip("./\\")]
    if len(found) > 1 and folders:
        found = [name for name in found if [*map(str.lower, PurePath(name).parts[:-1])][-len(folders) :] == folders]
    if len(found) != 1:
        raise ValueError(f"image {shown(cell)} is {'not there' if not found else 'there more than once'}")
    return found[0]


def split_of_path(name: str) -> str | None:
    """Return the split that the name of an image or its folder states; None if they state none."""
    return split_in_name(PurePath(name).name) or FOLDERS.get(PurePath(name).parent.name.lower())


def read_numbered_images(files: Files, answers: str, images: list[str]) -> Rows:
    """Read the course's form of 2019: folders of numbered training and test images, and a csv id,label."""

    def is_test(name: str) -> bool:
        return "test" in PurePath(name).parent.name.lower()

    labels, numbered = read_answers(answers, files[answers])
    images.sort(key=lambda name: (is_test(name), image_number(name)))
    train = {name: image_number(name) for name in images if not is_test(name)}
    for name, image in train.items():
        if image not in labels:
            raise DataError(f"{name}: has no row in {answers}. Add its label, or remove the image.")
    for image in labels.keys() - set(train.values()):
        raise DataError(f"{answers}: id {image} has no image. Unpack the images again, or remove the row.")
    pixels, notes = read_images(files, images)
    n_test = len(images) - len(train)
    known = [labels[image] for image in train.values()]
    split = np.repeat(["train", "test"], [len(train), n_test])
    return Rows(pixels, np.array(known + [-1] * n_test), split, notes, numbered)


def read_answers(name: str, opener: Callable) -> tuple[dict[int, int], bool]:
    """Read a csv id,label as a dict from image number to label, and whether its labels are numbers."""
    kind = identify(name, opener)
    id_at, label_at = kind.roles.index("id"), kind.roles.index("label")
    tokens, rows = {}, []
    for row, cells in rows_of(name, opener, kind):
        with at(name, row):
            image = re.sub(IMAGE_SUFFIX, "", cells[id_at].strip())
            if not image.isdecimal() or int(image) in tokens:
                raise ValueError(
                    f"id {shown(cells[id_at])} is {'there twice' if image.isdecimal() else 'not a number'}"
                )
        tokens[int(image)] = cells[label_at].strip()
        rows.append(row)
    labels, numbered = labels_of(list(tokens.values()), lambda place: at(name, rows[place]))
    return dict(zip(tokens, labels.tolist(), strict=True)), numbered


def image_number(name: str) -> int:
    """Return the number in an image's file name."""
    stem = PurePath(name).stem
    if not stem.isdecimal():
        raise DataError(f"{name}: its name is not a number, so it has no row in the csv. Rename or remove it.")
    return int(stem)


def read_images(files: Files, names: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read images (N, 48, 48, 1) in the order of `names`, and notes on them."""
    row = {name: i for i, name in enumerate(names)}
    images = np.empty((len(names), *IMAGE_SHAPE), np.uint8)
    sizes, colours = Counter(), Counter()
    for name in progress([name for name in files if name in row], "images"):  # a packed tar is slow in another order
        images[row[name], ..., 0], size, colour = read_image(name, files[name])
        sizes[size] += 1
        colours[colour] += 1
    return images, notes_on(sizes, colours)


def notes_on(sizes: Counter, colours: Counter) -> tuple[str, ...]:
    """Say what was converted: how many images, and from what."""
    other = {f"{width}x{height}": n for (width, height), n in sizes.most_common() if (width, height) != SIZE}
    listed = ", ".join([*other][:3]) + ", …" * (len(other) > 3)
    rgb, colour, resized = colours["rgb"], colours["colour"], sum(other.values())
    notes = [
        rgb and words("{n:,} grey images are stored as RGB.", n=rgb),
        colour and words("{n:,} images in colour were converted to grey.", n=colour),
        resized and words(
            "{n:,} images of other sizes ({sizes}): their centre square was resized to 48x48.", n=resized, sizes=listed
        ),
    ]  # fmt: skip
    return tuple(note for note in notes if note)


def read_image(name: str, opener: Callable) -> tuple[np.ndarray, tuple[int, int], str]:
    """Read an image of a face: convert it to grey, crop its central square and resize it.

    Returns:
        (48, 48) uint8; width and height as stored; "grey", "rgb" (grey stored as RGB) or "colour".

    Raises:
        DataError: it is damaged, of another format, or has more than 8 bits a pixel.
    """
    from PIL import Image, ImageOps

    try:
        with opener() as stream, Image.open(stream, formats=FORMATS) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"more than 8 bits a pixel, mode {image.mode}")
            size, is_grey = image.size, image.mode in ("L", "1", "P", "LA") and image.size == SIZE
            upright = ImageOps.exif_transpose(image)
            grey = upright.convert("L")
            colour = "grey" if is_grey else colour_of(upright)
        fitted = grey if grey.size == SIZE else ImageOps.fit(grey, SIZE, Image.Resampling.BICUBIC)
        return np.asarray(fitted), size, colour
    except Exception as error:  # Pillow raises many types for a damaged image
        raise DataError(
            f"{name}: unreadable image ({error}). Copy it again or save it as 8-bit PNG, or remove it."
        ) from error


def colour_of(image) -> str:
    """Return whether a PIL.Image is "grey", grey stored as "rgb", or in "colour"."""
    if image.mode in ("L", "1", "LA"):
        return "grey"
    levels = np.asarray(image.convert("RGB")).astype(np.int16)
    return "colour" if np.ptp(levels, axis=-1).any() else "rgb"
