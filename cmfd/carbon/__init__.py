"""
What energy means in emissions: intensity series, factor sets, and the figures that follow.

Only at a site, and only when it is asked: no figure here is ever stored with the energy, so that
any period can be reckoned again with other factors.
"""
