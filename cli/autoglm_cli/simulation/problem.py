"""What stops a command, as a sentence for the person who typed it."""


class Problem(Exception):  # noqa: N818 - it is the user's, and no error of ours
    """The command cannot be carried out; the message says why and what to do."""
