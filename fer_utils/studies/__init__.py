"""One study a module: what single questions of the homework compute beyond `metrics`.

duplicates    copies and leaks in the data, and people's votes (FERPlus)
derivations   the mathematics of the layers, with checks
selftrain     self-training with few labels
fewlabels     … one training of it
"""
