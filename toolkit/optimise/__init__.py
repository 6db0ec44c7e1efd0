"""The one training loop, its trace and its verdict."""
