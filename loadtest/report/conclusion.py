"""The last line of a command: what its runs mean, in one sentence."""

from collections.abc import Sequence

from loadtest.report.result import BOTTLENECK, BROKEN, Result, worst_exit_code


def conclusion(results: Sequence[Result]) -> tuple[str, str]:
    """Return the sentence and its color, for one or more finished runs."""
    code = worst_exit_code(results)
    if code == BROKEN:
        broken = next(result for result in results if result.exit_code == BROKEN)
        return f"BROKEN: {broken.broken[0] if broken.broken else 'see the report'}.", "red"
    if code == BOTTLENECK:
        driver = next(result for result in results if result.exit_code == BOTTLENECK)
        return f"NO RESULT: the load driver was the bottleneck, not the server: {driver.bottleneck}.", "yellow"
    audits = [result.audit for result in results]
    if not all(audits):
        return "NOT AUDITED: every answer was right, but no ClickHouse was given to search for the hits.", "yellow"
    accepted = sum(audit.accepted for audit in audits if audit)
    faults = sum(len(result.faults) for result in results)
    under = f", through {faults} faults" if faults else ""
    return f"CLEAN: all {accepted:,} accepted hits are stored, each exactly once{under}.", "green"
