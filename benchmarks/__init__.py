"""Measurements that take minutes to hours; see README.md beside this file."""

from study import runtime

runtime.set_up()
