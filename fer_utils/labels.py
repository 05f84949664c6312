"""What everything else shares: image shape, class names and colours, splits, regions of a face."""

from fer_utils.words import marked

IMAGE_SHAPE = (48, 48, 1)  # height, width, channels

# Class numbers are FER2013's own: 0 angry … 6 neutral.
CLASSES = marked("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")

# Okabe & Ito's palette: distinct for readers with colour-vision deficiency and in grey print.
COLORS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#6E6E6E")

# "test" is the test set of sources that do not tell PublicTest from PrivateTest.
SPLITS = ("train", "val", "public", "private", "test")

# Regions in the masks of drawn faces: the place in this tuple is the value in the mask.
REGIONS = ("elsewhere", "brows", "eyes", "mouth")
