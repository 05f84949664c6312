"""What single questions of the homework compute beyond `metrics`; one study a module.

compare      the arms of an experiment, each with several trainings, against the first arm
matched      a DNN of a CNN's size beside it: trained alike, shown shifted images
recipe       the settings of a training in words, beside those of its report
mistakes     what a network confuses, and how sure it is of it
duplicates   copies in the data, and what exact leaks do to an accuracy
parts        on which parts of the face maps lie
leaks        training images among those that judge a network, also altered ones
derivations  the mathematics of the layers: the formulas, and independent checks of them
selftrain    self-training with few labels
"""
