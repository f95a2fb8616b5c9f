"""Older formats of checkpoints, which still load."""
