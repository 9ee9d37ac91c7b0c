"""What can go wrong with listening, told apart from the listeners: who only names an error imports no server."""


class CannotListen(OSError):
    """The address is taken, or not of this host."""
