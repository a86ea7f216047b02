"""The SQL follows its style guide. Here, so that linting runs beside the builds."""

from __future__ import annotations


def test_sqlfluff_has_nothing_to_say(linted):
    assert linted.returncode == 0, linted.stdout
    assert "All Finished" in linted.stdout
