"""The account's credentials."""

from attrs import field, frozen


@frozen
class Keys:
    """An API key and its secret. Neither shows in a repr, so neither reaches a log or a traceback by way of one."""

    api_key: str = field(repr=False)
    secret: str = field(repr=False)
