"""Person parameters: what varies, their values, their variances."""
