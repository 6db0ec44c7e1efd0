"""Comparators: one file each."""
