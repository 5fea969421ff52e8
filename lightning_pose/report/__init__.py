"""Pages that commands write: from plain data to self-contained HTML that works offline."""
