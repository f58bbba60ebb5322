"""Frames in and out: videos, folders, cameras, bags, and drawing on them."""
