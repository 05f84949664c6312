"""What everything else shares: image shape, class names in two languages, class colours, splits, regions of a face."""

IMAGE_SHAPE = (48, 48, 1)  # height, width, channels

# Class numbers are FER2013's own: 0 angry … 6 neutral.
CLASSES = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")
CLASSES_ZH_TW = ("生氣", "厭惡", "恐懼", "高興", "難過", "驚訝", "中立")
BILINGUAL = tuple(f"{en} {zh}" for en, zh in zip(CLASSES, CLASSES_ZH_TW, strict=True))

# Okabe & Ito's palette: distinct for readers with colour-vision deficiency and in grey print.
COLORS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#6E6E6E")

# "test" is the test set of sources that do not tell PublicTest from PrivateTest.
SPLITS = ("train", "val", "public", "private", "test")

# Regions in the masks of drawn faces: the place in this tuple is the value in the mask.
REGIONS = ("elsewhere", "brows", "eyes", "mouth")
