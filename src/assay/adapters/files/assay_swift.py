"""For ms-swift's ``--external_plugins FILE.py``: ``assay`` among its outcome rewards, process rewards and plugins."""

from assay.adapters.swift import register_configured

register_configured("assay")
