"""Regular expressions that come from outside: only those that cannot take for ever.

Python's engine backtracks. An expression is refused when something that repeats without bound holds another such repeat
or an alternative: ``(a+)+``, ``(a|aa)*``; these can take time exponential in the text. Back-references are refused too.
"""

import re
import re._constants as _constants  # type: ignore[import-not-found]
import re._parser as _parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

from madang.ngsild.errors import TOO_COMPLEX_QUERY, NgsiLdError

LENGTH_MAX = 256
REPEATS_MAX = 8
"""Unbounded repeats in a row cost a power of the text's length each: ``.*.*.*``."""
COUNT_MAX = 1_000
"""The largest n of ``{n}``."""


def check_regular(pattern: str) -> re.Pattern[str]:
    """The compiled expression. Raises NgsiLdError when it is wrong or could take for ever.

    >>> check_regular("^12가.*").match("12가 3456") is not None
    True
    """
    if len(pattern) > LENGTH_MAX:
        raise NgsiLdError(f"a regular expression is longer than {LENGTH_MAX} characters", "", TOO_COMPLEX_QUERY)
    try:
        tree = _parser.parse(pattern)
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise NgsiLdError(f"not a regular expression ({error})") from None
    if sum(1 for _ in _unbounded(tree, inside=False)) > REPEATS_MAX:
        raise NgsiLdError(f"a regular expression has more than {REPEATS_MAX} repeats", "", TOO_COMPLEX_QUERY)
    return compiled


def _unbounded(tree: Any, inside: bool) -> Iterator[None]:
    """One item for each unbounded repeat. Raises NgsiLdError for what can explode."""
    for op, argument in tree:
        if op in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
            raise NgsiLdError("back-references are not allowed in a regular expression", "", TOO_COMPLEX_QUERY)
        if op in (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT):
            low, high, inner = argument
            unbounded = high is _constants.MAXREPEAT
            if (not unbounded and high > COUNT_MAX) or low > COUNT_MAX:
                raise NgsiLdError(f"a repeat counts beyond {COUNT_MAX}", "", TOO_COMPLEX_QUERY)
            repeats = unbounded or high > 1
            if repeats and inside:
                raise NgsiLdError("a repeat inside a repeat can take for ever", "", TOO_COMPLEX_QUERY)
            if unbounded:
                yield None
            yield from _unbounded(inner, inside or repeats)
        elif op is _constants.BRANCH:
            if inside:
                raise NgsiLdError("an alternative inside a repeat can take for ever", "", TOO_COMPLEX_QUERY)
            for branch in argument[1]:
                yield from _unbounded(branch, inside)
        elif op is _constants.SUBPATTERN:
            yield from _unbounded(argument[3], inside)
        elif op in (_constants.ASSERT, _constants.ASSERT_NOT):
            yield from _unbounded(argument[1], inside)
        elif op is _constants.ATOMIC_GROUP:
            yield from _unbounded(argument, inside)
