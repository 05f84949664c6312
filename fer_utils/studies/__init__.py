"""One study per module: what single questions of the report compute beyond `metrics`.

compare       arms of an experiment, each with several seeds
ensembles     the choice of members, their disagreement and their gain
mistakes      second choices, margins, mutual confusions, agreement with people's votes
duplicates    copies and leaks in the dataset
ferplus       people's votes (FERPlus)
selftrain     self-training with few labels
derivations   the mathematics of the layers, with checks
"""
