"""A study: many runs, each in a process of its own, and the report that compares them."""

KEEP = ("all", "results")  # what stays of a finished run; results: no checkpoint
