"""Offline training of DCFST: the embedding through the ridge solver, and ATOM's IoU predictor.

Imports dcfst_core and never the other way; robots do not install this package.
"""
