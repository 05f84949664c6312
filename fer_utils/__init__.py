"""Helpers of the FER2013 report kit; each module is a room with one duty.

labels      class names (en, zh-TW), colours, IMAGE_SHAPE
data        any FER2013 source -> Dataset (images, labels, split) and its fingerprint
sources     the file formats that data reads, one small reader each
sample      the default when there is no FER2013: drawn faces with known landmarks
audit       copies, leaks between the parts, blank pictures, and what people voted (FERPlus)
augment     normalisation and augmentation as Keras layers and tf.data steps
models      one plain builder function a model, BUILDERS, parameter matching
presets     literal settings of every system, and the profiles smoke / quick / full
pretrained  weights that come with the kit, each with a card: preset="pretrained:tiny"
runs        Run(settings).fit(): train once, keep for ever
training    one training, from settings to a folder of results; goes on where it was stopped
selftrain   few labels: the arms of the experiment, the choice of pseudo-labels, how good they are
fewlabels   one training of such an arm, round by round; goes on where it was stopped
evaluation  accuracy with intervals, confusion, paired tests (NumPy in, NumPy out)
explain     where a network looks, by six methods, with checks; what its layers make of a picture
maximize    what a unit wants to see: gradient ascent, MaCo, receptive fields, strongest real patches
predict     a finished run + pictures (test.csv, a folder of face crops) -> a csv id,label
derivations the mathematics of the layers: the formulas, and checks of them by answers found without them
plots       arrays -> matplotlib Figure; the only room that knows matplotlib
prose       sentences, tables and captions in two languages, shown by a notebook

Importing the package imports none of them.
"""
