"""`sam2.utils` of the reference."""
