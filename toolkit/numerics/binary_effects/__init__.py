"""Logistic mixed models by their likelihood: adaptive quadrature for one effect a level, Laplace's for several."""
