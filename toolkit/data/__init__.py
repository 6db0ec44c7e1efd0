"""From a file or a frame to validated arrays: roles, datasets, sequences, splits, the bundled study."""
