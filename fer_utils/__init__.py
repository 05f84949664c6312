"""Helpers of the FER2013 report kit; each module is a room with one duty.

The core, from the data to a prediction; each imports only those above it:

words       texts with fields in English, and the gettext catalogs that say them in other languages
listings    the source of a function, for a listing
labels      class names, colours, IMAGE_SHAPE, the splits
readers     the forms in which FER2013 circulates and course-mates send it, a small room each
faces       drawn faces with known landmarks: the data where there is no FER2013
data        any source -> Dataset (images, labels, split) and its fingerprint; parsed once, then memory-mapped
metrics     accuracy with intervals, confusion, calibration, paired tests (NumPy in, NumPy out)
ferplus     ten people's votes on each image
machine     the GPUs or the processor that computes: its name, whether it has bfloat16
augment     augmentation as one tf.data step
layers      the few layers that Keras lacks or computes slowly on a CPU
own         networks of one's own: notebooks/mine.py, a function in a cell, a Keras file; what is wrong with them
adapt       any Keras model -> the kit's form, ending in `logits`, `probs`
plain       a network of the kit -> the same of Keras' own layers alone, for a file that opens anywhere
models      one plain builder function a network
claims      what the student reports say of their networks and trainings
presets     literal settings of every system, and the profiles smoke / quick / full
settings    `name=value` words -> typed values
recorded    full trainings on FER2013 that ship with the kit, small ones with weights: preset="pretrained:tiny"
training    one training, from settings to a folder of results; resumable after any epoch
finished    a finished run: settings, scores, history, predictions, network
runs        Run(settings).fit(): train once, keep the result
predict     a finished run + images (test.csv, a folder of face crops) -> a csv id,label
prose       sentences, figures, tables and listings with captions, shown by a notebook

Beside the core:

download    FER2013 from Kaggle into data/
estimate    how long a training would take here
cluster     trainings as jobs of a cluster: what they ask for, how they are sent, resumed and waited for
trainings   the command: list, train in the background, record, train anew what is recorded and compare

Topics, each used by its own notebooks:

explain     blocks, saliency maps and their checks, feature maps, receptive fields, activation maximization
studies     comparisons of arms, networks of one size, recipes, mistakes, copies, leaks, derivations, self-training
plots       arrays -> matplotlib Figures, a file a subject; the only room that knows matplotlib

Importing the package imports none of them.
"""
