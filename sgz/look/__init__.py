"""What is added to the paper's path: each part of the natural look."""
