"""What is right and wrong with a cohort's files: read once each, every oddity a finding."""
