"""Generated pages say what the code says now: a stale one is rewritten and the test fails, so that somebody looks at it."""

import click
import pytest

from madang.app.cli import main
from scripts.docs import EVERY_PAGE, FOLDER, write_page


@pytest.mark.parametrize("name", EVERY_PAGE)
def test_page_is_fresh(name: str) -> None:
    assert not write_page(name, EVERY_PAGE[name]()), (
        f"docs/generated/{name} was stale and is rewritten: look, and commit it"
    )


def test_no_page_is_left_over() -> None:
    assert {p.name for p in FOLDER.iterdir()} == set(EVERY_PAGE)


def test_every_command_and_option_says_what_it_does() -> None:
    """`--port` says which port; a name alone does not."""
    silent = [name for name, command in main.commands.items() if not command.help]
    for name, command in main.commands.items():
        silent += [
            f"{name} {option.opts[0]}"
            for option in command.params
            if isinstance(option, click.Option) and not option.help and option.name not in SELF_EVIDENT
        ]
    assert silent == []


SELF_EVIDENT = frozenset({"seed", "trucks", "log_level", "role"})
"""Options whose name, default and choices say it all."""
