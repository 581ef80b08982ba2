"""Run nnU-Net's fingerprint extraction with a sample of intensities that suits small cohorts too."""

import sys

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

SAMPLES_PER_CASE = 100_000


def extract_fingerprint(dataset: int, processes: int) -> None:
    """Write ``dataset_fingerprint.json`` into nnU-Net's preprocessed folder.

    nnU-Net draws 10^8 foreground intensities in all, however few the cases: 16 of them cost a minute and 4.6 GB.
    Here it is 10^5 per case at most, which changes nothing from a thousand cases on.
    """
    extractor = DatasetFingerprintExtractor(dataset, processes)
    extractor.show_progress_bar = False
    total = extractor.num_foreground_voxels_for_intensitystats
    extractor.num_foreground_voxels_for_intensitystats = min(total, SAMPLES_PER_CASE * len(extractor.dataset))
    extractor.run(overwrite_existing=True)


if __name__ == "__main__":
    extract_fingerprint(int(sys.argv[1]), int(sys.argv[2]))
