"""A study: many runs, each in a process of its own, and the report that compares them."""
