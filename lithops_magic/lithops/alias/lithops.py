"""The module `lithops` in tasks of a program that uses `import lithops` for ours."""

from lithops_magic.lithops import stand_in

stand_in.install()
