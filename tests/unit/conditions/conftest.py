"""How property tests run here."""

from hypothesis import settings

# Two shared cores are slow at times, and CI must not depend on luck.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
