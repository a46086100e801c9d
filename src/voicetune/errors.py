"""The exceptions that a user is meant to read."""


class UserError(Exception):
    """Bad input. The message is one sentence that names the file or key and the remedy.

    Stage scripts and the command line print it without a traceback and exit with status 1.
    """


class Stopped(UserError):
    """SIGTERM or SIGINT came; what was done is kept, and the same command goes on from there."""
