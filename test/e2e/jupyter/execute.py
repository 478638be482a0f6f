"""Execute a notebook by nbclient, with the kernel that its metadata names: execute.py NOTEBOOK."""
import sys

import nbformat
from nbclient import NotebookClient

path = sys.argv[1]
notebook = nbformat.read(path, as_version=4)
NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, path)
