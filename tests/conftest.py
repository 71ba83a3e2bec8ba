from hypothesis import settings

# A slow machine makes no test fail: what must be fast is measured by `just bench`.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
