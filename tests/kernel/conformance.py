"""What OTP documents of its supervisors, as a table: who is started again when the second of three children ends.

`python -m tests.kernel.conformance` prints it for docs/kernel.md.
"""

from __future__ import annotations

from attrs import frozen

from tbot_actors.kernel import ExitReason, Restart, Strategy

PERMANENT, TRANSIENT, TEMPORARY = Restart
ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE = Strategy
STOPPED, FINISHED, CRASHED, KILLED, UNAVAILABLE, EXHAUSTED = ExitReason

HOW = {
    STOPPED: "`stop_child`, in order",
    KILLED: "`stop_child`, beyond `shutdown_s`",
    FINISHED: "`stop_self`",
    CRASHED: "an exception",
    UNAVAILABLE: "raises `Unavailable`",
    EXHAUSTED: "a branch whose limit is spent",
}


@frozen
class Row:
    """One line: children a, b and c, of which b ends."""

    strategy: Strategy
    restart: Restart
    reason: ExitReason
    again: str
    """Who is started again."""
    charged: bool
    """Whether it counts against the restart limit."""


ROWS = (
    Row(ONE_FOR_ONE, PERMANENT, STOPPED, "", False),
    Row(ONE_FOR_ONE, PERMANENT, KILLED, "", False),
    Row(ONE_FOR_ONE, PERMANENT, FINISHED, "b", True),
    Row(ONE_FOR_ONE, PERMANENT, CRASHED, "b", True),
    Row(ONE_FOR_ONE, PERMANENT, UNAVAILABLE, "b", False),
    Row(ONE_FOR_ONE, PERMANENT, EXHAUSTED, "b", True),
    Row(ONE_FOR_ONE, TRANSIENT, STOPPED, "", False),
    Row(ONE_FOR_ONE, TRANSIENT, KILLED, "", False),
    Row(ONE_FOR_ONE, TRANSIENT, FINISHED, "", False),
    Row(ONE_FOR_ONE, TRANSIENT, CRASHED, "b", True),
    Row(ONE_FOR_ONE, TRANSIENT, UNAVAILABLE, "b", False),
    Row(ONE_FOR_ONE, TRANSIENT, EXHAUSTED, "b", True),
    Row(ONE_FOR_ONE, TEMPORARY, STOPPED, "", False),
    Row(ONE_FOR_ONE, TEMPORARY, KILLED, "", False),
    Row(ONE_FOR_ONE, TEMPORARY, FINISHED, "", False),
    Row(ONE_FOR_ONE, TEMPORARY, CRASHED, "", False),
    Row(ONE_FOR_ONE, TEMPORARY, UNAVAILABLE, "", False),
    Row(ONE_FOR_ONE, TEMPORARY, EXHAUSTED, "", False),
    Row(ONE_FOR_ALL, PERMANENT, STOPPED, "", False),
    Row(ONE_FOR_ALL, PERMANENT, KILLED, "", False),
    Row(ONE_FOR_ALL, PERMANENT, FINISHED, "a b c", True),
    Row(ONE_FOR_ALL, PERMANENT, CRASHED, "a b c", True),
    Row(ONE_FOR_ALL, PERMANENT, UNAVAILABLE, "a b c", False),
    Row(ONE_FOR_ALL, PERMANENT, EXHAUSTED, "a b c", True),
    Row(ONE_FOR_ALL, TRANSIENT, STOPPED, "", False),
    Row(ONE_FOR_ALL, TRANSIENT, KILLED, "", False),
    Row(ONE_FOR_ALL, TRANSIENT, FINISHED, "", False),
    Row(ONE_FOR_ALL, TRANSIENT, CRASHED, "a b c", True),
    Row(ONE_FOR_ALL, TRANSIENT, UNAVAILABLE, "a b c", False),
    Row(ONE_FOR_ALL, TRANSIENT, EXHAUSTED, "a b c", True),
    Row(ONE_FOR_ALL, TEMPORARY, STOPPED, "", False),
    Row(ONE_FOR_ALL, TEMPORARY, KILLED, "", False),
    Row(ONE_FOR_ALL, TEMPORARY, FINISHED, "", False),
    Row(ONE_FOR_ALL, TEMPORARY, CRASHED, "", False),
    Row(ONE_FOR_ALL, TEMPORARY, UNAVAILABLE, "", False),
    Row(ONE_FOR_ALL, TEMPORARY, EXHAUSTED, "", False),
    Row(REST_FOR_ONE, PERMANENT, STOPPED, "", False),
    Row(REST_FOR_ONE, PERMANENT, KILLED, "", False),
    Row(REST_FOR_ONE, PERMANENT, FINISHED, "b c", True),
    Row(REST_FOR_ONE, PERMANENT, CRASHED, "b c", True),
    Row(REST_FOR_ONE, PERMANENT, UNAVAILABLE, "b c", False),
    Row(REST_FOR_ONE, PERMANENT, EXHAUSTED, "b c", True),
    Row(REST_FOR_ONE, TRANSIENT, STOPPED, "", False),
    Row(REST_FOR_ONE, TRANSIENT, KILLED, "", False),
    Row(REST_FOR_ONE, TRANSIENT, FINISHED, "", False),
    Row(REST_FOR_ONE, TRANSIENT, CRASHED, "b c", True),
    Row(REST_FOR_ONE, TRANSIENT, UNAVAILABLE, "b c", False),
    Row(REST_FOR_ONE, TRANSIENT, EXHAUSTED, "b c", True),
    Row(REST_FOR_ONE, TEMPORARY, STOPPED, "", False),
    Row(REST_FOR_ONE, TEMPORARY, KILLED, "", False),
    Row(REST_FOR_ONE, TEMPORARY, FINISHED, "", False),
    Row(REST_FOR_ONE, TEMPORARY, CRASHED, "", False),
    Row(REST_FOR_ONE, TEMPORARY, UNAVAILABLE, "", False),
    Row(REST_FOR_ONE, TEMPORARY, EXHAUSTED, "", False),
)


def table() -> str:
    """In Markdown: a line for each exit reason and restart type, a column for each strategy."""
    lines = [
        "| b ends by | restart type | one for one | one for all | rest for one | charged |",
        "|---|---|---|---|---|---|",
    ]
    found = {(row.strategy, row.restart, row.reason): row for row in ROWS}
    for reason in HOW:
        for restart in Restart:
            rows = [found[strategy, restart, reason] for strategy in Strategy]
            cells = [row.again or "–" for row in rows]
            charged = {True: "yes", False: "no"}[rows[0].charged]
            lines.append(f"| {HOW[reason]} | {restart.value} | {' | '.join(cells)} | {charged} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
