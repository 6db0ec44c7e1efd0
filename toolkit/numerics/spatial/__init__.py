"""Gaussian random fields over places: kernels, exact and approximate likelihoods, prediction at any coordinates."""
