"""dnnplan inside other programs: a web service, a notebook, a search for networks, a plug-in package."""
