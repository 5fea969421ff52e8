"""The renderer of synthetic people: a number and a size in, an image with joints and mask out."""

from lightning_pose.synthetic.person import DrawnPerson, draw_person

__all__ = ["DrawnPerson", "draw_person"]
