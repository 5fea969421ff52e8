"""The one error that means: what the user gave cannot be used."""


class InputError(ValueError):
    """A file, a setting or a checkpoint that the user gave cannot be used.

    Its message is one sentence that says what was expected, what was found and what to do. The
    commands print that sentence without a traceback and exit with status 1; every other exception
    is a defect of ours and keeps its traceback. It takes one string, so that it can be pickled and
    raised again on the other side of a worker process.

    Example:
        >>> raise InputError("Expected 14 joints, found 13; check joints.mat.")
        Traceback (most recent call last):
        ...
        lightning_pose.errors.InputError: Expected 14 joints, found 13; check joints.mat.
    """
