"""Figures: a tidy frame in, a plotly or matplotlib figure out. Nothing is computed here."""
