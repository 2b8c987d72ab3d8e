"""Runs the cells of a tta replay as tasks of a Ray cluster."""
