"""Figures, case pictures, the viewer and the report's page."""
