"""One file a framework, named as --framework says it; each has a LeNet that is a lenet.backend.Backend."""
