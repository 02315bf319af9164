"""The whole configuration as one frozen tree; the only reader of file and environment.

::

    places      which file; defaults that depend on the machine
    variables   what is given outside the file
    layers      command line > variables > secret files > file, laid into one tree
    tree        the settings themselves: names, defaults, descriptions
    rules       what no single setting can say
    wording     errors as problems with file, path and mend
    loading     `load`: all of it in order
"""

from poller.settings.loading import Loaded, data_dir_despite, load
from poller.settings.tree import Settings

__all__ = ["Loaded", "Settings", "data_dir_despite", "load"]
