"""Reports of runs: metrics.jsonl, TensorBoard, a live line, tables, figures, a page."""
