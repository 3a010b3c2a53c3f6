"""Class masks to polygons in a file, and back."""
