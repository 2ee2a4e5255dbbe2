"""Repair: how what is differs from what should be, and what to do about it."""
