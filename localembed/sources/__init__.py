"""Find and read source files: walk folders and apply ignore rules."""

from localembed.sources.ignore import glob_rules
from localembed.sources.open_file import Content, read_file
from localembed.sources.walk import Walk, WalkRules, walk

__all__ = ["Content", "Walk", "WalkRules", "glob_rules", "read_file", "walk"]
