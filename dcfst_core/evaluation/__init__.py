"""Evaluation of trackers on published data sets; never needed by a robot that only tracks."""
