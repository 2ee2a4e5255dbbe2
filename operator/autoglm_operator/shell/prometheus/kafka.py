"""How far Kafka consumer groups are behind, as kafka_exporter counts it. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from autoglm_operator.scaling.readings import NoData, Problem, Reading, total
from autoglm_operator.shell.prometheus.figures import float_of, number_of
from autoglm_operator.shell.prometheus.query import SERIES_LABEL, labelled
from autoglm_operator.shell.prometheus.reply import Row

_LAG: Final = "kafka_consumergroup_lag"
_SUM: Final = "sum"
_LEAST: Final = "least"


def lag_query(groups: Iterable[str]) -> str:
    """Return the PromQL of the lag of these groups, by group and topic; two exporters of one cluster count once."""
    listed = "|".join(re.escape(group).replace("\\", "\\\\") for group in sorted(groups))
    partitions = f'max by (consumergroup, topic, partition) ({_LAG}{{consumergroup=~"{listed}"}})'
    return labelled(
        {
            _SUM: f"sum by (consumergroup, topic) ({partitions})",
            _LEAST: f"min by (consumergroup, topic) ({partitions})",
        }
    )


def lag_of(rows: Sequence[Row], group: str, topic: str | None) -> Reading:
    """Return the messages that a group is behind, of one topic or of all.

    A negative lag of one partition (the exporter has no offset of it) makes the sum worthless.
    """
    ours = [row for row in rows if row.labels.get("consumergroup") == group and _is_of(row, topic)]
    if any((float_of(row.sample.value) or 0.0) < 0 for row in ours if row.labels.get(SERIES_LABEL) == _LEAST):
        return NoData(Problem.NEGATIVE, "a partition has a negative lag: its offset is unknown")
    sums = [number_of(row.sample.value) for row in ours if row.labels.get(SERIES_LABEL) == _SUM]
    if not sums:
        return NoData(Problem.MISSING, f"no lag of group {group}{f' in {topic}' if topic else ''}")
    return total(*sums)


def _is_of(row: Row, topic: str | None) -> bool:
    return topic is None or row.labels.get("topic") == topic
