"""One file a framework, named as --framework says it; each has a LeNet that is a lenet.backend.Backend."""

import os

# TensorFlow's C++ code, alone or under Keras, says much that its user cannot act on; Python's errors stay.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
