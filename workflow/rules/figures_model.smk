"""Figures of one model on one cohort."""


rule draw_model:
    """Draw Dice, volumes, dependency and confusion of one model on one cohort."""
    input:
        metrics="<results>/metrics/{cohort}/{model}.parquet",
        inter_class="<results>/tables/{cohort}/{model}/inter_class.parquet",
        subgroups="<results>/tables/{cohort}/{model}/subgroups.parquet",
        lesions="<results>/lesions/{cohort}/{model}.parquet",
        confusion=confusion_of,
    output:
        dice=report(
            "<results>/figures/{cohort}/{model}/dice.svg",
            caption="../report/dice.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "Dice"},
        ),
        volume_dice=report(
            "<results>/figures/{cohort}/{model}/volume_dice.svg",
            caption="../report/volume_dice.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "volume and Dice"},
        ),
        volumes=report(
            "<results>/figures/{cohort}/{model}/volumes.svg",
            caption="../report/volumes.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "volumes"},
        ),
        inter_class=report(
            "<results>/figures/{cohort}/{model}/inter_class.svg",
            caption="../report/inter_class.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "inter-class dependency"},
        ),
        confusion=report(
            "<results>/figures/{cohort}/{model}/confusion.svg",
            caption="../report/confusion.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "confusion"},
        ),
        trajectories=report(
            "<results>/figures/{cohort}/{model}/trajectories.svg",
            caption="../report/trajectories.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "courses over time"},
        ),
        detection=report(
            "<results>/figures/{cohort}/{model}/detection.svg",
            caption="../report/detection.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "lesion detection"},
        ),
        false_positives=report(
            "<results>/figures/{cohort}/{model}/false_positives.svg",
            caption="../report/false_positives.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "false positives"},
        ),
        subgroups=report(
            "<results>/figures/{cohort}/{model}/subgroups.svg",
            caption="../report/subgroups.rst",
            category="3 Performance",
            labels={"cohort": "{cohort}", "model": "{model}", "figure": "subgroups"},
        ),
    log:
        "<logs>/draw_model/{cohort}/{model}.log",
    benchmark:
        "<benchmarks>/draw_model/{cohort}/{model}.tsv"
    conda:
        "../../envs/base.yaml"
    threads: 1
    resources:
        mem_mb=2_000,
        runtime="15m",
    params:
        colors=REGION_COLORS,
        names=LABEL_NAMES,
        convention=lookup("report/convention", within=config),
        code=code_of("draw_model.py"),
    message:
        "Drawing {wildcards.model} on {wildcards.cohort}."
    script:
        "../scripts/draw_model.py"
