"""What is wrong with a request."""


class OgcError(ValueError):
    """A parameter is wrong; the caller's mistake. `name` is the parameter, the text says what to do."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(detail)
        self.name = name
        self.detail = detail
