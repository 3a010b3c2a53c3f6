"""A page to look at a mask with: the scene, the mask drawn aside over it, classes on and off."""

from __future__ import annotations

from geomask.view.page import view_html, write_view

__all__ = ["view_html", "write_view"]
