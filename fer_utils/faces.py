"""Drawn faces: what the kit runs on where there is no FER2013.

No picture of FER2013 may be passed on, so a clean clone draws its own: 48x48 grey faces whose expressions are made of
facial action units (AUs), with the places of brows, eyes and mouth known exactly. What makes the real pictures hard
varies too: identity, pose, light, hair, glasses, hands, blur, noise, and labels that are wrong.

How to read it. A batch of B pictures is drawn at once: a parameter is an array (B, 1, 1), a field over the picture
(B, 48, 48), all float32, so a formula reads as if it were for one face. Lengths are in head units: the picture is about
2 wide, the eyes lie near v = -.22, the mouth near v = .56, the chin near v = 1.1; right and down are positive. Tones go
from 0 (black) to 1 (white). `draw_batch` tells the order: who, which muscles, which pose, the relief and the light
on it, the features from nose to brows, everything that is not face, and the camera.

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

from fer_utils.labels import CLASSES, IMAGE_SHAPE

SIDE = IMAGE_SHAPE[0]
BATCH = 32  # pictures drawn at once: few enough that the fields of a batch stay in the processor's cache

# What the muscles do:
#  1 raises the inner brows    2 raises the outer brows    4 lowers the brows and draws them together
#  5 raises the upper lids     6 raises the cheeks         7 tightens the lids          9 wrinkles the nose
# 10 raises the upper lip     12 pulls the lip corners up 15 pulls them down          17 raises the chin
# 20 stretches the lips       24 presses the lips         25 parts the lips           26 drops the jaw
# 43 closes the eyes
ACTION_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 24, 25, 26, 43)

# Class -> action unit -> (mean, spread) of its strength, 1 being as strong as it gets. Units not named stay near 0.
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

# Class -> the class whose muscles join in now and then: what makes the pairs hard to tell apart.
BLENDS = {"Angry": "Sad", "Disgust": "Angry", "Fear": "Surprise", "Happy": "Surprise", "Sad": "Neutral",
          "Surprise": "Fear", "Neutral": "Sad"}  # fmt: skip

# Class -> label it carries by mistake -> share of its pictures. Flows between two classes nearly balance in pictures,
# so the class counts outlive the noise.
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
SPLIT_COUNTS = {"train": 28709, "public": 3589, "private": 3589}  # pictures of FER2013
DEAL, MISLABEL = 2**32, 2**32 + 1  # random streams of their own; stream i belongs to picture i
REGIONS = {"brows": 1, "eyes": 2, "mouth": 3}  # values in Faces.regions


class Faces(NamedTuple):
    """N drawn faces, as `draw` returns them."""

    images: np.ndarray  # (N, 48, 48, 1) uint8
    labels: np.ndarray  # (N,) int64, a few of them wrong
    split: np.ndarray  # (N,) str: train, public or private
    regions: np.ndarray  # (N, 48, 48) uint8: 0, or a value of REGIONS; what hair, glasses or a hand covers counts too
    drawn_as: np.ndarray  # (N,) int64, the class that was drawn


def draw(n=6000, seed=0):
    """Draw labelled faces; the first k of n pictures are the k pictures of `draw(k)`.

    Args:
        n: number of pictures, at least 1.
        seed: non-negative int; the same seed draws the same bytes.

    Returns:
        Faces: images (n, 48, 48, 1) uint8, labels (n,) int64, split (n,) str, regions (n, 48, 48) uint8,
        drawn_as (n,) int64. Shares of classes and splits are FER2013's.

    Raises:
        ValueError: n is below 1 or seed is negative.

    >>> draw(3).images.shape
    (3, 48, 48, 1)
    """
    if n < 1:
        raise ValueError(f"n = {n}: draw at least one face")
    drawn_as, split = deal(n, seed)
    batches = [(seed, np.arange(i, min(i + BATCH, n)), drawn_as[i : i + BATCH]) for i in range(0, n, BATCH)]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # NumPy lets other threads run while it computes
        images, regions = zip(*pool.map(lambda batch: draw_batch(*batch), batches), strict=True)
    return Faces(np.concatenate(images)[..., None], mislabel(drawn_as, seed), split, np.concatenate(regions), drawn_as)


def deal(n, seed):
    """Deal classes and splits so evenly that every prefix has nearly the right shares of both: (n,) int64, (n,) str.

    References:
        Roberts (2018), The unreasonable effectiveness of quasirandom sequences: the R2 sequence.
    """
    plastic = 1.32471795724474602596  # root of x^3 = x + 1: multiples of 1/x and 1/x^2 fill the unit square evenly
    start = np.random.default_rng((seed, DEAL)).random(2)
    spot = (start + np.arange(n)[:, None] / np.array([plastic, plastic**2])) % 1

    def pick(counts, at):
        return np.searchsorted(np.cumsum(counts) / np.sum(counts), at, side="right")

    names = np.array(list(SPLIT_COUNTS))
    return pick(CLASS_COUNTS, spot[:, 0]), names[pick(list(SPLIT_COUNTS.values()), spot[:, 1])]


def mislabel(drawn_as, seed):
    """Give the shares in LABEL_NOISE a wrong label; (n,) int64 in and out."""
    table = np.array([[LABEL_NOISE[true].get(given, 0.0) for given in CLASSES] for true in CLASSES])
    np.fill_diagonal(table, 1 - table.sum(1))
    luck = np.random.default_rng((seed, MISLABEL)).random(len(drawn_as))
    return (luck[:, None] >= np.cumsum(table, 1)[drawn_as][:, :-1]).sum(1)


def draw_batch(seed, pictures, classes):
    """Draw one batch.

    Args:
        seed: as in `draw`.
        pictures: (B,) int, which pictures of the series; each has a random stream of its own.
        classes: (B,) int, the class to draw.

    Returns:
        images (B, 48, 48) uint8 and regions (B, 48, 48) uint8.
    """
    dice = Dice(seed, pictures)
    who = identity(dice)
    wear, au, at = outfit(dice, who), action_units(dice, classes), pose(dice)
    grain = dice.grain()
    clouds = 10 * ndimage.gaussian_filter(grain, (0, 4, 4), truncate=2)
    lips, head = lip_curves(at, who, au), head_cover(at, who, au)
    shade = light(dice, at, relief(at, who, au, lips))

    tone = nose(skin(at, who, au, lips, clouds), at, who, au)
    tone = beard(tone, at, wear, lips, grain)
    tone, in_mouth = mouth(tone, at, who, au, lips)
    tone, in_eyes = eyes(dice, tone, at, who, au)
    tone, in_brows = brows(tone, at, who, wear, au)

    locks = strands(at, wear)
    picture = background(at, who, wear, clouds)
    picture = ears(hair_behind(picture, at, who, wear, locks), at, who)
    picture = mix(picture, tone * shade, head)
    picture = hair_before(picture, at, who, wear, locks, shade)
    picture = hand(glasses(picture, at, who, wear), at, who, wear)

    regions = np.zeros(picture.shape, np.uint8)
    for name, inside in {"brows": in_brows, "eyes": in_eyes, "mouth": in_mouth}.items():
        regions[inside & (head > 0.5)] = REGIONS[name]
    return camera(dice, picture, at), regions


# --- chance, and soft shapes


class Dice:
    """Random numbers for a batch, a stream for each picture: no picture depends on which others are drawn with it."""

    THROWS = 128  # of each kind, thrown in one go: more than a picture needs

    def __init__(self, seed, pictures):
        self.streams = [np.random.default_rng((seed, int(i))) for i in pictures]
        self.evens = iter(self._throw("random", self.THROWS).T)
        self.normals = iter(self._throw("standard_normal", self.THROWS).T)

    def uniform(self, low=0.0, high=1.0):
        """(B, 1, 1) from low to high."""
        return low + (high - low) * next(self.evens)[:, None, None]

    def normal(self, mean=0.0, spread=1.0):
        """(B, 1, 1), cut at two standard deviations: nobody has an eye in the cheek."""
        return mean + spread * np.clip(next(self.normals), -2, 2)[:, None, None]

    def chance(self, share):
        """(B, 1, 1), 1 in that share of the pictures and 0 in the others."""
        return np.float32(self.uniform() < share)

    def grain(self):
        """(B, 48, 48) white noise of standard deviation 1."""
        return self._throw("standard_normal", (SIDE, SIDE))

    def _throw(self, kind, size):
        return np.stack([getattr(stream, kind)(size, np.float32) for stream in self.streams])


def soft(distance, px):
    """Cover, 0 to 1, of a shape from the signed distance to its edge (negative inside), softened over `px`."""
    return np.clip(0.5 - distance / px, 0, 1)


def band(v, top, bottom, px):
    """Cover of the strip between two curves; where it is thinner than a pixel it covers part of one."""
    return soft(v - bottom, px) - soft(v - np.minimum(top, bottom), px)


def within(beyond, v, top, bottom, px):
    """Region of a feature: pixels no further than half a pixel from the strip between two curves and two ends."""
    return (beyond < px / 2) & (v > top - px / 2) & (v < bottom + px / 2)


def bell(offset, other=0.0):
    """Gaussian hill of height 1; offsets in units of its width."""
    return np.exp(-(offset * offset + other * other))


def ramp(t, start, end):
    """Smooth step from 0 at `start` to 1 at `end`, whichever is larger."""
    t = np.clip((t - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def mix(under, over, cover):
    """`over` laid on `under` where `cover` is 1."""
    return under + (over - under) * cover


# --- who, wearing what, with which muscles, seen from where


def identity(dice):
    """Draw whose face it is: a namespace of (B, 1, 1)."""
    return SimpleNamespace(
        width=dice.normal(0.86, 0.05), crown=dice.normal(1.35, 0.06), chin=dice.normal(1.10, 0.06),
        taper=dice.normal(0.12, 0.05), square=dice.uniform(0.0, 0.6), age=dice.uniform() ** 2,
        skin=dice.uniform(0.30, 0.95), iris=dice.uniform(0.05, 0.35), lips=dice.uniform(0.55, 0.85),
        eye_u=dice.normal(0.41, 0.025), eye_v=dice.normal(-0.22, 0.03), eye_width=dice.normal(0.20, 0.015),
        eye_height=dice.normal(0.085, 0.014), eye_slant=dice.normal(0.015, 0.015),
        brow_gap=dice.normal(0.25, 0.03), brow_tilt=dice.normal(0.0, 0.035), brow_arch=dice.normal(0.05, 0.02),
        brow_thick=dice.normal(0.050, 0.012), brow_ink=dice.uniform(0.5, 0.95), lopsided=dice.normal(0.0, 0.03),
        nose_width=dice.normal(0.16, 0.025), nose_tip=dice.normal(0.20, 0.035), nose_height=dice.normal(0.20, 0.04),
        mouth_v=dice.normal(0.56, 0.03), mouth_width=dice.normal(0.32, 0.03), mouth_bow=dice.normal(0.0, 0.025),
        upper_lip=dice.normal(0.055, 0.014), lower_lip=dice.normal(0.085, 0.016),
    )  # fmt: skip


def outfit(dice, who):
    """Draw what surrounds the face: hair, beard, glasses, a hand, a wall; a namespace of (B, 1, 1)."""
    blond = dice.chance(0.25)
    return SimpleNamespace(
        hair=mix(dice.uniform(0.04, 0.25), dice.uniform(0.40, 0.85) * who.skin, blond), grown=1 - dice.chance(0.1),
        long=dice.chance(0.4), volume=dice.uniform(0.02, 0.25), streaks=dice.uniform(9, 22), phase=dice.uniform(0, 6.3),
        hairline=dice.normal(-0.88, 0.10) + 0.28 * dice.chance(0.2), parting=dice.normal(0.0, 0.18),
        temples=dice.uniform(0.25, 0.8),
        beard=dice.chance(0.22) * dice.uniform(0.25, 0.9), moustache=dice.chance(0.15) * dice.uniform(0.4, 0.9),
        glasses=dice.chance(0.12), rim=dice.uniform(0.0, 0.5), lens=dice.normal(0.26, 0.02),
        hand=dice.chance(0.07), hand_side=np.sign(dice.uniform(-1, 1)), hand_u=dice.uniform(0.15, 0.9),
        hand_v=dice.uniform(0.25, 0.9), hand_lean=dice.uniform(-0.5, 0.9), finger=dice.uniform(0.20, 0.25),
        wall=dice.uniform(0.0, 1.0), wall_slope=dice.normal(0.0, 0.12), clutter=0.4 * dice.uniform() ** 2,
        cloth=dice.uniform(0.05, 0.9),
    )  # fmt: skip


def action_units(dice, classes):
    """Draw how strongly each muscle acts: action unit -> (B, 1, 1), 0 to 1.2, for (B,) class numbers."""
    force = dice.uniform(0.35, 1.15)
    blend = dice.chance(0.4) * dice.uniform(0.1, 0.55)
    talk = dice.chance(0.2) * dice.uniform(0.2, 0.8)
    partners = np.array([CLASSES.index(BLENDS[name]) for name in CLASSES])[classes]
    au = {}
    for unit in ACTION_UNITS:
        table = np.array([EXPRESSIONS[name].get(unit, (0, 0)) for name in CLASSES], np.float32)
        mean, spread = table[classes].T[..., None, None]
        own = mean + spread * dice.normal()
        other = table[partners, 0][:, None, None]
        idle = np.abs(dice.normal(0.0, 0.08))
        au[unit] = np.clip(mix(own, other, blend) * force + idle, 0, 1.2)
    au[25] = np.maximum(au[25], talk)
    au[26] = np.maximum(au[26], 0.3 * talk)
    au[43] = np.maximum(au[43], dice.chance(0.04))  # a blink
    return au


class Grid(NamedTuple):
    """Where each pixel lies on its head; (B, 48, 48) float32, but `px` (B, 1, 1)."""

    x: np.ndarray  # on the outline of the head, which hardly changes as the face turns
    y: np.ndarray
    z: np.ndarray  # height of an egg-shaped head towards the camera
    u: np.ndarray  # on the skin: u = 0 runs from the forehead over nose and mouth to the chin
    v: np.ndarray
    side: np.ndarray  # |u|: most of a face is drawn on both sides at once
    px: np.ndarray  # side of a pixel


def pose(dice):
    """Draw where the head is, how large and how turned, as a Grid."""
    roll, yaw, pitch = dice.normal(0, 0.13), dice.normal(0, 0.24), dice.normal(0, 0.12)
    scale, right, down = dice.normal(0.98, 0.09), dice.normal(0, 0.09), dice.normal(0.02, 0.09)
    line = (np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2) / (SIDE / 2)
    across, along = line[None, None, :] - right, line[None, :, None] - down
    x = (across * np.cos(roll) + along * np.sin(roll)) / scale
    y = (along * np.cos(roll) - across * np.sin(roll)) / scale
    z = np.sqrt(np.maximum(1 - (x / 1.12) ** 2 - (y / 1.6) ** 2, 0.04))
    # Turning about an axis .6 deep inside the head shifts the face less than turning about its middle: a detector
    # that cuts out faces follows them.
    u = x * np.cos(yaw) - (z - 0.6) * np.sin(yaw)
    v = y * np.cos(pitch) - (z - 0.6) * np.sin(pitch)
    return Grid(x, y, z, u, v, np.abs(u), px=2 / SIDE / scale)


# --- form, and the light on it


def head_cover(at, who, au):
    """Cover of the head: an egg above, more or less of a box below; AU 26 lengthens it."""
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


def light(dice, at, height):
    """Brightness under a lamp and an even sky (Lambert's law): (B, 48, 48), about .3 to 1.2."""
    lamp_x, lamp_y, sky = dice.normal(0.0, 0.5), dice.normal(-0.35, 0.25), dice.uniform(0.30, 0.65)
    slope_y, slope_x = np.gradient(height, axis=1) / at.px, np.gradient(height, axis=2) / at.px
    facing = (1 - lamp_x * slope_x - lamp_y * slope_y) / np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    return mix(np.clip(facing, 0, 1.4), 1, sky)


# --- features: each takes the tones of the face so far and paints on


def skin(at, who, au, lips, clouds):
    """Tone of the bare skin with its folds and wrinkles."""
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
    """Paint of the nose what the relief does not show: nostrils, wings, the shadow below; AU 9 pulls it up."""
    side, v = at.side, at.v - who.nose_tip + 0.05 * au[9]
    nostrils = 0.60 * bell((side - 0.085) / 0.045, (v - 0.075) / 0.028)
    wings = 0.30 * bell((side - who.nose_width - 0.01) / 0.025, (v - 0.02) / 0.07)
    shadow = 0.22 * bell(at.u / 0.15, (v - 0.10) / 0.05)
    return tone * (1 - nostrils) * (1 - wings) * (1 - shadow)


def lip_curves(at, who, au):
    """Run the lips: their edges from top to bottom as heights v, and s across the mouth, -1 and 1 at its corners."""
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
    """Paint lips, teeth and the dark between them; return the tones and the region of the mouth."""
    v, beyond = at.v, (np.abs(lips.s) - 1) * lips.wide  # beyond: distance to the corners, negative between them
    between = soft(beyond, 1.5 * at.px)
    tone = tone * (1 - 0.2 * bell((v - lips.bottom - 0.05) / 0.04, lips.s / 0.6))  # the lower lip's shadow
    red = who.skin * who.lips * (1.05 - 0.2 * soft(v - lips.seam, at.px))  # the upper lip faces away from the light
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
    """Run the lids: their edges as heights v, and s across the eye, -1 at its inner and 1 at its outer corner."""
    s = (at.side - who.eye_u) / who.eye_width
    arc = np.maximum(1 - s * s, 0)  # 0 at the corners, 1 in the middle
    shut = np.minimum(au[43], 1)
    wide = np.maximum(1 + 0.85 * au[5] - 0.40 * au[7] - 0.25 * au[6] - 0.30 * au[9], 0.1)
    up = who.eye_height * wide * (1 - shut) - 0.03 * shut
    low = who.eye_height * np.maximum(0.85 + 0.25 * au[5] - 0.40 * au[7] - 0.55 * au[6] - 0.30 * au[9], 0.1)
    droop = 0.10 * au[1] * au[43] - 0.04 * au[4] * (1 - 0.5 * au[1])  # sad lids hang outside, angry ones inside
    corner_v = who.eye_v - who.eye_slant * s
    bottom = corner_v + low * arc
    top = np.minimum(corner_v - up * np.sqrt(arc) + droop * s * arc, bottom)
    return SimpleNamespace(s=s, arc=arc, top=top, bottom=bottom)


def eyes(dice, tone, at, who, au):
    """Paint white, iris, pupil, glint and lids; AU 5, 6, 7, 9 and 43 move the lids, 1 and 4 slant them."""
    lids, out, v, px = lid_curves(at, who, au), np.sign(at.u), at.v, at.px
    beyond = (np.abs(lids.s) - 1) * who.eye_width  # distance to the corners, negative between them
    du = at.side - who.eye_u - out * dice.normal(0, 0.035)  # both eyes look the same way
    dv = v - who.eye_v + 0.012 - dice.normal(0, 0.012)
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


# --- what is not face


def background(at, who, wear, clouds):
    """Paint a wall out of focus, and before it neck and clothes."""
    wall = np.clip(wear.wall + wear.wall_slope * (at.x + at.y) + wear.clutter * clouds, 0, 1)
    neck = soft(np.abs(at.x) - 0.52, 2 * at.px) * soft(0.3 - at.y, at.px)
    return mix(mix(wall, 0.45 * who.skin, neck), wear.cloth, soft(1.25 - at.y - 0.25 * np.abs(at.x), 2 * at.px))


def ears(picture, at, who):
    """Paint the ears, half behind the head."""
    rim = np.sqrt(((np.abs(at.x) - who.width) / 0.10) ** 2 + ((at.y + 0.05) / 0.22) ** 2)
    return mix(picture, who.skin * (0.7 - 0.2 * bell((rim - 0.5) / 0.3)), soft((rim - 1) * 0.1, at.px))


def strands(at, wear):
    """Tone of the hair: streaks that run down and outwards."""
    across = wear.streaks * (at.x * (1 + 0.5 * at.y) + 0.3 * at.y * wear.parting)
    return wear.hair * (1 + 0.08 * np.sin(across + wear.phase) + 0.08 * np.sin(2.3 * across))


def hair_behind(picture, at, who, wear, locks):
    """Paint the hair behind the head: its volume on top, and its length beside the neck."""
    up = np.minimum(at.y, 0) / (who.crown + wear.volume)
    edge = (np.sqrt((at.x / (who.width + wear.volume)) ** 2 + up * up) - 1) * who.width
    cover = soft(edge, 2 * at.px) * soft(at.y - 0.1 - 3 * wear.long, 4 * at.px)
    return mix(picture, 0.65 * locks, wear.grown * cover)


def hair_before(picture, at, who, wear, locks, shade):
    """Paint the hair over forehead and temples, and long hair over the sides of the face."""
    hairline = wear.hairline + wear.parting * at.u + wear.temples * ((at.u / 0.85) ** 2) ** 2
    sides = wear.long * soft(who.width - 0.10 - np.abs(at.x) + 0.1 * at.y, 2.5 * at.px)
    cover = np.maximum(soft(at.v - hairline, 2.5 * at.px), sides)
    return mix(picture, locks * (0.35 + 0.65 * shade), wear.grown * cover)


def glasses(picture, at, who, wear):
    """Paint spectacles: a glint on the lenses, rims, bridge and arms."""
    du, dv = np.abs(at.side - who.eye_u), at.v - who.eye_v - 0.03
    corner = np.maximum(du - wear.lens + 0.12, 0) ** 2 + np.maximum(np.abs(dv) - 0.06, 0) ** 2
    edge = np.sqrt(corner) - 0.12  # a box with rounded corners
    rims = soft(np.abs(edge) - 0.022, at.px)
    bars = soft(np.abs(dv + 0.06) - 0.02, at.px) * ((du > wear.lens) & (at.side < 0.85))
    glint = 0.25 * bell((0.7 * du + dv + 0.08) / 0.05) * soft(edge, at.px)
    return mix(mix(picture, 0.95, wear.glasses * glint), wear.rim, 0.9 * wear.glasses * np.maximum(rims, bars))


def hand(picture, at, who, wear):
    """Lay four fingers over cheek, chin or mouth."""
    x, y = at.x * wear.hand_side - wear.hand_u, at.y - wear.hand_v
    cos, sin = np.cos(wear.hand_lean), np.sin(wear.hand_lean)
    x, y = x * cos + y * sin, y * cos - x * sin
    finger = np.clip(np.rint(x / wear.finger + 1.5), 0, 3) - 1.5  # -1.5 … 1.5: the nearest of the four
    across = x - finger * wear.finger
    beyond_tip = np.minimum(y + 0.55 - 0.06 * finger**2, 0)
    radius = np.sqrt(across * across + beyond_tip * beyond_tip)
    tone = 0.85 * who.skin * (1 - 16 * np.minimum(across * across, 0.014))
    return mix(picture, tone, wear.hand * soft(radius - 0.115, at.px))


def camera(dice, picture, at):
    """Take the photograph: blur, exposure and contrast metered on the face, noise; (B, 48, 48) uint8."""
    sigma, centre, contrast = dice.uniform(0.0, 1.0), dice.normal(0.50, 0.10), dice.uniform(0.15, 0.29)
    blurred = [ndimage.gaussian_filter(one, s, truncate=2.5) for one, s in zip(picture, sigma.flat, strict=True)]
    picture = np.stack(blurred)
    face = bell(at.x / 0.7, at.y / 0.8)
    face = face / face.sum((1, 2), keepdims=True)
    mean = (picture * face).sum((1, 2), keepdims=True)
    spread = np.sqrt(((picture - mean) ** 2 * face).sum((1, 2), keepdims=True))
    picture = centre + contrast * (picture - mean) / (spread + 0.02)
    noise = dice.grain() * 0.035 * dice.uniform() ** 3
    return np.uint8(np.rint(np.clip(picture + noise, 0, 1) * 255))
