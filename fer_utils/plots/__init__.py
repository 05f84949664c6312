"""Plots: arrays in, matplotlib Figures out; the only package that knows matplotlib.

style        the style of all figures, and the small parts that they share
images       rows of images: faces, versions of an image, copies, mean faces, maximized units, weights
classes      figures by class: shares, confusion matrices, predicted distributions
architecture the blocks of a network as boxes
training     training histories: loss and accuracy against epochs and seconds
networks     trained networks compared: accuracy, calibration, shifted images, ensembles, compute
arms         arms of an experiment compared: accuracy, scores, recalls, pseudo-labels, the value of labels
maps         saliency maps, feature maps, receptive fields, activations
derivations  the mathematics: windows of a convolution, a computation graph, errors of finite differences

Import a plot from its file, such as `from fer_utils.plots.maps import plot_saliency`; importing the package imports
none of them, so an edit of one file concerns only the notebooks that import from it. Every figure is as wide as the
report's text (6.5 in) and is printed at its natural size.
"""
