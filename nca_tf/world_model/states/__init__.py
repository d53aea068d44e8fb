"""M for states that are vectors of integers, such as Pommerman's."""
