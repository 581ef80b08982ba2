"""What trains and predicts: nnU-Net's dataset, folds, checkpoints, GPUs and the ensemble."""
