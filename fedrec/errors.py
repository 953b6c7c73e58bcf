"""Errors that are the user's to mend."""


class InputError(ValueError):
    """Bad input: a file, an option, a configuration or a checkpoint that fedrec cannot use.

    The message is one or two sentences that name the file and line, or the option and its value, and say what was
    expected. The command line prints it without a traceback and exits with status 2.
    """


class DivergenceError(InputError):
    """Training cannot go on: in some round no client's update is finite. The message names the round."""


class LostProcessError(RuntimeError):
    """Another process of the run has ended or does not answer. The message says which."""


class ToldElsewhereError(InputError):
    """The run ends for a reason that another of its processes tells: the message of this one is empty."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, in Python's, NumPy's or torch's words."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)
