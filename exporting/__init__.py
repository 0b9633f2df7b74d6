"""Files for other programs: what export.py writes, by format and by target."""
