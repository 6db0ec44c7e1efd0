"""Linear mixed models by their exact likelihood: moments once, then small solves at each set of variances."""
