"""What a run tells: metrics.jsonl, TensorBoard, a live line, figures, a report page."""
