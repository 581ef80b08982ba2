"""Figures, pictures and files of single cases, and the pages of the report."""
