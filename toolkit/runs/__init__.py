"""Run folders: written whole, verified on reading."""
