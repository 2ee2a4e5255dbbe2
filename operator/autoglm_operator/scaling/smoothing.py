"""Readings that chance moves a lot, averaged over a fixed time: as noisy at every scrape interval.

A reading that has not changed since the last decision is taken for the same scrape, not for a second one.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import Fresh, Reading

WINDOWS: Final = {"offered_tokens_now": timedelta(seconds=15), "in_flight": timedelta(seconds=30)}
"""Over how long each reading is averaged: every scrape within, or the last one."""


class Sample(NamedTuple):
    """What a scrape told, when that was first seen."""

    at: datetime
    milli: int


def remembered(samples: Mapping[str, tuple[Sample, ...]], load: Load, now: datetime) -> dict[str, tuple[Sample, ...]]:
    """Return the samples with those of now; at most a window's for each reading."""
    return {name: _with(samples.get(name, ()), getattr(load, name), window, now) for name, window in WINDOWS.items()}


def smoothed(load: Load, samples: Mapping[str, tuple[Sample, ...]]) -> Load:
    """Return the load with the means of its samples; a reading that is not fresh stays as it is."""
    return replace(
        load,
        offered_tokens_now=_mean(load.offered_tokens_now, samples.get("offered_tokens_now", ())),
        in_flight=_mean(load.in_flight, samples.get("in_flight", ())),
    )


def _with(samples: tuple[Sample, ...], reading: Reading, window: timedelta, now: datetime) -> tuple[Sample, ...]:
    if isinstance(reading, Fresh) and (not samples or samples[-1].milli != reading.milli):
        samples = (*samples, Sample(now, reading.milli))
    recent = tuple(sample for sample in samples if sample.at > now - window)
    return recent or samples[-1:]


def _mean(reading: Reading, samples: tuple[Sample, ...]) -> Reading:
    if not isinstance(reading, Fresh) or not samples:
        return reading
    return replace(reading, milli=sum(sample.milli for sample in samples) // len(samples))
