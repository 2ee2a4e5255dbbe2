"""The answer to a user's own query: exactly one number, or a problem. Pure.

As KEDA's Prometheus scaler, except where that is unsafe: an empty answer, NaN and infinity are missing data here unless
the user says that empty means zero (KEDA reads all of them as 0 by default).
"""

from autoglm_operator.scaling.readings import Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus.figures import number_of
from autoglm_operator.shell.prometheus.reply import PrometheusError, Sample, check_clock, sample_of, successful

EMPTY = NoData(Problem.MISSING, "the query gives an empty answer")


def answer_of(body: bytes, now: float) -> Reading:
    """Return the one number of a reply in thousandths; `EMPTY` for an answer without elements.

    Raises:
        PrometheusError: no successful reply, or one of another time than `now` (Unix s).
    """
    data = successful(body).get("data")
    kind = data.get("resultType") if isinstance(data, dict) else None
    found = data.get("result") if isinstance(data, dict) else None
    if kind == "scalar":
        return _number(sample_of(found), now)
    if kind != "vector" or not isinstance(found, list):
        raise PrometheusError(Problem.BAD_REPLY, f"the query gives a {kind}, not an instant vector")
    if len(found) > 1:
        return NoData(Problem.DUPLICATE, f"the query gives {len(found)} elements; aggregate them to one")
    if not found:
        return EMPTY
    return _number(sample_of(found[0].get("value") if isinstance(found[0], dict) else None), now)


def meant(reading: Reading, *, empty_means_zero: bool) -> Reading:
    """Return the reading as its user means it."""
    return Fresh(0) if reading == EMPTY and empty_means_zero else reading


def _number(sample: Sample, now: float) -> Reading:
    check_clock(sample, now)
    return number_of(sample.value)
