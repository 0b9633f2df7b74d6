"""Compiled passes over pixels."""
