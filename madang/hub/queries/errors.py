"""What can be wrong with a question to the hub."""


class NotFound(LookupError):
    """There is no such thing, or the caller may not know that there is: both are answered alike."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else "not found"


class Refused(PermissionError):
    """The caller may not ask this at all; the text names what is missing."""


class BadQuestion(ValueError):
    """The question is wrong; the text says what to mend. `name` is the parameter."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail
