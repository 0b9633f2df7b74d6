"""One photograph in a file."""
