"""The commands behind `lightning`, one file each."""
