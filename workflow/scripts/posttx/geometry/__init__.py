"""Where voxels lie: grids, index maps between them, boxes, and the one reading of a case that all stages follow."""
