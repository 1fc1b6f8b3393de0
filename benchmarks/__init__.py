"""Measurements that take minutes to hours; see README.md beside this file."""

import stages  # noqa: F401 (it sets the process up; done here too, that would be done twice)
