"""What a run leaves on the disk: its folder, its checkpoint, its curves; older formats, which still load."""
