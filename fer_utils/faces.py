"""Draw labelled faces: what the kit runs on without FER2013.

FER2013's images may not be redistributed, so a clean clone draws its own: 48x48 grey faces whose expressions are
combinations of facial action units (AUs), with exact masks of brows, eyes and mouth. What makes real images hard varies
too: identity, pose, light, hair, glasses, hands, blur, noise, and wrong labels.

A batch of B images is drawn at once. A parameter is an array (B, 1, 1) and a field over the image (B, 48, 48), all
float32, so a formula reads as if it were for one face. Lengths are in head units: the image is about 2 wide, the eyes
are near v = -.22, the mouth near v = .56, the chin near v = 1.1; right and down are positive. Tones are 0 (black) to 1
(white). `draw_batch` shows the order of drawing. The functions share names for their arguments: `rng` (random numbers),
`who` (identity), `wear` (hair, glasses, surroundings), `au` (action units), `at` (places of the pixels on the head).

References:
    Ekman, Friesen & Hager (2002), Facial Action Coding System: the investigator's guide.
    Goodfellow et al. (2013), Challenges in representation learning: a report on three machine learning contests.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from fer_utils.labels import CLASSES, IMAGE_SHAPE, REGIONS

SIDE = IMAGE_SHAPE[0]
BATCH = 32  # images drawn at once: their fields fit into the processor's cache

# The action units:
#  1 raises the inner brows    2 raises the outer brows    4 lowers the brows and draws them together
#  5 raises the upper lids     6 raises the cheeks         7 tightens the lids          9 wrinkles the nose
# 10 raises the upper lip     12 pulls the lip corners up 15 pulls them down          17 raises the chin
# 20 stretches the lips       24 presses the lips         25 parts the lips           26 drops the jaw
# 43 closes the eyes
ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 24, 25, 26, 43)

# Class -> action unit -> (mean, standard deviation) of its strength, 0 to about 1. Other units stay near 0.
EXPRESSIONS = {
    "Angry": {4: (0.9, 0.2), 5: (0.2, 0.2), 7: (0.7, 0.3), 10: (0.2, 0.2), 17: (0.3, 0.2), 24: (0.7, 0.3),
              25: (0.1, 0.4), 26: (0.0, 0.2)},
    "Disgust": {4: (0.4, 0.2), 7: (0.6, 0.2), 9: (1.0, 0.2), 10: (1.0, 0.2), 17: (0.3, 0.2), 25: (0.4, 0.3)},
    "Fear": {1: (0.9, 0.2), 2: (0.5, 0.2), 4: (0.6, 0.2), 5: (0.8, 0.2), 20: (0.9, 0.2), 25: (0.7, 0.2),
             26: (0.3, 0.2)},
    "Happy": {6: (0.9, 0.2), 7: (0.1, 0.1), 12: (1.0, 0.2), 25: (0.7, 0.4), 26: (0.1, 0.2)},
    "Sad": {1: (0.9, 0.2), 4: (0.5, 0.2), 15: (0.8, 0.2), 17: (0.4, 0.3), 43: (0.3, 0.2)},
    "Surprise": {1: (0.8, 0.2), 2: (0.9, 0.2), 5: (0.8, 0.2), 25: (0.8, 0.2), 26: (0.7, 0.3)},
    "Neutral": {},
}  # fmt: skip

# Class -> the class whose action units are sometimes mixed in, which makes the two hard to tell apart.
BLENDS = {"Angry": "Sad", "Disgust": "Angry", "Fear": "Surprise", "Happy": "Surprise", "Sad": "Neutral",
          "Surprise": "Fear", "Neutral": "Sad"}  # fmt: skip

# Class -> wrong label -> share of the class that gets it. The noise hardly changes the number of images per label.
LABEL_NOISE = {
    "Angry": {"Disgust": 0.010, "Fear": 0.015, "Sad": 0.025, "Neutral": 0.020},
    "Disgust": {"Angry": 0.095},
    "Fear": {"Angry": 0.015, "Sad": 0.025, "Surprise": 0.035},
    "Happy": {"Surprise": 0.010, "Neutral": 0.020},
    "Sad": {"Angry": 0.020, "Fear": 0.020, "Neutral": 0.040},
    "Surprise": {"Fear": 0.045, "Happy": 0.025},
    "Neutral": {"Angry": 0.015, "Happy": 0.030, "Sad": 0.040},
}

CLASS_COUNTS = (3995, 436, 4097, 7215, 4830, 3171, 4965)  # of FER2013's Training, 0 angry … 6 neutral
SPLIT_COUNTS = {"train": 28709, "public": 3589, "private": 3589}  # of FER2013
ASSIGN, MISLABEL = 2**32, 2**32 + 1  # random streams apart from those of the images; image i uses stream i


class Faces(NamedTuple):
    """N drawn faces, as `draw` returns them."""

    images: np.ndarray  # (N, 48, 48, 1) uint8
    labels: np.ndarray  # (N,) int64, 5 to 8 % of them wrong
    split: np.ndarray  # (N,) str: train, public or private
    regions: np.ndarray  # (N, 48, 48) uint8, places in labels.REGIONS, also where hair, glasses or a hand cover it
    drawn_as: np.ndarray  # (N,) int64, the class that was drawn


def draw(n=6000, seed=0):
    """Draw labelled faces; the first k of n are those of `draw(k)`.

    Args:
        n: number of faces, at least 1.
        seed: non-negative int; the same seed draws the same bytes.

    Returns:
        Faces, with the shares of classes and splits of FER2013.

    Raises:
        ValueError: n is below 1 or seed is negative.

    >>> draw(3).images.shape
    (3, 48, 48, 1)
    """
    if n < 1:
        raise ValueError(f"n = {n}: draw at least one face")
    drawn_as, split = assign(n, seed)
    batches = [(seed, np.arange(i, min(i + BATCH, n)), drawn_as[i : i + BATCH]) for i in range(0, n, BATCH)]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # NumPy releases the interpreter lock
        images, regions = zip(*pool.map(lambda batch: draw_batch(*batch), batches), strict=True)
    return Faces(np.concatenate(images)[..., None], mislabel(drawn_as, seed), split, np.concatenate(regions), drawn_as)


def assign(n, seed):
    """Assign classes (n,) int64 and splits (n,) str so evenly that every prefix has nearly the right shares of both.

    References:
        Roberts (2018), The unreasonable effectiveness of quasirandom sequences: the R2 sequence.
    """
    plastic = 1.32471795724474602596  # root of x^3 = x + 1; multiples of 1/x and 1/x^2 fill the unit square evenly
    start = np.random.default_rng((seed, ASSIGN)).random(2)
    spot = (start + np.arange(n)[:, None] / np.array([plastic, plastic**2])) % 1

    def pick(counts, at):
        return np.searchsorted(np.cumsum(counts) / np.sum(counts), at, side="right")

    names = np.array(list(SPLIT_COUNTS))
    return pick(CLASS_COUNTS, spot[:, 0]), names[pick(list(SPLIT_COUNTS.values()), spot[:, 1])]


def mislabel(drawn_as, seed):
    """Return labels (n,) int64 for the classes (n,), wrong with the shares of LABEL_NOISE."""
    table = np.array([[LABEL_NOISE[true].get(given, 0.0) for given in CLASSES] for true in CLASSES])
    np.fill_diagonal(table, 1 - table.sum(1))
    chance = np.random.default_rng((seed, MISLABEL)).random(len(drawn_as))
    return (chance[:, None] >= np.cumsum(table, 1)[drawn_as][:, :-1]).sum(1)


def draw_batch(seed, numbers, classes):
    """Draw one batch.

    Args:
        seed: as in `draw`.
        numbers: (B,) ints, the places of the images in the series; each has its own random stream.
        classes: (B,) ints, the classes to draw.

    Returns:
        images (B, 48, 48) uint8 and regions (B, 48, 48) uint8.
    """
    rng = Random(seed, numbers)
    who = identity(rng)
    wear, au, at = outfit(rng, who), action_units(rng, classes), pose(rng)
    grain = rng.grain()
    clouds = 10 * ndimage.gaussian_filter(grain, (0, 4, 4), truncate=2)
    lips, head = lip_curves(at, who, au), head_cover(at, who, au)
    shade = light(rng, at, relief(at, who, au, lips))

    tone = nose(skin(at, who, au, lips, clouds), at, who, au)
    tone = beard(tone, at, wear, lips, grain)
    tone, in_mouth = mouth(tone, at, who, au, lips)
    tone, in_eyes = eyes(rng, tone, at, who, au)
    tone, in_brows = brows(tone, at, who, wear, au)

    locks = strands(at, wear)
    image = background(at, who, wear, clouds)
    image = ears(hair_behind(image, at, who, wear, locks), at, who)
    image = mix(image, tone * shade, head)
    image = hair_before(image, at, who, wear, locks, shade)
    image = hand(glasses(image, at, who, wear), at, who, wear)

    regions = np.zeros(image.shape, np.uint8)
    for name, inside in {"brows": in_brows, "eyes": in_eyes, "mouth": in_mouth}.items():
        regions[inside & (head > 0.5)] = REGIONS.index(name)
    return camera(rng, image, at), regions


# --- random numbers, and soft shapes


class Random:
    """Random numbers for a batch, a stream for each image: no image depends on the others in its batch."""

    SIZE = 128  # numbers of each distribution, drawn at once: more than an image needs

    def __init__(self, seed, numbers):
        self.streams = [np.random.default_rng((seed, int(i))) for i in numbers]
        self.uniforms = iter(self._draw("random", self.SIZE).T)
        self.normals = iter(self._draw("standard_normal", self.SIZE).T)

    def uniform(self, low=0.0, high=1.0):
        """Draw (B, 1, 1) from low to high."""
        return low + (high - low) * next(self.uniforms)[:, None, None]

    def normal(self, mean=0.0, std=1.0):
        """Draw (B, 1, 1), clipped at two standard deviations to avoid impossible faces."""
        return mean + std * np.clip(next(self.normals), -2, 2)[:, None, None]

    def chance(self, share):
        """Draw (B, 1, 1): 1 in this share of the images, 0 in the others."""
        return np.float32(self.uniform() < share)

    def grain(self):
        """Draw (B, 48, 48) white noise of standard deviation 1."""
        return self._draw("standard_normal", (SIDE, SIDE))

    def _draw(self, distribution, size):
        return np.stack([getattr(stream, distribution)(size, np.float32) for stream in self.streams])


def soft(distance, px):
    """Return the coverage, 0 to 1, of a shape by the signed distance to its edge (negative inside), `px` wide."""
    return np.clip(0.5 - distance / px, 0, 1)


def band(v, top, bottom, px):
    """Return the coverage of the strip between two curves, which may be thinner than a pixel."""
    return soft(v - bottom, px) - soft(v - np.minimum(top, bottom), px)


def within(beyond, v, top, bottom, px):
    """Return the mask of a strip between two curves and two ends, widened by half a pixel."""
    return (beyond < px / 2) & (v > top - px / 2) & (v < bottom + px / 2)


def bell(offset, other=0.0):
    """Return a Gaussian of height 1; offsets are in units of its width."""
    return np.exp(-(offset * offset + other * other))


def ramp(t, start, end):
    """Return a smooth step from 0 at `start` to 1 at `end`; either may be the larger one."""
    t = np.clip((t - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def mix(under, over, cover):
    """Blend from `under` (where `cover` is 0) to `over` (where it is 1)."""
    return under + (over - under) * cover


# --- identity, outfit, action units, pose


def identity(rng):
    """Draw the proportions and tones of a face: a namespace of (B, 1, 1)."""
    return SimpleNamespace(
        width=rng.normal(0.86, 0.05), crown=rng.normal(1.35, 0.06), chin=rng.normal(1.10, 0.06),
        taper=rng.normal(0.12, 0.05), square=rng.uniform(0.0, 0.6), age=rng.uniform() ** 2,
        skin=rng.uniform(0.30, 0.95), iris=rng.uniform(0.05, 0.35), lips=rng.uniform(0.55, 0.85),
        eye_u=rng.normal(0.41, 0.025), eye_v=rng.normal(-0.22, 0.03), eye_width=rng.normal(0.20, 0.015),
        eye_height=rng.normal(0.085, 0.014), eye_slant=rng.normal(0.015, 0.015),
        brow_gap=rng.normal(0.25, 0.03), brow_tilt=rng.normal(0.0, 0.035), brow_arch=rng.normal(0.05, 0.02),
        brow_thick=rng.normal(0.050, 0.012), brow_ink=rng.uniform(0.5, 0.95), lopsided=rng.normal(0.0, 0.03),
        nose_width=rng.normal(0.16, 0.025), nose_tip=rng.normal(0.20, 0.035), nose_height=rng.normal(0.20, 0.04),
        mouth_v=rng.normal(0.56, 0.03), mouth_width=rng.normal(0.32, 0.03), mouth_bow=rng.normal(0.0, 0.025),
        upper_lip=rng.normal(0.055, 0.014), lower_lip=rng.normal(0.085, 0.016),
    )  # fmt: skip


def outfit(rng, who):
    """Draw what surrounds the face (hair, beard, glasses, hand, wall, clothes): a namespace of (B, 1, 1)."""
    blond = rng.chance(0.25)
    return SimpleNamespace(
        hair=mix(rng.uniform(0.04, 0.25), rng.uniform(0.40, 0.85) * who.skin, blond), grown=1 - rng.chance(0.1),
        long=rng.chance(0.4), volume=rng.uniform(0.02, 0.25), streaks=rng.uniform(9, 22), phase=rng.uniform(0, 6.3),
        hairline=rng.normal(-0.88, 0.10) + 0.28 * rng.chance(0.2), parting=rng.normal(0.0, 0.18),
        temples=rng.uniform(0.25, 0.8),
        beard=rng.chance(0.22) * rng.uniform(0.25, 0.9), moustache=rng.chance(0.15) * rng.uniform(0.4, 0.9),
        glasses=rng.chance(0.12), rim=rng.uniform(0.0, 0.5), lens=rng.normal(0.26, 0.02),
        hand=rng.chance(0.07), hand_side=np.sign(rng.uniform(-1, 1)), hand_u=rng.uniform(0.15, 0.9),
        hand_v=rng.uniform(0.25, 0.9), hand_lean=rng.uniform(-0.5, 0.9), finger=rng.uniform(0.20, 0.25),
        wall=rng.uniform(0.0, 1.0), wall_slope=rng.normal(0.0, 0.12), clutter=0.4 * rng.uniform() ** 2,
        cloth=rng.uniform(0.05, 0.9),
    )  # fmt: skip


def action_units(rng, classes):
    """Draw the strength of each action unit for classes (B,): dict from unit to (B, 1, 1), 0 to 1.2."""
    force = rng.uniform(0.35, 1.15)
    blend = rng.chance(0.4) * rng.uniform(0.1, 0.55)
    talk = rng.chance(0.2) * rng.uniform(0.2, 0.8)
    partners = np.array([CLASSES.index(BLENDS[name]) for name in CLASSES])[classes]
    au = {}
    for unit in ACTION_UNITS:
        table = np.array([EXPRESSIONS[name].get(unit, (0, 0)) for name in CLASSES], np.float32)
        mean, std = table[classes].T[..., None, None]
        own = mean + std * rng.normal()
        other = table[partners, 0][:, None, None]
        idle = np.abs(rng.normal(0.0, 0.08))
        au[unit] = np.clip(mix(own, other, blend) * force + idle, 0, 1.2)
    au[25] = np.maximum(au[25], talk)
    au[26] = np.maximum(au[26], 0.3 * talk)
    au[43] = np.maximum(au[43], rng.chance(0.04))  # a blink
    return au


class Grid(NamedTuple):
    """Where each pixel lies on the head: (B, 48, 48) float32, but `px` (B, 1, 1)."""

    x: np.ndarray  # in the plane of the image, for the outline of the head
    y: np.ndarray
    z: np.ndarray  # height of an egg-shaped head towards the camera
    u: np.ndarray  # on the skin: u = 0 is the line from the forehead over nose and mouth to the chin
    v: np.ndarray
    side: np.ndarray  # |u|: most features are drawn on both sides at once
    px: np.ndarray  # width of a pixel


def pose(rng):
    """Draw position, size and rotation of the head, as a Grid."""
    roll, yaw, pitch = rng.normal(0, 0.13), rng.normal(0, 0.24), rng.normal(0, 0.12)
    scale, right, down = rng.normal(0.98, 0.09), rng.normal(0, 0.09), rng.normal(0.02, 0.09)
    line = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / (SIDE / 2)
    across, along = line[None, None, :] - right, line[None, :, None] - down
    x = (across * np.cos(roll) + along * np.sin(roll)) / scale
    y = (along * np.cos(roll) - across * np.sin(roll)) / scale
    z = np.sqrt(np.maximum(1 - (x / 1.12) ** 2 - (y / 1.6) ** 2, 0.04))
    # The axis of rotation is .6 deep inside the head, so that a turned face stays near the middle of the image, as a
    # face detector crops it.
    u = x * np.cos(yaw) - (z - 0.6) * np.sin(yaw)
    v = y * np.cos(pitch) - (z - 0.6) * np.sin(pitch)
    return Grid(x, y, z, u, v, np.abs(u), px=2 / SIDE / scale)


# --- shape and light


def head_cover(at, who, au):
    """Return the coverage of the head: an egg above, more or less of a box below; AU 26 lengthens it."""
    jaw = ramp(at.y, 0, 1)
    x = mix(at.x, at.u, 0.4 * jaw)  # the chin turns with the face
    across = (x / who.width * (1 + who.taper * jaw)) ** 2
    down = (at.y / np.where(at.y < 0, who.crown, who.chin + 0.17 * au[26])) ** 2
    egg, box = np.sqrt(across + down), np.sqrt(np.sqrt(across * across + down * down))
    return soft((mix(egg, box, who.square * jaw) - 1) * who.width, 1.5 * at.px)


def relief(at, who, au, lips):
    """Height of the face towards the camera: the egg, and what stands out of it or is sunk in, in head units."""
    u, v, side = at.u, at.v, at.side
    tip, brow_v = who.nose_tip - 0.05 * au[9], who.eye_v - who.brow_gap
    along = np.clip((v + 0.35) / (tip + 0.35), 0, 1)
    smile = np.maximum(au[6], au[12])
    return (
        at.z
        + who.nose_height * along * bell(u / (0.06 + 0.09 * along)) * ramp(v, tip + 0.14, tip + 0.02)
        + 0.05 * bell((side - who.nose_width) / 0.06, (v - tip) / 0.07)  # wings of the nose
        - 0.10 * bell((side - who.eye_u + 0.04) / 0.22, (v - who.eye_v + 0.03) / 0.13)  # sockets
        + (0.04 + 0.03 * au[4]) * bell((side - 0.35) / 0.35, (v - brow_v - 0.05) / 0.12)
        + 0.015 * (0.5 + who.age + au[7]) * bell((side - who.eye_u) / 0.16, (v - who.eye_v - 0.17) / 0.06)  # bags
        + (0.03 + 0.09 * smile) * bell((side - 0.50) / 0.20, (v - 0.20 + 0.08 * au[6]) / 0.20)  # cheeks
        + 0.05 * bell(u / 0.28, (v - who.mouth_v) / 0.16)
        - 0.04 * bell(u / 0.20, (v - lips.bottom - 0.06) / 0.06)
        + (0.06 + 0.04 * au[17]) * bell(u / 0.22, (v - who.chin + 0.16 - 0.17 * au[26]) / 0.13)
    )


def light(rng, at, height):
    """Compute the brightness under a lamp and ambient light (Lambert's law): (B, 48, 48), about .3 to 1.2."""
    lamp_x, lamp_y, ambient = rng.normal(0.0, 0.5), rng.normal(-0.35, 0.25), rng.uniform(0.30, 0.65)
    slope_y, slope_x = np.gradient(height, axis=1) / at.px, np.gradient(height, axis=2) / at.px
    facing = (1 - lamp_x * slope_x - lamp_y * slope_y) / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    return mix(np.clip(facing, 0, 1.4), 1, ambient)


# --- features: each paints on the tones of the face so far


def skin(at, who, au, lips, clouds):
    """Paint the bare skin with its folds and wrinkles."""
    v, side = at.v, at.side
    brow_v, wing_v = who.eye_v - who.brow_gap, who.nose_tip - 0.06 - 0.05 * au[9]
    tone = who.skin * (1 + 0.01 * clouds)
    tone = tone * (1 - (0.12 + 0.15 * who.age) * bell((side - who.eye_u + 0.02) / 0.20, (v - who.eye_v - 0.02) / 0.13))
    # Between the brows (AU 4), across the forehead (1, 2), on the nose (9) and outside the eyes (6).
    frown = 0.45 * au[4] * bell((side - 0.07) / 0.035, (v - brow_v - 0.02) / 0.13)
    brow_raise = np.minimum(np.maximum(au[1], au[2]), 1) * (0.10 + 0.25 * who.age)
    forehead = brow_raise * np.sin((v - brow_v) * 48) ** 2 * bell(at.u / 0.5, (v - brow_v + 0.33 + 0.1 * au[2]) / 0.14)
    bridge = 0.50 * au[9] * np.sin(v * 45 + 1) ** 2 * bell((side - 0.10) / 0.09, (v - who.eye_v - 0.10) / 0.12)
    crow = 0.25 * au[6] * np.sin((v - who.eye_v) * 38) ** 2 * bell((side - 0.70) / 0.08, (v - who.eye_v) / 0.12)
    tone = tone * (1 - frown) * (1 - forehead) * (1 - bridge) * (1 - crow)
    # The fold from the wing of the nose around the corner of the mouth.
    along = np.clip((v - wing_v) / (who.mouth_v - wing_v), 0, 1)
    fold_u = mix(who.nose_width + 0.03, lips.wide + 0.09, along * (1.5 - 0.5 * along))
    depth = np.minimum(0.05 + 0.18 * (who.age + au[12] + au[9] + au[10]), 0.38)
    ends = ramp(v, wing_v - 0.05, wing_v + 0.10) * ramp(v, who.mouth_v + 0.12, who.mouth_v - 0.10)
    return tone * (1 - depth * ends * bell((side - fold_u) / 0.06))


def nose(tone, at, who, au):
    """Paint nostrils, wings and shadow of the nose; AU 9 pulls it up."""
    side, v = at.side, at.v - who.nose_tip + 0.05 * au[9]
    nostrils = 0.60 * bell((side - 0.085) / 0.045, (v - 0.075) / 0.028)
    wings = 0.30 * bell((side - who.nose_width - 0.01) / 0.025, (v - 0.02) / 0.07)
    shadow = 0.22 * bell(at.u / 0.15, (v - 0.10) / 0.05)
    return tone * (1 - nostrils) * (1 - wings) * (1 - shadow)


def lip_curves(at, who, au):
    """Compute the edges of the lips, top to bottom, as heights v; s runs across the mouth, -1 and 1 at its corners."""
    wide = who.mouth_width * (1 + 0.42 * au[12] + 0.32 * au[20] - 0.10 * au[24] - 0.30 * au[26])
    s = at.u / wide
    s2 = np.minimum(s * s, 1)
    square = np.minimum(0.25 + 0.55 * au[20] + 0.40 * au[10], 1)
    arch = mix(1 - s2, 1 - s2 * s2, square)  # 0 at the corners, 1 in the middle
    oval = mix(arch, np.sqrt(1 - s2), np.minimum(1.5 * au[26], 1))
    bow = who.mouth_bow - 0.17 * au[12] + 0.17 * au[15] + 0.05 * au[17] + 0.04 * au[20] + 0.09 * au[10]
    seam = who.mouth_v + bow * (s2 - 0.4) + who.lopsided * s * 0.3 - 0.02 * au[17] - 0.05 * au[10] + 0.13 * au[26]
    parted = np.minimum(au[25], 1)
    inner_top = seam - oval * (parted * (0.015 + 0.06 * au[10]) + 0.15 * au[26])
    inner_bottom = seam + oval * (parted * 0.045 * (1 + au[20] + 1.2 * au[12]) + 0.23 * au[26])
    full = (1 - np.minimum(0.65 * au[24] + 0.30 * au[12] + 0.25 * au[20], 0.85)) * (1 - s2 * s2)
    top = inner_top - who.upper_lip * (1 + 0.3 * au[10]) * full * (1 - 0.3 * bell(s / 0.22))
    bottom = inner_bottom + who.lower_lip * full
    return SimpleNamespace(s=s, wide=wide, top=top, inner_top=inner_top, seam=seam, inner_bottom=inner_bottom,
                           bottom=bottom)  # fmt: skip


def mouth(tone, at, who, au, lips):
    """Paint lips, teeth and the open mouth; return the tones and the mask of the mouth."""
    v, beyond = at.v, (np.abs(lips.s) - 1) * lips.wide  # beyond: distance to the corners, negative between them
    between = soft(beyond, 1.5 * at.px)
    tone = tone * (1 - 0.2 * bell((v - lips.bottom - 0.05) / 0.04, lips.s / 0.6))  # the lower lip's shadow
    red = who.skin * who.lips * (1.05 - 0.2 * soft(v - lips.seam, at.px))  # the upper lip is darker
    tone = mix(tone, red, between * band(v, lips.top, lips.bottom, at.px))
    hole = between * band(v, lips.inner_top, lips.inner_bottom, at.px)
    tongue = 0.30 * bell(lips.s / 0.6, (v - lips.inner_bottom) / 0.13)
    tone = mix(tone, 0.06 + tongue, hole)
    bared = np.minimum(1.2 * au[12] + 0.8 * au[10] + 0.7 * au[20] + 0.4 * au[26], 1)
    teeth = band(v, lips.inner_top, np.minimum(lips.inner_bottom, lips.inner_top + 0.10), at.px)
    tone = mix(tone, 0.45 + 0.35 * who.skin, bared * teeth * between * soft(np.abs(lips.s) - 0.85, 0.15))
    line = 0.60 * bell((v - lips.seam) / 0.028) * (1 - hole) * soft(beyond, 2 * at.px)
    corners = 0.35 * bell(beyond / 0.045, (v - lips.seam) / 0.045)
    return tone * (1 - line) * (1 - corners), within(beyond, v, lips.top, lips.bottom, at.px)


def lid_curves(at, who, au):
    """Compute the edges of the lids as heights v; s runs across the eye, -1 at its inner and 1 at its outer corner."""
    s = (at.side - who.eye_u) / who.eye_width
    arc = np.maximum(1 - s * s, 0)  # 0 at the corners, 1 in the middle
    shut = np.minimum(au[43], 1)
    wide = np.maximum(1 + 0.85 * au[5] - 0.40 * au[7] - 0.25 * au[6] - 0.30 * au[9], 0.1)
    up = who.eye_height * wide * (1 - shut) - 0.03 * shut
    low = who.eye_height * np.maximum(0.85 + 0.25 * au[5] - 0.40 * au[7] - 0.55 * au[6] - 0.30 * au[9], 0.1)
    # Sad lids droop at the outer corner, angry ones at the inner corner.
    droop = 0.10 * au[1] * au[43] - 0.04 * au[4] * (1 - 0.5 * au[1])
    corner_v = who.eye_v - who.eye_slant * s
    bottom = corner_v + low * arc
    top = np.minimum(corner_v - up * np.sqrt(arc) + droop * s * arc, bottom)
    return SimpleNamespace(s=s, arc=arc, top=top, bottom=bottom)


def eyes(rng, tone, at, who, au):
    """Paint white, iris, pupil, glint and lids; AU 5, 6, 7, 9 and 43 move the lids, 1 and 4 slant them."""
    lids, out, v, px = lid_curves(at, who, au), np.sign(at.u), at.v, at.px
    beyond = (np.abs(lids.s) - 1) * who.eye_width  # distance to the corners, negative between them
    du = at.side - who.eye_u - out * rng.normal(0, 0.035)  # both eyes look the same way
    dv = v - who.eye_v + 0.012 - rng.normal(0, 0.012)
    radius = np.sqrt(du * du + dv * dv)
    ball = mix(0.30 + 0.50 * who.skin, who.iris, soft(radius - 0.083, 1.3 * px))
    ball = mix(ball, 0.02, soft(radius - 0.038, 1.3 * px)) * (1 - 0.4 * bell((v - lids.top) / 0.045))
    ball = mix(ball, 0.9, 0.6 * bell((out * du + 0.03) / 0.022, (dv + 0.035) / 0.022))
    fold = 0.25 * (1 - 0.5 * au[5]) * np.sqrt(lids.arc) * bell((v - lids.top + 0.085) / 0.03)
    tone = mix(tone * (1 - fold), ball, band(v, lids.top, lids.bottom, px) * soft(beyond, px))
    lashes = np.maximum(0.75 * bell((v - lids.top) / 0.030), 0.30 * bell((v - lids.bottom) / 0.025))
    return tone * (1 - lashes * soft(beyond - 0.01, 2 * px)), within(beyond, v, lids.top, lids.bottom, px)


def brows(tone, at, who, wear, au):
    """Paint the brows; AU 1 lifts their inner, 2 their outer half, 4 and 9 lower them and draw them together."""
    inner, outer = 0.15 - 0.06 * au[4] + 0.02 * au[1], who.eye_u + who.eye_width + 0.12
    t = (at.side - inner) / (outer - inner)  # 0 at the inner end, 1 at the outer
    far = np.clip(t, 0, 1)
    near = 1 - far
    lift = 0.22 * au[1] * near * near + 0.19 * au[2] * np.sqrt(far) + 0.05 * np.minimum(au[1], au[2])
    drop = au[4] * (0.06 + 0.13 * near * np.maximum(1 - 0.9 * au[1], 0)) + 0.06 * au[9]
    rest = who.eye_v - who.brow_gap + who.brow_tilt * (far - 0.5) - 4 * who.brow_arch * near * far
    middle = rest + drop - lift + who.lopsided * np.sign(at.u) * (au[1] + au[2])
    thick = who.brow_thick * (0.35 + 0.65 * np.sqrt(near))
    beyond = np.maximum(-t, t - 1) * (outer - inner)
    cover = band(at.v, middle - thick, middle + thick, 1.5 * at.px) * soft(beyond, 2 * at.px)
    return mix(tone, 0.8 * wear.hair, who.brow_ink * cover), within(beyond, at.v, middle - thick, middle + thick, at.px)


def beard(tone, at, wear, lips, grain):
    """Paint stubble, beard and moustache."""
    cheek_v = 0.45 - 0.55 * (at.u / 0.8) ** 2
    chin = 0.8 * wear.beard * ramp(at.v, cheek_v, cheek_v + 0.25)
    lip = np.maximum(wear.moustache, 0.7 * wear.beard) * bell(at.u / 0.30, (at.v - lips.top + 0.05) / 0.06)
    return mix(tone, wear.hair, np.clip(np.maximum(chin, lip) * (1 + 0.2 * grain), 0, 0.92))


# --- everything but the face, and the camera


def background(at, who, wear, clouds):
    """Paint a blurred wall, and neck and clothes in front of it."""
    wall = np.clip(wear.wall + wear.wall_slope * (at.x + at.y) + wear.clutter * clouds, 0, 1)
    neck = soft(np.abs(at.x) - 0.52, 2 * at.px) * soft(0.3 - at.y, at.px)
    return mix(mix(wall, 0.45 * who.skin, neck), wear.cloth, soft(1.25 - at.y - 0.25 * np.abs(at.x), 2 * at.px))


def ears(image, at, who):
    """Paint the ears, half behind the head."""
    rim = np.sqrt(((np.abs(at.x) - who.width) / 0.10) ** 2 + ((at.y + 0.05) / 0.22) ** 2)
    return mix(image, who.skin * (0.7 - 0.2 * bell((rim - 0.5) / 0.3)), soft((rim - 1) * 0.1, at.px))


def strands(at, wear):
    """Compute the tone of the hair, with streaks that run down and outwards."""
    across = wear.streaks * (at.x * (1 + 0.5 * at.y) + 0.3 * at.y * wear.parting)
    return wear.hair * (1 + 0.08 * np.sin(across + wear.phase) + 0.08 * np.sin(2.3 * across))


def hair_behind(image, at, who, wear, locks):
    """Paint the hair behind the head: its volume on top and its length beside the neck."""
    up = np.minimum(at.y, 0) / (who.crown + wear.volume)
    edge = (np.sqrt((at.x / (who.width + wear.volume)) ** 2 + up * up) - 1) * who.width
    cover = soft(edge, 2 * at.px) * soft(at.y - 0.1 - 3 * wear.long, 4 * at.px)
    return mix(image, 0.65 * locks, wear.grown * cover)


def hair_before(image, at, who, wear, locks, shade):
    """Paint the hair over forehead and temples, and long hair over the sides of the face."""
    hairline = wear.hairline + wear.parting * at.u + wear.temples * ((at.u / 0.85) ** 2) ** 2
    sides = wear.long * soft(who.width - 0.10 - np.abs(at.x) + 0.1 * at.y, 2.5 * at.px)
    cover = np.maximum(soft(at.v - hairline, 2.5 * at.px), sides)
    return mix(image, locks * (0.35 + 0.65 * shade), wear.grown * cover)


def glasses(image, at, who, wear):
    """Paint glasses: a glint on the lenses, rims, bridge and arms."""
    du, dv = np.abs(at.side - who.eye_u), at.v - who.eye_v - 0.03
    corner = np.maximum(du - wear.lens + 0.12, 0) ** 2 + np.maximum(np.abs(dv) - 0.06, 0) ** 2
    edge = np.sqrt(corner) - 0.12  # a box with rounded corners
    rims = soft(np.abs(edge) - 0.022, at.px)
    bars = soft(np.abs(dv + 0.06) - 0.02, at.px) * ((du > wear.lens) & (at.side < 0.85))
    glint = 0.25 * bell((0.7 * du + dv + 0.08) / 0.05) * soft(edge, at.px)
    return mix(mix(image, 0.95, wear.glasses * glint), wear.rim, 0.9 * wear.glasses * np.maximum(rims, bars))


def hand(image, at, who, wear):
    """Paint four fingers over cheek, chin or mouth."""
    x, y = at.x * wear.hand_side - wear.hand_u, at.y - wear.hand_v
    cos, sin = np.cos(wear.hand_lean), np.sin(wear.hand_lean)
    x, y = x * cos + y * sin, y * cos - x * sin
    finger = np.clip(np.rint(x / wear.finger + 1.5), 0, 3) - 1.5  # -1.5 … 1.5: the nearest of the four
    across = x - finger * wear.finger
    beyond_tip = np.minimum(y + 0.55 - 0.06 * finger**2, 0)
    radius = np.sqrt(across * across + beyond_tip * beyond_tip)
    tone = 0.85 * who.skin * (1 - 16 * np.minimum(across * across, 0.014))
    return mix(image, tone, wear.hand * soft(radius - 0.115, at.px))


def camera(rng, image, at):
    """Photograph the scene: blur, exposure and contrast measured on the face, noise; (B, 48, 48) uint8."""
    sigma, centre, contrast = rng.uniform(0.0, 1.0), rng.normal(0.50, 0.10), rng.uniform(0.15, 0.29)
    blurred = [ndimage.gaussian_filter(one, s, truncate=2.5) for one, s in zip(image, sigma.flat, strict=True)]
    image = np.stack(blurred)
    face = bell(at.x / 0.7, at.y / 0.8)
    face = face / face.sum((1, 2), keepdims=True)
    mean = (image * face).sum((1, 2), keepdims=True)
    spread = np.sqrt(((image - mean) ** 2 * face).sum((1, 2), keepdims=True))
    image = centre + contrast * (image - mean) / (spread + 0.02)
    noise = rng.grain() * 0.035 * rng.uniform() ** 3
    return np.uint8(np.rint(np.clip(image + noise, 0, 1) * 255))
