"""Why a verb cannot do what it was asked to do, beside what configuration and NATS have to say."""


class MissingInput(FileNotFoundError):
    """A file that was named is not there or cannot be read: exit code 66."""


class WrongInput(ValueError):
    """What was given cannot be used, and nothing was done: exit code 1."""


class WrongUsage(ValueError):
    """Options that do not go together: exit code 64."""
