"""What can go wrong by a user's doing: exceptions whose message is one sentence."""


class UserError(Exception):
    """What a user can cause and mend; the message is one sentence.

    Args:
        message: what is wrong, and the remedy where it is no argument.
        argument: the argument of the function or class that mends it. A script that knows its flag
            for it adds the remedy (command.explain).
    """

    def __init__(self, message: str, argument: str = ""):
        super().__init__(message)
        self.argument = argument


class ImageError(UserError, ValueError):
    """An image file that cannot be read or written: the reason, not the name."""


class CheckpointError(UserError, ValueError):
    """A checkpoint file is missing, is no checkpoint, or is one of another architecture."""
