"""The page: one file for each tab, and what they share."""
