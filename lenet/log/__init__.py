"""What TensorBoard shows of a run, written without a framework."""

PARTS = ("train", "test", "validation")  # the folders of a run's curves
DETAILS = {"none": (), "scalars": PARTS, "all": (*PARTS, ".")}  # how much is logged -> the folders of its files
