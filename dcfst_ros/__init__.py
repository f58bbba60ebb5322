"""The ROS 2 nodes around `dcfst_core`: the tracker, and helpers to feed, start and watch it."""
