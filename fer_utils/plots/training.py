"""Trainings: loss and accuracy over passes and seconds."""

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from fer_utils.plots.style import INK, NETWORKS, QUIET, TRAIN, VALIDATION, new_figure, note, plain_log_ticks


def curves(histories, against="pass"):
    """Loss and accuracy of training and validation, a pair of panels a run.

    Args:
        histories: dict of name -> DataFrame with pass, loss, val_loss, accuracy, val_accuracy, seconds.
        against: `pass`, or `seconds` (summed up over the passes).

    Returns:
        Figure: a row a run; left the loss, right the accuracy.
    """
    figure = new_figure(0.4 + 1.5 * len(histories))
    axes = figure.subplots(len(histories), 2, squeeze=False, sharex="col" if against == "pass" else False, sharey="col")
    for row, (name, history) in zip(axes, histories.items(), strict=True):
        x = history["pass"] if against == "pass" else history["seconds"].cumsum()
        marker = "o" if len(x) < 12 else None
        for axis, quantity in zip(row, ("loss", "accuracy"), strict=True):
            axis.plot(x, history[quantity], color=TRAIN, marker=marker, ms=2.5, label="training")
            axis.plot(x, history[f"val_{quantity}"], color=VALIDATION, marker=marker, ms=2.5, label="validation")
            axis.set(ylabel=quantity, title=name)
            if against == "pass":
                axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        row[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axis in axes[-1]:
        axis.set_xlabel(against)
    axes[0, 0].legend()
    return figure


def learning(histories, starts):
    """Loss and accuracy of several networks in the same panels: left against passes, right against seconds (log).

    Args:
        histories: dict of name -> DataFrame as for `curves`; up to four.
        starts: dict of name -> pass where overfitting starts, or None; a ring marks it on the validation loss.
    """
    figure = new_figure(3.7)
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    for (name, history), color in zip(histories.items(), NETWORKS, strict=False):
        for column, x in enumerate((history["pass"], history["seconds"].cumsum())):
            for axis, quantity in zip(axes[:, column], ("loss", "accuracy"), strict=True):
                axis.plot(x, history[quantity], "--", color=color, lw=1)
                axis.plot(x, history[f"val_{quantity}"], color=color, marker="o" if len(x) < 12 else None, ms=2.5)
            here = (history["pass"] == starts[name]).to_numpy()
            axes[0, column].plot(x[here], history["val_loss"][here], "o", mec=color, mfc="none", ms=8, gid="start")
    for axis, quantity in zip(axes[:, 0], ("loss", "accuracy"), strict=True):
        axis.set_ylabel(quantity)
    axes[1, 0].set_xlabel("passes")
    axes[1, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes[1, 1].set(xlabel="seconds of training (log scale)", xscale="log")
    plain_log_ticks(axes[1, 1].xaxis)
    axes[1, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    keys = [Line2D([], [], color=color, label=name) for name, color in zip(histories, NETWORKS, strict=False)]
    keys += [Line2D([], [], color=INK, label="validation"), Line2D([], [], color=INK, ls="--", lw=1, label="training")]
    if any(starts.values()):
        ring = {"marker": "o", "ls": "", "mec": INK, "mfc": "none", "ms": 7}
        keys.append(Line2D([], [], **ring, label="overfitting starts"))
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys))
    return figure


def overfitting(histories, starts):
    """Where the losses part: a panel a network, the gap between training and validation shaded.

    Args:
        histories, starts: as for `learning`.
    """
    figure = new_figure(2.1)
    axes = figure.subplots(1, len(histories), sharey=True, squeeze=False)[0]
    for axis, (name, history) in zip(axes, histories.items(), strict=True):
        x = history["pass"]
        marker = {"marker": "o" if len(x) < 12 else None, "ms": 2.5}
        axis.fill_between(x, history["loss"], history["val_loss"], color=QUIET, alpha=0.18, lw=0)
        axis.plot(x, history["loss"], color=TRAIN, label="training", **marker)
        axis.plot(x, history["val_loss"], color=VALIDATION, label="validation", **marker)
        axis.set(xlabel="passes", title=name)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if starts[name]:
            axis.axvline(starts[name], color=INK, lw=0.8, ls=":")
            note(axis, (starts[name], 0.97), f"overfitting starts: {starts[name]}", axis.get_xaxis_transform())
    axes[0].set_ylabel("loss")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure
