"""Helpers of the FER2013 report kit; each module is a room with one duty.

labels      class names (en, zh-TW), colours, IMAGE_SHAPE
data        any FER2013 source -> Dataset (images, labels, split) and its fingerprint
sources     the file formats that data reads, one small reader each
sample      the default when there is no FER2013: drawn faces with known landmarks
augment     normalisation and augmentation as Keras layers and tf.data steps
models      one plain builder function a model, BUILDERS, parameter matching
presets     literal settings of every system, and the profiles smoke / quick / full
runs        Run(settings).fit(): train once, keep for ever
training    one training, from settings to a folder of results; goes on where it was stopped
evaluation  accuracy with intervals, confusion, paired tests (NumPy in, NumPy out)
explain     where a network looks: maps by six methods, and the checks that tell good from bad
maximize    what a unit wants to see: gradient ascent, MaCo, receptive fields, strongest real patches
plots       arrays -> matplotlib Figure; the only room that knows matplotlib
prose       sentences, tables and captions in two languages, shown by a notebook

Importing the package imports none of them.
"""
