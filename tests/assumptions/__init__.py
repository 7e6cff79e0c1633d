"""What the project relies on inside other libraries, each held against the installed version.

A failure here means that an upgrade changed something that is no documented interface: the module
named at the top of the file has to follow, or the upper bound in pyproject.toml stays where it is.
"""
