"""Grey levels: from text in the notations in which people write them, and from arrays of any type and shape."""

import re

import numpy as np

from fer_utils.labels import IMAGE_SHAPE
from fer_utils.readers.rows import PIXELS, SIZE, at, shown
from fer_utils.words import words

AT_ONCE = 12  # cells: their text fits into a processor's cache, and arrays of it into memory that is there already
NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?")
WRITERS = re.compile(r"(np\.|numpy\.|torch\.)?\b(u?int(8|16|32|64)|float(16|32|64)|array|tensor|list)\(|dtype=[\w.]+")
MARKS = str.maketrans(dict.fromkeys("[](){},;'\"\t\r\n", " "))  # of lists, tuples, arrays, sets of JSON
GREY = np.array([19595, 38470, 7471])  # weights of red, green, blue in 65,536ths, as Pillow has them
SCALED = words("Grey levels from 0 to 1 were multiplied by 255.")


class Cells:
    """Parses cells of grey levels, many at once; a wrong one is named by its row."""

    def __init__(self, name: str):
        self.name, self.levels, self.waiting = name, bytearray(), []
        self.fractions = {}  # place -> (row, float levels), of cells that are not whole numbers
        self.count = 0

    def add(self, row: int, text: str) -> None:
        """Add the cell of a row."""
        self.waiting.append((row, text))
        if len(self.waiting) == AT_ONCE:
            self.parse()

    def parse(self) -> None:
        """Parse the waiting cells: all at once where they are as usual, else each with its row at hand."""
        texts = [text for _, text in self.waiting]
        levels = parse_digits(texts)
        if levels is None:
            levels = parse_digits([text.translate(MARKS) for text in texts])
        if levels is not None:
            self.levels += levels.tobytes()
        else:
            for place, (row, text) in enumerate(self.waiting, start=self.count):
                with at(self.name, row):
                    values = parse_numbers(text)
                if (values % 1).any():
                    self.fractions[place] = row, values
                self.levels += values.astype(np.uint8).tobytes()
        self.count += len(self.waiting)
        self.waiting = []

    def images(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return all images (N, 48, 48, 1) uint8, and notes on them."""
        self.parse()
        images = np.frombuffer(self.levels, np.uint8).reshape(-1, *IMAGE_SHAPE)
        if not self.fractions:
            return images, ()
        row, values = next(iter(self.fractions.values()))
        if images.max() > 1 or any(values.max() > 1 for _, values in self.fractions.values()):
            place = int(np.flatnonzero(values % 1)[0])
            with at(self.name, row):
                raise ValueError(f"pixel {place + 1} is '{values[place]:g}', not a whole number from 0 to 255")
        images = images * np.uint8(255)
        for place, (_, values) in self.fractions.items():
            images[place, ..., 0] = np.rint(values.reshape(SIZE) * 255)
        return images, (SCALED,)


def parse_digits(cells: list[str]) -> np.ndarray | None:
    """Parse cells of 2,304 whole numbers 0 to 255 between blanks, (n, 2304) uint8; None if one is anything else."""
    try:
        text = np.frombuffer(" ".join([*cells, ""]).encode("ascii"), np.uint8)
    except UnicodeEncodeError:
        return None
    ones = text - np.uint8(ord("0"))
    digit = ones < 10
    two = digit[1:] & digit[:-1]  # two digits end here, after the first character
    three = two[1:] & two[:-1]
    if not (digit | (text == ord(" "))).all() or (three[1:] & digit[:-3]).any():
        return None  # another character, or a number of four digits
    ends = np.flatnonzero(digit[:-1] > digit[1:])
    borders = np.cumsum([len(cell) + 1 for cell in cells])  # behind each cell
    if len(ends) != len(cells) * PIXELS or not cells:
        return None
    if (ends[PIXELS - 1 :: PIXELS] >= borders).any() or (ends[PIXELS::PIXELS] < borders[:-1]).any():
        return None  # too many in one cell, too few in another
    ones *= digit
    low = ones.copy()
    low[1:] += ones[:-1] * np.uint8(10)
    hundreds = ones[:-2] * three
    levels = hundreds * np.uint8(100) + low[2:]
    if hundreds.max() > 2 or (levels < low[2:]).any():  # 256 is 0 in a byte
        return None
    low[2:] = levels
    return low[ends].reshape(-1, PIXELS)


def parse_pixels(text: str) -> bytes:
    """Parse the 2,304 grey levels of one cell into a byte each."""
    levels = parse_digits([text])
    if levels is None:
        levels = parse_numbers(text)
        if (levels % 1).any():
            raise ValueError(pixel_error(text.translate(MARKS).split()))
    return levels.astype(np.uint8).tobytes()


def parse_numbers(text: str) -> np.ndarray:
    """Parse a cell in any notation, (2304,) float from 0 to 255: "1 2", "1,2", "[1.0, 2.0]", "array([1, 2])"."""
    if "..." in text or "…" in text:
        raise ValueError(
            "the pixels were shortened to '...' when the table was written, and are lost: write them in full, "
            'such as " ".join(map(str, image.ravel()))'
        )
    plain = text.translate(MARKS) if re.fullmatch(r"[^a-df-z]*", text) else WRITERS.sub(" ", text).translate(MARKS)
    values = plain.split()
    if len(values) != PIXELS or not re.fullmatch(r"[0-9.e+\s-]+", plain):  # float() would know nan, and 1_0
        raise ValueError(pixel_error(values))
    try:
        levels = np.array(values, float)
    except ValueError:
        levels = np.array([-1.0])
    if not (levels.min() >= 0 and levels.max() <= 255):
        raise ValueError(pixel_error(values))
    return levels


def pixel_error(values: list[str]) -> str:
    """Say which value of a wrong cell is the first wrong one."""
    if not values:
        return "the pixels are empty"
    for place, value in enumerate(values, start=1):
        if not NUMBER.fullmatch(value) or (len(values) == PIXELS and float(value) % 1 and float(value) <= 255):
            return f"pixel {place} is {shown(value)}, not a whole number from 0 to 255"
        if float(value) > 255:
            return f"pixel {place} is {shown(value)}, outside 0 to 255"
    return f"{len(values):,} pixels where an image of 48x48 has {PIXELS:,} (the last one is {shown(values[-1])})"


# --- arrays -----------------------------------------------------------------------------------------------------------


def images_of(array: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return an array of images as (N, 48, 48, 1) uint8, and notes on what was converted.

    Args:
        array: (N, 48, 48), (N, 48, 48, 1), (N, 2304), or in colour (N, 48, 48, 3), or with channels first; whole
            numbers from 0 to 255, or floats from 0 to 1.

    Raises:
        ValueError: the array has another shape or other values.
    """
    array = shaped(array)
    levels, notes = levels_of(array)
    if levels.shape[-1] == 1:
        return np.ascontiguousarray(levels), notes
    grey = np.empty((len(levels), *IMAGE_SHAPE), np.uint8)
    for start in range(0, len(levels), 1024):  # of all at once the products need gigabytes
        part = levels[start : start + 1024]
        grey[start : start + 1024, ..., 0] = (part @ GREY + 0x8000) >> 16
    return grey, (*notes, words("{n:,} images with three channels were converted to grey.", n=len(grey)))


def shaped(array: np.ndarray) -> np.ndarray:
    """Return images as (N, 48, 48, 1 or 3)."""
    shape = array.shape[1:]
    if len(array) and shape in (SIZE, IMAGE_SHAPE, (1, *SIZE), (PIXELS,), (PIXELS, 1)):
        return array.reshape(-1, *IMAGE_SHAPE)
    if len(array) and shape == (3, *SIZE):
        return array.transpose(0, 2, 3, 1)
    if len(array) and shape == (*SIZE, 3):
        return array
    raise ValueError(f"images are {array.dtype} {array.shape}, not uint8 (N, 48, 48, 1)")


def levels_of(array: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return grey levels as uint8; floats from 0 to 1 are multiplied by 255."""
    if array.dtype == np.uint8:
        return array, ()
    if array.dtype.kind not in "iufb":
        raise ValueError(f"images are {array.dtype}, not numbers from 0 to 255")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):  # also where one is nan
        raise ValueError(f"images are {array.dtype} from {low:g} to {high:g}, not grey levels from 0 to 255")
    whole = array.dtype.kind != "f" or not any((part % 1).any() for part in array)
    if whole:
        return array.astype(np.uint8), ()
    if high > 1:
        raise ValueError(f"images are {array.dtype} with fractions up to {high:g}, not whole numbers from 0 to 255")
    levels = np.empty(array.shape, np.uint8)
    for image, target in zip(array, levels, strict=True):
        target[...] = np.rint(image * 255)
    return levels, (SCALED,)
