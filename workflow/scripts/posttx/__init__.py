"""The nouns of PostTx: cases, volumes, labels, audits, splits, metrics, tables, figures. No Snakemake in here."""
