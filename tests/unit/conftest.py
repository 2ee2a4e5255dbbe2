"""Thousands of small tests make much garbage and keep little: fewer looks for cycles save a tenth of the time."""

import gc

gc.set_threshold(100_000, 50, 50)
