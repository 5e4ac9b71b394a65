"""One page for many nodes: of the local cluster, and of ``lastcall dashboard``. See CONTRIBUTING.md
for terms.
"""
