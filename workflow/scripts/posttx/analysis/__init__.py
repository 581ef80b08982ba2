"""Scores as estimates with intervals, compared, and put into words by rule."""
