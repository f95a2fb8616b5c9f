"""All that is the same for every framework: imports NumPy, never a framework."""


class UserError(Exception):
    """A mistake of the user's; its text says in one line what is wrong and what to do."""
