"""Train a CNN that predicts transcription-factor binding at every base, compare how it learns, score DNA with it."""

__version__ = "0.2.0"
