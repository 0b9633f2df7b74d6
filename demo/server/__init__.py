"""What demo/app.py serves."""
