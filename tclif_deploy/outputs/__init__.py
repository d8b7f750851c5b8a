"""The one way to write: a file or a folder is made beside its place and moved there when it is whole.

What stood there before stays until then. A link is replaced, never followed. A file takes the place only of nothing, a
regular file or a link; a folder only that of nothing, an empty folder, or one that its writer knows for its own.

A writer that is killed leaves a hidden neighbour. Each one carries a lock that goes with its process, so that the next
writer of the same place, or `recover`, can tell an orphan from the work of a process that still runs.
"""

from tclif_deploy.outputs.files import new_file, write_file, write_files, write_npz, write_together
from tclif_deploy.outputs.folders import new_folder
from tclif_deploy.outputs.neighbours import clear_orphans, on_recovery, one_at_a_time, recover
from tclif_deploy.outputs.places import check_file_place, check_folder_place, make_folder

__all__ = [
    "check_file_place",
    "check_folder_place",
    "clear_orphans",
    "make_folder",
    "new_file",
    "new_folder",
    "on_recovery",
    "one_at_a_time",
    "recover",
    "write_file",
    "write_files",
    "write_npz",
    "write_together",
]
