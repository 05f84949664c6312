"""Training histories: loss and accuracy against epochs and seconds."""

from matplotlib.lines import Line2D

from fer_utils.plots import style
from fer_utils.words import marked, words

QUANTITIES = marked("loss", "accuracy")


@style.applied
def plot_curves(histories):
    """Plot loss and accuracy on training and validation set, one pair of panels per run.

    Args:
        histories: dict of name -> DataFrame with epoch, loss, val_loss, accuracy, val_accuracy.

    Returns:
        Figure with one row per run, the loss on the left, the accuracy on the right.
    """
    figure = style.new_figure(0.4 + 1.2 * len(histories))
    axes = figure.subplots(len(histories), 2, squeeze=False, sharex="col", sharey="col")
    for row, (name, history) in zip(axes, histories.items(), strict=True):
        for axis, quantity in zip(row, QUANTITIES, strict=True):
            _draw_pair(axis, history["epoch"], history, quantity)
            axis.set(ylabel=quantity, title=name)
            style.whole_numbers(axis.xaxis)
        style.percent(row[1].yaxis)
    for axis in axes[-1]:
        axis.set_xlabel(words("epoch"))
    axes[0, 0].legend()
    return figure


@style.applied
def plot_arm_histories(histories):
    """Plot the accuracy on training and validation set, one panel per arm, one pair of lines per seed.

    Args:
        histories: dict of arm -> list of DataFrames with epoch, accuracy, val_accuracy, one per seed.
    """
    columns = min(len(histories), 3)
    rows = -(-len(histories) // columns)
    figure = style.new_figure(0.25 + 1.45 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(histories) :]:
        axis.remove()
    for axis, (name, seeds) in zip(axes.flat, histories.items(), strict=False):
        for history in seeds:
            _draw_pair(axis, history["epoch"], history, "accuracy")
        axis.set_title(name)
        axis.grid(axis="y")
        style.whole_numbers(axis.xaxis)
        style.percent(axis.yaxis)
    axes[0, 0].legend(handles=axes[0, 0].get_lines()[:2], loc="upper left")
    figure.supxlabel(words("epoch"))
    figure.supylabel(words("accuracy"))
    return figure


def _draw_pair(axis, x, history, quantity):
    """Draw a quantity on the training set in red and on the validation set in blue."""
    axis.plot(x, history[quantity], color=style.TRAIN, label=words("training"), **_dots(x))
    axis.plot(x, history[f"val_{quantity}"], color=style.VALIDATION, label=words("validation"), **_dots(x))


def _dots(x):
    """Mark the epochs if they are few: a single one is no line."""
    return {"marker": "o" if len(x) < 12 else None, "ms": 2.5}


@style.applied
def plot_learning(histories, starts):
    """Plot several networks in the same panels: loss and accuracy against epochs, validation accuracy against seconds.

    Args:
        histories: dict of name -> DataFrame as for `plot_curves`, with seconds; up to four.
        starts: dict of name -> epoch where overfitting starts, or None; a ring marks it on the validation loss.
    """
    figure, (loss, accuracy, cost) = style.new_panels(2.3, 3)
    for (name, history), color in zip(histories.items(), style.NETWORKS, strict=False):
        _draw_network(loss, accuracy, history, starts[name], color)
        seconds = history["seconds"].cumsum()
        cost.plot(seconds, history["val_accuracy"], color=color, **_dots(seconds))
    for axis, label in ((loss, QUANTITIES[0]), (accuracy, QUANTITIES[1]), (cost, words("validation accuracy"))):
        axis.set(ylabel=label, xlabel=words("epoch"))
        style.whole_numbers(axis.xaxis)
    cost.set(xlabel=words("seconds of training (log scale)"), xscale="log")
    style.plain_log_ticks(cost.xaxis)
    for axis in (accuracy, cost):
        style.percent(axis.yaxis)
    keys = _learning_keys(histories, ring=any(starts.values()))
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys))
    return figure


def _draw_network(loss, accuracy, history, start, color):
    """Draw a network's loss and accuracy, training dashed, and a ring where overfitting starts."""
    epochs = history["epoch"]
    for axis, quantity in zip((loss, accuracy), QUANTITIES, strict=True):
        axis.plot(epochs, history[quantity], "--", color=color, lw=1)
        axis.plot(epochs, history[f"val_{quantity}"], color=color, **_dots(epochs))
    here = (epochs == start).to_numpy()
    loss.plot(epochs[here], history["val_loss"][here], "o", mec=color, mfc="none", ms=8, gid="start")


def _learning_keys(names, ring):
    """Return the legend: a colour per network, then what the lines and the ring mean."""
    looks = {name: {"color": color} for name, color in zip(names, style.NETWORKS, strict=False)}
    looks |= {words("validation"): {"color": style.INK}, words("training"): {"color": style.INK, "ls": "--", "lw": 1}}
    if ring:
        looks[words("overfitting starts")] = {"marker": "o", "ls": "", "mec": style.INK, "mfc": "none", "ms": 7}
    return [Line2D([], [], label=label, **look) for label, look in looks.items()]
