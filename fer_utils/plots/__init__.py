"""Arrays -> matplotlib Figures in one style; the only room that knows matplotlib.

style       one look for all figures, and the small parts that they share
training    trainings: loss and accuracy over passes and seconds
networks    finished networks against each other: accuracy, calibration, shifted pictures, first weights, compute
mistakes    what a network confuses: the matrix, and pictures with what was predicted for them
pictures    plain pictures in rows
dataset     the data themselves: class counts, mean faces, copies side by side, people's votes
maps        where a network looks: maps beside the pictures they belong to
features    what layers make of one picture: feature maps, units as bars, receptive fields
units       what units want to see: synthetic and real pictures with their activations
derivations formulas: where a kernel stands, a computation graph, the error of finite differences
arms        arms of an experiment: histories, scores with intervals, differences to the first arm, bags
selftraining few labels: pseudo-labels round by round, the classes they fall into, what labels are worth

Every figure is as wide as the report's text (6.5 in) with letters of 8 points, so it is printed at its natural size.
"""

from fer_utils.plots.arms import arm_dots, arm_histories, bags, class_shares, recalls, scores
from fer_utils.plots.dataset import class_counts, mean_faces, pairs, vote_shares
from fer_utils.plots.derivations import batch_norm_graph, conv_windows, step_sizes
from fer_utils.plots.features import answer, feature_maps, receptive_fields
from fer_utils.plots.maps import map_rows, region_shares, saliency
from fer_utils.plots.mistakes import confusion, predictions
from fer_utils.plots.networks import accuracies, reliability, shifts, systems, weights
from fer_utils.plots.pictures import grid, picture_rows
from fer_utils.plots.selftraining import label_curve, pseudo_classes, pseudo_rounds
from fer_utils.plots.style import WIDTH, show
from fer_utils.plots.training import curves, learning, overfitting
from fer_utils.plots.units import wished, wished_and_found
