"""What two pages share: session keys, the form made from TrainConfig, the live chart, the view of a run."""
