"""Valence and arousal in everyday life (openESM 0018, CC BY 4.0; see LICENCE.md)."""
