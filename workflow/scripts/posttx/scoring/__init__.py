"""Segmentations against references: voxels, surfaces and lesions under a named scheme."""
