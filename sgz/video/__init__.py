"""A video, frame by frame."""
